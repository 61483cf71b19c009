"""How long a wrong thing can last at most, to the millisecond of the virtual clock."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from utd_engine.adapters.memory.media import MemoryGateway
from utd_engine.adapters.memory.store import MemoryStore
from utd_engine.ports.media import WebhookEvent
from utd_engine.ports.rooms import Key
from utd_engine.testing import Answer, EngineUnderTest, FakeClock, FakeIds, Joined
from utd_protocol.types import RoomState as Phase
from utd_protocol.types import SeatState
from utd_protocol.views import RoomView

T = TypeVar("T")


async def view_of(engine: EngineUnderTest, joined: Joined) -> RoomView:
    return (await engine.room(engine.key(joined))).state.view


async def take(engine: EngineUnderTest, who: Joined, index: int) -> None:
    answer = await engine.call(
        "POST", who.path("/seats/take"), {"index": index}, bearer=who.user_token
    )
    assert answer.status == 200, answer


async def end(engine: EngineUnderTest, host: Joined) -> Answer:
    """End a room; while LiveKit is away, the clock must go on for an answer."""
    ending = asyncio.ensure_future(engine.call("POST", host.path("/end"), bearer=host.user_token))
    await engine.clock.advance(0.6)
    return await ending


async def test_a_take_costs_one_update_of_the_participant_and_one_of_the_room() -> None:
    """L2: whatever the audience."""
    async with EngineUnderTest.start() as engine:
        host = await engine.join("host", role="host")
        for number in range(20):
            await engine.join(f"p{number}")
        await engine.clock.advance(7.5)
        engine.sfu.calls.clear()
        await take(engine, host, 0)
        await engine.clock.advance(2)
        assert engine.sfu.calls == {"push_member": 1, "publish_events": 1}


async def test_joining_costs_one_room_and_a_settled_room_costs_one_list_a_period() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("host", role="host")
        assert engine.sfu.calls["ensure_room"] == 1
        await engine.clock.advance(12)
        engine.sfu.calls.clear()
        await engine.clock.advance(60)
        assert engine.sfu.calls == {"list_members": 12}


async def test_a_kept_token_publishes_five_seconds_at_most_without_any_webhook() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("host", role="host")
        eve = await engine.join("eve")
        await take(engine, eve, 0)
        answer = await engine.call("POST", eve.path("/rejoin"), bearer=eve.user_token)
        kept = answer.json()["token"]  # it says canPublish, and is good for ten minutes
        engine.sfu.faults.drop_webhooks = True
        await engine.call("POST", eve.path("/seats/leave"), bearer=eve.user_token)
        await engine.clock.advance(20 - engine.clock.monotonic() + 0.001)
        back = await engine.sfu.join(kept)
        assert back.permission.can_publish
        await engine.clock.advance(4.998)
        assert back.permission.can_publish
        await engine.clock.advance(0.001)
        assert not back.permission.can_publish


async def test_a_kept_token_publishes_not_at_all_once_the_webhook_is_there() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("host", role="host")
        eve = await engine.join("eve")
        await take(engine, eve, 0)
        answer = await engine.call("POST", eve.path("/rejoin"), bearer=eve.user_token)
        await engine.call("POST", eve.path("/seats/leave"), bearer=eve.user_token)
        back = await engine.sfu.join(answer.json()["token"])
        await engine.clock.settle()
        assert not back.permission.can_publish


async def test_a_banned_person_is_out_within_a_period_without_any_webhook() -> None:
    async with EngineUnderTest.start() as engine:
        host = await engine.join("host", role="host")
        eve = await engine.join("eve")
        engine.sfu.faults.drop_webhooks = True
        banned = await engine.call("PUT", host.path("/bans/eve"), bearer=host.user_token)
        assert banned.status == 200
        assert eve.participant is not None
        assert eve.participant.disconnected == "PARTICIPANT_REMOVED"
        back = await engine.sfu.join(eve.answer.token)
        await engine.clock.advance(5)
        assert back.disconnected == "PARTICIPANT_REMOVED"


async def test_a_right_that_a_full_reconnect_lost_is_given_again() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("host", role="host")
        ana = await engine.join("ana")
        assert ana.participant is not None
        async with engine.sfu.full_reconnect(ana.participant):
            await take(engine, ana, 0)
        await engine.clock.settle()
        assert ana.participant.permission.can_publish
        assert (await view_of(engine, ana)).seats[0].state is SeatState.TAKEN
        engine.sfu.faults.drop_webhooks = True
        async with engine.sfu.full_reconnect(ana.participant):
            await engine.call("POST", ana.path("/seats/leave"), bearer=ana.user_token)
        assert ana.participant.permission.can_publish
        await engine.clock.advance(5)
        assert not ana.participant.permission.can_publish


async def test_the_seat_of_a_crashed_speaker_is_held_and_freed_at_exact_times() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("host", role="host")
        ana = await engine.join("ana")
        await take(engine, ana, 0)
        assert ana.participant is not None
        await engine.clock.advance(1)
        await engine.sfu.leave(ana.participant)
        await engine.clock.settle()
        gone_at = engine.clock.now()
        await engine.clock.advance(1.999)
        assert (await view_of(engine, ana)).seats[0].state is SeatState.TAKEN
        await engine.clock.advance(0.001)
        seat = (await view_of(engine, ana)).seats[0]
        assert seat.state is SeatState.HELD
        assert seat.held_until == gone_at + timedelta(seconds=32)
        await engine.clock.advance(29.999)
        assert (await view_of(engine, ana)).seats[0].state is SeatState.HELD
        await engine.clock.advance(0.001)
        assert (await view_of(engine, ana)).seats[0].state is SeatState.FREE


async def test_without_webhooks_a_lost_speaker_is_noticed_one_period_later() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("host", role="host")
        ana = await engine.join("ana")
        await take(engine, ana, 0)
        await engine.clock.advance(20 - engine.clock.monotonic() + 0.001)
        engine.sfu.faults.drop_webhooks = True
        assert ana.participant is not None
        await engine.sfu.leave(ana.participant)
        await engine.clock.advance(4.999 + 2)
        assert (await view_of(engine, ana)).seats[0].state is SeatState.HELD
        await engine.clock.advance(30)
        assert (await view_of(engine, ana)).seats[0].state is SeatState.FREE


async def test_unknown_is_not_absent_while_livekit_is_away() -> None:
    async with EngineUnderTest.start() as engine:
        host = await engine.join("host", role="host")
        await take(engine, host, 0)
        engine.sfu.faults.unavailable = True
        await engine.clock.advance(3600)
        assert (await view_of(engine, host)).seats[0].state is SeatState.TAKEN
        assert not engine.engine.sweep.media_ok


async def test_after_livekits_crash_rooms_are_back_in_time_and_seats_are_held() -> None:
    async with EngineUnderTest.start() as engine:
        host = await engine.join("host", role="host")
        await take(engine, host, 1)
        await engine.clock.advance(10)
        engine.sfu.faults.unavailable = True
        engine.sfu.restart()
        await engine.clock.advance(17)
        engine.sfu.faults.unavailable = False
        await engine.clock.advance(0.5)
        assert len(engine.sfu.rooms) == 1
        room = next(iter(engine.sfu.rooms.values()))
        assert f'"head":{(await engine.room(engine.key(host))).seq}' in room.metadata
        await engine.clock.advance(5)
        assert (await view_of(engine, host)).seats[1].state is SeatState.HELD
        again = await engine.call("POST", host.path("/rejoin"), bearer=host.user_token)
        back = await engine.sfu.join(again.json()["token"])
        await engine.clock.settle()
        assert back.permission.can_publish
        assert (await view_of(engine, host)).seats[1].state is SeatState.TAKEN


async def test_a_crash_that_no_call_noticed_is_found_within_a_period() -> None:
    async with EngineUnderTest.start() as engine:
        for number in range(30):
            await engine.join(f"host{number}", role="host", room_name=f"room{number}")
        await engine.clock.advance(11)
        engine.sfu.restart()
        await engine.clock.advance(5)
        assert len(engine.sfu.rooms) == 30


async def test_a_room_that_ended_in_a_killed_engine_is_gone_once_it_is_back() -> None:
    async with EngineUnderTest.start() as first:
        host = await first.join("host", role="host")
        guest = await first.join("guest")
        await first.clock.advance(5)
        first.sfu.faults.unavailable = True
        ended = await end(first, host)
        assert ended.status == 200
        assert ended.json()["media"] == "pending"
    first.sfu.faults.unavailable = False
    assert len(first.sfu.rooms) == 1
    async with EngineUnderTest.start(
        store=first.store, clock=first.clock, sfu=first.sfu, ids=FakeIds(9)
    ) as second:
        await second.clock.advance(1)
        assert second.sfu.rooms == {}
        assert guest.participant is not None
        assert guest.participant.disconnected == "ROOM_DELETED"


async def test_timers_go_on_in_the_next_engine() -> None:
    async with EngineUnderTest.start() as first:
        host = await first.join("host", role="host")
        ana = await first.join("ana")
        await take(first, ana, 0)
        assert ana.participant is not None
        await first.sfu.leave(ana.participant)
        await first.clock.advance(3)
        invited = await first.call(
            "POST", host.path("/invites"), {"identity": "bo", "index": 2}, bearer=host.user_token
        )
        assert invited.status == 200
    await first.clock.advance(100)
    async with EngineUnderTest.start(
        store=first.store, clock=first.clock, sfu=first.sfu, ids=FakeIds(9)
    ) as second:
        await second.clock.settle()
        room = await second.room(Key(first.app_id, "room", host.answer.room.room_id))
        assert room.state.view.seats[0].state is SeatState.FREE
        assert not room.state.view.invites


async def test_the_last_event_of_a_room_arrives_before_the_room_goes() -> None:
    async with EngineUnderTest.start() as engine:
        host = await engine.join("host", role="host")
        guest = await engine.join("guest")
        await engine.clock.advance(1)
        await engine.call("POST", host.path("/end"), bearer=host.user_token)
        assert guest.participant is not None
        assert '"type":"room.ended"' in guest.participant.room_metadata
        assert guest.participant.disconnected == "ROOM_DELETED"


async def test_an_engine_ends_at_once_though_livekit_hangs() -> None:
    store = MemoryStore()
    async with EngineUnderTest.start(store=store) as engine:
        host = await engine.join("host", role="host")
        engine.sfu.faults.latency_s = 1000.0
        waiting = asyncio.ensure_future(
            engine.call("POST", host.path("/seats/take"), {"index": 0}, bearer=host.user_token)
        )
        await engine.clock.settle()
    answer = await waiting
    assert answer.status == 200
    assert answer.json()["media"] == "pending"


async def test_a_thousand_rooms_over_time_leave_nothing_behind() -> None:
    async with EngineUnderTest.start() as engine:
        for number in range(1000):
            engine.sfu.faults.drop_webhooks = number % 2 == 0
            engine.sfu.faults.unavailable = False
            host = await engine.join("host", role="host", room_name=f"room{number}")
            await take(engine, host, 0)
            engine.sfu.faults.unavailable = number % 50 == 0
            await end(engine, host)
            assert (await view_of(engine, host)).state is Phase.ENDED
        engine.sfu.faults.unavailable = False
        await engine.clock.advance(20)
        parts = engine.engine
        assert engine.sfu.rooms == {}
        assert parts.relay._lanes == {}
        assert parts.presence._counts == {}
        assert parts.sweep._visits == {}
        assert parts.sweep._warm == {}
        assert parts.presence._rights._lanes == {}
        names = sorted(task.get_name() for task in parts.background._tasks)
        assert names == ["sweep", "sweep health", "timers", "trim"]


class Busy(MemoryGateway):
    """Knows how many calls were under way at once."""

    now = most = 0

    async def _call(self, method: str, work: Callable[[], T]) -> T:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await super()._call(method, work)
        finally:
            self.now -= 1


async def test_an_engine_that_starts_with_many_rooms_does_not_flood_livekit() -> None:
    clock = FakeClock()
    sfu = Busy(clock)
    async with EngineUnderTest.start(clock=clock, sfu=sfu) as first:
        for number in range(400):
            await first.join(f"host{number}", role="host", room_name=f"room{number}")
    sfu.restart()
    sfu.faults.latency_s = 0.05
    sfu.most = 0
    async with EngineUnderTest.start(
        store=first.store, clock=clock, sfu=sfu, ids=FakeIds(9)
    ) as second:
        await clock.advance(10)
        assert len(sfu.rooms) == 400
        assert sfu.most <= 32  # visits, new rooms and events, each a few at a time
        assert second.engine.sweep.media_ok


async def test_who_is_kicked_and_comes_again_at_once_stays() -> None:
    async with EngineUnderTest.start() as engine:
        host = await engine.join("host", role="host")
        bo = await engine.join("bo")
        await take(engine, bo, 0)
        engine.sfu.faults.latency_s = 0.5
        kicking = asyncio.ensure_future(
            engine.call("POST", host.path("/members/bo/kick"), bearer=host.user_token)
        )
        await engine.clock.settle()
        back = await engine.join("bo")  # while LiveKit is still being told to put them out
        assert bo.participant is not None
        assert bo.participant.disconnected == "DUPLICATE_IDENTITY"
        await engine.clock.advance(10)
        assert (await kicking).status == 200
        engine.sfu.faults.latency_s = 0.0
        if back.participant is not None and back.participant.disconnected:
            await engine.sfu.join(back.answer.token)  # the removal met the newcomer
        await engine.clock.advance(5)
        room = next(iter(engine.sfu.rooms.values()))
        assert set(room.members) == {"host", "bo"}
        assert not room.members["bo"].permission.can_publish
        stale = await engine.call(
            "POST", bo.path("/seats/take"), {"index": 0}, bearer=bo.user_token
        )
        assert stale.code == "kicked"
        await take(engine, back, 0)
        assert room.members["bo"].permission.can_publish


async def test_livekits_reports_in_any_order_and_number_change_nothing() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("host", role="host")
        ana = await engine.join("ana")
        await take(engine, ana, 0)
        told: list[WebhookEvent] = []
        engine.sfu.on_webhook = told.append
        assert ana.participant is not None
        for _ in range(3):
            async with engine.sfu.full_reconnect(ana.participant):
                pass
        await engine.clock.advance(1)
        for event in [*reversed(told), *told, told[0]]:
            engine.webhook(event)
            await engine.clock.advance(0.01)
        await engine.clock.advance(10)
        view = await view_of(engine, ana)
        assert view.seats[0].state is SeatState.TAKEN
        assert ana.participant.permission.can_publish
        log = await engine.call(
            "GET", ana.path("/events"), bearer=ana.user_token, query={"after": 0}
        )
        kinds = [event["type"] for event in log.json()["events"]]
        assert kinds == ["room.opened", "seat.taken"]
