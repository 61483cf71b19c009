"""The switches of LiveKit's stand-in: faults and clients that the contract does not know."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from utd_engine.adapters.memory.media import MemoryGateway
from utd_engine.adapters.memory.media_rooms import JoinRefused, MemoryParticipant
from utd_engine.domain.permissions import Permission
from utd_engine.ports.media import Join, MediaUnavailable, WebhookEvent
from utd_protocol.types import Source

T = TypeVar("T")
ROOM = "ap1.audio_room.rm_1"
LISTENER = Permission(can_subscribe=True)
SPEAKER = Permission(can_publish=True, sources=(Source.MICROPHONE,), can_subscribe=True)


class HandClock:
    """Stands still until it is moved; who sleeps on it moves it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        return await work


class World:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.webhooks: list[WebhookEvent] = []
        self.sfu = MemoryGateway(self.clock, on_webhook=self.webhooks.append)

    async def join(
        self, identity: str = "ana", permission: Permission = LISTENER
    ) -> MemoryParticipant:
        await self.sfu.ensure_room(ROOM)
        join = Join(room=ROOM, identity=identity, permission=permission)
        return await self.sfu.join(self.sfu.mint_token(join, now=self.clock.now(), ttl_s=600))

    async def present(self) -> list[str]:
        return [who.identity for who in (await self.sfu.list_members(ROOM)).members]

    @property
    def story(self) -> list[tuple[str, str]]:
        return [(seen.event, seen.disconnect_reason) for seen in self.webhooks]


@pytest.fixture
def world() -> World:
    return World()


async def test_calls_are_counted(world: World) -> None:
    await world.join()
    await world.sfu.push_member(ROOM, "ana", SPEAKER)
    await world.sfu.push_member(ROOM, "bob", SPEAKER)
    assert world.sfu.calls == {"ensure_room": 1, "push_member": 2}


async def test_unavailable_changes_nothing(world: World) -> None:
    ana = await world.join()
    world.sfu.faults.unavailable = True
    with pytest.raises(MediaUnavailable) as failure:
        await world.sfu.push_member(ROOM, "ana", SPEAKER)
    assert failure.value.code == "unavailable"
    assert ana.permission == LISTENER
    assert not await world.sfu.healthy()
    world.sfu.faults.unavailable = False
    assert await world.sfu.push_member(ROOM, "ana", SPEAKER)
    assert await world.sfu.healthy()


async def test_a_timeout_may_hide_that_it_was_done(world: World) -> None:
    ana = await world.join()
    world.sfu.faults.timeout_after_applying = True
    with pytest.raises(MediaUnavailable) as failure:
        await world.sfu.push_member(ROOM, "ana", SPEAKER)
    assert failure.value.code == "timeout"
    assert ana.permission == SPEAKER


@pytest.mark.parametrize(("latency_s", "waited_s"), [(0.5, 0.5), (60.0, 2.0)])
async def test_a_slow_call_takes_its_time_and_no_more_than_the_deadline(
    world: World, latency_s: float, waited_s: float
) -> None:
    await world.join()
    world.sfu.faults.latency_s = latency_s
    if waited_s < 2:
        await world.sfu.push_member(ROOM, "ana", SPEAKER)
    else:
        with pytest.raises(MediaUnavailable, match="in time"):
            await world.sfu.push_member(ROOM, "ana", SPEAKER)
    assert world.clock.seconds == waited_s


async def test_not_found_hides_every_room(world: World) -> None:
    await world.join()
    world.sfu.faults.not_found = True
    assert (await world.sfu.list_members(ROOM)).sid is None
    assert not await world.sfu.push_member(ROOM, "ana", SPEAKER)
    assert not await world.sfu.publish_events(ROOM, "{}")
    assert not await world.sfu.remove_member(ROOM, "ana")


async def test_dropped_webhooks_never_come(world: World) -> None:
    world.sfu.faults.drop_webhooks = True
    await world.join()
    world.sfu.faults.drop_webhooks = False
    assert world.webhooks == []
    assert await world.present() == ["ana"]


async def test_a_crash_is_noticed_after_a_while(world: World) -> None:
    ana = await world.join()
    await world.sfu.leave(ana, crash=True)
    world.clock.seconds += 20.3
    assert await world.present() == ["ana"]
    world.clock.seconds += 0.1
    assert await world.present() == []
    assert world.story[-1] == ("participant_left", "CONNECTION_TIMEOUT")


async def test_a_crash_is_noticed_when_a_test_says_so(world: World) -> None:
    ana, _ = await world.join(), await world.join("bob")
    await world.sfu.leave(ana, crash=True)
    world.sfu.notice_crashes()
    assert await world.present() == ["bob"]


async def test_a_rejoin_after_a_crash_clears_the_ghost(world: World) -> None:
    ana = await world.join()
    await world.sfu.leave(ana, crash=True)
    again = await world.join()
    world.clock.seconds += 60
    assert await world.present() == ["ana"]
    assert (ana.disconnected, again.disconnected) == ("DUPLICATE_IDENTITY", "")


async def test_leaving_twice_is_fine_and_spares_who_came_after(world: World) -> None:
    first = await world.join()
    second = await world.join()
    await world.sfu.leave(first)
    assert await world.present() == ["ana"]
    await world.sfu.leave(second)
    await world.sfu.leave(second)
    assert await world.present() == []
    assert world.story.count(("participant_left", "CLIENT_INITIATED")) == 1


async def test_a_right_pushed_during_a_full_reconnect_is_lost(world: World) -> None:
    ana = await world.join()
    sid = ana.sid
    async with world.sfu.full_reconnect(ana):
        assert await world.sfu.push_member(ROOM, "ana", SPEAKER)
    assert ana.permission == LISTENER
    assert ana.sid != sid
    assert world.story[-2:] == [
        ("participant_left", "CLIENT_INITIATED"),
        ("participant_joined", ""),
    ]


async def test_who_is_removed_during_a_full_reconnect_stays_out(world: World) -> None:
    ana = await world.join()
    async with world.sfu.full_reconnect(ana):
        await world.sfu.remove_member(ROOM, "ana")
    assert await world.present() == []


async def test_a_restart_forgets_everything_and_tells_nobody(world: World) -> None:
    ana = await world.join()
    told = list(world.webhooks)
    world.sfu.restart()
    assert ana.disconnected == "UNKNOWN_REASON"
    assert (await world.sfu.list_members(ROOM)).sid is None
    assert world.webhooks == told


async def test_nobody_joins_what_is_down(world: World) -> None:
    token = world.sfu.mint_token(
        Join(room=ROOM, identity="ana", permission=LISTENER), now=world.clock.now(), ttl_s=600
    )
    await world.sfu.ensure_room(ROOM)
    world.sfu.faults.unavailable = True
    with pytest.raises(JoinRefused):
        await world.sfu.join(token)
    assert await MemoryGateway(world.clock).healthy()


async def test_who_waits_is_woken_by_each_change(world: World) -> None:
    ana = await world.join()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(ana.wait_until(lambda who: who.permission == SPEAKER))
        tasks.create_task(ana.wait_until(lambda who: who.room_metadata == "2"))
        tasks.create_task(ana.wait_until(lambda who: bool(who.disconnected)))
        await asyncio.sleep(0)
        await world.sfu.push_member(ROOM, "ana", SPEAKER)
        await world.sfu.publish_events(ROOM, "1")
        await world.sfu.publish_events(ROOM, "2")
        await world.sfu.remove_room(ROOM)
    assert ana.metadata_seen == ["", "1", "2"]


async def test_dispatches_are_to_be_looked_at(world: World) -> None:
    await world.join()
    dispatch_id = await world.sfu.dispatch_agent(ROOM, "echo", "hello")
    dispatch = world.sfu.rooms[ROOM].dispatches[dispatch_id]
    assert (dispatch.agent_name, dispatch.metadata) == ("echo", "hello")
    await world.sfu.withdraw_agent(ROOM, dispatch_id)
    assert world.sfu.rooms[ROOM].dispatches == {}
