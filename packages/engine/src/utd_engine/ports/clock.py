"""Time and randomness: the engine's only sources of both."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """The only source of time in the engine."""

    def now(self) -> datetime:
        """The present, aware, UTC, cut to milliseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for deadlines inside this process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after this many seconds of this clock."""
        ...

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        """The result of the work, or `TimeoutError` after this many seconds of this clock."""
        ...


class Ids(Protocol):
    """The only source of randomness in the engine."""

    def new(self, prefix: str) -> str:
        """A new unguessable id, such as `rm_3kTq…` (at least 96 random bits, URL-safe)."""
        ...

    def jitter(self) -> float:
        """A number of [0, 1)."""
        ...
