"""Text and byte streams of the in-process LiveKit."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Generic, TypeVar

from utd_stream._room.link import StreamInfo

C = TypeVar("C", str, bytes)


class FakeStream(Generic[C]):
    """A stream that a test, or another fake participant, writes and that one receiver reads."""

    def __init__(self, info: StreamInfo, attributes: Mapping[str, str]) -> None:
        """Open it with a header."""
        self.info = info
        self._attributes = dict(attributes)
        self._chunks: deque[C] = deque()
        self._moved = asyncio.Event()
        self._ended = False
        self._broken: ConnectionError | None = None

    @property
    def attributes(self) -> Mapping[str, str]:
        """The header's attributes; after the end the trailer's too."""
        return self._attributes

    def write(self, chunk: C) -> None:
        """Send a chunk."""
        self._chunks.append(chunk)
        self._moved.set()

    def finish(self, attributes: Mapping[str, str] | None = None) -> None:
        """End it, with a trailer."""
        self._attributes.update(attributes or {})
        self._ended = True
        self._moved.set()

    def fail(self, why: str = "Disconnected while receiving") -> None:
        """Break it off: after what is here, the reader gets a `ConnectionError`."""
        self._broken = ConnectionError(why)
        self._moved.set()

    def close(self) -> None:
        """Stop reading."""
        self._chunks.clear()
        self.finish()

    async def __aiter__(self) -> AsyncIterator[C]:
        """Give chunks as they come."""
        while True:
            while self._chunks:
                yield self._chunks.popleft()
            if self._broken is not None:
                raise self._broken
            if self._ended:
                return
            self._moved.clear()
            await self._moved.wait()
