"""What follows from a commit, and from one that nobody knows the outcome of."""

import asyncio

import pytest
from support.engine_parts import Parts

from utd_engine.adapters.memory.store import MemoryStore
from utd_engine.app.commits import Commit, Context, Idempotency
from utd_engine.domain.turn import Actor
from utd_engine.ports.presence import PresenceRow
from utd_engine.ports.rooms import Append, Appended, Conflict, Key
from utd_engine.ports.store import StoreUnavailable
from utd_protocol import commands as c
from utd_protocol.policy import PolicyPatch
from utd_protocol.types import DataPolicy, Identity


class Unsure(MemoryStore):
    """Sometimes does the work and says that it cannot tell; sometimes takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.is_unsure = self.is_blind = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def append(self, append: Append) -> Appended | Conflict:
        done = await super().append(append)
        await self.gate.wait()
        if self.is_unsure:
            raise StoreUnavailable("whether it is saved shows when the disk is back")
        return done

    async def present(
        self, key: Key, *, after: str = "", limit: int = 100_000
    ) -> list[PresenceRow]:
        if self.is_blind:
            raise StoreUnavailable("no reader")
        return await super().present(key, after=after, limit=limit)


async def test_a_commit_is_never_answered_as_if_it_were_none() -> None:
    store = Unsure()
    async with Parts.start(store) as parts:
        parts.rooms.settle_with(parts.rights)
        key = await parts.open()
        store.is_blind = True
        everyone = c.ChangePolicy(policy=PolicyPatch(data=DataPolicy.NOBODY))
        host = Context(Actor(kind="user", identity=Identity("host")))
        answer = await parts.rooms.handle(key, everyone, host)
        assert answer.media == "pending"
        assert answer.seq == 2


async def test_after_an_unknown_outcome_the_store_is_asked() -> None:
    store = Unsure()
    async with Parts.start(store) as parts:
        doubted: list[Key] = []
        parts.rooms.on_unknown = doubted.append
        key = await parts.open()
        store.is_unsure = True
        with pytest.raises(StoreUnavailable):
            await parts.do(key, "ana", c.TakeSeat(index=0))
        store.is_unsure = False
        assert doubted == [key]
        snapshot = await parts.rooms.peek(key)
        assert snapshot is not None
        assert snapshot.state.view.seats[0].identity == "ana"
        await parts.do(key, "ana", c.MoveSeat(index=1))


async def test_an_answer_that_was_lost_is_given_again() -> None:
    store = Unsure()
    async with Parts.start(store) as parts:
        key = await parts.open()
        sent = Idempotency("key-1", "fingerprint")
        ana = Context(Actor(kind="user", identity=Identity("ana")), idempotency=sent)
        store.is_unsure = True
        with pytest.raises(StoreUnavailable):
            await parts.rooms.handle(key, c.TakeSeat(index=0), ana)
        store.is_unsure = False
        first = await parts.rooms.handle(key, c.TakeSeat(index=0), ana)
        assert (first.seq, len(first.events)) == (2, 1)
        assert sent.replayed
        await parts.do(key, "host", c.LockSeats(indices=(0,), evict=True))
        assert await parts.rooms.handle(key, c.TakeSeat(index=0), ana) == first


async def test_a_repeat_at_the_same_moment_has_one_effect() -> None:
    async with Parts.start() as parts:
        key = await parts.open()

        async def settings() -> int:
            sent = Idempotency("key-1", "fingerprint")
            host = Context(Actor(kind="user", identity=Identity("host")), idempotency=sent)
            return (await parts.rooms.handle(key, c.ChangeSettings(metadata="x"), host)).seq

        assert await asyncio.gather(*(settings() for _ in range(10))) == [2] * 10
        assert len(await parts.store.events(key, 0, 100)) == 2


async def test_followers_hear_of_an_opening_before_anything_else() -> None:
    store = Unsure()
    async with Parts.start(store) as parts:
        heard: list[int] = []

        def follower(commit: Commit) -> None:
            heard.append(commit.head)

        parts.rooms.follow(follower)
        store.gate.clear()
        opening = asyncio.ensure_future(parts.open())
        await parts.clock.settle()
        key = Key("ap1", "room", "rm_1")  # it is in the store, so others find it by its name
        taking = asyncio.ensure_future(parts.do(key, "ana", c.TakeSeat(index=0)))
        await parts.clock.settle()
        assert heard == []
        store.gate.set()
        assert await opening == key
        await taking
        assert heard == [1, 2]
        snapshot = await parts.rooms.peek(key)
        assert snapshot is not None
        assert snapshot.seq == 2
