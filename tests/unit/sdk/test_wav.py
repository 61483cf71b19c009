"""WAV files in and out: `_wav`."""

import wave
from pathlib import Path

import numpy as np
import pytest
from support.sound import pitch

from utd_stream._errors import DeviceFailed
from utd_stream._media.frames import AudioFrame
from utd_stream._media.wav import WavFile, WavWriter


def tone_file(path: Path, *, rate: int = 48_000, channels: int = 1, width: int = 2) -> Path:
    """A quarter of a second of 440 Hz; the second channel is silent."""
    wave_form = np.sin(np.arange(rate // 4) * 2 * np.pi * 440 / rate) * 0.5
    whole = (wave_form * (2 ** (8 * width - 1) - 1)).astype(np.int64)
    if width == 1:
        raw = (whole + 128).astype(np.uint8).reshape(-1, 1)
    else:
        raw = whole.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width]
    silent = np.full_like(raw, 128 if width == 1 else 0)
    data = np.concatenate([raw] + [silent] * (channels - 1), axis=1)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(data.tobytes())
    return path


@pytest.mark.parametrize(
    ("rate", "channels", "width"),
    [(48_000, 1, 2), (44_100, 2, 2), (16_000, 1, 1), (48_000, 2, 3), (8_000, 1, 4)],
)
async def test_any_usual_file_is_played(
    tmp_path: Path, rate: int, channels: int, width: int
) -> None:
    file = WavFile(tone_file(tmp_path / "a.wav", rate=rate, channels=channels, width=width))
    frames = [each.samples async for each in file]
    assert {len(each) for each in frames} == {480}
    sound = np.concatenate(frames)
    assert len(sound) == 12_000
    assert pitch(sound) == pytest.approx(440, abs=4)
    assert AudioFrame(sound).level == pytest.approx(0.354 / channels, abs=0.02)
    await file.wait_finished()


async def test_it_goes_on_where_it_stopped_and_can_be_rewound(tmp_path: Path) -> None:
    file = WavFile(tone_file(tmp_path / "a.wav"))
    first = [each.samples async for each in file]
    file.rewind()
    half = aiter(file)
    for _ in range(10):
        await anext(half)
    await half.aclose()
    rest = [each.samples async for each in file]
    assert len(rest) == len(first) - 10
    assert rest[0].tolist() == first[10].tolist()


async def test_a_loop_never_ends(tmp_path: Path) -> None:
    frames = aiter(WavFile(tone_file(tmp_path / "a.wav"), loop=True))
    once = [(await anext(frames)).samples.tolist() for _ in range(25)]
    again = [(await anext(frames)).samples.tolist() for _ in range(25)]
    assert once == again


async def test_what_cannot_be_played_is_named(tmp_path: Path) -> None:
    (tmp_path / "not.wav").write_bytes(b"no sound")
    with pytest.raises(DeviceFailed, match=r"not\.wav"):
        await anext(aiter(WavFile(tmp_path / "not.wav")))
    with pytest.raises(DeviceFailed, match=r"missing\.wav"):
        await anext(aiter(WavFile(tmp_path / "missing.wav")))
    with wave.open(str(tmp_path / "empty.wav"), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(b"")
    with pytest.raises(DeviceFailed, match="no sound"):
        await anext(aiter(WavFile(tmp_path / "empty.wav")))


def test_a_growing_file_is_valid_after_each_second(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    with WavWriter(path) as out:
        for _ in range(150):
            out.write(AudioFrame(np.ones(480, np.int16)))
        with wave.open(str(path)) as file:
            assert file.getnframes() == 48_000
        assert out.seconds == pytest.approx(1.5)
    out.close()
    with wave.open(str(path)) as file:
        assert file.getnframes() == 72_000


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceFailed, match="nowhere"):
        WavWriter(tmp_path / "nowhere" / "out.wav")
