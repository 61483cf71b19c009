"""Time and randomness under the test's control."""

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Awaitable, Sized
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

T = TypeVar("T")

START: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
QUIET_ROUNDS: Final = 30
"""Where a loop does not say whether anything is ready: so many turns let short chains run out."""
MOST_ROUNDS: Final = 100_000
"""Who is still busy after so many turns will never be quiet."""
TIMER_EARLY_S: Final = 0.001
"""How much before its moment the timer of an event loop may come."""
_FILLING: Final = "0" * 16
"""The number comes first, as parts of an id that are shown must differ; this makes it as long."""


class FakeClock:
    """Implements `Clock`: stands still until `advance` moves it, deadline by deadline."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed: float = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The present of this clock."""
        return self._start + timedelta(milliseconds=round(self.monotonic() * 1000))

    def monotonic(self) -> float:
        """Seconds that `advance` has moved it."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Return once the clock has been moved so far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        await self._alarm(seconds)

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        """The result, or `TimeoutError` once the clock has been moved so far."""
        task = asyncio.ensure_future(work)
        alarm = self._alarm(seconds)
        try:
            either: set[asyncio.Future[Any]] = {task, alarm}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise TimeoutError
            return task.result()
        finally:
            alarm.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def advance(self, seconds: float) -> None:
        """Move on, waking every sleeper at its own moment, and let everything settle."""
        until = self._elapsed + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= until + 1e-9:
            at, _, alarm = heapq.heappop(self._sleepers)
            if alarm.cancelled():
                continue
            self._elapsed = max(self._elapsed, at)
            alarm.set_result(None)
            await self.settle()
        self._elapsed = until
        await self.settle()

    async def settle(self) -> None:
        """Let everything that can run now run out, but for what waits for another thread.

        `AssertionError` when it never does: something polls without waiting.
        """
        ready: Sized | None = getattr(asyncio.get_running_loop(), "_ready", None)
        for turn in range(MOST_ROUNDS):
            await asyncio.sleep(0)
            if not ready if ready is not None else turn >= QUIET_ROUNDS:
                return
        raise AssertionError("The engine is never quiet: something polls without waiting.")

    def _alarm(self, seconds: float) -> "asyncio.Future[None]":
        alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (self.monotonic() + max(seconds, 0.0), next(self._order), alarm)
        heapq.heappush(self._sleepers, entry)
        return alarm


class RunningClock(FakeClock):
    """Implements `Clock`: goes with real time, and jumps ahead when `advance` says so.

    For an engine whose clients wait in real time, as those on sockets do: what it paces and
    retries goes on by itself, and nobody waits for what takes long.
    """

    def __init__(self, start: datetime | None = None) -> None:
        super().__init__(start or datetime.now(UTC))
        self._began = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def monotonic(self) -> float:
        """Seconds since it was made, with those that `advance` has skipped."""
        return time.monotonic() - self._began + self._elapsed

    async def advance(self, seconds: float) -> None:
        """Jump, waking every sleeper at its own moment, and let everything settle."""
        until = self.monotonic() + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            self._jump_to(self._sleepers[0][0])
            self._ring()
            await self.settle()
        self._jump_to(until)
        self._arm()
        await self.settle()

    def _jump_to(self, at: float) -> None:
        self._elapsed += max(0.0, at - self.monotonic())

    def _alarm(self, seconds: float) -> "asyncio.Future[None]":
        alarm = super()._alarm(seconds)
        self._arm()
        return alarm

    def _arm(self) -> None:
        """Wake the first sleeper in real time. A jump brings all of them nearer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sleepers:
            left = max(0.0, self._sleepers[0][0] - self.monotonic())
            self._timer = asyncio.get_running_loop().call_later(left, self._ring)

    def _ring(self) -> None:
        """Wake everybody whose time has come."""
        until = self.monotonic() + TIMER_EARLY_S
        while self._sleepers and self._sleepers[0][0] <= until:
            _, _, alarm = heapq.heappop(self._sleepers)
            if not alarm.done():
                alarm.set_result(None)
        self._arm()


class FakeIds:
    """Implements `Ids`: counted names and seeded jitter, so that a run repeats exactly."""

    def __init__(self, seed: int = 0) -> None:
        self._numbers = itertools.count(1)
        self._random = random.Random(seed)  # noqa: S311 repeatable on purpose

    def new(self, prefix: str) -> str:
        """`rm_00000001…`, and so on: as long as nothing guesses them, that is enough."""
        return f"{prefix}_{next(self._numbers):08d}{_FILLING}"

    def jitter(self) -> float:
        """The next number of the seed."""
        return self._random.random()
