"""Presence: makes state and LiveKit agree about who is there and what they may do.

`reconcile` compares one room with what LiveKit lists and repairs both directions (rules R6, R10,
R48 to R50). It is idempotent: webhooks and the sweep only say when to run it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from utd_engine.app.commits import Commit
from utd_engine.app.naming import ban_place, sfu_name
from utd_engine.app.rights import WHOLE_ROOM, Rights
from utd_engine.app.rooms import Rooms, is_open
from utd_engine.app.snapshots import Snapshots
from utd_engine.domain.orders import AgentsListed, OccupancyChanged, Order, PresenceChanged
from utd_engine.domain.plan import Push, must_go, plan, presence_reports
from utd_engine.domain.presence import MANY
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import RoomState, watched
from utd_engine.domain.turn import ENGINE, SERVER, Actor
from utd_engine.ports.clock import Clock
from utd_engine.ports.media import Incarnation, MediaGateway, Observed
from utd_engine.ports.presence import PresenceRow
from utd_engine.ports.rooms import Key
from utd_engine.ports.store import Store
from utd_protocol import commands as c
from utd_protocol.types import Identity

SMALL_ROOM: Final = 100
"""In smaller rooms everybody is made visible at once; larger ones want LiveKit's batching."""
CALL_PEOPLE: Final = 2
"""LiveKit lets no third in, whatever the third has for a token."""


_NOBODY: Final = PresenceRow("", "", datetime.min.replace(tzinfo=UTC))


class Repairs(NamedTuple):
    """What one reconciliation found."""

    recreated: bool = False
    pushed: int = 0
    removed: int = 0
    people: int = 0
    over: bool = False
    """The room has ended, and LiveKit has confirmed that it is gone there, too."""


class Presence:
    """Feeds what LiveKit reports into the rules, and the rules' wishes back."""

    def __init__(  # noqa: PLR0917 each is a port or a service it joins
        self,
        store: Store,
        snapshots: Snapshots,
        rooms: Rooms,
        rights: Rights,
        media: MediaGateway,
        clock: Clock,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._rooms = rooms
        self._rights = rights
        self._media = media
        self._clock = clock
        self._counts: dict[Key, int] = {}
        """People in each open room that LiveKit has, as of the last reconciliation."""
        self.metadata_of: Callable[[Key], Awaitable[str]] | None = None
        self.on_found: Callable[[Key], None] = lambda _key: None
        """LiveKit has a room that this process did not know to be there."""
        self.on_forgotten: Callable[[Key], None] = lambda _key: None
        """LiveKit has lost a room that was there."""
        self.on_agents: Callable[[Key], None] = lambda _key: None
        self.on_counted: Callable[[Key, int], None] = lambda _key, _count: None

    async def arrived(self, key: Key, one: Observed) -> None:
        """A webhook says that somebody is in: their seat resumes, and their right is asserted anew.

        A right that was pushed while its client reconnected is lost although LiveKit said OK.
        """
        snapshot = await self._snapshots.current(key)
        if snapshot is None or one.agent or one.hidden:
            return
        if is_open(snapshot.state) and must_go(snapshot.state, one, ()) is None:
            await self._store.seen(key, PresenceRow(one.identity, one.sid, one.joined_at))
            if one.identity in watched(snapshot.state):
                await self._report(key, one, present=True)
        small = self._counts.get(key, 0) < SMALL_ROOM
        if small or one.identity in watched(snapshot.state):
            self._rights.reassert(key, one.identity)
        else:
            self._rights.push(key, [one.identity])

    async def reconcile(self, key: Key) -> Repairs:
        """Compare one room with LiveKit and repair what differs.

        Raises:
            MediaUnavailable: LiveKit did not answer; nothing is concluded from that.
            StoreUnavailable: the database cannot answer now.
        """
        snapshot = await self._snapshots.current(key)
        if snapshot is None:
            return Repairs()
        view = snapshot.state.view
        name = sfu_name(key, view.type)
        if not is_open(snapshot.state):
            await self._media.remove_room(name)
            return Repairs(over=True)
        incarnation = await self._media.list_members(name)
        if incarnation.sid is None:
            return await self._bring_back(key)
        return await self._compare(key, snapshot.state, incarnation)

    def forget_media(self) -> None:
        """LiveKit may have lost every room."""
        self._counts.clear()

    def committed(self, commit: Commit) -> None:
        """Nobody is counted in a room that is over."""
        if not is_open(commit.after):
            self._counts.pop(commit.key, None)

    async def _bring_back(self, key: Key) -> Repairs:
        """A room that LiveKit had and has no more was not the only one to be lost."""
        was_there = self._counts.pop(key, None) is not None
        await self.ensure(key)
        if was_there:
            self.on_forgotten(key)
        return Repairs(recreated=True)

    async def ensure(self, key: Key) -> None:
        """Create the room in LiveKit unless it is there, with its newest events in it.

        A room that ends while it is being created is removed again.
        """
        snapshot = await self._snapshots.current(key)
        if snapshot is None or not is_open(snapshot.state):
            return
        metadata = await self.metadata_of(key) if self.metadata_of else ""
        name = sfu_name(key, snapshot.state.view.type)
        most = CALL_PEOPLE if snapshot.state.view.call is not None else 0
        try:
            await self._media.ensure_room(name, metadata=metadata, max_participants=most)
        finally:
            now = await self._snapshots.current(key)
            if now is not None and not is_open(now.state):
                self._rights.push(key, [WHOLE_ROOM])

    async def _compare(self, key: Key, before: RoomState, incarnation: Incarnation) -> Repairs:
        people = [one for one in incarnation.members if not (one.agent or one.hidden)]
        snapshot = await self._snapshots.current(key)
        if snapshot is None or not is_open(snapshot.state):
            return Repairs()
        self._count(key, len(people))
        await self._remember(key, people)
        for report in presence_reports(snapshot.state, people):
            if not _is_newer_than_list(before, report):
                await self._order(key, report)
        await self._note_occupancy(key, snapshot.state, len(people))
        await self._note_agents(key, snapshot.state, incarnation)
        return await self._repair(key, incarnation, len(people))

    def _count(self, key: Key, people: int) -> None:
        is_new = key not in self._counts
        self._counts[key] = people
        if is_new:
            self.on_found(key)
        self.on_counted(key, people)

    async def _repair(self, key: Key, incarnation: Incarnation, people: int) -> Repairs:
        snapshot = await self._snapshots.current(key)
        if snapshot is None or not is_open(snapshot.state):
            return Repairs(people=people)
        view = snapshot.state.view
        place = ban_place(view.type, view.name)
        banned = await self._store.banned(key.app, place, self._clock.now())
        pushed = removed = 0
        for action in plan(snapshot.state, incarnation.members, banned):
            if isinstance(action, Push):
                pushed += 1
                self._rights.push(key, [action.identity])
            else:
                removed += 1
                await self._remove(key, snapshot.state, action.identity, action.reason)
        return Repairs(pushed=pushed, removed=removed, people=people)

    async def _remove(self, key: Key, state: RoomState, identity: str, reason: str) -> None:
        """Who is banned elsewhere loses what they have here, too: of a call nothing is left."""
        if reason == "banned" and state.view.call is not None:
            await self._order(key, c.EndCall(), SERVER)
        elif reason == "banned" and identity in watched(state):
            await self._order(key, c.Kick(identity=identity, reason="banned"))
        self._rights.put_out(key, identity)

    async def _remember(self, key: Key, people: list[Observed]) -> None:
        known = {row.identity: row for row in await self._store.present(key)}
        here = {one.identity: one for one in people}
        new = [one for one in people if known.get(one.identity, _NOBODY).sid != one.sid]
        old = [row for identity, row in known.items() if identity not in here]
        seen = [PresenceRow(one.identity, one.sid, one.joined_at) for one in new]
        await asyncio.gather(  # Together they share the store's commits.
            *(self._store.seen(key, row) for row in seen),
            *(self._store.gone(key, row.identity, row.sid) for row in old),
        )

    async def _note_occupancy(self, key: Key, state: RoomState, people: int) -> None:
        if min(people, MANY) != (state.occupancy or 0):
            await self._order(key, OccupancyChanged(count=people))

    async def _note_agents(self, key: Key, state: RoomState, incarnation: Incarnation) -> None:
        if not state.view.agents:
            return
        here = [one for one in incarnation.members if one.agent and one.active]
        listed = tuple((one.agent_name, one.identity) for one in here)
        await self._order(key, AgentsListed(agents=listed))
        self.on_agents(key)

    async def _report(self, key: Key, one: Observed, *, present: bool) -> None:
        joined_at: datetime = one.joined_at
        report = PresenceChanged(
            identity=Identity(one.identity), sid=one.sid, joined_at=joined_at, present=present
        )
        await self._order(key, report)

    async def _order(self, key: Key, order: Order, actor: Actor = ENGINE) -> None:
        """An order of the engine. If the room has ended meanwhile there is nothing to do."""
        try:
            await self._rooms.act(key, order, actor)
        except Refused:
            return


def _is_newer_than_list(before: RoomState, report: PresenceChanged) -> bool:
    """Somebody came while LiveKit was listing: the list is older than what is known of them."""
    known = before.presence.get(report.identity)
    return not report.present and (known is None or known.sid != report.sid)
