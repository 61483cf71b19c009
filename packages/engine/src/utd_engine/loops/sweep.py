"""Sweep: visits rooms so that nothing depends on a webhook, and brings them back after an outage.

Every room where somebody is or may come is visited each period, at once when a hint says that it
changed, and all open rooms when LiveKit returns from an outage or is found to have forgotten one.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from utd_engine.app.commits import Commit
from utd_engine.app.ports import (
    Clock,
    Key,
    MediaGateway,
    MediaUnavailable,
    Store,
    StoreUnavailable,
    Tasks,
)
from utd_engine.app.presence import Presence, Repairs
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
        self._outage = asyncio.Event()
        self._recreating = False
        self.media_ok = True
        self.on_repairs: Callable[[Key, Repairs], None] = lambda _key, _repairs: None
        self.on_forgotten: Callable[[], None] = lambda: None

    def hint(self, key: Key) -> None:
        """Something happened in this room: visit it soon. Hints coalesce."""
        if key in self._visits:
            self._visits[key] = True
            return
        self._visits[key] = False
        self._tasks.create_task(self._visit_until_quiet(key), name=f"sweep {key.id}")

    def expect(self, key: Key) -> None:
        """A token was made: somebody may come, with or without a webhook."""
        self._warm[key] = self._clock.monotonic() + WARM_S

    def committed(self, commit: Commit) -> None:
        """A room that is over is looked after by the command that ended it."""
        if commit.after.view.state is Phase.ENDED:
            self._warm.pop(commit.key, None)

    def failed(self, key: Key) -> None:
        """LiveKit did not confirm something in this room: watch for its return."""
        self._warm.setdefault(key, self._clock.monotonic() + WARM_S)
        self._outage.set()

    def missing(self, key: Key) -> None:
        """LiveKit has forgotten a room that is open here. Then it has forgotten them all."""
        del key
        if not self._recreating:
            self._recreating = True
            self._tasks.create_task(self._recreate_all(), name="sweep all")

    async def serve(self) -> None:
        """Until cancelled."""
        await self._all_warm()
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

    async def _all_warm(self) -> None:
        """After a start, tokens of before may still be used."""
        try:
            for key in await self._open_rooms():
                self.expect(key)
        except StoreUnavailable:
            _log.warning("sweep.store_unavailable")

    async def _round(self) -> None:
        now = self._clock.monotonic()
        self._warm = {key: until for key, until in self._warm.items() if until > now}
        keys = set(self._warm) | set(await self._store.occupied())
        keys.update(await self._quiet())
        for key in keys:
            self.hint(key)

    async def _quiet(self) -> list[Key]:
        """The next few of all open rooms, in turn."""
        rooms = await self._store.open_rooms(after=self._after, limit=QUIET_A_PERIOD)
        self._after = rooms[-1].key.id if len(rooms) == QUIET_A_PERIOD else ""
        return [room.key for room in rooms]

    async def _visit_until_quiet(self, key: Key) -> None:
        try:
            while True:
                self._visits[key] = False
                async with self._slots:
                    repairs = await self._visit(key)
                if not self._visits[key]:
                    return
                await self._clock.sleep(max(PACE_S, repairs.people / 1000))
        finally:
            del self._visits[key]

    async def _visit(self, key: Key) -> Repairs:
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
        self.on_repairs(key, repairs)
        return repairs

    async def _watch_health(self) -> None:
        """While calls fail, ask twice a second; when LiveKit is back, make all rooms again."""
        while True:
            await self._outage.wait()
            self.media_ok = False
            _log.warning("media.unavailable")
            while not await self._media.healthy():
                await self._clock.sleep(HEALTH_S)
            self._outage.clear()
            self.media_ok = True
            _log.info("media.available")
            await self._recreate_all()

    async def _recreate_all(self) -> None:
        self._recreating = True
        self.on_forgotten()
        try:
            keys = await self._open_rooms()
            await asyncio.gather(*(self._recreate(key) for key in keys))
            for key in keys:
                self.expect(key)
                self.hint(key)
        except StoreUnavailable:
            self._outage.set()
        finally:
            self._recreating = False

    async def _recreate(self, key: Key) -> None:
        async with self._slots:
            try:
                await self._presence.ensure(key)
            except MediaUnavailable:
                self.failed(key)

    async def _open_rooms(self) -> list[Key]:
        keys: list[Key] = []
        after = ""
        while True:
            page = await self._store.open_rooms(after=after, limit=1000)
            keys += [room.key for room in page]
            if len(page) < 1000:  # noqa: PLR2004 the page asked for
                return keys
            after = page[-1].key.id
