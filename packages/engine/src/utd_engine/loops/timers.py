"""Timers: every deadline is in the store; this loop only wakes in time and gives a `Tick`."""

import asyncio
from datetime import datetime
from typing import Final

import structlog

from utd_engine.app.commits import Commit
from utd_engine.app.rooms import Rooms
from utd_engine.app.snapshots import Snapshots
from utd_engine.domain.orders import Tick
from utd_engine.domain.refusal import Refused
from utd_engine.ports.clock import Clock
from utd_engine.ports.rooms import Key
from utd_engine.ports.store import Store, StoreUnavailable

BATCH: Final = 100
LONGEST_S: Final = 30.0
"""It looks at least this often, so that a clock that was set cannot stop it."""
RETRY_S: Final = 1.0

_log: Final = structlog.get_logger("utd.timers")


class Timers:
    """Sleeps until the earliest deadline of all rooms."""

    def __init__(self, store: Store, snapshots: Snapshots, rooms: Rooms, clock: Clock) -> None:
        self._store = store
        self._snapshots = snapshots
        self._rooms = rooms
        self._clock = clock
        self._earlier = asyncio.Event()
        self._next: datetime | None = None

    def committed(self, commit: Commit) -> None:
        """A deadline that is earlier than the one slept for ends the sleep."""
        if commit.wake_at is not None and self._first(commit.wake_at) is commit.wake_at:
            self._earlier.set()

    def doubt(self, key: Key) -> None:
        """A room may have a deadline that was not told here: look."""
        del key
        self._earlier.set()

    async def serve(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._round()
            except StoreUnavailable:
                await self._clock.sleep(RETRY_S)

    async def _round(self) -> None:
        self._earlier.clear()
        self._next = None  # Whatever is committed while the store is asked, is news.
        wake_at = self._first(await self._store.next_wake())
        now = self._clock.now()
        if wake_at is None or wake_at > now:
            wait = LONGEST_S if wake_at is None else (wake_at - now).total_seconds()
            await self._sleep(min(wait, LONGEST_S))
            return
        due = await self._store.due(now, BATCH)
        results = await asyncio.gather(*map(self._tick, due), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _first(self, wake_at: datetime | None) -> datetime | None:
        """The earlier of a deadline and the one slept for, which it becomes."""
        if wake_at is not None and (self._next is None or wake_at < self._next):
            self._next = wake_at
        return self._next

    async def _sleep(self, seconds: float) -> None:
        try:
            await self._clock.within(seconds, self._earlier.wait())
        except TimeoutError:
            return

    async def _tick(self, key: Key) -> None:
        try:
            before = await self._snapshots.current(key)
            await self._rooms.act(key, Tick())
        except Refused:
            return
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 one broken room must not stop the others
            # It must not be ticked without a pause either.
            _log.exception("timers.failed", room=key.id)
            await self._clock.sleep(RETRY_S)
            return
        if await self._snapshots.current(key) is before:
            # Another replica moved it on, or a rule forgot its deadline: look again, not at once.
            self._snapshots.forget(key)
            await self._clock.sleep(RETRY_S)
