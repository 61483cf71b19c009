import asyncio

import pytest
from support.agent_fakes import settle

from utd_stream import ClosedByUs
from utd_stream.agents import ChangeNotifier


def test_listeners_are_called_in_order_and_as_often_as_they_were_added() -> None:
    notifier, told = ChangeNotifier(), list[str]()

    def one() -> None:
        told.append("one")

    notifier.add_listener(one)
    notifier.add_listener(lambda: told.append("two"))
    notifier.add_listener(one)
    notifier.notify_listeners()
    assert told == ["one", "two", "one"]
    notifier.remove_listener(one)
    told.clear()
    notifier.notify_listeners()
    assert told == ["two", "one"]
    notifier.remove_listener(one)
    notifier.remove_listener(one)
    assert notifier.has_listeners


def test_changes_of_the_list_amid_a_round() -> None:
    notifier, told = ChangeNotifier(), list[str]()

    def last() -> None:
        told.append("last")

    def first() -> None:
        told.append("first")
        notifier.remove_listener(last)
        notifier.remove_listener(first)
        notifier.add_listener(lambda: told.append("late"))

    notifier.add_listener(first)
    notifier.add_listener(last)
    notifier.notify_listeners()
    assert told == ["first"], "removed ones are skipped, added ones wait"
    notifier.notify_listeners()
    assert told == ["first", "late"]


def test_a_listener_that_fails_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    notifier, told = ChangeNotifier(), list[str]()

    def broken() -> None:
        raise ValueError("broken")

    notifier.add_listener(broken)
    notifier.add_listener(lambda: told.append("told"))
    notifier.notify_listeners()
    assert told == ["told"]
    assert "a listener of ChangeNotifier failed" in caplog.text


async def test_dispose_functions_run_last_first_each_guarded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    notifier, ran = ChangeNotifier(), list[str]()

    async def first() -> None:
        ran.append("first")

    async def broken() -> None:
        ran.append("broken")
        raise ValueError("broken")

    notifier.on_dispose(first)
    notifier.on_dispose(broken)
    assert notifier.dispose_func_count == 2
    assert await notifier.dispose()
    assert not await notifier.dispose()
    assert ran == ["broken", "first"]
    assert "a dispose function of ChangeNotifier failed" in caplog.text
    assert "disposed already" in caplog.text


async def test_after_dispose_adding_raises_and_the_rest_does_nothing() -> None:  # Q22
    notifier, told = ChangeNotifier(), list[str]()
    notifier.add_listener(lambda: told.append("told"))
    await notifier.dispose()
    notifier.notify_listeners()
    notifier.remove_listener(print)
    assert told == []
    assert notifier.is_disposed
    assert not notifier.has_listeners
    with pytest.raises(ClosedByUs):
        notifier.add_listener(print)


async def test_changes_merges_for_a_slow_reader_and_ends_with_dispose() -> None:
    notifier, seen = ChangeNotifier(), list[int]()
    changes = notifier.changes()
    notifier.notify_listeners()
    notifier.notify_listeners()

    async def read() -> None:
        async for _ in changes:
            seen.append(1)

    reading = asyncio.create_task(read())
    await settle()
    assert len(seen) == 1, "two changes before the reading are one item, and not lost"
    notifier.notify_listeners()
    await settle()
    assert len(seen) == 2
    await notifier.dispose()
    await reading
    assert len(seen) == 2
    assert [each async for each in notifier.changes()] == []
