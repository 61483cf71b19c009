"""Still pictures from files, PNG and PPM, without any imaging library."""

import asyncio
import re
import struct
import zlib
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from utd_stream._errors import DeviceFailed, Invalid
from utd_stream._media.video import SMALLEST, Pixels, VideoFrame, as_frame

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PPM: Final = re.compile(rb"P6\s+(?:#.*\n)*(\d+)\s+(\d+)\s+255\s", re.ASCII)
_CHANNELS: Final = {0: 1, 2: 3, 4: 2, 6: 4}
"""Bytes of a pixel by PNG colour type; palettes (3) are left out."""


class ImageFile:
    """A still picture as a camera: PNG (8 bit, not interlaced, no palette) or binary PPM."""

    def __init__(self, path: str | Path, *, fps: float = 2.0) -> None:
        """Read the picture, and show it `fps` times a second so that newcomers see it soon.

        Raises:
            DeviceFailed: the file cannot be read, or is of another format.
        """
        if not 0 < fps <= 60:  # noqa: PLR2004 more than any screen shows
            raise Invalid(f"fps: above 0 and at most 60, got {fps}")
        self._frame = _load(Path(path))
        self._pause = 1 / fps
        self.width, self.height = self._frame.width, self._frame.height

    async def __aiter__(self) -> AsyncGenerator[VideoFrame, None]:
        """Give the same picture again and again."""
        while True:
            yield self._frame
            await asyncio.sleep(self._pause)


def _load(path: Path) -> VideoFrame:
    try:
        raw = path.read_bytes()
        frame = as_frame(_png(raw) if raw.startswith(_PNG) else _ppm(raw))
    except (OSError, ValueError, KeyError, struct.error, zlib.error) as broken:
        raise DeviceFailed(
            f"cannot show {path}: {broken}. PNG (8 bit, no palette, not interlaced) and binary PPM "
            "are understood"
        ) from broken
    if min(frame.width, frame.height) < SMALLEST:
        raise DeviceFailed(f"cannot show {path}: a side has less than {SMALLEST} pixels")
    return frame


def _ppm(raw: bytes) -> Pixels:
    header = _PPM.match(raw)
    if header is None:
        message = "it is neither a PNG nor a binary PPM file"
        raise ValueError(message)
    width, height = int(header[1]), int(header[2])
    return np.frombuffer(raw, np.uint8, width * height * 3, header.end()).reshape(height, width, 3)


def _png(raw: bytes) -> Pixels:
    chunks = list(_chunks(raw))
    header = next(body for kind, body in chunks if kind == b"IHDR")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if depth != 8 or interlaced:  # noqa: PLR2004 bits
        message = "only 8 bit pictures without interlacing are understood"
        raise ValueError(message)
    channels = _CHANNELS[colour]
    body = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    rows = _unfilter(np.frombuffer(body, np.uint8).reshape(height, 1 + width * channels), channels)
    return _colours(rows.reshape(height, width, channels))


def _chunks(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG)
    while at < len(raw):
        size, kind = struct.unpack_from(">I4s", raw, at)
        yield kind, raw[at + 8 : at + 8 + size]
        at += 12 + size


def _unfilter(lines: Pixels, channels: int) -> Pixels:
    rows = np.zeros((len(lines), lines.shape[1] - 1), np.uint8)
    above = np.zeros(rows.shape[1], np.uint8)
    for row, line in zip(rows, lines, strict=True):
        row[:] = _row(int(line[0]), line[1:], above, channels)
        above = row
    return rows


def _row(kind: int, line: Pixels, above: Pixels, channels: int) -> Pixels:
    if kind == 0:
        return line
    if kind == 1:
        pixels = line.reshape(-1, channels).astype(np.uint64)
        return np.cumsum(pixels, axis=0).astype(np.uint8).reshape(-1)
    if kind == 2:  # noqa: PLR2004 the filter "up"
        return line + above
    return _slow_row(kind, line.tolist(), above.tolist(), channels)


def _slow_row(kind: int, line: list[int], above: list[int], channels: int) -> Pixels:
    """Filters "average" and "paeth", where a byte needs its finished left neighbour."""
    done = [0] * channels
    corner = [0] * channels + above
    for at, value in enumerate(line):
        left, up = done[at], above[at]
        guess = (left + up) // 2 if kind == 3 else _paeth(left, up, corner[at])  # noqa: PLR2004
        done.append((value + guess) & 0xFF)
    return np.array(done[channels:], np.uint8)


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    return min((left, up, corner), key=lambda each: abs(estimate - each))


def _colours(pixels: Pixels) -> Pixels:
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 2:  # noqa: PLR2004 grey and opacity
        return pixels[:, :, [0, 0, 0, 1]]
    return pixels
