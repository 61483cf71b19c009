"""Rules R1 to R50 under fire: any order of commands, reports and ticks leaves a sound room.

The machine plays people of every role and a backend; the room under fire adds LiveKit with its late
and repeated reports, and the clock.
"""

from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from msgspec import structs
from support.room_machine import NOBODY, PEOPLE, SETTINGS, RoomUnderFire, who
from support.rooms import SERVER_API, actor, opening

from utd_engine.domain.permissions import desired_permission
from utd_engine.domain.requests import MAX_PENDING
from utd_engine.domain.turn import Preset
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.policy import Policy, PolicyPatch
from utd_protocol.types import (
    BanScope,
    DataPolicy,
    HostGone,
    RequestsVisible,
    Role,
    SeatMode,
    SeatState,
    Source,
)
from utd_protocol.types import RoomState as Phase

PRESETS: Final = {
    "small": Preset(count=2, mode=SeatMode.REQUEST, reserved={0: Role.HOST}),
    "large": Preset(count=5, reserved={1: Role.ADMIN}),
}

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


class RoomMachine(RoomUnderFire):
    """An audio room and everybody who pulls at it."""

    referee: Referee
    presets = PRESETS

    @initialize(
        policy=policies,
        mode=st.sampled_from((SeatMode.FREE, *SeatMode)),
        host=st.sampled_from(PEOPLE),
    )
    def opens(self, policy: Policy, mode: SeatMode, host: str) -> None:
        """A name with no open room is opened."""
        first = opening(seats=3, mode=mode, policy=policy, host=host)
        self.begins(structs.replace(first, at=self.now))

    def referee_for(self, opening: ev.RoomOpened) -> Referee:
        """Nobody sits yet."""
        del opening
        return Referee()

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

    @rule(patch=patches)
    def changes_policy(self, patch: PolicyPatch) -> None:
        """The host changes the rules while they run."""
        self.gives(self.named("owner"), c.ChangePolicy(policy=patch))

    @rule(giver=st.sampled_from(("owner", "owner", "adm", "ana", SERVER_API)), command=GRID)
    def about_the_grid(self, giver: str, command: c.RoomCommand) -> None:
        """Managers rearrange the seats."""
        self.gives(self.named(giver), command)

    @rule(giver=st.sampled_from(("owner", "owner", "adm", "ana", SERVER_API)), command=MEMBERS)
    def about_members(self, giver: str, command: c.RoomCommand) -> None:
        """Moderators moderate."""
        self.gives(self.named(giver), command)

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
    def r28_r30_r31_pending_objects_are_few_and_of_people_without_a_place(self) -> None:
        pending = (*self.state.pending.values(), *self.state.view.invites)
        people = [request.identity for request in pending]
        assert len(people) == len(set(people)) <= MAX_PENDING
        assert not {seat.identity for seat in self.state.view.seats} & set(people)
        assert {request.id for request in self.state.view.requests} == set(self.state.pending)


TestRoom: Callable[..., Any] = RoomMachine.TestCase
TestRoom.settings = SETTINGS  # type: ignore[attr-defined]
