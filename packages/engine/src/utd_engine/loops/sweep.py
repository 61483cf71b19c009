"""Sweep: visits rooms so that nothing depends on a webhook, and brings them back after an outage.

Every room where somebody is or may come is visited each period, at once when a hint says that it
changed, and all open rooms when LiveKit returns from an outage or is found to have forgotten one.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from utd_engine.app.commits import Commit
from utd_engine.app.naming import parse_sfu_name
from utd_engine.app.presence import Presence, Repairs
from utd_engine.ports.clock import Clock
from utd_engine.ports.media import MediaGateway, MediaUnavailable
from utd_engine.ports.rooms import Key
from utd_engine.ports.store import Store, StoreUnavailable
from utd_engine.ports.tasks import Tasks
from utd_protocol.types import RoomState as Phase

PERIOD_S: Final = 5.0
HEALTH_S: Final = 0.5
WARM_S: Final = 660.0
"""A join token may be used this long after it was made (ten minutes and LiveKit's leeway)."""
CONCURRENCY: Final = 8
QUIET_A_PERIOD: Final = 20
"""Of the rooms where nobody is expected, this many are visited each period, in turn."""
PACE_S: Final = 0.1
"""Between two visits of one room that hints ask for; longer in large rooms."""
PAGE: Final = 1000

_log: Final = structlog.get_logger("utd.sweep")


class Sweep:
    """Owns when rooms are reconciled, and that no two visits of one room overlap."""

    def __init__(
        self,
        store: Store,
        presence: Presence,
        media: MediaGateway,
        clock: Clock,
        tasks: Tasks,
    ) -> None:
        self._store = store
        self._presence = presence
        self._media = media
        self._clock = clock
        self._tasks = tasks
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._visits: dict[Key, bool] = {}
        """Rooms being visited now; True: visit again afterwards."""
        self._warm: dict[Key, float] = {}
        self._after = ""
        self._is_warmed = False
        self._ended_removed = False
        self._trouble = asyncio.Event()
        self._recreation: asyncio.Task[None] | None = None
        self._recreate_again = False
        self._recreated_at = float("-inf")
        self.media_ok = True
        self.on_repairs: Callable[[Key, Repairs], None] = lambda _key, _repairs: None
        self.on_forgotten: Callable[[], None] = lambda: None

    def hint(self, key: Key) -> None:
        """Something happened in this room: visit it soon. Hints coalesce."""
        if key in self._visits:
            self._visits[key] = True
        else:
            self._visit_soon(key)

    def expect(self, key: Key) -> None:
        """A token was made: somebody may come, with or without a webhook."""
        self._warm[key] = self._clock.monotonic() + WARM_S

    def committed(self, commit: Commit) -> None:
        """A room that is over is looked after by the command that ended it."""
        if commit.after.view.state is Phase.ENDED:
            self._warm.pop(commit.key, None)

    def failed(self, key: Key) -> None:
        """LiveKit did not confirm something in this room: the next round repairs it.

        One failed call is no outage, and must not set off what costs many more of them. Whether
        LiveKit is down is for its health to say.
        """
        self._warm.setdefault(key, self._clock.monotonic() + WARM_S)
        self._trouble.set()

    def missing(self, key: Key) -> None:
        """LiveKit has forgotten a room that it had. Then it has forgotten them all.

        Soon after all were made anew that is no news, and the rounds repair each room by itself.
        """
        del key
        if self._clock.monotonic() >= self._recreated_at + PERIOD_S:
            self._recreate_soon()

    async def serve(self) -> None:
        """Until cancelled."""
        watch = self._tasks.create_task(self._watch_health(), name="sweep health")
        try:
            while True:
                try:
                    await self._round()
                except StoreUnavailable:
                    _log.warning("sweep.store_unavailable")
                await self._clock.sleep(PERIOD_S)
        finally:
            watch.cancel()

    # --- rounds ----------------------------------------------------------------------------------

    async def _round(self) -> None:
        """Rooms that are still being visited are left to it: a slow LiveKit gets no backlog."""
        if not self._is_warmed:
            await self._look_at_all()
        now = self._clock.monotonic()
        for key in [key for key, until in self._warm.items() if until <= now]:
            del self._warm[key]
        if not self.media_ok:
            return
        if not self._ended_removed:
            self._tasks.create_task(self._remove_ended(), name="sweep ended")
        keys = {*await self._store.occupied(), *self._warm, *await self._quiet()}
        for key in sorted(keys - self._visits.keys()):
            self._visit_soon(key)

    async def _look_at_all(self) -> None:
        """After a start: tokens of before may still be used, and rooms may have ended unheard."""
        for key in await self._open_rooms():
            self.expect(key)
        self._is_warmed = True

    async def _quiet(self) -> list[Key]:
        """The next few of all open rooms, in turn."""
        rooms = await self._store.open_rooms(after=self._after, limit=QUIET_A_PERIOD)
        self._after = rooms[-1].key.id if len(rooms) == QUIET_A_PERIOD else ""
        return [room.key for room in rooms]

    async def _open_rooms(self) -> list[Key]:
        keys: list[Key] = []
        after = ""
        while True:
            page = await self._store.open_rooms(after=after, limit=PAGE)
            keys += [room.key for room in page]
            if len(page) < PAGE:
                return keys
            after = page[-1].key.id

    async def _remove_ended(self) -> None:
        """The engine may have died between the end of a room and telling LiveKit."""
        self._ended_removed = False
        try:
            names = [parse_sfu_name(name) for name in await self._media.list_rooms()]
            is_open = set(await self._open_rooms())
        except MediaUnavailable:
            self._trouble.set()
            return
        except StoreUnavailable:
            _log.warning("sweep.store_unavailable")
            return
        there = {Key(name.app, "room", name.room_id) for name in names if name is not None}
        for key in sorted(there - is_open):
            self.hint(key)
        self._ended_removed = True

    # --- visits ----------------------------------------------------------------------------------

    def _visit_soon(self, key: Key) -> None:
        self._visits[key] = False
        self._tasks.create_task(self._visit_until_quiet(key), name=f"sweep {key.id}")

    async def _visit_until_quiet(self, key: Key) -> None:
        try:
            while True:
                async with self._slots:
                    self._visits[key] = False
                    repairs = await self._visit(key)
                await self._clock.sleep(max(PACE_S, repairs.people / 1000))
                if not self._visits[key]:
                    return
        finally:
            del self._visits[key]

    async def _visit(self, key: Key) -> Repairs:
        if not self.media_ok:  # All open rooms are visited when it is back.
            return Repairs()
        try:
            repairs = await self._presence.reconcile(key)
        except MediaUnavailable:
            self.failed(key)
            return Repairs()
        except StoreUnavailable:
            return Repairs()
        except Exception:  # noqa: BLE001 one broken room must not stop the others
            _log.exception("sweep.failed", room=key.id)
            return Repairs()
        if repairs.over:
            self._warm.pop(key, None)
        self.on_repairs(key, repairs)
        return repairs

    # --- outages ---------------------------------------------------------------------------------

    async def _watch_health(self) -> None:
        """When calls fail, ask; while it is down, twice a second; then make all rooms again."""
        while True:
            await self._trouble.wait()
            self._trouble.clear()
            if await self._media.healthy():
                await self._clock.sleep(HEALTH_S)
                continue
            self.media_ok = False
            _log.warning("media.unavailable")
            while not await self._media.healthy():
                await self._clock.sleep(HEALTH_S)
            self.media_ok = True
            _log.info("media.available")
            self._recreate_soon()

    def _recreate_soon(self) -> None:
        self._recreate_again = True
        if self._recreation is None or self._recreation.done():
            self._recreation = self._tasks.create_task(self._recreate_all(), name="sweep all")

    async def _recreate_all(self) -> None:
        while self._recreate_again:
            self._recreate_again = False
            self.on_forgotten()
            try:
                first = await self._store.occupied()
                rest = set(await self._open_rooms()).difference(first)
            except StoreUnavailable:
                _log.warning("sweep.store_unavailable")
                return
            await self._recreate([*first, *sorted(rest)])
            await self._remove_ended()
            self._recreated_at = self._clock.monotonic()

    async def _recreate(self, keys: Iterable[Key]) -> None:
        """So many at a time. Each is visited at once, because its people may be gone."""
        waiting = iter(keys)

        async def some() -> None:
            for key in waiting:
                if not self.media_ok:
                    return
                self.expect(key)
                try:
                    await self._presence.ensure(key)
                except MediaUnavailable:
                    self.failed(key)
                except StoreUnavailable:
                    return
                except Exception:  # noqa: BLE001 one broken room must not stop the others
                    _log.exception("sweep.failed", room=key.id)
                else:
                    self.hint(key)

        await asyncio.gather(*(some() for _ in range(CONCURRENCY)))
