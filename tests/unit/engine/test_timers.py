import asyncio
from datetime import datetime, timedelta

from support.engine_parts import Parts

from utd_engine.adapters.memory.store import MemoryStore
from utd_engine.domain.orders import PresenceChanged
from utd_engine.ports.store import StoreUnavailable
from utd_protocol import commands as c
from utd_protocol.policy import Policy, PolicyPatch
from utd_protocol.types import Identity, SeatState

QUIET = Policy(empty_before_first_join_s=0, empty_after_last_leave_s=0)
LONG = Policy(empty_before_first_join_s=86_400)


class CountingStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_down = False

    async def next_wake(self) -> datetime | None:
        self.looks += 1
        found = await super().next_wake()
        await self.gate.wait()
        if self.is_down:
            raise StoreUnavailable("down")
        return found


def serve(parts: Parts) -> None:
    parts.rooms.follow(parts.timers.committed)
    parts.background.create_task(parts.timers.serve(), name="timers")


async def test_an_invite_expires_at_its_very_moment() -> None:
    async with Parts.start() as parts:
        serve(parts)
        key = await parts.open(policy=LONG)
        await parts.clock.advance(3.25)
        await parts.do(key, "host", c.CreateInvite(identity="ana", index=1))
        await parts.clock.advance(59.999)
        assert len((await parts.rooms.peek(key)).state.view.invites) == 1  # type: ignore[union-attr]
        await parts.clock.advance(0.001)
        assert not (await parts.rooms.peek(key)).state.view.invites  # type: ignore[union-attr]


async def test_it_sleeps_and_does_not_poll() -> None:
    store = CountingStore()
    async with Parts.start(store) as parts:
        serve(parts)
        await parts.open(policy=LONG)
        await parts.clock.advance(600)
        assert store.looks <= 600 / 30 + 10


async def test_a_deadline_that_comes_while_the_store_is_asked_is_not_slept_through() -> None:
    store = CountingStore()
    async with Parts.start(store) as parts:
        key = await parts.open(policy=LONG)
        store.gate.clear()
        serve(parts)
        await parts.clock.settle()
        assert store.looks == 1  # what it will hear is older than the invite
        await parts.do(key, "host", c.ChangePolicy(policy=PolicyPatch(invite_ttl_s=1)))
        await parts.do(key, "host", c.CreateInvite(identity="ana", index=1))
        store.gate.set()
        await parts.clock.advance(1)
        assert not (await parts.rooms.peek(key)).state.view.invites  # type: ignore[union-attr]


async def test_a_hanging_livekit_holds_back_no_timer() -> None:
    async with Parts.start() as parts:
        parts.rooms.settle_with(parts.rights)
        serve(parts)
        keys = [await parts.open(policy=LONG) for _ in range(150)]
        parts.sfu.gate.clear()
        for key in keys:
            order = PresenceChanged(
                identity=Identity("ana"), sid="PA_1", joined_at=parts.clock.now(), present=True
            )
            doing = asyncio.ensure_future(parts.do(key, "ana", c.TakeSeat(index=0)))
            await parts.clock.settle()
            await parts.rooms.act(key, order)
            gone = PresenceChanged(
                identity=Identity("ana"), sid="PA_1", joined_at=order.joined_at, present=False
            )
            await parts.rooms.act(key, gone)
            doing.cancel()
        began = parts.clock.now()
        await parts.clock.advance(2)
        for key in keys:
            seat = (await parts.rooms.peek(key)).state.view.seats[0]  # type: ignore[union-attr]
            assert seat.state is SeatState.HELD
            assert seat.held_until == began + timedelta(seconds=32)
        await parts.clock.advance(30)
        for key in keys:
            seat = (await parts.rooms.peek(key)).state.view.seats[0]  # type: ignore[union-attr]
            assert seat.state is SeatState.FREE
        parts.sfu.gate.set()


async def test_it_waits_while_the_store_is_away_and_goes_on() -> None:
    store = CountingStore()
    async with Parts.start(store) as parts:
        serve(parts)
        key = await parts.open(policy=LONG)
        await parts.do(key, "host", c.CreateInvite(identity="ana", index=1))
        store.is_down = True
        await parts.clock.advance(70)
        looks = store.looks
        assert looks <= 75, "once a second"
        store.is_down = False
        await parts.clock.advance(1)
        assert not (await parts.rooms.peek(key)).state.view.invites  # type: ignore[union-attr]
