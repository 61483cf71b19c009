"""Pictures as the SDK moves them: frames, and the inputs that a camera is made of. No I/O here."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from utd_stream._errors import Invalid

Pixels: TypeAlias = NDArray[np.uint8]
_COLORS: Final = (
    (255, 255, 255),
    (255, 255, 0),
    (0, 255, 255),
    (0, 255, 0),
    (255, 0, 255),
    (255, 0, 0),
    (0, 0, 255),
    (0, 0, 0),
)
SMALLEST: Final = 16
"""Pixels: an encoder can do little with less, and an ending track sends tiny black frames."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoFrame:
    """A picture: rows of pixels of red, green, blue and opacity, a byte each."""

    pixels: Pixels
    """Of the shape (height, width, 4)."""

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[0])

    @property
    def data(self) -> bytes:
        """The bytes of all pixels, row by row."""
        return self.pixels.tobytes()


class VideoInput(Protocol):
    """Where the pictures of a published track come from.

    Unlike sound, nothing slows an input down: it gives a picture when it is time for it.
    """

    @property
    def width(self) -> int:
        """Of the pictures, in pixels; known before the first one."""
        ...

    @property
    def height(self) -> int:
        """Of the pictures, in pixels; known before the first one."""
        ...

    def __aiter__(self) -> AsyncIterator[VideoFrame]:
        """Give pictures from now on. `DeviceFailed` when the source cannot be used."""
        ...


class PushVideo:
    """An input that you write pictures to; the latest one wins."""

    def __init__(self, width: int = 640, height: int = 360) -> None:
        """Choose the size of the pictures in pixels."""
        self.width, self.height = _size(width, height)
        self._latest: VideoFrame | None = None
        self._written = asyncio.Event()

    def write(self, picture: VideoFrame | Pixels) -> None:
        """Show a picture of the chosen size: a frame, or an array (height, width, 3 or 4)."""
        frame = picture if isinstance(picture, VideoFrame) else as_frame(picture)
        if (frame.width, frame.height) != (self.width, self.height):
            raise Invalid(
                f"picture: {self.width}x{self.height} was chosen, got {frame.width}x{frame.height}"
            )
        self._latest = frame
        self._written.set()

    async def __aiter__(self) -> AsyncGenerator[VideoFrame, None]:
        """Give what is written; a picture that came while the last was sent is enough."""
        while True:
            await self._written.wait()
            self._written.clear()
            if self._latest is not None:
                yield self._latest


class TestPattern:
    """Colour bars with a white square that moves, for tests: it never ends."""

    __test__ = False  # pytest must not take it for a test

    def __init__(self, width: int = 320, height: int = 240, *, fps: float = 10.0) -> None:
        """Choose the size in pixels and how many pictures a second are sent."""
        self.width, self.height = _size(width, height)
        if not 0 < fps <= 60:  # noqa: PLR2004 more than any screen shows
            raise Invalid(f"fps: above 0 and at most 60, got {fps}")
        self._pause = 1 / fps
        bars = np.arange(width) * len(_COLORS) // width
        self._bars = np.array(_COLORS, np.uint8)[bars]
        self._shown = 0

    async def __aiter__(self) -> AsyncGenerator[VideoFrame, None]:
        """Give a picture, wait, and so on."""
        while True:
            yield self._picture()
            await asyncio.sleep(self._pause)

    def _picture(self) -> VideoFrame:
        pixels = np.full((self.height, self.width, 4), 255, np.uint8)
        pixels[:, :, :3] = self._bars
        side = min(self.width, self.height) // 8
        left = self._shown * side % (self.width - side)
        pixels[:side, left : left + side] = 255
        self._shown += 1
        return VideoFrame(pixels)


def as_frame(pixels: Pixels) -> VideoFrame:
    """Pixels with or without opacity as a frame; `Invalid` for another shape or type."""
    colours = pixels.shape[2] if pixels.ndim == 3 else 0  # noqa: PLR2004 rows, columns, colours
    if pixels.dtype != np.uint8 or colours not in {3, 4}:
        raise Invalid(
            f"picture: bytes of the shape (height, width, 3 or 4), got {pixels.dtype} of "
            f"{pixels.shape}"
        )
    if colours == 4:  # noqa: PLR2004 with opacity
        return VideoFrame(np.ascontiguousarray(pixels))
    opaque = np.full((*pixels.shape[:2], 4), 255, np.uint8)
    opaque[:, :, :3] = pixels
    return VideoFrame(opaque)


def _size(width: int, height: int) -> tuple[int, int]:
    if width < SMALLEST or height < SMALLEST:
        raise Invalid(f"width, height: at least {SMALLEST} pixels, got {width}x{height}")
    return width, height
