import asyncio
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest

from utd_cli.demos.ear import Ear
from utd_cli.demos.sound import FLOOR_DBFS
from utd_stream import AudioFrame

SILENT = AudioFrame(np.zeros(480, np.int16))
LOUD = AudioFrame(np.full(480, 8192, np.int16))


async def frames(*several: AudioFrame) -> AsyncIterator[AudioFrame]:
    for frame in several:
        yield frame


async def test_the_first_sound_is_the_first_audible_frame_after_a_moment() -> None:
    ear = Ear()
    await ear.listen(frames(LOUD, SILENT))
    start = time.monotonic()
    waiting = asyncio.create_task(ear.first_sound(start))
    await ear.listen(frames(SILENT, LOUD))
    assert await waiting == ear.last_sound() >= start


async def test_what_was_heard_is_cut_by_time() -> None:
    ear = Ear()
    await ear.listen(frames(LOUD))
    between = time.monotonic()
    await ear.listen(frames(SILENT, SILENT))
    now = time.monotonic()
    assert len(ear.between(0, between)) == 480
    assert len(ear.between(between, now)) == 960
    assert not ear.between(between, now).any()
    assert len(ear.everything()) == 1440


async def test_the_level_is_of_now_and_falls_when_frames_stop() -> None:
    ear = Ear()
    assert ear.level() == FLOOR_DBFS
    await ear.listen(frames(LOUD))
    assert ear.level() == pytest.approx(-12.04, abs=0.01)
    async with asyncio.timeout(1):
        while ear.level() > FLOOR_DBFS:
            await asyncio.sleep(0.02)


def test_an_ear_that_heard_nothing_says_so() -> None:
    ear = Ear()
    assert ear.last_sound() == 0
    assert len(ear.everything()) == len(ear.between(0, 1)) == 0
