import asyncio
from datetime import timedelta

import pytest

from utd_engine.testing import FakeClock, FakeIds


async def test_it_stands_still_until_it_is_moved() -> None:
    clock = FakeClock()
    began = clock.now()
    sleeping = asyncio.ensure_future(clock.sleep(5))
    await clock.settle()
    assert clock.now() == began
    assert not sleeping.done()
    await clock.advance(4.999)
    assert not sleeping.done()
    await clock.advance(0.001)
    assert sleeping.done()
    assert clock.now() - began == timedelta(seconds=5)
    assert clock.monotonic() == pytest.approx(5)


async def test_everybody_wakes_at_their_own_moment_in_order() -> None:
    clock = FakeClock()
    woken: list[tuple[str, float]] = []

    async def twice(name: str, seconds: float) -> None:
        for _ in range(2):
            await clock.sleep(seconds)
            woken.append((name, round(clock.monotonic(), 6)))

    tasks = [asyncio.ensure_future(twice("slow", 3)), asyncio.ensure_future(twice("fast", 2))]
    await clock.advance(10)
    await asyncio.gather(*tasks)
    assert woken == [("fast", 2), ("slow", 3), ("fast", 4), ("slow", 6)]


async def test_within_gives_the_result_or_times_out_exactly() -> None:
    clock = FakeClock()

    async def after(seconds: float) -> str:
        await clock.sleep(seconds)
        return "done"

    in_time = asyncio.ensure_future(clock.within(2, after(1)))
    too_late = asyncio.ensure_future(clock.within(2, after(3)))
    await clock.advance(1)
    assert await in_time == "done"
    await clock.advance(0.999)
    assert not too_late.done()
    await clock.advance(0.001)
    with pytest.raises(TimeoutError):
        await too_late


async def test_within_ends_its_work_before_it_gives_up() -> None:
    clock = FakeClock()
    ended: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    waiting = asyncio.ensure_future(clock.within(1, work()))
    await clock.advance(1)
    with pytest.raises(TimeoutError):
        await waiting
    assert ended == [True]


async def test_cancelling_within_cancels_its_work() -> None:
    clock = FakeClock()
    work = asyncio.ensure_future(asyncio.Event().wait())
    waiting = asyncio.ensure_future(clock.within(1, work))
    await clock.settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.cancelled()


async def test_settle_lets_chains_of_any_length_run_out() -> None:
    clock = FakeClock()
    turns: list[int] = []

    async def chain() -> None:
        for turn in range(500):
            await asyncio.sleep(0)
            turns.append(turn)

    task = asyncio.ensure_future(chain())
    await clock.settle()
    assert len(turns) == 500
    await task


async def test_settle_says_so_when_something_polls_without_waiting() -> None:
    clock = FakeClock()

    async def polls() -> None:
        while True:
            await asyncio.sleep(0)

    task = asyncio.ensure_future(polls())
    with pytest.raises(AssertionError, match="never quiet"):
        await clock.settle()
    task.cancel()


def test_ids_and_jitter_repeat() -> None:
    one, two = FakeIds(7), FakeIds(7)
    assert [one.new("rm") for _ in range(3)] == [two.new("rm") for _ in range(3)]
    assert [one.jitter() for _ in range(3)] == [two.jitter() for _ in range(3)]
    assert FakeIds(8).jitter() != FakeIds(7).jitter()
