"""The real clock and the real source of randomness. Everything else gets them as arguments."""

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")

ID_BYTES = 24


class SystemClock:
    """Implements `Clock` with the machine's clocks."""

    def now(self) -> datetime:
        """The present, cut to milliseconds, as the store keeps it."""
        return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let others run for so long."""
        await asyncio.sleep(seconds)

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        """The result, or `TimeoutError`."""
        async with asyncio.timeout(seconds):
            return await work


class SystemIds:
    """Implements `Ids` with the system's randomness."""

    def new(self, prefix: str) -> str:
        """192 random bits after the prefix."""
        return f"{prefix}_{secrets.token_urlsafe(ID_BYTES)}"

    def jitter(self) -> float:
        """For back-off; nothing secret hangs on it."""
        return random.random()  # noqa: S311
