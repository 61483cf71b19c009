import asyncio

import pytest

from utd_engine.background import Background


async def forever() -> None:
    await asyncio.Event().wait()


async def boom() -> None:
    raise LookupError("broken")


async def test_what_runs_is_cancelled_and_waited_for_at_the_end() -> None:
    ended: list[str] = []

    async def slow_to_end() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            ended.append("slow")

    async with Background() as background:
        background.create_task(slow_to_end(), name="slow")
        await asyncio.sleep(0)
    assert ended == ["slow"]
    assert background.crashed.cancelled()


async def test_work_that_starts_more_work_while_it_ends_leaves_nothing() -> None:
    async with Background() as background:

        async def breeds() -> None:
            try:
                await forever()
            finally:
                background.create_task(forever(), name="late")

        background.create_task(breeds(), name="breeds")
        await asyncio.sleep(0)


async def test_after_the_end_nothing_is_started() -> None:
    async with Background() as background:
        pass
    started: list[str] = []

    async def work() -> None:
        started.append("work")

    await background.create_task(work(), name="late")
    assert not started


async def test_the_first_crash_is_known_and_the_others_go_on() -> None:
    async with Background() as background:
        other = background.create_task(forever(), name="other")
        background.create_task(boom(), name="boom")
        with pytest.raises(LookupError, match="broken"):
            async with asyncio.timeout(5):
                await background.crashed
        assert not other.done()


async def test_a_crash_that_nobody_looked_at_is_no_warning_of_the_loop() -> None:
    async with Background() as background:
        background.create_task(boom(), name="boom")
        await asyncio.sleep(0)
    assert background.crashed.done()
