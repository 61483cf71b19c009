"""Rights: carries what `desired_permission` says to LiveKit, one call at a time in a room.

Level-triggered: whoever is named gets what the newest state says at the moment of the call, so
wishes of one person coalesce and the newest wins. What fails is the sweep's, which never forgets.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeAlias

import structlog

from utd_engine.app.naming import sfu_name
from utd_engine.app.snapshots import Snapshots
from utd_engine.domain.permissions import desired_permission
from utd_engine.domain.state import RoomState, is_evicted, is_stranger
from utd_engine.ports.media import MediaGateway, MediaUnavailable
from utd_engine.ports.rooms import Key
from utd_engine.ports.store import StoreUnavailable
from utd_engine.ports.tasks import Tasks
from utd_protocol.types import RoomState as Phase

OnFailure: TypeAlias = Callable[[Key], None]
BeforeEnd: TypeAlias = Callable[[Key], Awaitable[None]]

WHOLE_ROOM: Final = ""
"""No identity is empty, so it can stand for the room itself: remove it when it is over."""

_log: Final = structlog.get_logger("utd.rights")


class _Lane:
    """The people of one room who are to be settled, and who waits for it."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[asyncio.Future[bool]]] = {}
        self.reassert: set[str] = set()
        self.put_out: set[str] = set()


class Rights:
    """A lane a room, for as long as somebody waits. Its tasks outlive every caller."""

    def __init__(self, snapshots: Snapshots, media: MediaGateway, tasks: Tasks) -> None:
        self._snapshots = snapshots
        self._media = media
        self._tasks = tasks
        self._lanes: dict[Key, _Lane] = {}
        self.on_failure: OnFailure = lambda _key: None
        self.before_end: BeforeEnd = _nothing

    async def settle(self, key: Key, people: Iterable[str]) -> bool:
        """Bring LiveKit to the newest state for these people; False when it did not confirm it.

        Cancelling it ends the waiting; LiveKit is told in any case.
        """
        lane = self._lane(key)
        waiters = [self._wait(lane, who) for who in people]
        return all(await asyncio.gather(*waiters))

    def push(self, key: Key, people: Iterable[str]) -> None:
        """Like `settle`, and nobody waits."""
        lane = self._lane(key)
        for who in people:
            lane.waiting.setdefault(who, [])

    def reassert(self, key: Key, identity: str) -> None:
        """Push the whole permission, with attributes, whatever LiveKit seems to have."""
        self.push(key, [identity])
        self._lanes[key].reassert.add(identity)

    def put_out(self, key: Key, identity: str) -> None:
        """Disconnect somebody whom the room's own state does not know to be unwelcome."""
        self.push(key, [identity])
        self._lanes[key].put_out.add(identity)

    def _lane(self, key: Key) -> _Lane:
        lane = self._lanes.get(key)
        if lane is None:
            lane = _Lane()
            self._tasks.create_task(self._serve(key, lane), name=f"rights {key.id}")
            self._lanes[key] = lane
        return lane

    def _wait(self, lane: _Lane, identity: str) -> asyncio.Future[bool]:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        lane.waiting.setdefault(identity, []).append(done)
        return done

    async def _serve(self, key: Key, lane: _Lane) -> None:
        """Until nobody waits. A wish that comes during a call gets a call of its own."""
        try:
            while lane.waiting:
                identity = next(iter(lane.waiting))
                waiting = lane.waiting.pop(identity)
                confirmed = False
                try:
                    confirmed = await self._confirmed(key, lane, identity)
                finally:
                    _answer(waiting, confirmed=confirmed)
        finally:
            del self._lanes[key]
            for waiting in lane.waiting.values():
                _answer(waiting, confirmed=False)

    async def _confirmed(self, key: Key, lane: _Lane, identity: str) -> bool:
        try:
            await self._call(key, lane, identity)
        except (MediaUnavailable, StoreUnavailable):
            self.on_failure(key)
            return False
        except Exception:  # noqa: BLE001 one broken room must not stop the others
            _log.exception("rights.failed", room=key.id)
            self.on_failure(key)
            return False
        return True

    async def _call(self, key: Key, lane: _Lane, identity: str) -> None:
        put_out, reassert = identity in lane.put_out, identity in lane.reassert
        lane.put_out.discard(identity)
        lane.reassert.discard(identity)
        snapshot = await self._snapshots.current(key)
        if snapshot is None:
            return
        state = snapshot.state
        room = sfu_name(key, state.view.type)
        if state.view.state is Phase.ENDED:
            await self.before_end(key)
            await self._media.remove_room(room)
        elif identity == WHOLE_ROOM:
            return
        elif put_out or is_evicted(state, identity) or is_stranger(state, identity):
            await self._media.remove_member(room, identity)
        else:
            wish = desired_permission(state, identity)
            attributes = attributes_of(state, identity) if reassert else None
            await self._media.push_member(room, identity, wish, attributes=attributes)


def attributes_of(state: RoomState, identity: str) -> dict[str, str]:
    """What everybody sees beside a name; pushing it makes a listener visible at once."""
    return {"utd.role": str(state.view.role_of(identity))}


def _answer(waiting: list[asyncio.Future[bool]], *, confirmed: bool) -> None:
    for done in waiting:
        if not done.done():
            done.set_result(confirmed)


async def _nothing(_key: Key) -> None:
    return
