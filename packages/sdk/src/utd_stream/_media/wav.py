"""WAV files: one that is played as a microphone, one that is written while sound comes in."""

import asyncio
import wave
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from utd_stream._errors import DeviceFailed
from utd_stream._media.frames import FRAME_SAMPLES, SAMPLE_RATE, AudioFrame, Samples, resample

_HEADER_EVERY: Final = SAMPLE_RATE
"""Samples after which a growing file is made valid again."""


class WavFile:
    """A WAV file as an input: any rate, any number of channels, 8 to 32 bit whole numbers.

    It is read into memory when it is first played. When the track goes away and comes back, it
    goes on where it stopped.
    """

    def __init__(self, path: str | Path, *, loop: bool = False) -> None:
        """Name the file; with `loop` it starts again at its end, for ever."""
        self._path = Path(path)
        self._loop = loop
        self._samples: Samples | None = None
        self._at = 0
        self._finished = asyncio.Event()

    async def __aiter__(self) -> AsyncGenerator[AudioFrame, None]:
        """Give frames of 10 ms; `DeviceFailed` when the file cannot be read."""
        if self._samples is None:
            self._samples = await asyncio.to_thread(_read, self._path)
        while self._loop or self._at < len(self._samples):
            yield AudioFrame(self._next(self._samples))
        self._finished.set()

    async def wait_finished(self) -> None:
        """Wait until all of it was handed to the network. Cancelling is safe."""
        await self._finished.wait()

    def rewind(self) -> None:
        """Play from the beginning at the next frame."""
        self._at = 0
        self._finished.clear()

    def _next(self, samples: Samples) -> Samples:
        part = samples[self._at : self._at + FRAME_SAMPLES]
        self._at += FRAME_SAMPLES
        if self._loop and self._at >= len(samples):
            self._at = 0
        return np.pad(part, (0, FRAME_SAMPLES - len(part))) if len(part) < FRAME_SAMPLES else part


class WavWriter:
    """Writes a 48 kHz, mono, 16 bit WAV file that is valid at any moment, give or take a second."""

    def __init__(self, path: str | Path) -> None:
        """Create or replace the file; `DeviceFailed` when that is not possible."""
        try:
            self._file = Path(path).open("wb")  # noqa: SIM115 closed by `close`
        except OSError as broken:
            raise DeviceFailed(f"path: cannot write {path}: {broken.strerror}") from broken
        self._wave = wave.open(self._file, "wb")  # noqa: SIM115 closed by `close`
        self._wave.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "not compressed"))
        self._unsaved = 0
        self.samples = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def seconds(self) -> float:
        """How much was written, in seconds."""
        return self.samples / SAMPLE_RATE

    def write(self, frame: AudioFrame) -> None:
        """Append a frame."""
        self._wave.writeframesraw(frame.data)
        self.samples += len(frame.samples)
        self._unsaved += len(frame.samples)
        if self._unsaved >= _HEADER_EVERY:
            self._save()

    def close(self) -> None:
        """Make the file valid and close it. Idempotent."""
        self._wave.close()
        self._file.close()

    def _save(self) -> None:
        self._wave.writeframes(b"")  # writes the true length into the header
        self._file.flush()
        self._unsaved = 0


def _read(path: Path) -> Samples:
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            raw = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as broken:
        raise DeviceFailed(f"cannot play {path} as a WAV file: {broken}") from broken
    samples = _numbers(raw, width).reshape(-1, channels).mean(axis=1)
    if not len(samples):
        raise DeviceFailed(f"cannot play {path}: it has no sound in it")
    return resample(samples, rate)


def _numbers(raw: bytes, width: int) -> NDArray[np.float64]:
    if width == 1:
        return (np.frombuffer(raw, np.uint8).astype(np.float64) - 128) / 128
    # The bytes become the upper ones of 32 bit numbers, whatever their own width is.
    wide = np.zeros((len(raw) // width, 4), np.uint8)
    wide[:, 4 - width :] = np.frombuffer(raw, np.uint8).reshape(-1, width)
    return wide.view("<i4")[:, 0] / 2.0**31
