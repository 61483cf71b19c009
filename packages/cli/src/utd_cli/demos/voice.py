"""What the host of the demo says: a microphone of its own kind, made of two that the SDK has."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from utd_stream import AudioFrame, Tone, WavFile

PILOT_HZ: Final = 220.0
PILOT_VOLUME: Final = 0.05


class Voice:
    """A soft tone until it is told to speak, then a WAV file.

    A new track is heard after a moment, and its first second is played a little faster or slower
    by the receiver. The tone is for that time, so that all of the speech can be compared.
    """

    def __init__(self, path: str) -> None:
        self._pilot = Tone(PILOT_HZ, volume=PILOT_VOLUME)
        self._speech = WavFile(path)
        self._told = asyncio.Event()

    async def speak(self) -> None:
        """Begin, and wait until all of it was handed to the network."""
        self._told.set()
        await self._speech.wait_finished()

    async def __aiter__(self) -> AsyncGenerator[AudioFrame, None]:
        """Give frames of 10 ms, until the file ends."""
        async with aclosing(aiter(self._pilot)) as pilot:
            async for frame in pilot:
                if self._told.is_set():
                    break
                yield frame
        async for frame in self._speech:
            yield frame
