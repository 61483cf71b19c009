import asyncio
from collections import Counter

from support.engine_parts import Parts

from utd_engine.adapters.memory.store import MemoryStore
from utd_engine.domain.permissions import Permission
from utd_engine.ports.media import Join
from utd_engine.ports.rooms import Key
from utd_engine.ports.store import StoreUnavailable
from utd_protocol import commands as c
from utd_protocol.types import Source

LISTENER = Permission(can_subscribe=True, can_publish_data=True)
SPEAKER = Permission(
    can_publish=True, sources=(Source.MICROPHONE,), can_subscribe=True, can_publish_data=True
)


def wire(parts: Parts) -> None:
    parts.rights.on_failure = parts.sweep.failed
    parts.presence.on_forgotten = parts.sweep.missing
    parts.sweep.on_forgotten = parts.presence.forget_media
    parts.rooms.settle_with(parts.rights)
    parts.rooms.follow(parts.sweep.committed)
    parts.rooms.follow(parts.presence.committed)


def serve(parts: Parts) -> None:
    wire(parts)
    parts.background.create_task(parts.sweep.serve(), name="sweep")


async def enter(parts: Parts, key: Key, who: str, permission: Permission = LISTENER) -> None:
    join = Join(room=parts.room(key), identity=who, permission=permission)
    await parts.sfu.join(parts.sfu.mint_token(join, now=parts.clock.now(), ttl_s=600))


def visits(parts: Parts) -> Counter[object]:
    return Counter(one[1] for one in parts.sfu.asked if one[0] == "list")


async def test_every_room_with_somebody_in_it_is_visited_once_a_period() -> None:
    async with Parts.start() as parts:
        serve(parts)
        keys = [await parts.open() for _ in range(3)]
        for key in keys:
            parts.sweep.expect(key)
            await enter(parts, key, "ana")
        await parts.clock.advance(5)
        parts.sfu.asked.clear()
        await parts.clock.advance(54)
        assert visits(parts) == {parts.room(key): 10 for key in keys}
        assert parts.sweep._visits == {}


async def test_hints_coalesce_and_are_paced() -> None:
    async with Parts.start() as parts:
        wire(parts)
        key = await parts.open()
        for _ in range(100):
            parts.sweep.hint(key)
            await parts.clock.advance(0.01)
        await parts.clock.advance(1)
        assert 10 <= visits(parts)[parts.room(key)] <= 12
        assert parts.sweep._visits == {}


async def test_a_publish_right_that_state_does_not_give_is_taken_within_a_period() -> None:
    async with Parts.start() as parts:
        serve(parts)
        key = await parts.open()
        parts.sweep.expect(key)
        await parts.clock.advance(5)
        await enter(parts, key, "eve", SPEAKER)
        await parts.clock.advance(4.999)
        member = parts.sfu.rooms[parts.room(key)].members["eve"]
        assert member.permission == SPEAKER
        await parts.clock.advance(0.001)
        assert member.permission == LISTENER


async def test_a_slow_livekit_gets_no_backlog() -> None:
    async with Parts.start() as parts:
        serve(parts)
        for _ in range(30):
            parts.sweep.expect(await parts.open())
        await parts.clock.advance(1)
        parts.sfu.asked.clear()
        parts.sfu.gate.clear()
        before = len(asyncio.all_tasks())
        await parts.clock.advance(300)
        assert len(parts.sfu.asked) == 8, "as many calls as there are slots"
        assert len(asyncio.all_tasks()) <= before + 31
        parts.sfu.gate.set()
        await parts.clock.settle()
        assert max(visits(parts).values()) == 1


async def test_while_livekit_is_down_only_its_health_is_asked_twice_a_second() -> None:
    async with Parts.start() as parts:
        serve(parts)
        keys = [await parts.open() for _ in range(20)]
        for key in keys:
            parts.sweep.expect(key)
        await parts.clock.advance(10)
        parts.sfu.faults.unavailable = True
        await parts.clock.advance(5)
        assert not parts.sweep.media_ok
        asked = parts.sfu.calls.total()
        await parts.clock.advance(3600)
        assert parts.sfu.calls.total() == asked
        assert parts.sweep._visits == {}


async def test_every_open_room_is_back_within_a_period_of_livekits_return() -> None:
    async with Parts.start() as parts:
        serve(parts)
        keys = [await parts.open() for _ in range(50)]
        parts.sweep.expect(keys[0])
        await parts.clock.advance(10)
        parts.sfu.faults.unavailable = True
        parts.sfu.restart()
        await parts.clock.advance(30)
        parts.sfu.faults.unavailable = False
        await parts.clock.advance(0.5)
        assert len(parts.sfu.rooms) == 50
        assert parts.sfu.calls["ensure_room"] == 50 + 50  # once by the test, once by the sweep
        parts.sfu.restart()  # too short for any call to fail
        await parts.clock.advance(5)
        assert len(parts.sfu.rooms) == 50


async def test_a_failed_call_is_no_outage_and_makes_no_storm() -> None:
    async with Parts.start() as parts:
        serve(parts)
        keys = [await parts.open() for _ in range(50)]
        await parts.clock.advance(20)
        before = parts.sfu.calls["ensure_room"]
        for _ in range(20):
            parts.sweep.failed(keys[0])
            await parts.clock.advance(0.5)
        assert parts.sfu.calls["ensure_room"] == before
        assert parts.sweep.media_ok


async def test_rooms_that_stay_missing_make_no_storm() -> None:
    async with Parts.start() as parts:
        serve(parts)
        for _ in range(10):
            parts.sweep.expect(await parts.open())
        await parts.clock.advance(10)
        parts.sfu.faults.not_found = True
        before = parts.sfu.calls.total()
        await parts.clock.advance(60)
        assert parts.sfu.calls.total() - before <= 10 * (60 / 5) * 4


async def test_a_room_that_is_not_made_yet_is_no_reason_to_make_all_others_again() -> None:
    async with Parts.start() as parts:
        serve(parts)
        for _ in range(10):
            await parts.open()
        await parts.clock.advance(10)
        before = parts.sfu.calls["ensure_room"]
        new = await parts.open(in_media=False)
        parts.sweep.hint(new)
        await parts.clock.advance(1)
        assert parts.sfu.calls["ensure_room"] == before + 1


async def test_what_ended_while_the_engine_was_down_is_removed_at_its_start() -> None:
    async with Parts.start() as parts:
        over, still = await parts.open(), await parts.open()
        await parts.do(over, "host", c.EndRoom())  # and the engine dies before it tells LiveKit
        await parts.sfu.ensure_room("somebody else's")
        await parts.sfu.ensure_room("ap9.audio_room.rm_unknown")
        serve(parts)
        await parts.clock.advance(1)
        assert parts.room(over) not in parts.sfu.rooms
        assert parts.room(still) in parts.sfu.rooms
        assert len(parts.sfu.rooms) == 3


async def test_what_ended_while_livekit_was_down_is_removed_at_its_return() -> None:
    async with Parts.start() as parts:
        serve(parts)
        key = await parts.open()
        parts.sweep.expect(key)
        await parts.clock.advance(5)
        parts.sfu.faults.unavailable = True
        await parts.do(key, "host", c.EndRoom())
        await parts.clock.advance(60)
        parts.sfu.faults.unavailable = False
        await parts.clock.advance(5)
        assert parts.sfu.rooms == {}
        removed = parts.sfu.calls["remove_room"]
        await parts.clock.advance(60)
        assert parts.sfu.calls["remove_room"] == removed
        assert parts.presence._counts == {}


class Flaky(MemoryStore):
    is_down = False

    async def occupied(self) -> list[Key]:
        if self.is_down:
            raise StoreUnavailable("down")
        return await super().occupied()


async def test_a_store_that_is_away_ends_nothing_and_is_not_polled() -> None:
    store = Flaky()
    async with Parts.start(store) as parts:
        serve(parts)
        key = await parts.open()
        parts.sweep.expect(key)
        await parts.clock.advance(5)
        store.is_down = True
        parts.sfu.faults.unavailable = True
        await parts.clock.advance(20)
        parts.sfu.restart()
        parts.sfu.faults.unavailable = False
        await parts.clock.advance(20)
        store.is_down = False
        await parts.clock.advance(5)
        assert len(parts.sfu.rooms) == 1


async def test_somebody_who_comes_while_livekit_lists_is_not_lost_again() -> None:
    async with Parts.start() as parts:
        wire(parts)
        key = await parts.open()
        await parts.do(key, "ana", c.TakeSeat(index=0))
        room = parts.sfu.rooms[parts.room(key)]
        listing = asyncio.ensure_future(parts.presence.reconcile(key))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # the list is made; ana comes before it is read
        await enter(parts, key, "ana")
        await parts.presence.arrived(key, room.members["ana"].observed())
        await listing
        known = (await parts.rooms.peek(key)).state.presence["ana"]  # type: ignore[union-attr]
        assert known.present
