"""`session.updates()`: every event, in order, to each reader, or an error that says why not."""

import asyncio
import copy
from collections import deque
from typing import Final, Generic, TypeAlias, TypeVar
from weakref import WeakSet

from msgspec import Struct

from utd_protocol.events import RoomEvent, UnknownEvent
from utd_stream._errors import Closed, ClosedByUs, Lagged, UTDStreamException

T = TypeVar("T")
E = TypeVar("E", bound=UTDStreamException)

MAX_BEHIND: Final = 10_000


class Resynced(Struct, frozen=True, kw_only=True):
    """Events up to `seq` were no longer kept by the engine; the state is right all the same."""

    seq: int


Update: TypeAlias = RoomEvent | UnknownEvent | Resynced
"""Everything that `session.updates()` gives."""


class Updates(Generic[T]):
    """One reader's place in the stream of events. Made by `session.updates()`.

    Reading is safe to cancel: nothing is lost, the next read gives what the cancelled one
    would have given. A reader that nobody holds any more costs nothing.
    """

    def __init__(self, limit: int = MAX_BEHIND) -> None:
        self._limit = limit
        self._queue: deque[T] = deque()
        self._end: UTDStreamException | None = None
        self._news = asyncio.Event()

    def __aiter__(self) -> "Updates[T]":
        return self

    async def __anext__(self) -> T:
        """Wait for the next event.

        Raises:
            Lagged: this reader fell 10,000 events behind and has lost them.
            Closed: the session ended, and not by this side's own act.
        """
        while not self._queue and self._end is None:
            self._news.clear()
            await self._news.wait()
        if self._queue:
            return self._queue.popleft()
        end, self._end = self._end, _OVER
        if end is None or isinstance(end, ClosedByUs):
            raise StopAsyncIteration
        raise fresh(end)

    def _push(self, item: T) -> None:
        if self._end is not None:
            return
        self._queue.append(item)
        if len(self._queue) > self._limit:
            self._queue.clear()
            self._finish(
                Lagged(
                    f"this reader fell {self._limit} events behind and lost them: "
                    "read the present state and call updates() again"
                )
            )
        self._news.set()

    def _finish(self, end: UTDStreamException) -> None:
        if self._end is None:
            self._end = end
            self._news.set()


class Broadcast(Generic[T]):
    """Gives every reader every event from the moment at which it was made."""

    def __init__(self, limit: int = MAX_BEHIND) -> None:
        """Start without readers.

        Args:
            limit: how many events a reader may leave unread.
        """
        self._limit = limit
        self._readers: WeakSet[Updates[T]] = WeakSet()

    def reader(self, ended: Closed | None = None) -> Updates[T]:
        """Make a reader; one that has ended already when the stream has."""
        reader = Updates[T](self._limit)
        if ended is None:
            self._readers.add(reader)
        else:
            reader._finish(ended)  # noqa: SLF001 both halves live in this module
        return reader

    def push(self, item: T) -> None:
        """Give it to all."""
        for reader in self._readers:
            reader._push(item)  # noqa: SLF001

    def end(self, reason: Closed) -> None:
        """Let all readers end after what they have not read yet."""
        for reader in self._readers:
            reader._finish(reason)  # noqa: SLF001
        self._readers = WeakSet()


def fresh(error: E) -> E:
    """The same error without the traceback of another reader."""
    again = copy.copy(error)
    again.__cause__ = error.__cause__
    return again


_OVER: Final = ClosedByUs("read to the end")
