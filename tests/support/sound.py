"""What tests need to know of sound: its pitch, and frames until something is heard."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np

from utd_stream._media.frames import AudioFrame, Samples

LOUD = 0.05


def pitch(samples: Samples) -> float:
    """The loudest frequency in hertz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * 48_000 / len(samples))


async def listen(frames: AsyncIterator[AudioFrame], seconds: float, within: float = 10) -> Samples:
    """So many seconds from the first loud frame on, the uneven first 0.3 s left out."""
    parts: list[Samples] = []
    heard = -0.3
    async with asyncio.timeout(within + seconds):
        async for frame in frames:
            if heard == -0.3 and frame.level < LOUD:
                continue
            heard += frame.duration
            if heard > 0:
                parts.append(frame.samples)
            if heard >= seconds:
                break
    return np.concatenate(parts)


async def quiet(frames: AsyncIterator[AudioFrame], within: float = 5) -> None:
    """Read until a quarter of a second was silent, or nothing came for that long."""
    silent = 0.0
    async with asyncio.timeout(within):
        while silent < 0.25:
            try:
                async with asyncio.timeout(0.25):
                    frame = await anext(frames)
            except TimeoutError:
                return
            silent = 0.0 if frame.level >= LOUD else silent + frame.duration
