"""One stream of events for many readers: `_broadcast`."""

import asyncio
import gc

import pytest

from utd_stream._broadcast import READER_LIMIT, Broadcast, EventReader
from utd_stream._errors import ClosedByUs, Kicked, Lagged


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


async def read(reader: EventReader[int]) -> list[int]:
    return [item async for item in reader]


async def test_a_reader_gets_everything_since_it_was_made() -> None:
    hub = Broadcast[int]()
    hub.send(1)
    reader = hub.reader()
    for item in (2, 3):
        hub.send(item)
    hub.end(ClosedByUs("left"))

    assert await read(reader) == [2, 3]


async def test_each_of_several_readers_gets_everything() -> None:
    hub = Broadcast[int]()
    readers = [hub.reader() for _ in range(3)]
    hub.send(1)
    hub.end(ClosedByUs("left"))

    assert [await read(reader) for reader in readers] == [[1], [1], [1]]


async def test_a_waiting_reader_is_woken() -> None:
    hub = Broadcast[int]()
    reader = hub.reader()
    waiting = asyncio.create_task(anext(reader))
    await asyncio.sleep(0)
    hub.send(7)

    async with asyncio.timeout(1):
        assert await waiting == 7


async def test_an_abnormal_end_is_raised_after_the_last_event() -> None:
    hub = Broadcast[int]()
    reader = hub.reader()
    hub.send(1)
    hub.end(Kicked("you were put out: noise", code="kicked"))

    assert await anext(reader) == 1
    with pytest.raises(Kicked, match="noise") as caught:
        await anext(reader)
    assert caught.value.code == "kicked"
    assert await read(reader) == []


async def test_each_reader_gets_an_error_of_its_own() -> None:
    hub = Broadcast[int]()
    readers = [hub.reader(), hub.reader()]
    hub.end(Kicked("out"))

    caught = []
    for reader in readers:
        with pytest.raises(Kicked) as error:
            await anext(reader)
        caught.append(error.value)

    assert caught[0] is not caught[1]


async def test_a_reader_of_what_is_over_ends_at_once() -> None:
    hub = Broadcast[int]()

    assert await read(hub.reader(ClosedByUs("left"))) == []
    with pytest.raises(Kicked):
        await read(hub.reader(Kicked("out")))


async def test_one_who_falls_too_far_behind_is_told_and_nobody_else_suffers() -> None:
    hub = Broadcast[int](limit=3)
    slow, quick = hub.reader(), hub.reader()
    got = []
    for item in range(5):
        hub.send(item)
        got.append(await anext(quick))

    with pytest.raises(Lagged, match="3 events behind"):
        await anext(slow)
    assert await read(slow) == []
    assert got == [0, 1, 2, 3, 4]


def test_the_limit_is_ten_thousand() -> None:
    assert READER_LIMIT == 10_000


async def test_cancelling_a_read_loses_nothing() -> None:
    hub = Broadcast[int]()
    reader = hub.reader()
    waiting = asyncio.create_task(anext(reader))
    await asyncio.sleep(0)
    hub.send(1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    hub.send(2)

    assert [await anext(reader), await anext(reader)] == [1, 2]
