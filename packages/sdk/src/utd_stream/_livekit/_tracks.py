"""Tracks of LiveKit: local ones that take our frames, remote ones that give them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np
from livekit import rtc

from utd_stream._errors import ClosedByUs, DeviceFailed, scrub
from utd_stream._media.frames import SAMPLE_RATE, AudioFrame
from utd_stream._media.video import SMALLEST, VideoFrame

F = TypeVar("F")

QUEUE_MS: Final = 100
"""Milliseconds of sound that are sent ahead; LiveKit's own default is a whole second."""
_PATIENCE: Final = 1.0
"""Seconds that closing waits for LiveKit."""
_SOUND_KEPT: Final = 5_000
"""Milliseconds of sound kept for a slow reader before the oldest is dropped."""
_PICTURES_KEPT: Final = 3


class SentAudio:
    """A published sound track."""

    def __init__(
        self,
        publication: rtc.LocalTrackPublication,
        source: rtc.AudioSource,
        unpublish: Callable[[rtc.LocalTrackPublication], Awaitable[None]],
    ) -> None:
        self._publication = publication
        self._source = source
        self._unpublish = unpublish
        self._closed = False

    @property
    def sid(self) -> str:
        return self._publication.sid

    async def write(self, frame: AudioFrame) -> None:
        if self._closed:
            raise ClosedByUs("the track was unpublished")
        samples = frame.samples
        raw = rtc.AudioFrame(samples.tobytes(), SAMPLE_RATE, 1, len(samples))
        try:
            await self._source.capture_frame(raw)
        except Exception as broken:  # noqa: BLE001 LiveKit raises it bare
            if not self._closed:
                raise DeviceFailed(f"LiveKit did not take a frame: {scrub(str(broken))}") from None

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            await self._unpublish(self._publication)
            await self._source.aclose()


class SentVideo:
    """A published picture track."""

    def __init__(
        self,
        publication: rtc.LocalTrackPublication,
        source: rtc.VideoSource,
        unpublish: Callable[[rtc.LocalTrackPublication], Awaitable[None]],
    ) -> None:
        self._publication = publication
        self._source = source
        self._unpublish = unpublish
        self._closed = False

    @property
    def sid(self) -> str:
        return self._publication.sid

    async def write(self, frame: VideoFrame) -> None:
        if self._closed:
            raise ClosedByUs("the track was unpublished")
        raw = rtc.VideoFrame(frame.width, frame.height, rtc.VideoBufferType.RGBA, frame.data)
        self._source.capture_frame(raw)

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            await self._unpublish(self._publication)
            await self._source.aclose()


class _Stream(Protocol):
    """What LiveKit's two kinds of stream have in common."""

    def __aiter__(self) -> AsyncIterator[Any]: ...

    async def aclose(self) -> None: ...


class ReceivedFrames(Generic[F]):
    """Frames of a remote track, until the track ends or somebody closes them.

    LiveKit's own iterators hang when their track ends, so a task moves the frames into a queue
    of ours, which can be ended from outside.
    """

    def __init__(
        self,
        track_sid: str,
        stream: _Stream,
        translate: Callable[[Any], F | None],
        *,
        kept: int,
        on_close: "Callable[[ReceivedFrames[F]], None]",
    ) -> None:
        self.track_sid = track_sid
        self._stream = stream
        self._translate = translate
        self._frames: deque[F] = deque(maxlen=kept)
        self._moved = asyncio.Event()
        self._ended = False
        self._on_close = on_close
        self._mover = asyncio.get_running_loop().create_task(self._move(), name="utd-frames")

    async def __aiter__(self) -> AsyncIterator[F]:
        while True:
            while self._frames:
                yield self._frames.popleft()
            if self._ended:
                return
            self._moved.clear()
            await self._moved.wait()

    def end(self) -> None:
        """End the iteration after the frames that are here already."""
        self._ended = True
        self._moved.set()

    async def aclose(self) -> None:
        self.end()
        self._on_close(self)
        self._mover.cancel()
        await asyncio.wait([self._mover], timeout=2 * _PATIENCE)

    async def _move(self) -> None:
        try:
            async for event in self._stream:
                frame = self._translate(event)
                if frame is not None:
                    self._frames.append(frame)
                    self._moved.set()
        finally:
            self.end()
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await self._stream.aclose()


def audio_frames(
    track: rtc.Track, frame_ms: int, on_close: "Callable[[ReceivedFrames[AudioFrame]], None]"
) -> ReceivedFrames[AudioFrame]:
    """Read a sound track."""
    kept = max(2, _SOUND_KEPT // frame_ms)
    stream = rtc.AudioStream(
        track, capacity=kept, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=frame_ms
    )
    return ReceivedFrames(track.sid, stream, _sound, kept=kept, on_close=on_close)


def video_frames(
    track: rtc.Track, on_close: "Callable[[ReceivedFrames[VideoFrame]], None]"
) -> ReceivedFrames[VideoFrame]:
    """Read a picture track."""
    stream = rtc.VideoStream(track, capacity=_PICTURES_KEPT, format=rtc.VideoBufferType.RGBA)
    return ReceivedFrames(track.sid, stream, _picture, kept=_PICTURES_KEPT, on_close=on_close)


def _sound(event: rtc.AudioFrameEvent) -> AudioFrame:
    return AudioFrame(np.frombuffer(event.frame.data, np.int16))


def _picture(event: rtc.VideoFrameEvent) -> VideoFrame | None:
    width, height = event.frame.width, event.frame.height
    # A track that ends says goodbye with a few black frames of 2 or 8 pixels.
    if width < SMALLEST or height < SMALLEST:
        return None
    pixels = np.frombuffer(event.frame.data, np.uint8)
    return VideoFrame(pixels[: width * height * 4].reshape(height, width, 4))
