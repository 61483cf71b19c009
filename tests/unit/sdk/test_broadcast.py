"""One stream of events for many readers: `_broadcast`."""

import asyncio
import gc

import pytest

from utd_stream._broadcast import Broadcast
from utd_stream._errors import Lagged


async def test_every_reader_gets_every_event_from_its_start() -> None:
    source = Broadcast[int]()
    first = source.reader()
    source.send(1)
    second = source.reader()
    source.send(2)
    source.close()
    assert [each async for each in first] == [1, 2]
    assert [each async for each in second] == [2]
    assert [each async for each in source.reader()] == []


async def test_a_waiting_reader_wakes_and_survives_a_cancelled_wait() -> None:
    source = Broadcast[int]()
    reader = source.reader()
    waiting = asyncio.create_task(anext(reader))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    source.send(1)
    assert await anext(reader) == 1


async def test_a_slow_reader_is_told_and_others_are_not_held_up() -> None:
    source = Broadcast[int](limit=3)
    slow = source.reader()
    for each in range(4):
        source.send(each)
    with pytest.raises(Lagged):
        await anext(slow)
    again = source.reader()
    source.send(9)
    assert await anext(again) == 9


async def test_callbacks_come_first_and_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    source = Broadcast[int]()
    reader, seen = source.reader(), []

    def fails(_: int) -> None:
        raise RuntimeError("mine")

    source.subscribe(fails)
    stop = source.subscribe(seen.append)
    source.send(1)
    stop()
    stop()
    source.send(2)
    assert seen == [1]
    assert await anext(reader) == 1
    assert "mine" in caplog.text


async def test_a_dropped_reader_is_forgotten() -> None:
    source = Broadcast[int]()
    reader = source.reader()
    assert len(source._readers) == 1
    del reader
    gc.collect()
    assert len(source._readers) == 0
