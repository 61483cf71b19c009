"""Calls for tests of the rules: `ana` calls `bob`, who has several devices; time is a number."""

from datetime import timedelta
from typing import Final

from msgspec import structs
from support.rooms import SERVER_API, T0, opening, told

from utd_engine.domain.deadlines import next_deadline
from utd_engine.domain.decide import decide, decide_open
from utd_engine.domain.orders import Join, Order, PresenceChanged, Tick
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import Fact, apply_all
from utd_engine.domain.turn import ENGINE, SERVER, Actor
from utd_protocol.policy import Policy
from utd_protocol.types import CallReason, CallStatus, Identity, RoomType
from utd_protocol.views import CallView

CALLER: Final = "ana"
CALLEE: Final = "bob"


def device(who: str) -> Actor:
    """The actor written as `identity`, `identity/device`, or `SERVER_API`."""
    if who == SERVER_API:
        return SERVER
    identity, _, installation = who.partition("/")
    return Actor(
        kind="user",
        identity=Identity(identity),
        device=installation or f"{identity}-phone",
    )


class Call:
    """A call under test; it rings for 45 seconds."""

    def __init__(
        self,
        kind: RoomType = RoomType.AUDIO_CALL,
        *,
        policy: Policy | None = None,
        rings: bool = True,
        ring_s: float = 45,
    ) -> None:
        first = opening(
            seats=0, room_type=kind, policy=policy, host=CALLER, callee=CALLEE, rings=rings
        )
        if rings and first.call is not None:
            offer = structs.replace(first.call, rings_until=T0 + timedelta(seconds=ring_s))
            first = structs.replace(first, call=offer)
        self.opening = first
        self.now = T0
        self.state, self.facts = decide_open(first)
        self.state = apply_all(self.state, self.facts)
        self._sids = 0
        self._sid_of: dict[str, PresenceChanged] = {}

    def act(self, who: str, command: Order) -> list[Fact]:
        """Let somebody do something; what became true."""
        return self.give(device(who), command)

    def refused(self, who: str, command: Order) -> Refused:
        """Let somebody try something that the rules refuse; why."""
        return self.refused_to(device(who), command)

    def refused_to(self, who: Actor, command: Order) -> Refused:
        """Let an actor try something that the rules refuse; why."""
        before = self.state
        try:
            facts = self.give(who, command)
        except Refused as refusal:
            assert self.state is before
            return refusal
        raise AssertionError(f"{who} was allowed {command}: {told(facts)}")

    def give(self, who: Actor, command: Order) -> list[Fact]:
        """Decide and apply one command."""
        self.facts = decide(self.state, who, command, self.now)
        self.state = apply_all(self.state, self.facts)
        return self.facts

    def later(self, seconds: float) -> list[Fact]:
        """Let time pass, then tick."""
        self.now += timedelta(seconds=seconds)
        return self.give(ENGINE, Tick())

    def joins(self, who: str) -> list[Fact]:
        """Somebody, on a device, is about to get a token for the media room."""
        one = device(who)
        return self.give(ENGINE, Join(identity=Identity(str(one.identity)), device=one.device))

    def arrives(self, *people: str) -> list[Fact]:
        """LiveKit reports new participations."""
        for who in people:
            self._sids += 1
            self._sid_of[who] = PresenceChanged(
                identity=Identity(who),
                sid=f"PA_{self._sids}",
                joined_at=self.now + timedelta(milliseconds=self._sids),
                present=True,
            )
            self.give(ENGINE, self._sid_of[who])
        return self.facts

    def loses(self, *people: str) -> list[Fact]:
        """LiveKit reports the end of the latest participation of each."""
        for who in people:
            self.give(ENGINE, structs.replace(self._sid_of[who], present=False))
        return self.facts

    @property
    def view(self) -> CallView:
        """The call as its parties see it."""
        call = self.state.view.call
        assert call is not None
        return call

    @property
    def outcome(self) -> tuple[CallStatus, CallReason | None]:
        """Where the call is, and why it ended."""
        return self.view.status, self.view.reason

    @property
    def due_in(self) -> float | None:
        """Seconds until something happens by itself."""
        due = next_deadline(self.state)
        return None if due is None else (due - self.now).total_seconds()
