"""What every room goes through under fire: people, LiveKit and the clock, for state machines.

A machine of one type of room adds its commands, and what holds for it after every step. A client
folds the encoded events beside it, and a referee of that type judges each event.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import structs
from support.rooms import SERVER_API, T0, actor

from utd_engine.domain.deadlines import next_deadline
from utd_engine.domain.decide import decide, decide_open
from utd_engine.domain.orders import Join, OccupancyChanged, Order, PresenceChanged, Tick
from utd_engine.domain.plan import presence_reports
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import Fact, Presence, RoomState, apply_all, public_only, watched
from utd_engine.domain.turn import ENGINE, Actor, Preset
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.apply import apply as fold
from utd_protocol.codec import decode_event, encode_event
from utd_protocol.errors import CODES
from utd_protocol.types import Direction, Identity, RequestsVisible, Role
from utd_protocol.types import RoomState as Phase

PEOPLE: Final = ("host", "adm", "bea", "ana", "bob", "cem")
NOBODY: Final = Presence()
SETTINGS: Final = settings(
    max_examples=250,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
who = st.sampled_from(PEOPLE)


class Referee(Protocol):
    """Knows the events alone, and other code than `apply`."""

    def watches(self, event: object) -> None:
        """Check that the event may follow the ones before."""
        ...


class Listed(msgspec.Struct, frozen=True):
    """Somebody in a list of LiveKit's."""

    identity: str
    sid: str
    joined_at: datetime
    agent: bool = False
    hidden: bool = False
    permission: Any = None


class RoomUnderFire(RuleBasedStateMachine):
    """A room, everybody who pulls at it, and a client that follows."""

    state: RoomState
    now: datetime = T0
    ticked: bool = False
    presets: Mapping[str, Preset] = {}

    def referee_for(self, opening: ev.RoomOpened) -> Referee:
        """Whoever judges a room that begins so."""
        raise NotImplementedError

    def begins(self, opening: ev.RoomOpened) -> None:
        """A name with no open room is opened."""
        self.opening = opening
        self.state, facts = decide_open(opening)
        self.client = self.state.view
        self.referee = self.referee_for(opening)
        self.seq = 1
        self.live: dict[str, tuple[str, datetime]] = {}
        self.past: list[tuple[str, str, datetime]] = []
        self.becomes(facts)

    def becomes(self, facts: list[Fact]) -> None:
        """Apply, and let a client fold what it reads from the wire."""
        self.ticked = False
        self.state = apply_all(self.state, facts)
        for event in public_only(facts):
            self.seq += 1
            numbered = structs.replace(event, seq=self.seq)
            read = decode_event(encode_event(numbered))
            assert read == numbered
            self.client = fold(self.client, read)
            self.referee.watches(read)

    def gives(self, giver: Actor, order: Order) -> None:
        """Decide; a refusal has a code of the list and changes nothing."""
        if self.state.view.state is Phase.ENDED:
            self.begins(structs.replace(self.opening, at=self.now))
        code = ""
        try:
            self.becomes(decide(self.state, giver, order, self.now, self.presets))
        except Refused as refusal:
            code = refusal.code
        assert not code or (code in CODES and code != "internal")

    @rule(giver=st.sampled_from(("owner", SERVER_API)), pick=st.integers(0, 10), yes=st.booleans())
    def answers(self, giver: str, pick: int, yes: bool) -> None:  # noqa: FBT001
        """Somebody who may settles one of the pending requests or invites."""
        pending = (*self.state.pending.values(), *self.state.view.invites)
        if not pending:
            return
        one = pending[pick % len(pending)]
        if one.direction is Direction.REQUEST:
            answer = c.ApproveRequest(id=one.id) if yes else c.RejectRequest(id=one.id)
            self.gives(self.named(giver), answer)
        else:
            reply = c.AcceptInvite(id=one.id) if yes else c.DeclineInvite(id=one.id)
            self.gives(actor(str(one.identity)), reply)

    @rule(chosen=who)
    def promotes(self, chosen: str) -> None:
        """The host makes somebody admin."""
        self.gives(self.named("owner"), c.SetRole(identity=chosen, role=Role.ADMIN))

    @rule(
        joiner=who, claim=st.sampled_from(Role), leaves_first=st.sampled_from((False, False, True))
    )
    def joins(self, joiner: str, claim: Role, *, leaves_first: bool) -> None:
        """Somebody is admitted, perhaps after they went on purpose."""
        if leaves_first:
            self.gives(actor(joiner), c.Leave())
        self.gives(ENGINE, Join(identity=Identity(joiner), claim=claim))

    @rule(comer=who)
    def arrives(self, comer: str) -> None:
        """LiveKit sees somebody, perhaps instead of an earlier participation."""
        sid, joined_at = f"PA_{len(self.past)}", self.now + timedelta(milliseconds=len(self.past))
        self.live[comer] = (sid, joined_at)
        self.past.append((comer, sid, joined_at))
        self.reports(comer, sid, joined_at, present=True)

    @rule(pick=st.integers(0, 10), seconds=st.sampled_from((0.0, 2.0, 2.0)))
    def departs(self, pick: int, seconds: float) -> None:
        """LiveKit loses somebody who matters, for a while."""
        here = sorted(who for who, known in self.state.presence.items() if known.present)
        lost = here[pick % len(here)] if here else ""
        if lost in self.live:
            self.reports(lost, *self.live.pop(lost), present=False)
            self.time_passes(seconds)

    @rule(pick=st.integers(0, 100), present=st.booleans())
    def repeats(self, pick: int, present: bool) -> None:  # noqa: FBT001
        """A report comes late, or again."""
        if self.past:
            identity, sid, joined_at = self.past[pick % len(self.past)]
            self.reports(identity, sid, joined_at, present=present)

    @rule()
    def sweeps(self) -> None:
        """A complete list of participants is read, and believed."""
        listed = [Listed(identity, *seen) for identity, seen in self.live.items()]
        for order in presence_reports(self.state, listed):
            self.gives(ENGINE, order)
        assert presence_reports(self.state, listed) == []

    @rule(count=st.sampled_from((3, 2, 2, 2, 2, 1, 1, 0)))
    def counts(self, count: int) -> None:
        """The number of people changes."""
        self.gives(ENGINE, OccupancyChanged(count=count))

    @rule(seconds=st.sampled_from((0.0, 0.5, 1.0, 2.0, 2.0, 3.0, 29.0, 30.0, 60.0)))
    def time_passes(self, seconds: float) -> None:
        """The timer rings, on time or late."""
        self.now += timedelta(seconds=seconds)
        self.gives(ENGINE, Tick())
        self.ticked = True

    def named(self, giver: str) -> Actor:
        """`owner` is whoever is host now."""
        return actor(str(self.state.view.host or SERVER_API) if giver == "owner" else giver)

    def reports(self, identity: str, sid: str, joined_at: datetime, *, present: bool) -> None:
        """One report of LiveKit."""
        self.gives(
            ENGINE,
            PresenceChanged(
                identity=Identity(identity), sid=sid, joined_at=joined_at, present=present
            ),
        )

    # --- what holds after every step ------------------------------------------------------------

    @invariant()
    def a_client_that_folds_the_events_has_the_engines_view(self) -> None:
        assert self.client == self.state.view

    @invariant()
    def r2_there_is_one_host_or_none(self) -> None:
        view = self.state.view
        assert all(member.role is not Role.HOST for member in view.members)
        assert all(member.identity != view.host or not member.role.rank for member in view.members)
        assert view.host_gone_until is None or view.host is not None

    @invariant()
    def nothing_that_was_due_is_left(self) -> None:
        if not self.ticked or self.state.view.state is Phase.ENDED:
            return
        due = next_deadline(self.state)
        assert due is None or due > self.now
        view = self.state.view
        ends = [one.expires_at for one in (*self.state.pending.values(), *view.invites)]
        ends += [view.host_gone_until, *(seat.held_until for seat in view.seats)]
        ends += [member.held_until for member in view.stage]
        assert all(end is None or end > self.now for end in ends)

    @invariant()
    def r32_what_the_policy_hides_is_not_in_the_view(self) -> None:
        view = self.state.view
        if view.policy.requests_visible is RequestsVisible.MODERATORS:
            assert all(request.identity is None for request in view.requests)

    @invariant()
    def the_state_stays_small_and_survives_a_snapshot(self) -> None:
        state = self.state
        assert set(state.presence) <= watched(state)
        for member in state.view.members:
            assert (
                member.role.rank
                or member.muted
                or state.view.seat_of(member.identity)
                or state.view.stage_member(member.identity)
                or (member.identity == state.view.host)
            )
        assert msgspec.json.decode(msgspec.json.encode(state), type=RoomState) == state
