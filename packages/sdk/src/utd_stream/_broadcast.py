"""One stream of events for many readers, none of which can hold up another."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Self, TypeVar
from weakref import WeakSet

from utd_stream._errors import Closed, ClosedByUs, Lagged, UTDStreamException, fresh

E = TypeVar("E")

READER_LIMIT: Final = 10_000
"""Events that wait for one reader before it is given up."""
_OVER: Final = ClosedByUs("read to the end")
_log: Final = logging.getLogger("utd_stream")


class EventReader(Generic[E]):
    """An async iterator over every event from the moment it was made on, without loss.

    One that falls too far behind raises `Lagged`, never skips. It ends when its source ends, and
    raises first why that was, unless it was meant to. `async for`, and nothing else: a reader
    that nobody holds any more is forgotten.
    """

    def __init__(self, limit: int) -> None:
        """Made by the source, not by hand."""
        self._limit = limit
        self._waiting: deque[E] = deque()
        self._moved = asyncio.Event()
        self._end: UTDStreamException | None = None

    def __aiter__(self) -> Self:
        """Iterate over itself."""
        return self

    async def __anext__(self) -> E:
        """Give the next event, when it comes. Cancelling is safe: nothing is lost by it.

        Raises:
            Lagged: this reader fell 10,000 events behind and has lost them; take a new one.
            Closed: the source ended, and not as it was meant to.
        """
        while not self._waiting and self._end is None:
            self._moved.clear()
            await self._moved.wait()
        if self._waiting:
            return self._waiting.popleft()
        end, self._end = self._end, _OVER
        if end is None or (isinstance(end, Closed) and end.is_normal):
            raise StopAsyncIteration
        raise fresh(end)

    def _push(self, event: E) -> None:
        if self._end is not None:
            return
        self._waiting.append(event)
        if len(self._waiting) > self._limit:
            self._waiting.clear()
            self._finish(
                Lagged(
                    f"this reader fell {self._limit} events behind and lost them: "
                    "read the present state, take a new iterator and read faster"
                )
            )
        self._moved.set()

    def _finish(self, end: UTDStreamException) -> None:
        if self._end is None:
            self._end = end
            self._moved.set()


class Broadcast(Generic[E]):
    """Hands every event to all readers and callbacks of now."""

    def __init__(self, limit: int = READER_LIMIT) -> None:
        """Start without readers.

        Args:
            limit: how many events a reader may leave unread.
        """
        self._limit = limit
        self._closed = False
        self._readers: WeakSet[EventReader[E]] = WeakSet()
        self._callbacks: dict[object, Callable[[E], None]] = {}

    def reader(self, ended: Closed | None = None) -> EventReader[E]:
        """A new reader, for what is sent from now on; one that has ended when the stream has."""
        reader = EventReader[E](self._limit)
        end = _OVER if self._closed else ended
        if end is None:
            self._readers.add(reader)
        else:
            reader._finish(end)  # noqa: SLF001 of this module
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
                _log.exception("a listener of events failed")
        for reader in tuple(self._readers):
            reader._push(event)  # noqa: SLF001 of this module

    def end(self, reason: UTDStreamException) -> None:
        """Let all readers of now end; what they have not read yet stays readable."""
        for reader in tuple(self._readers):
            reader._finish(reason)  # noqa: SLF001 of this module
        self._readers.clear()

    def close(self) -> None:
        """End for good."""
        self._closed = True
        self._callbacks.clear()
        self.end(_OVER)
