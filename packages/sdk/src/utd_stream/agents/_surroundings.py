"""Time and chance, as a session needs them: tests bring their own."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Surroundings(Protocol):
    """The clock, the maker of ids, and the timer."""

    def now(self) -> datetime:
        """The present time, in UTC."""
        ...

    def new_id(self) -> str:
        """An id that nobody else has."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call it after so many seconds; the answer cancels that, twice is harmless."""
        ...


class RealSurroundings:
    """The clock of this machine and the timer of the running loop."""

    def now(self) -> datetime:
        """The present time, in UTC."""
        return datetime.now(UTC)

    def new_id(self) -> str:
        """A UUID v4."""
        return str(uuid.uuid4())

    def call_later(self, delay: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call it after so many seconds."""
        return asyncio.get_running_loop().call_later(delay, callback).cancel
