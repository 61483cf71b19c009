"""Sound as the SDK moves it: frames, and the inputs that a microphone is made of. No I/O here.

Everything is 48 kHz, mono, 16 bit. Files and devices are in `_wav` and `_devices`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from utd_stream._errors import Invalid
from utd_stream._media.video import PushVideo, VideoInput

SAMPLE_RATE: Final = 48_000
"""Samples per second of every frame."""
FRAME_MS: Final = 10
FRAME_SAMPLES: Final = SAMPLE_RATE * FRAME_MS // 1000
"""Samples of a frame that an input gives."""
LOUDEST: Final = 32_767

Samples: TypeAlias = NDArray[np.int16]


@dataclass(frozen=True, slots=True, eq=False)
class AudioFrame:
    """A moment of sound: 48 kHz, mono, 16 bit."""

    samples: Samples

    @property
    def duration(self) -> float:
        """How long it lasts, in seconds."""
        return len(self.samples) / SAMPLE_RATE

    @property
    def level(self) -> float:
        """How loud it is: root mean square, from 0 (silence) to 1."""
        if not len(self.samples):
            return 0.0
        return float(np.sqrt(np.mean(np.square(self.samples / LOUDEST, dtype=np.float64))))

    @property
    def data(self) -> bytes:
        """The samples as little-endian bytes."""
        return self.samples.astype("<i2", copy=False).tobytes()


class AudioInput(Protocol):
    """Where the sound of a published track comes from.

    Iterating gives frames of 10 ms. Whoever publishes iterates while the track is live and
    waits between frames as the network takes them, so an input need not keep time. After a
    right was taken and given back it is iterated anew. The end of the iteration leaves the
    track published and silent.
    """

    def __aiter__(self) -> AsyncIterator[AudioFrame]:
        """Give frames of 10 ms from now on. `DeviceFailed` when the source cannot be used."""
        ...


class Push:
    """An input that you write to; silent while nothing is written."""

    def __init__(self, *, queue_ms: int = 200) -> None:
        """Keep at most `queue_ms` milliseconds that nobody has taken yet."""
        if queue_ms < FRAME_MS:
            raise Invalid(f"queue_ms: at least {FRAME_MS}, got {queue_ms}")
        self._limit = queue_ms // FRAME_MS
        self._frames: deque[AudioFrame] = deque()
        self._rest: Samples = np.empty(0, np.int16)
        self._moved = asyncio.Event()

    async def write(self, sound: AudioFrame | Samples | bytes) -> None:
        """Add sound of any length; waits while the queue is full, so nothing is lost.

        While the track is not live nobody takes frames, and writing waits. What does not fill
        a frame of 10 ms waits for more. Cancelling is safe: the part that was not queued yet
        is dropped.

        Args:
            sound: a frame, an array of int16, or little-endian 16 bit bytes; 48 kHz, mono.
        """
        for frame in self._cut(sound):
            while len(self._frames) >= self._limit:
                await self._next_move()
            self._add(frame)

    def write_nowait(self, sound: AudioFrame | Samples | bytes) -> None:
        """Add sound and drop the oldest when the queue is full: for live sources."""
        for frame in self._cut(sound):
            if len(self._frames) >= self._limit:
                self._frames.popleft()
            self._add(frame)

    def clear(self) -> None:
        """Forget what was written and not sent yet: an interrupted speaker stops at once."""
        self._frames.clear()
        self._rest = np.empty(0, np.int16)
        self._wake()

    async def __aiter__(self) -> AsyncGenerator[AudioFrame, None]:
        """Give what is written, for ever."""
        while True:
            while not self._frames:
                await self._next_move()
            frame = self._frames.popleft()
            self._wake()
            yield frame

    def _cut(self, sound: AudioFrame | Samples | bytes) -> list[AudioFrame]:
        samples = np.concatenate((self._rest, as_samples(sound)))
        whole = len(samples) - len(samples) % FRAME_SAMPLES
        self._rest = samples[whole:]
        return [
            AudioFrame(samples[start : start + FRAME_SAMPLES])
            for start in range(0, whole, FRAME_SAMPLES)
        ]

    def _add(self, frame: AudioFrame) -> None:
        self._frames.append(frame)
        self._wake()

    async def _next_move(self) -> None:
        await self._moved.wait()

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


class Tone:
    """A sine wave, for tests and ringing: it never ends."""

    def __init__(self, hz: float = 440.0, *, volume: float = 0.3) -> None:
        """Choose the pitch in hertz and the volume from 0 to 1."""
        if not 0 < hz < SAMPLE_RATE / 2:
            raise Invalid(f"hz: between 0 and {SAMPLE_RATE // 2}, got {hz}")
        if not 0 <= volume <= 1:
            raise Invalid(f"volume: between 0 and 1, got {volume}")
        self._step = 2 * np.pi * hz / SAMPLE_RATE
        self._peak = volume * LOUDEST
        self._at = 0

    async def __aiter__(self) -> AsyncGenerator[AudioFrame, None]:
        """Go on where it stopped, so that the wave has no step in it."""
        while True:
            at = np.arange(self._at, self._at + FRAME_SAMPLES)
            self._at += FRAME_SAMPLES
            yield AudioFrame((np.sin(at * self._step) * self._peak).astype(np.int16))


@dataclass(slots=True, kw_only=True, eq=False)
class MediaInputs:
    """What is published when a call names no source of its own.

    An input feeds one track at a time: two that iterate the same one share its frames out, each
    hearing half. So these serve one session at a time. Where a client is in several at once,
    give each a source of its own: `set_microphone(True, source)`.
    """

    microphone: AudioInput = field(default_factory=Push)
    camera: VideoInput = field(default_factory=PushVideo)
    screen_share: VideoInput = field(default_factory=PushVideo)


def as_samples(sound: AudioFrame | Samples | bytes) -> Samples:
    """Any accepted form of sound as samples; `Invalid` for another one."""
    if isinstance(sound, AudioFrame):
        return sound.samples
    if isinstance(sound, bytes):
        if len(sound) % 2:
            raise Invalid(f"sound: 16 bit samples have an even number of bytes, got {len(sound)}")
        return np.frombuffer(sound, "<i2").astype(np.int16, copy=False)
    if sound.dtype != np.int16 or sound.ndim != 1:
        raise Invalid(f"sound: one row of int16 samples, got {sound.dtype} with {sound.ndim} axes")
    return sound


def silence(samples: int) -> AudioFrame:
    """A frame without sound."""
    return AudioFrame(np.zeros(samples, np.int16))


def mix(frames: list[AudioFrame], samples: int) -> AudioFrame:
    """The sum of frames of equal length; too loud a sum is cut, not wrapped around."""
    total = np.zeros(samples, np.int32)
    for frame in frames:
        total += frame.samples
    return AudioFrame(np.clip(total, -LOUDEST - 1, LOUDEST).astype(np.int16))


def resample(samples: NDArray[np.float64], rate: int, wanted: int = SAMPLE_RATE) -> Samples:
    """One row of samples (-1 to 1) at another rate.

    Made smooth first when the rate falls, since what the new rate cannot carry would come
    back as wrong tones.
    """
    if rate > wanted:
        samples = _smooth(samples, wanted / rate)
    count = round(len(samples) * wanted / rate)
    if rate != wanted and count:
        at = np.arange(count) * (rate / wanted)
        samples = np.interp(at, np.arange(len(samples)), samples)
    return np.clip(np.rint(samples * LOUDEST), -LOUDEST - 1, LOUDEST).astype(np.int16)


def _smooth(samples: NDArray[np.float64], ratio: float) -> NDArray[np.float64]:
    reach = int(16 / ratio)
    at = np.arange(-reach, reach + 1)
    kernel = np.sinc(at * ratio * 0.9) * np.hanning(len(at))
    smoothed = np.convolve(samples, kernel / kernel.sum(), mode="same")
    return smoothed.astype(np.float64, copy=False)
