import asyncio

import pytest
from support.engine_parts import Parts

from utd_engine.ports.rooms import Key
from utd_protocol import commands as c


def join_all(parts: Parts) -> list[Key]:
    """Commands are followed by LiveKit; returns the rooms that failed."""
    failed: list[Key] = []
    parts.rooms.settle_with(parts.rights)
    parts.rights.on_failure = failed.append
    return failed


async def test_a_take_is_exactly_one_update_of_one_participant() -> None:
    async with Parts.start() as parts:
        join_all(parts)
        key = await parts.open()
        await parts.do(key, "ana", c.TakeSeat(index=0))
        assert parts.sfu.asked == [("push", "ana", True)]
        await parts.do(key, "ana", c.TakeSeat(index=0))  # sits there already
        assert parts.sfu.asked == [("push", "ana", True)]
        await parts.do(key, "ana", c.MoveSeat(index=1))  # the right has no gap
        assert parts.sfu.asked == [("push", "ana", True)]
        await parts.do(key, "ana", c.LeaveSeat())
        assert parts.sfu.asked == [("push", "ana", True), ("push", "ana", False)]
        await parts.clock.settle()
        assert parts.rights._lanes == {}


async def test_wishes_of_one_person_coalesce_and_the_newest_wins() -> None:
    async with Parts.start() as parts:
        key = await parts.open()
        parts.sfu.gate.clear()
        parts.rights.push(key, ["ana"])
        await parts.clock.settle()
        await parts.do(key, "ana", c.TakeSeat(index=0))
        waits = [asyncio.ensure_future(parts.rights.settle(key, ["ana"])) for _ in range(5)]
        await parts.clock.settle()
        assert parts.sfu.asked == [("push", "ana", False)]
        parts.sfu.gate.set()
        assert await asyncio.gather(*waits) == [True] * 5
        assert parts.sfu.asked == [("push", "ana", False), ("push", "ana", True)]


async def test_one_call_at_a_time_in_a_room_and_rooms_do_not_wait_for_each_other() -> None:
    async with Parts.start() as parts:
        keys = [await parts.open() for _ in range(3)]
        parts.sfu.gate.clear()
        for key in keys:
            parts.rights.push(key, ["a", "b", "c"])
        await parts.clock.settle()
        assert len(parts.sfu.asked) == 3
        parts.sfu.gate.set()
        await parts.clock.settle()
        assert len(parts.sfu.asked) == 9
        assert parts.sfu.most_running == 1
        assert parts.rights._lanes == {}


async def test_what_fails_is_told_once_a_call_and_answered() -> None:
    async with Parts.start() as parts:
        failed = join_all(parts)
        key = await parts.open()
        parts.sfu.faults.unavailable = True
        assert not await parts.rights.settle(key, ["ana", "bo"])
        assert failed == [key, key]
        assert parts.rights._lanes == {}
        parts.sfu.faults.unavailable = False
        assert await parts.rights.settle(key, ["ana"])


async def test_a_command_waits_two_seconds_and_leaves_nothing_behind() -> None:
    async with Parts.start() as parts:
        join_all(parts)
        key = await parts.open()
        parts.sfu.gate.clear()
        before = asyncio.all_tasks()
        for index, who in enumerate(("ana", "bo", "cy")):
            doing = asyncio.ensure_future(parts.do(key, who, c.TakeSeat(index=index)))
            await parts.clock.advance(1.999)
            assert not doing.done()
            await parts.clock.advance(0.001)
            await doing
        assert {task.get_name() for task in asyncio.all_tasks() - before} == {f"rights {key.id}"}
        parts.sfu.gate.set()
        await parts.clock.settle()
        assert [one[1] for one in parts.sfu.asked] == ["ana", "bo", "cy"]
        assert asyncio.all_tasks() == before


async def test_cancelling_a_command_does_not_cancel_the_call() -> None:
    async with Parts.start() as parts:
        join_all(parts)
        key = await parts.open()
        parts.sfu.gate.clear()
        doing = asyncio.ensure_future(parts.do(key, "ana", c.TakeSeat(index=0)))
        await parts.clock.settle()
        doing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doing
        parts.sfu.gate.set()
        await parts.clock.settle()
        assert parts.sfu.calls["push_member"] == 1
        assert parts.rights._lanes == {}


async def test_who_waits_is_answered_when_the_engine_ends() -> None:
    async with Parts.start() as parts:
        key = await parts.open()
        parts.sfu.gate.clear()
        waits = asyncio.ensure_future(parts.rights.settle(key, ["ana", "bo"]))
        await parts.clock.settle()
        await parts.background.aclose()
        async with asyncio.timeout(5):
            assert await waits is False
        assert parts.rights._lanes == {}


async def test_who_was_put_out_is_removed_and_who_was_let_in_again_is_not() -> None:
    async with Parts.start() as parts:
        join_all(parts)
        key = await parts.open()
        await parts.do(key, "bo", c.TakeSeat(index=0))
        await parts.do(key, "host", c.Kick(identity="bo"))
        assert parts.sfu.asked[1:] == [("remove", "bo")]
        parts.sfu.asked.clear()
        parts.rights.put_out(key, "cy")
        await parts.clock.settle()
        parts.rights.reassert(key, "cy")
        await parts.clock.settle()
        assert parts.sfu.asked == [("remove", "cy"), ("push", "cy", False, "utd.role")]


async def test_a_room_that_ends_is_removed_after_its_last_event() -> None:
    async with Parts.start() as parts:
        join_all(parts)
        parts.rooms.follow(parts.relay.committed)
        parts.rights.before_end = parts.relay.flush
        key = await parts.open()
        await parts.do(key, "host", c.EndRoom())
        assert parts.sfu.asked == [("publish",), ("remove_room",)]
        assert parts.sfu.rooms == {}
        assert parts.relay._lanes == {}
        assert parts.rights._lanes == {}


async def test_a_hanging_relay_holds_back_the_end_by_half_a_second_only() -> None:
    async with Parts.start() as parts:
        join_all(parts)
        parts.rooms.follow(parts.relay.committed)
        parts.rights.before_end = parts.relay.flush
        key = await parts.open()
        parts.sfu.gate.clear()
        ending = asyncio.ensure_future(parts.do(key, "host", c.EndRoom()))
        await parts.clock.advance(0.499)
        assert ("remove_room",) not in parts.sfu.asked
        await parts.clock.advance(0.001)
        assert ("remove_room",) in parts.sfu.asked
        parts.sfu.gate.set()
        await ending
