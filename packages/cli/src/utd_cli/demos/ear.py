"""What one client of the demo has heard of somebody: every frame, with the moment it came."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable
from typing import Final

import numpy as np

from utd_cli.demos.sound import AUDIBLE_DBFS, Sound, dbfs
from utd_stream import AudioFrame

PATIENCE_S: Final = 10.0
RECENT_S: Final = 0.15


class Ear:
    """Keeps the sound of one person, or of all together, while `listen` runs."""

    def __init__(self) -> None:
        self._frames: list[tuple[float, Sound]] = []
        self._heard = asyncio.Event()

    async def listen(self, frames: AsyncIterator[AudioFrame]) -> None:
        """Take frames until they end."""
        async for frame in frames:
            sound = frame.samples / 32768
            self._frames.append((time.monotonic(), sound))
            self._heard.set()

    def level(self) -> float:
        """How loud it is now, in dBFS. Somebody whose track is gone sends no frames."""
        now = time.monotonic()
        return dbfs(self.between(now - RECENT_S, now))

    def between(self, start: float, end: float) -> Sound:
        """The sound of the frames that came in that time."""
        # Frames are in order of time, and there may be minutes of them.
        first, last = (bisect_left(self._frames, moment, key=_moment) for moment in (start, end))
        return joined(sound for _, sound in self._frames[first:last])

    def everything(self) -> Sound:
        """All sound, one frame after another."""
        return joined(sound for _, sound in self._frames)

    async def first_sound(self, after: float) -> float:
        """Wait for the first audible frame that came after a moment, and return its own.

        Raises:
            TimeoutError: there was none within 10 s.
        """
        async with asyncio.timeout(PATIENCE_S):
            seen = 0
            while True:
                for at, sound in self._frames[seen:]:
                    if at >= after and dbfs(sound) > AUDIBLE_DBFS:
                        return at
                seen = len(self._frames)
                self._heard.clear()
                await self._heard.wait()

    def last_sound(self) -> float:
        """The moment of the last audible frame, 0 without one."""
        audible = (at for at, sound in reversed(self._frames) if dbfs(sound) > AUDIBLE_DBFS)
        return next(audible, 0.0)


def joined(sounds: Iterable[Sound]) -> Sound:
    """One sound of many; an empty one of none."""
    return np.concatenate([np.zeros(0), *sounds])


def _moment(frame: tuple[float, Sound]) -> float:
    return frame[0]
