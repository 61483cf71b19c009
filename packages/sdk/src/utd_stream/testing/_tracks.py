"""Tracks of the in-process LiveKit: what one writes, those who receive it read."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeAlias, TypeVar

import numpy as np

from utd_protocol.types import Source
from utd_stream._errors import ClosedByUs
from utd_stream._media.frames import SAMPLE_RATE, AudioFrame, Samples
from utd_stream._media.video import VideoFrame
from utd_stream._room.participants import TrackInfo

F = TypeVar("F")
Sleep: TypeAlias = Callable[[float], Awaitable[object]]

_AHEAD: Final = 0.1
"""Seconds of sound that may be written ahead, as with the real one."""
_KEPT: Final = 500


def _no_readers() -> set["FakeFrames[Any]"]:
    return set()


@dataclass(slots=True, eq=False)
class FakeTrack:
    """A published track. It is `dead` once the server took it away: writing goes nowhere."""

    sid: str
    source: Source
    size: tuple[int, int] | None = None
    muted: bool = False
    dead: bool = False
    preconnect: bool = False
    readers: set["FakeFrames[Any]"] = field(default_factory=_no_readers)

    def info(self, *, subscribed: bool) -> TrackInfo:
        """As others see it."""
        width, height = self.size or (0, 0)
        return TrackInfo(
            sid=self.sid,
            kind="video" if self.size else "audio",
            source=self.source,
            name=self.source.value,
            muted=self.muted,
            subscribed=subscribed,
            width=width,
            height=height,
            simulcast=self.size is not None,
        )

    def carry(self, frame: AudioFrame | VideoFrame) -> None:
        """Hand a frame to everybody who reads."""
        if not self.dead and not self.muted:
            for reader in tuple(self.readers):
                reader.take(frame)


class FakeFrames(Generic[F]):
    """Frames that one participant receives of a track."""

    def __init__(self, track: FakeTrack, frame_ms: int | None, *, deaf: Callable[[], bool]) -> None:
        """Read from now on; frames that come while `deaf()` are dropped."""
        self.track = track
        self._deaf = deaf
        self._size = None if frame_ms is None else SAMPLE_RATE * frame_ms // 1000
        self._rest: Samples = np.empty(0, np.int16)
        self._frames: deque[Any] = deque(maxlen=_KEPT)
        self._moved = asyncio.Event()
        self._ended = False
        track.readers.add(self)

    def take(self, frame: AudioFrame | VideoFrame) -> None:
        """Queue a frame, sound in pieces of the wanted length."""
        if self._deaf():
            return
        if isinstance(frame, VideoFrame) or self._size is None:
            self._frames.append(frame)
        else:
            self._rest = np.concatenate((self._rest, frame.samples))
            while len(self._rest) >= self._size:
                self._frames.append(AudioFrame(self._rest[: self._size]))
                self._rest = self._rest[self._size :]
        self._moved.set()

    def end(self) -> None:
        """End the iteration after the frames that are here already."""
        self.track.readers.discard(self)
        self._ended = True
        self._moved.set()

    async def aclose(self) -> None:
        """Stop reading."""
        self.end()

    async def __aiter__(self) -> AsyncIterator[F]:
        """Give frames as they come."""
        while True:
            while self._frames:
                yield self._frames.popleft()
            if self._ended:
                return
            self._moved.clear()
            await self._moved.wait()


class FakeSent(Generic[F]):
    """A local track that takes frames, as fast as sound goes and 100 ms ahead."""

    def __init__(self, track: FakeTrack, sleep: Sleep, unpublish: Callable[[], None]) -> None:
        """Write to `track`."""
        self._track = track
        self._sleep = sleep
        self._unpublish = unpublish
        self._until = 0.0
        self._closed = False

    @property
    def sid(self) -> str:
        """The server's id of the track."""
        return self._track.sid

    async def write(self, frame: F) -> None:
        """Send one frame."""
        if self._closed:
            raise ClosedByUs("the track was unpublished")
        if isinstance(frame, AudioFrame):
            now = asyncio.get_running_loop().time()
            self._until = max(self._until, now) + frame.duration
            self._track.carry(frame)
            await self._sleep(max(0.0, self._until - now - _AHEAD))
        elif isinstance(frame, VideoFrame):
            self._track.carry(frame)

    async def aclose(self) -> None:
        """Unpublish."""
        if not self._closed:
            self._closed = True
            self._unpublish()
