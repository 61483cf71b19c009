"""What one client of the demo has seen of somebody: each picture judged, with its moment."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import numpy as np

from utd_stream import VideoFrame

PATIENCE_S: Final = 10.0
HALF: Final = 127
BARS: Final = np.array(
    [
        (1, 1, 1),
        (1, 1, 0),
        (0, 1, 1),
        (0, 1, 0),
        (1, 0, 1),
        (1, 0, 0),
        (0, 0, 1),
        (0, 0, 0),
    ],
    np.bool_,
)
"""Red, green and blue of the test pattern's bars, from the left."""
NOWHERE: Final = -1


class Seen(NamedTuple):
    """One picture."""

    at: float
    correct: bool
    square: int
    """The column of the square's middle, in 32nds of the width; NOWHERE where it is not seen."""


class Eye:
    """Judges the pictures of one person, while `look` runs."""

    def __init__(self) -> None:
        self._seen: list[Seen] = []
        self._came = asyncio.Event()

    async def look(self, pictures: AsyncIterator[VideoFrame]) -> None:
        """Take pictures until they end."""
        async for picture in pictures:
            self._seen.append(Seen(time.monotonic(), has_bars(picture), square_of(picture)))
            self._came.set()

    def between(self, start: float, end: float) -> list[Seen]:
        """The pictures that came in that time."""
        return [one for one in self._seen if start <= one.at < end]

    async def first(self, after: float) -> float:
        """Wait for the first picture that came after a moment, and return its own.

        Raises:
            TimeoutError: there was none within 10 s.
        """
        async with asyncio.timeout(PATIENCE_S):
            while not (later := [one.at for one in self._seen if one.at >= after]):
                self._came.clear()
                await self._came.wait()
        return later[0]


def has_bars(picture: VideoFrame) -> bool:
    """Whether it is the test pattern, read where the moving square never is."""
    row = picture.pixels[picture.height * 3 // 4, :, :3]
    middles = (2 * np.arange(len(BARS)) + 1) * picture.width // (2 * len(BARS))
    return bool(np.array_equal(row[middles] > HALF, BARS))


def square_of(picture: VideoFrame) -> int:
    """Where the white square is; before the white bar it cannot be told."""
    row = picture.pixels[picture.height // 16, :, :3]
    first = picture.width // len(BARS)
    white = np.flatnonzero((row[first:] > HALF).all(axis=1))
    return int(white.mean() + first) * 32 // picture.width if len(white) else NOWHERE
