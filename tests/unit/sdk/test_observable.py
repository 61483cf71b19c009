"""Values that are watched: `_observable`."""

import asyncio

import pytest

from utd_stream._errors import ClosedByUs
from utd_stream._observable import Observable


async def test_changes_begin_with_now_and_skip_to_the_latest() -> None:
    value = Observable(0)
    changes = value.changes()
    assert await anext(changes) == 0
    for each in (1, 2, 3):
        value._set(each)
    assert await anext(changes) == 3
    value._close()
    with pytest.raises(StopAsyncIteration):
        await anext(changes)


async def test_an_equal_value_is_no_change() -> None:
    value, seen = Observable(1), []
    value.listen(seen.append)
    value._set(1)
    value._set(2)
    assert seen == [2]


async def test_waiting_for_a_value_or_a_condition() -> None:
    value = Observable(0)
    waiting = asyncio.gather(value.wait_for(2), value.wait_for(lambda now: now > 2))
    await asyncio.sleep(0)
    value._set(2)
    await asyncio.sleep(0)
    value._set(3)
    assert await waiting == [2, 3]
    assert await value.wait_for(3) == 3


async def test_waiting_ends_when_the_owner_closes() -> None:
    value = Observable(0)
    waiting = asyncio.create_task(value.wait_for(1))
    await asyncio.sleep(0)
    value._close()
    value._set(1)
    with pytest.raises(ClosedByUs):
        await waiting
    assert value.value == 0


async def test_a_failing_listener_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    value, seen = Observable(0), []

    def fails(_: int) -> None:
        raise RuntimeError("mine")

    value.listen(fails)
    stop = value.listen(seen.append)
    value._set(1)
    stop()
    stop()
    value._set(2)
    assert seen == [1]
    assert "mine" in caplog.text
