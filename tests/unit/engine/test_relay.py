import asyncio

import pytest
from support.engine_parts import Parts

from utd_engine.adapters.memory.store import MemoryStore
from utd_engine.ports.rooms import Key, Loaded
from utd_protocol import commands as c
from utd_protocol.codec import Window, decode_window


def follow(parts: Parts) -> None:
    parts.rooms.follow(parts.relay.committed)
    parts.presence.metadata_of = parts.relay.window


def seen(parts: Parts, key: Key) -> Window:
    window = decode_window(parts.sfu.rooms[parts.room(key)].metadata)
    assert window is not None
    return window


def seqs(window: Window) -> list[int]:
    return [event.seq for event in window.events]


async def test_a_new_room_is_made_with_its_window_and_costs_no_update() -> None:
    async with Parts.start() as parts:
        follow(parts)
        key = await parts.open(in_media=False)
        await parts.presence.ensure(key)
        await parts.clock.advance(10)
        assert parts.sfu.calls == {"ensure_room": 1}
        assert (seen(parts, key).head, seqs(seen(parts, key))) == (1, [1])


async def test_the_first_event_goes_at_once_then_one_update_a_pace() -> None:
    async with Parts.start() as parts:
        follow(parts)
        key = await parts.open()
        await parts.clock.advance(1)
        await parts.do(key, "host", c.TakeSeat(index=0))
        await parts.clock.settle()
        assert seen(parts, key).head == 2
        assert parts.sfu.calls["publish_events"] == 1
        for index in (1, 2, 3):
            await parts.do(key, "host", c.MoveSeat(index=index))
        await parts.clock.advance(0.049)
        assert parts.sfu.calls["publish_events"] == 1
        await parts.clock.advance(0.001)
        assert parts.sfu.calls["publish_events"] == 2
        assert seqs(seen(parts, key)) == [1, 2, 3, 4, 5]
        await parts.clock.advance(60)
        assert parts.sfu.calls["publish_events"] == 2
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_events_during_a_slow_call_follow_in_the_next_one() -> None:
    async with Parts.start() as parts:
        follow(parts)
        key = await parts.open()
        parts.sfu.gate.clear()
        await parts.do(key, "host", c.TakeSeat(index=0))
        await parts.clock.settle()
        await parts.do(key, "host", c.MoveSeat(index=1))
        parts.sfu.gate.set()
        await parts.clock.advance(0.05)
        assert seqs(seen(parts, key)) == [1, 2, 3]
        assert parts.sfu.calls["publish_events"] == 2


@pytest.mark.parametrize("fault", ["unavailable", "not_found", "timeout_after_applying"])
async def test_what_fails_is_sent_again_with_back_off(fault: str) -> None:
    async with Parts.start() as parts:
        follow(parts)
        missing: list[Key] = []
        failed: list[Key] = []
        parts.relay.on_missing = missing.append
        parts.relay.on_failure = failed.append
        key = await parts.open()
        setattr(parts.sfu.faults, fault, True)
        await parts.do(key, "host", c.TakeSeat(index=0))
        await parts.clock.advance(60)
        tries = parts.sfu.calls["publish_events"]
        assert 30 <= tries <= 200, "about once a second, neither given up nor a storm"
        assert len(missing if fault == "not_found" else failed) == tries
        setattr(parts.sfu.faults, fault, False)
        await parts.clock.advance(2)
        assert seqs(seen(parts, key)) == [1, 2]
        await parts.clock.advance(60)
        assert parts.sfu.calls["publish_events"] <= tries + 1


async def test_a_room_that_ended_while_livekit_was_away_leaves_no_lane() -> None:
    async with Parts.start() as parts:
        follow(parts)
        key = await parts.open()
        parts.sfu.faults.unavailable = True
        await parts.do(key, "host", c.TakeSeat(index=0))
        await parts.do(key, "host", c.EndRoom())
        await parts.clock.advance(10)
        assert parts.relay._lanes == {}


async def test_lanes_of_idle_rooms_are_bounded_and_read_again_from_the_log() -> None:
    async with Parts.start() as parts:
        follow(parts)
        keys = [await parts.open() for _ in range(6)]
        await parts.clock.advance(1)
        assert len(parts.relay._lanes) == 3
        assert keys[0] not in parts.relay._lanes
        await parts.do(keys[0], "host", c.TakeSeat(index=0))
        await parts.clock.advance(1)
        assert seqs(seen(parts, keys[0])) == [1, 2]


async def test_a_long_log_keeps_no_more_than_a_window() -> None:
    async with Parts.start() as parts:
        follow(parts)
        key = await parts.open()
        await parts.do(key, "host", c.TakeSeat(index=0))
        for turn in range(200):
            await parts.do(key, "host", c.MoveSeat(index=1 - turn % 2))
        await parts.clock.advance(1)
        lane = parts.relay._lanes[key]
        assert lane.size <= 4096
        assert sum(len(data) + 1 for data in lane.recent) == lane.size
        window = seen(parts, key)
        assert window.head == 202
        assert seqs(window) == list(range(203 - len(lane.recent), 203))


async def test_what_was_committed_unheard_is_read_from_the_log() -> None:
    async with Parts.start() as parts:
        follow(parts)
        key = await parts.open()
        parts.rooms._followers.clear()
        await parts.do(key, "host", c.TakeSeat(index=0))  # seq 2 is not told
        parts.relay.doubt(key)
        await parts.clock.advance(1)
        assert seqs(seen(parts, key)) == [1, 2]
        await parts.do(key, "host", c.MoveSeat(index=1))  # neither is seq 3
        parts.rooms.follow(parts.relay.committed)
        await parts.do(key, "host", c.MoveSeat(index=2))
        await parts.clock.advance(1)
        assert seqs(seen(parts, key)) == [1, 2, 3, 4]


class ReadsLate(MemoryStore):
    """Gives out what it read only when let go: a commit may come in between."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self, key: Key) -> Loaded | None:
        found = await super().load(key)
        await self.gate.wait()
        return found


async def test_a_commit_while_the_log_is_read_is_neither_lost_nor_doubled() -> None:
    store = ReadsLate()
    async with Parts.start(store) as parts:
        key = await parts.open()  # the relay did not follow yet, as after a restart
        follow(parts)
        store.gate.clear()
        parts.relay.nudge(key)
        await parts.clock.settle()
        await parts.do(key, "host", c.TakeSeat(index=0))
        await parts.do(key, "host", c.MoveSeat(index=1))
        store.gate.set()
        await parts.clock.advance(1)
        assert seqs(seen(parts, key)) == [1, 2, 3]
        await parts.do(key, "host", c.MoveSeat(index=2))
        await parts.clock.advance(1)
        assert seqs(seen(parts, key)) == [1, 2, 3, 4]


async def test_the_audience_is_told_at_most_once_a_second_and_the_last_count_arrives() -> None:
    async with Parts.start() as parts:
        follow(parts)
        key = await parts.open()
        await parts.clock.advance(1)
        for count in range(1, 51):
            parts.relay.audience(key, count)
            await parts.clock.advance(0.1)
        assert parts.sfu.calls["publish_events"] <= 6
        await parts.clock.advance(5)
        parts.relay.audience(key, 50)  # as every visit says
        await parts.clock.advance(1)
        assert seen(parts, key).signals[0]["count"] == 50
        sent = parts.sfu.calls["publish_events"]
        parts.relay.audience(key, 50)
        await parts.clock.advance(5)
        assert parts.sfu.calls["publish_events"] == sent


async def test_a_long_outage_neither_ends_nor_overflows_the_relay() -> None:
    async with Parts.start() as parts:
        follow(parts)
        key = await parts.open()
        parts.sfu.faults.unavailable = True
        await parts.do(key, "host", c.TakeSeat(index=0))
        await parts.clock.advance(3600)
        parts.sfu.faults.unavailable = False
        await parts.clock.advance(2)
        assert seqs(seen(parts, key)) == [1, 2]
