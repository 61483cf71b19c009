"""Frames of sound and the inputs in memory: `_media`."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest
from support.sound import pitch

from utd_stream._errors import Invalid
from utd_stream._media.frames import AudioFrame, Push, Tone, mix, resample, silence


async def test_a_tone_has_its_pitch_and_no_steps() -> None:
    frames = aiter(Tone(440, volume=0.5))
    sound = np.concatenate([(await anext(frames)).samples for _ in range(100)])
    assert pitch(sound) == pytest.approx(440, abs=0.5)
    assert max(abs(int(a) - int(b)) for a, b in pairwise(sound)) < 1000
    assert AudioFrame(sound).level == pytest.approx(0.5 / 2**0.5, abs=0.01)


@pytest.mark.parametrize(("hz", "volume"), [(0, 0.5), (24_000, 0.5), (440, 1.1), (440, -0.1)])
def test_a_tone_that_cannot_be_is_refused(hz: float, volume: float) -> None:
    with pytest.raises(Invalid):
        Tone(hz, volume=volume)


async def test_what_is_pushed_comes_out_in_frames_of_ten_milliseconds() -> None:
    push = Push()
    await push.write(np.arange(700, dtype=np.int16))
    await push.write(np.arange(700, 960, dtype=np.int16).tobytes())
    frames = aiter(push)
    got = [await anext(frames), await anext(frames)]
    assert [len(each.samples) for each in got] == [480, 480]
    assert np.concatenate([each.samples for each in got]).tolist() == list(range(960))


async def test_writing_waits_while_the_queue_is_full() -> None:
    push = Push(queue_ms=20)
    writing = asyncio.create_task(push.write(np.ones(480 * 3, np.int16)))
    await asyncio.sleep(0)
    assert not writing.done()
    frames = aiter(push)
    await anext(frames)
    await writing


async def test_a_live_source_drops_the_oldest() -> None:
    push = Push(queue_ms=20)
    for each in (1, 2, 3):
        push.write_nowait(np.full(480, each, np.int16))
    frames = aiter(push)
    assert [(await anext(frames)).samples[0] for _ in range(2)] == [2, 3]


async def test_clearing_forgets_what_waits() -> None:
    push = Push()
    await push.write(np.ones(1000, np.int16))
    push.clear()
    await push.write(np.full(480, 7, np.int16))
    assert (await anext(aiter(push))).samples[0] == 7


@pytest.mark.parametrize("sound", [b"odd", np.zeros(480), np.zeros((2, 480), np.int16)])
async def test_other_forms_of_sound_are_refused(sound: object) -> None:
    with pytest.raises(Invalid, match="sound"):
        await Push().write(sound)  # type: ignore[arg-type]


def test_a_queue_shorter_than_a_frame_is_refused() -> None:
    with pytest.raises(Invalid, match="queue_ms"):
        Push(queue_ms=5)


def test_too_loud_a_sum_is_cut() -> None:
    loud = AudioFrame(np.full(4, 30_000, np.int16))
    low = AudioFrame(np.full(4, -30_000, np.int16))
    assert mix([loud, loud], 4).samples.tolist() == [32_767] * 4
    assert mix([low, low], 4).samples.tolist() == [-32_768] * 4
    assert mix([loud, low], 4).samples.tolist() == [0] * 4
    assert mix([], 4).samples.tolist() == silence(4).samples.tolist()


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 96_000])
def test_resampling_keeps_the_pitch(rate: int) -> None:
    sound = np.sin(np.arange(rate) * 2 * np.pi * 440 / rate) * 0.5
    made = resample(sound, rate)
    assert len(made) == 48_000
    assert pitch(made) == pytest.approx(440, abs=1)
    assert AudioFrame(made).level == pytest.approx(0.5 / 2**0.5, abs=0.02)


def test_resampling_lets_no_high_tone_come_back_as_a_low_one() -> None:
    sound = np.sin(np.arange(96_000) * 2 * np.pi * 40_000 / 96_000)
    assert AudioFrame(resample(sound, 96_000)[500:-500]).level < 0.02
