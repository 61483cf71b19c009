"""Rules R1 to R50 under fire: any order of commands, reports and ticks leaves a sound room.

The machine plays people of every role, a backend, LiveKit with its late and repeated reports, and
the clock. A client folds the encoded events beside it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import structs
from support.rooms import SERVER_API, T0, actor, opening

from utd_engine.domain.deadlines import next_deadline
from utd_engine.domain.decide import decide, decide_open
from utd_engine.domain.orders import Join, OccupancyChanged, Order, PresenceChanged, Tick
from utd_engine.domain.permissions import desired_permission
from utd_engine.domain.plan import presence_reports
from utd_engine.domain.refusal import Refused
from utd_engine.domain.requests import MAX_PENDING
from utd_engine.domain.state import Fact, Presence, RoomState, apply_all, public_only, watched
from utd_engine.domain.turn import ENGINE, Actor, Preset
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.apply import apply as fold
from utd_protocol.codec import decode_event, encode_event
from utd_protocol.errors import CODES
from utd_protocol.policy import Policy, PolicyPatch
from utd_protocol.types import (
    BanScope,
    DataPolicy,
    Direction,
    HostGone,
    Identity,
    RequestsVisible,
    Role,
    SeatMode,
    SeatState,
    Source,
)
from utd_protocol.types import RoomState as Phase

PEOPLE: Final = ("host", "adm", "bea", "ana", "bob", "cem")
PRESETS: Final = {
    "small": Preset(count=2, mode=SeatMode.REQUEST, reserved={0: Role.HOST}),
    "large": Preset(count=5, reserved={1: Role.ADMIN}),
}

who = st.sampled_from(PEOPLE)
by = st.sampled_from((*PEOPLE, SERVER_API))
index = st.sampled_from((0, 1, 2, 0, 1, 2, 3))
maybe_index = st.none() | index
number = st.integers(1, 6)
source = st.sampled_from((Source.MICROPHONE, Source.CAMERA))
some_indices = st.lists(index, min_size=1, max_size=3).map(tuple) | st.just("all")
hold = st.sampled_from((0.0, 3.0, 30.0))
policies = st.builds(
    Policy,
    seat_hold_s=hold,
    away_after_s=st.sampled_from((0.0, 2.0)),
    host_grace_s=hold,
    host_gone=st.sampled_from((*HostGone, HostGone.TRANSFER, HostGone.TRANSFER)),
    request_ttl_s=hold,
    invite_ttl_s=hold,
    requests_visible=st.sampled_from(RequestsVisible),
    data=st.sampled_from(DataPolicy),
    solo_s=st.sampled_from((0.0, 0.0, 0.0, 40.0)),
    max_duration_s=st.sampled_from((0.0, 0.0, 0.0, 5000.0)),
    empty_before_first_join_s=st.just(900.0),
)
patches = st.builds(
    PolicyPatch,
    seat_hold_s=st.none() | hold,
    host_grace_s=st.none() | hold,
    request_ttl_s=st.none() | hold,
    invite_ttl_s=st.none() | hold,
    requests_visible=st.none() | st.sampled_from(RequestsVisible),
    solo_s=st.none() | st.sampled_from((0.0, 20.0)),
)
SITTING: Final[st.SearchStrategy[c.RoomCommand]] = st.one_of(
    st.builds(c.TakeSeat, index=maybe_index),
    st.builds(c.TakeSeat, index=maybe_index),
    st.builds(c.MoveSeat, index=index),
    st.just(c.LeaveSeat()),
)
ASKING: Final[st.SearchStrategy[c.RoomCommand]] = st.one_of(
    st.builds(c.CreateRequest, index=maybe_index, note=st.sampled_from(("", "me"))),
    st.builds(c.CreateRequest, index=maybe_index, note=st.sampled_from(("", "me"))),
    st.builds(c.ApproveRequest, id=number),
    st.builds(c.RejectRequest, id=number),
    st.builds(c.CancelRequest, id=number),
    st.builds(c.CreateInvite, identity=who, index=maybe_index),
    st.builds(c.AcceptInvite, id=number),
    st.builds(c.DeclineInvite, id=number),
    st.builds(c.CancelInvite, id=number),
)
CONFIGURING: Final[st.SearchStrategy[c.RoomCommand]] = st.builds(
    c.ConfigureSeats,
    count=st.none() | st.integers(1, 5),
    mode=st.none() | st.sampled_from(SeatMode),
    mode_id=st.sampled_from((None, None, "small", "large", "unknown")),
    evict=st.booleans(),
)
GRID: Final[st.SearchStrategy[c.RoomCommand]] = st.one_of(
    st.builds(c.LockSeats, indices=some_indices, evict=st.booleans()),
    st.builds(c.UnlockSeats, indices=some_indices),
    st.builds(c.MuteSeat, index=index),
    st.builds(c.UnmuteSeat, index=index),
    st.builds(c.RemoveFromSeat, index=maybe_index, identity=st.none() | who),
    st.builds(c.AssignSeat, identity=who, index=maybe_index),
    st.builds(
        c.ReserveSeat,
        index=index,
        identity=st.none() | who,
        role=st.none() | st.sampled_from(Role),
    ),
)
MEMBERS: Final[st.SearchStrategy[c.RoomCommand]] = st.one_of(
    st.builds(c.SetRole, identity=who, role=st.sampled_from(Role)),
    st.builds(c.TransferHost, identity=who),
    st.builds(c.Kick, identity=who),
    st.builds(c.Ban, identity=who, scope=st.sampled_from(BanScope)),
    st.builds(c.Unban, identity=who),
    st.builds(c.AskMute, identity=who, source=source),
    st.builds(c.HardMute, identity=who, source=source),
    st.builds(c.LiftMute, identity=who, source=source),
    st.builds(c.MuteAll, source=source, except_=st.lists(who, max_size=2).map(tuple)),
    st.builds(c.ChangeSettings, metadata=st.sampled_from(("", "x"))),
    st.sampled_from((c.ChangeSettings(metadata=""), c.EndRoom())),
)


class Referee:
    """Who sits where, told by the events alone and by other code than `apply`."""

    def __init__(self) -> None:
        self.sitting: dict[int, str] = {}
        self.locked: set[int] = set()
        self.pending: set[int] = set()

    def watches(self, event: object) -> None:
        """Check that the event may follow the ones before."""
        match event:
            case ev.SeatTaken(index=index, identity=identity):
                assert index not in self.sitting
                assert index not in self.locked
                assert identity not in self.sitting.values()
                self.sitting[index] = identity
            case ev.SeatLeft(index=index, identity=identity):
                assert self.sitting.pop(index) == identity
            case ev.SeatHeld(index=index, identity=identity):
                assert self.sitting[index] == identity
            case ev.SeatResumed(index=index, identity=identity):
                assert self.sitting[index] == identity
            case ev.SeatMoved(identity=identity, source=source, target=target):
                assert self.sitting.pop(source) == identity
                assert target not in self.sitting
                assert target not in self.locked
                self.sitting[target] = identity
            case ev.SeatsSwapped(a=a, b=b):
                self.sitting[a], self.sitting[b] = self.sitting[b], self.sitting[a]
            case _:
                self._watches_grid(event)

    def _watches_grid(self, event: object) -> None:
        match event:
            case ev.SeatsLocked(indices=indices):
                assert self.sitting.keys().isdisjoint(indices)
                self.locked.update(indices)
            case ev.SeatsUnlocked(indices=indices):
                self.locked.difference_update(indices)
            case ev.SeatsConfigured(count=count):
                assert all(index < count for index in self.sitting)
                self.locked = {index for index in self.locked if index < count}
            case ev.RequestCreated() | ev.InviteCreated():
                assert event.id not in self.pending
                self.pending.add(event.id)
            case _ if isinstance(event, ev.REQUEST_SETTLED + ev.INVITE_SETTLED):
                self.pending.remove(event.id)
            case _:
                pass


class RoomMachine(RuleBasedStateMachine):
    """One room and everybody who pulls at it."""

    state: RoomState
    now: datetime = T0
    ticked: bool = False

    @initialize(
        policy=policies,
        mode=st.sampled_from((SeatMode.FREE, *SeatMode)),
        host=st.sampled_from(PEOPLE),
    )
    def opens(self, policy: Policy, mode: SeatMode, host: str) -> None:
        """A name with no open room is opened."""
        first = opening(seats=3, mode=mode, policy=policy, host=host)
        self.opening = structs.replace(first, at=self.now)
        self.state, facts = decide_open(self.opening)
        self.client = self.state.view
        self.referee = Referee()
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
            self.opens(self.opening.policy, self.opening.seat_mode, self.opening.owner)
        code = ""
        try:
            self.becomes(decide(self.state, giver, order, self.now, PRESETS))
        except Refused as refusal:
            code = refusal.code
        assert not code or (code in CODES and code != "internal")

    @rule(giver=who, command=SITTING, seen=st.booleans())
    def sits(self, giver: str, command: c.RoomCommand, *, seen: bool) -> None:
        """People sit, change seats and stand up, often in LiveKit's sight."""
        self.gives(actor(giver), command)
        if seen and giver not in self.live:
            self.arrives(giver)

    @rule(command=CONFIGURING)
    def configures(self, command: c.RoomCommand) -> None:
        """The host changes the grid."""
        self.gives(self.named("owner"), command)

    @rule(a=index, b=index)
    def swaps(self, a: int, b: int) -> None:
        """The host exchanges two people."""
        self.gives(self.named("owner"), c.SwapSeats(a=a, b=b))

    @rule(giver=by, command=ASKING)
    def asks(self, giver: str, command: c.RoomCommand) -> None:
        """People ask for seats, others offer them."""
        self.gives(actor(giver), command)

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

    @rule(patch=patches)
    def changes_policy(self, patch: PolicyPatch) -> None:
        """The host changes the rules while they run."""
        self.gives(self.named("owner"), c.ChangePolicy(policy=patch))

    @rule(chosen=who)
    def promotes(self, chosen: str) -> None:
        """The host makes somebody admin."""
        self.gives(self.named("owner"), c.SetRole(identity=chosen, role=Role.ADMIN))

    @rule(giver=st.sampled_from(("owner", "owner", "adm", "ana", SERVER_API)), command=GRID)
    def about_the_grid(self, giver: str, command: c.RoomCommand) -> None:
        """Managers rearrange the seats."""
        self.gives(self.named(giver), command)

    @rule(giver=st.sampled_from(("owner", "owner", "adm", "ana", SERVER_API)), command=MEMBERS)
    def about_members(self, giver: str, command: c.RoomCommand) -> None:
        """Moderators moderate."""
        self.gives(self.named(giver), command)

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
    def r11_one_seat_a_person_and_one_person_a_seat(self) -> None:
        seated = {
            seat.index: seat.identity for seat in self.state.view.seats if seat.identity is not None
        }
        assert seated == self.referee.sitting
        assert len(seated) == len(set(seated.values()))
        for position, seat in enumerate(self.state.view.seats):
            assert seat.index == position
            assert (seat.identity is None) == (seat.state in {SeatState.FREE, SeatState.LOCKED})
            assert (seat.held_until is None) == (seat.state is not SeatState.HELD)

    @invariant()
    def a_client_that_folds_the_events_has_the_engines_view(self) -> None:
        assert self.client == self.state.view

    @invariant()
    def r9_r10_who_sits_with_an_open_microphone_may_publish_and_nobody_else(self) -> None:
        for identity in (*PEOPLE, "stranger"):
            view, wish = self.state.view, desired_permission(self.state, identity)
            seat = view.seat_of(identity)
            speaks = (
                view.state is not Phase.ENDED
                and seat is not None
                and seat.state is SeatState.TAKEN
                and not seat.mic_locked
                and Source.MICROPHONE not in view.member(identity).muted
            )
            assert wish.can_publish == speaks
            assert bool(wish.sources) == wish.can_publish

    @invariant()
    def r2_there_is_one_host_or_none(self) -> None:
        view = self.state.view
        assert all(member.role is not Role.HOST for member in view.members)
        assert all(member.identity != view.host or not member.role.rank for member in view.members)
        assert view.host_gone_until is None or view.host is not None

    @invariant()
    def r7a_r18_no_absence_lasts_for_ever(self) -> None:
        view, presence = self.state.view, self.state.presence
        if view.state is Phase.ENDED:
            return
        for seat in view.seats:
            known = presence.get(str(seat.identity), NOBODY)
            if seat.state is SeatState.TAKEN:
                assert known.present or (known.away_at is not None and not known.declared)
            if seat.state is SeatState.HELD:
                assert not known.present
        if view.host is not None:
            known = presence[view.host]
            assert known.present or known.away_at is not None
            assert known.declared or known.awaited or view.host_gone_until is None
            assert not known.declared or view.host_gone_until is not None
        for member in view.members:
            assert not (member.away and presence.get(member.identity, NOBODY).present)

    @invariant()
    def nothing_that_was_due_is_left(self) -> None:
        if not self.ticked or self.state.view.state is Phase.ENDED:
            return
        due = next_deadline(self.state)
        assert due is None or due > self.now
        view = self.state.view
        ends = [one.expires_at for one in (*self.state.pending.values(), *view.invites)]
        ends += [view.host_gone_until, *(seat.held_until for seat in view.seats)]
        assert all(end is None or end > self.now for end in ends)

    @invariant()
    def r28_r30_r31_pending_objects_are_few_and_of_people_without_a_place(self) -> None:
        pending = (*self.state.pending.values(), *self.state.view.invites)
        people = [request.identity for request in pending]
        assert len(people) == len(set(people)) <= MAX_PENDING
        assert not {seat.identity for seat in self.state.view.seats} & set(people)
        assert {request.id for request in self.state.view.requests} == set(self.state.pending)

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
                or (member.identity == state.view.host)
            )
        assert msgspec.json.decode(msgspec.json.encode(state), type=RoomState) == state


class Listed(msgspec.Struct, frozen=True):
    """Somebody in a list of LiveKit's."""

    identity: str
    sid: str
    joined_at: datetime
    agent: bool = False
    hidden: bool = False
    permission: Any = None


NOBODY: Final = Presence()
TestRoom: Callable[..., Any] = RoomMachine.TestCase
TestRoom.settings = settings(  # type: ignore[attr-defined]
    max_examples=250,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
