"""Pictures in memory and from files: `_video`, `_image`."""

import asyncio
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from utd_stream._errors import DeviceFailed, Invalid
from utd_stream._media.image import ImageFile
from utd_stream._media.video import PushVideo, TestPattern, as_frame

PICTURE = np.random.default_rng(7).integers(0, 256, (20, 24, 3), np.uint8)


async def test_the_latest_pushed_picture_wins() -> None:
    push = PushVideo(24, 20)
    pictures = aiter(push)
    push.write(PICTURE)
    push.write(as_frame(PICTURE // 2))
    seen = await anext(pictures)
    assert (seen.width, seen.height) == (24, 20)
    assert (seen.pixels[:, :, :3] == PICTURE // 2).all()
    assert (seen.pixels[:, :, 3] == 255).all()
    waiting = asyncio.create_task(anext(pictures))
    await asyncio.sleep(0)
    assert not waiting.done()
    push.write(PICTURE)
    assert (await waiting).data[:3] == PICTURE.tobytes()[:3]


@pytest.mark.parametrize("wrong", [PICTURE[:, :20], PICTURE[:, :, :2], PICTURE.astype(float)])
def test_pictures_of_another_form_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(Invalid, match="picture"):
        PushVideo(24, 20).write(wrong)


def test_sizes_and_rates_have_limits() -> None:
    with pytest.raises(Invalid, match="width"):
        PushVideo(8, 100)
    with pytest.raises(Invalid, match="fps"):
        TestPattern(fps=0)


async def test_the_pattern_moves() -> None:
    pictures = aiter(TestPattern(320, 240, fps=60))
    first, second = await anext(pictures), await anext(pictures)
    assert first.pixels.shape == (240, 320, 4)
    assert (first.pixels != second.pixels).any()
    assert (first.pixels[-1] == second.pixels[-1]).all()


def ppm(path: Path) -> Path:
    path.write_bytes(b"P6\n# made by hand\n24 20\n255\n" + PICTURE.tobytes())
    return path


def png(path: Path, kinds: list[int], pixels: np.ndarray, colour: int, depth: int = 8) -> Path:
    """Encode with a given filter for each row, in turn."""
    height, width, channels = pixels.shape
    raw, above = b"", np.zeros(width * channels, np.int64)
    for row in range(height):
        kind, line = kinds[row % len(kinds)], pixels[row].reshape(-1).astype(np.int64)
        left = np.concatenate((np.zeros(channels, np.int64), line[:-channels]))
        corner = np.concatenate((np.zeros(channels, np.int64), above[:-channels]))
        raw += (
            bytes([kind])
            + ((line - _guess(kind, left, above, corner)) % 256).astype(np.uint8).tobytes()
        )
        above = line
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    packed = [
        struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    return path


def _guess(kind: int, left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
    if kind == 4:
        estimate = left + up - corner
        errors = np.abs(np.stack([left - estimate, up - estimate, corner - estimate]))
        return np.choose(errors.argmin(axis=0), [left, up, corner])
    return [np.zeros_like(left), left, up, (left + up) // 2][kind]


@pytest.mark.parametrize("kinds", [[0], [1], [2], [3], [4], [4, 2, 0, 3, 1]])
async def test_png_files_with_every_filter(tmp_path: Path, kinds: list[int]) -> None:
    image = ImageFile(png(tmp_path / "a.png", kinds, PICTURE, 2))
    seen = await anext(aiter(image))
    assert (image.width, image.height) == (24, 20)
    assert (seen.pixels[:, :, :3] == PICTURE).all()


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (4, 2), (6, 4)])
async def test_png_files_in_grey_and_with_opacity(
    tmp_path: Path, colour: int, channels: int
) -> None:
    pixels = np.random.default_rng(8).integers(0, 256, (20, 24, channels), np.uint8)
    seen = await anext(aiter(ImageFile(png(tmp_path / "a.png", [4, 1], pixels, colour))))
    assert (seen.pixels[:, :, 0] == pixels[:, :, 0]).all()
    if channels in {2, 4}:
        assert (seen.pixels[:, :, 3] == pixels[:, :, -1]).all()


async def test_ppm_files(tmp_path: Path) -> None:
    seen = await anext(aiter(ImageFile(ppm(tmp_path / "a.ppm"))))
    assert (seen.pixels[:, :, :3] == PICTURE).all()


def test_what_cannot_be_shown_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    whole = png(tmp_path / "whole.png", [0], PICTURE, 2).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:60])
    png(tmp_path / "palette.png", [0], PICTURE, 3)
    png(tmp_path / "deep.png", [0], PICTURE, 2, depth=16)
    png(tmp_path / "tiny.png", [0], PICTURE[:8], 2)
    for name in ("a.gif", "cut.png", "palette.png", "deep.png", "tiny.png", "missing.png"):
        with pytest.raises(DeviceFailed, match=name):
            ImageFile(tmp_path / name)
