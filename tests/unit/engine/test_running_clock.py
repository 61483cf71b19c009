"""The clock that runs by itself, and jumps."""

import asyncio

import pytest

from utd_engine.testing import FakeClock, RunningClock


async def test_it_goes_on_by_itself() -> None:
    clock = RunningClock()
    before = clock.monotonic()
    async with asyncio.timeout(2):
        await clock.sleep(0.02)
    assert clock.monotonic() - before >= 0.018


async def test_a_jump_wakes_everybody_at_their_own_moment() -> None:
    clock, woken = RunningClock(), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, round((clock.now() - began).total_seconds())))

    began = clock.now()
    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (20, 10, 40)]
    async with asyncio.timeout(2):
        await clock.advance(30)
    assert woken == [(10, 10), (20, 20)]
    assert (clock.now() - began).total_seconds() == pytest.approx(30, abs=1)
    tasks[2].cancel()
    await asyncio.wait({tasks[2]})


async def test_a_deadline_can_be_jumped_over() -> None:
    clock: FakeClock = RunningClock()
    waiting = asyncio.create_task(clock.within(60, asyncio.Event().wait()))
    await asyncio.sleep(0)
    await clock.advance(61)
    with pytest.raises(TimeoutError):
        await waiting


async def test_what_is_done_in_time_leaves_no_timer() -> None:
    clock = RunningClock()
    assert await clock.within(60, asyncio.sleep(0, "done")) == "done"
    await clock.advance(120)


async def test_a_jump_brings_nearer_what_it_does_not_reach() -> None:
    clock = RunningClock()
    sleeping = asyncio.create_task(clock.sleep(60))
    await clock.advance(59.98)
    async with asyncio.timeout(2):
        await sleeping
