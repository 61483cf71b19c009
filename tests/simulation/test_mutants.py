"""The checks are alive: an engine that breaks an invariant on purpose is found out."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs
from simulation.oracle import Broken
from simulation.simulator import Simulation
from simulation.world import RoughStore

from utd_engine.adapters.memory.media import MemoryGateway
from utd_engine.domain import decide, seats
from utd_engine.domain.permissions import Permission
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import Fact
from utd_engine.domain.turn import Turn
from utd_engine.ports.rooms import Append, Appended, Conflict
from utd_protocol import commands as c
from utd_protocol.types import RoomState as Phase

SEEDS = 60
STEPS = 50


async def found(make: Callable[[int], Simulation]) -> str:
    """What the first seeds find, or nothing."""
    for seed in range(SEEDS):
        try:
            await make(seed).run(STEPS)
        except Broken as broken:
            return str(broken)
    return ""


async def test_i1_a_seat_given_to_two(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(turn: Turn, command: c.TakeSeat) -> list[Fact]:
        identity = turn.person()
        if turn.view.seat_of(identity) is not None:
            raise Refused("already_seated", "")
        return seats.sit(turn, identity, command.index or 0)

    monkeypatch.setitem(decide.RULES, c.TakeSeat, take)
    assert (await found(Simulation)).startswith(("I1", "I5"))


async def test_i2_two_seats_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(turn: Turn, command: c.TakeSeat) -> list[Fact]:
        seat = seats.seat_at(turn, command.index or 0)
        seats.refuse_unless_open(turn, seat, turn.person())
        return seats.sit(turn, turn.person(), seat.index)

    monkeypatch.setitem(decide.RULES, c.TakeSeat, take)
    assert (await found(Simulation)).startswith("I2")


class NeverTakesAway(MemoryGateway):
    """Says OK to every revocation, and does none."""

    async def push_member(
        self,
        room: str,
        identity: str,
        permission: Permission,
        *,
        attributes: dict[str, str] | None = None,
    ) -> bool:
        if not permission.can_publish:
            return True
        return await super().push_member(room, identity, permission, attributes=attributes)


async def test_i3_a_right_that_is_never_taken_away() -> None:
    assert (await found(lambda seed: Simulation(seed, make_sfu=NeverTakesAway))).startswith("I3")


class NeverPutsOut(MemoryGateway):
    async def remove_member(self, room: str, identity: str) -> bool:
        return True


async def test_i3_somebody_banned_who_stays() -> None:
    text = await found(lambda seed: Simulation(seed, make_sfu=NeverPutsOut))
    assert "had to go" in text


class LosesEvents(RoughStore):
    """Keeps the state of every append, and of some not all events."""

    async def append(self, append: Append) -> Appended | Conflict:
        if len(append.events) > 1 and append.key.kind == "room":
            append = structs.replace(append, events=append.events[:-1])
        return await super().append(append)


class LosesUpdates(MemoryGateway):
    """Says OK to the room's metadata, and keeps the old one."""

    async def publish_events(self, room: str, metadata: str) -> bool:
        return room in self.rooms


class ForgetsOfAcknowledged(RoughStore):
    """Answers before it is durable, and a power cut takes it away."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(chance)
        self._count = 0

    async def append(self, append: Append) -> Appended | Conflict:
        self._count += 1
        if self._count % 20 == 0 and append.expected_version:
            now = await self.look(append.key)
            assert now is not None
            return Appended(now.seq + len(append.events), now.version + 1, 0)
        return await super().append(append)


async def test_i6_an_event_that_is_lost() -> None:
    text = await found_or_gap(LosesEvents)
    assert text.startswith(("I6", "I7"))


async def test_i6_a_gap_for_clients() -> None:
    text = await found(lambda seed: Simulation(seed, make_sfu=LosesUpdates))
    assert text.startswith("I6")


async def test_i7_an_answer_before_the_disk() -> None:
    assert (await found_or_gap(ForgetsOfAcknowledged)).startswith(("I6", "I7"))


async def found_or_gap(store: type[RoughStore]) -> str:
    try:
        return await found(lambda seed: Simulation(seed, make_store=store))
    except (AssertionError, ValueError) as error:  # the engine itself, or a client, noticed
        return f"I6 {error}"


async def test_i5_a_room_that_goes_on_after_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    real = decide.decide

    def goes_on(state: Any, actor: Any, command: Any, now: Any, *more: Any, **named: Any) -> Any:
        if state.view.state is Phase.ENDED and isinstance(command, c.ChangeSettings | c.TakeSeat):
            return seats.take(Turn(state=state, actor=actor, now=now), c.TakeSeat(index=0))
        return real(state, actor, command, now, *more, **named)

    monkeypatch.setattr("utd_engine.app.rooms.decide", goes_on)
    assert (await found(Simulation)).startswith(("I5", "I3"))
