"""One stream of events for many readers, none of which can hold up another."""

import asyncio
import logging
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Self, TypeVar

from utd_stream._errors import Lagged

E = TypeVar("E")

READER_LIMIT: Final = 10_000
"""Events that wait for one reader before it is given up."""
_log: Final = logging.getLogger("utd_stream")


class EventReader(Generic[E]):
    """An async iterator over every event from the moment it was made on, without loss.

    One that falls too far behind raises `Lagged`, never skips. It ends when its source is
    closed. `async for`, and nothing else; a reader that is dropped is forgotten.
    """

    def __init__(self, limit: int) -> None:
        """Made by the source, not by hand."""
        self._limit = limit
        self._waiting: deque[E] = deque()
        self._moved = asyncio.Event()
        self._ended = False
        self._lagged = False

    def __aiter__(self) -> Self:
        """Iterate over itself."""
        return self

    async def __anext__(self) -> E:
        """Give the next event, when it comes. Cancelling is safe: nothing is lost by it.

        Raises:
            Lagged: this reader fell too far behind; take a new one.
        """
        while not self._waiting:
            if self._lagged:
                message = f"fell {self._limit} events behind; take a new iterator and read faster"
                raise Lagged(message)
            if self._ended:
                raise StopAsyncIteration
            self._moved.clear()
            await self._moved.wait()
        return self._waiting.popleft()

    def _push(self, event: E) -> None:
        if self._lagged:
            return
        if len(self._waiting) >= self._limit:
            self._waiting.clear()
            self._lagged = True
        else:
            self._waiting.append(event)
        self._moved.set()

    def _end(self) -> None:
        self._ended = True
        self._moved.set()


class Broadcast(Generic[E]):
    """Hands every event to all readers and callbacks of now."""

    def __init__(self, limit: int = READER_LIMIT) -> None:
        """Start without readers."""
        self._limit = limit
        self._closed = False
        self._readers: weakref.WeakSet[EventReader[E]] = weakref.WeakSet()
        self._callbacks: dict[object, Callable[[E], None]] = {}

    def reader(self) -> EventReader[E]:
        """A new reader, for what is sent from now on."""
        reader = EventReader[E](self._limit)
        self._readers.add(reader)
        if self._closed:
            reader._end()  # noqa: SLF001 of this module
        return reader

    def subscribe(self, callback: Callable[[E], None]) -> Callable[[], None]:
        """Call `callback` for each event at once; the answer unsubscribes, twice is harmless."""
        key = object()
        self._callbacks[key] = callback

        def unsubscribe() -> None:
            self._callbacks.pop(key, None)

        return unsubscribe

    def send(self, event: E) -> None:
        """Hand it to everybody; a callback that fails is logged and stops nobody else."""
        for callback in tuple(self._callbacks.values()):
            try:
                callback(event)
            except Exception:  # noqa: BLE001 logged, and nobody else is stopped
                _log.exception("a listener of room events failed")
        for reader in tuple(self._readers):
            reader._push(event)  # noqa: SLF001 of this module

    def close(self) -> None:
        """End all readers; what they have not read yet stays readable."""
        self._closed = True
        self._callbacks.clear()
        for reader in tuple(self._readers):
            reader._end()  # noqa: SLF001 of this module
