"""Folding events over a view: every type of event, and such as no engine writes."""

from datetime import timedelta
from functools import reduce

import pytest
from support.rooms import T0, opening

from utd_protocol import events as ev
from utd_protocol.apply import AnyEvent, apply, apply_all, open_view
from utd_protocol.policy import Policy
from utd_protocol.types import (
    MAX_SEATS,
    BanScope,
    Identity,
    RequestsVisible,
    Role,
    SeatMode,
    SeatState,
    Source,
    Target,
)
from utd_protocol.types import RoomState as Phase
from utd_protocol.views import Member, RoomView

ANA, BOB, HOST = Identity("ana"), Identity("bob"), Identity("host")
SOON = T0 + timedelta(seconds=30)
OPEN = Policy(requests_visible=RequestsVisible.EVERYONE)


def folded(*events: AnyEvent, seats: int = 3) -> RoomView:
    """A fresh room after the events."""
    return reduce(apply, events, open_view(opening(seats=seats)))


def taken(index: int, who: Identity) -> ev.SeatTaken:
    """Somebody sits down."""
    return ev.SeatTaken(at=T0, index=index, identity=who)


def seats(view: RoomView) -> list[str | None]:
    """Who has which seat."""
    return [seat.identity for seat in view.seats]


@pytest.mark.parametrize("count", [-1, 0, 3, 10**9])
def test_a_grid_is_never_larger_than_a_room_may_be(count: int) -> None:
    expected = max(0, min(count, MAX_SEATS))
    assert len(open_view(opening(seats=count)).seats) == expected
    change = ev.SeatsConfigured(at=T0, count=count, mode=SeatMode.FREE)
    assert len(folded(change).seats) == expected


def test_an_unknown_event_and_a_second_opening_say_nothing() -> None:
    view = folded()
    assert apply(view, ev.UnknownEvent(seq=9, type="new.thing")) is view
    assert apply(view, opening(seats=9)) is view
    assert apply_all(view, [opening(seats=9), taken(0, ANA)]) == apply(view, taken(0, ANA))


def test_settings_policy_and_end() -> None:
    view = folded(
        ev.RoomSettingsChanged(at=T0, metadata="m"),
        ev.RoomPolicyChanged(at=T0, policy=OPEN, version=3),
        ev.HostGone(at=T0, identity=HOST, until=SOON),
        ev.RequestCreated(at=T0, id=1, target=Target.SEAT, identity=ANA),
        ev.InviteCreated(at=T0, id=2, target=Target.SEAT, identity=BOB),
    )
    assert (view.metadata, view.policy, view.policy_version) == ("m", OPEN, 3)
    view = apply(view, ev.RoomEnded(at=T0, reason="done"))
    assert (view.state, view.ended_reason, view.host_gone_until) == (Phase.ENDED, "done", None)
    assert (view.requests, view.invites) == ((), ())


def test_r32_a_policy_that_hides_hides_what_is_pending() -> None:
    asked = ev.RequestCreated(at=T0, id=1, target=Target.SEAT, identity=ANA, index=2, note="hi")
    shown = folded(asked, ev.RoomPolicyChanged(at=T0, policy=OPEN, version=1))
    assert shown.requests[0].identity == ANA
    hidden = apply(shown, ev.RoomPolicyChanged(at=T0, policy=Policy(), version=2))
    [request] = hidden.requests
    assert (request.id, request.identity, request.index, request.note) == (1, None, None, "")


def test_a_seat_through_its_states() -> None:
    view = folded(taken(1, ANA))
    assert (view.seats[1].state, view.seats[1].version) == (SeatState.TAKEN, 1)
    view = apply(view, ev.SeatHeld(at=T0, index=1, identity=ANA, until=SOON))
    assert (view.seats[1].state, view.seats[1].held_until) == (SeatState.HELD, SOON)
    view = apply(view, ev.SeatMoved(at=T0, identity=ANA, source=1, target=0))
    assert (view.seats[0].state, view.seats[0].held_until) == (SeatState.HELD, SOON)
    view = apply(view, ev.SeatResumed(at=T0, index=0, identity=ANA))
    assert (view.seats[0].state, view.seats[0].held_until) == (SeatState.TAKEN, None)
    view = apply(view, ev.SeatLeft(at=T0, index=0, identity=ANA))
    assert seats(view) == [None] * 3
    assert [seat.version for seat in view.seats] == [3, 3, 0]


def test_swapping_changes_people_and_not_places() -> None:
    view = folded(
        taken(0, ANA),
        taken(1, BOB),
        ev.SeatMuted(at=T0, index=0),
        ev.SeatReserved(at=T0, index=1, role=Role.ADMIN),
        ev.SeatsSwapped(at=T0, a=0, b=1),
    )
    assert seats(view) == [BOB, ANA, None]
    assert (view.seats[0].mic_locked, view.seats[1].reserved_role) == (True, Role.ADMIN)


def test_locks_mutes_and_reservations() -> None:
    view = folded(
        ev.SeatsLocked(at=T0, indices=(0, 2, 99)),
        ev.SeatsUnlocked(at=T0, indices=(2,)),
        ev.SeatMuted(at=T0, index=1),
        ev.SeatReserved(at=T0, index=1, identity=ANA),
    )
    assert [seat.state.value for seat in view.seats] == ["locked", "free", "free"]
    assert (view.seats[1].mic_locked, view.seats[1].reserved_for) == (True, ANA)
    assert not apply(view, ev.SeatUnmuted(at=T0, index=1)).seats[1].mic_locked


def test_a_grid_grows_and_shrinks_at_its_end() -> None:
    view = folded(taken(0, ANA), ev.SeatsConfigured(at=T0, count=5, mode=SeatMode.INVITE))
    assert (len(view.seats), view.seat_mode, view.seats[4].index) == (5, SeatMode.INVITE, 4)
    view = apply(view, ev.SeatsConfigured(at=T0, count=1, mode=SeatMode.FREE, mode_id="solo"))
    assert (seats(view), view.mode_id) == ([ANA], "solo")


@pytest.mark.parametrize("index", [-1, 3, 64, 10**12])
def test_a_seat_that_does_not_exist_changes_nothing(index: int) -> None:
    view = folded(taken(0, ANA))
    for event in (
        taken(index, BOB),
        ev.SeatMuted(at=T0, index=index),
        ev.SeatMoved(at=T0, identity=ANA, source=0, target=index),
        ev.SeatsSwapped(at=T0, a=index, b=0),
        ev.SeatsLocked(at=T0, indices=(index,)),
        ev.SeatLeft(at=T0, index=index, identity=BOB),
    ):
        assert apply(view, event) == view


def test_members_are_kept_only_while_there_is_something_to_keep() -> None:
    view = folded(
        ev.MemberRoleChanged(at=T0, identity=ANA, role=Role.ADMIN),
        ev.MemberMuted(at=T0, identity=BOB, source=Source.CAMERA),
        ev.MemberMuted(at=T0, identity=BOB, source=Source.CAMERA),
        ev.MemberMuteAsked(at=T0, identity=BOB, source=Source.CAMERA),
    )
    assert view.members == (
        Member(identity=ANA, role=Role.ADMIN),
        Member(identity=BOB, muted=(Source.CAMERA,)),
    )
    view = folded(
        ev.MemberUnmuted(at=T0, identity=BOB, source=Source.CAMERA),
        ev.MemberPresent(at=T0, identity=ANA),
        ev.MemberUnbanned(at=T0, identity=ANA, scope=BanScope.ROOM),
    )
    assert view.members == ()


def test_seniority_is_the_order_in_which_admins_were_made() -> None:
    made = [ev.MemberRoleChanged(at=T0, identity=who, role=Role.ADMIN) for who in (ANA, BOB)]
    again = [ev.MemberRoleChanged(at=T0, identity=ANA, role=role) for role in Role]
    assert [member.identity for member in folded(*made).members] == [ANA, BOB]
    view = folded(*made, again[2], ev.MemberMuted(at=T0, identity=ANA, source=Source.CAMERA))
    view = apply(view, again[1])
    assert [member.identity for member in view.members] == [BOB, ANA]


def test_an_absence_is_kept_while_there_is_a_place_or_a_role_to_come_back_to() -> None:
    away = ev.MemberAway(at=T0, identity=ANA)
    admin = ev.MemberRoleChanged(at=T0, identity=ANA, role=Role.ADMIN)
    audience = ev.MemberRoleChanged(at=T0, identity=ANA, role=Role.AUDIENCE)
    left = ev.SeatLeft(at=T0, index=0, identity=ANA)
    assert folded(taken(0, ANA), away, left).members == ()
    assert folded(taken(0, ANA), admin, away, left).member(ANA).away
    assert folded(taken(0, ANA), admin, away, audience).member(ANA).away
    assert folded(admin, away, audience).members == ()


@pytest.mark.parametrize(
    "out",
    [
        ev.MemberKicked(at=T0, identity=ANA),
        ev.MemberBanned(at=T0, identity=ANA, scope=BanScope.APP),
    ],
)
def test_who_is_put_out_keeps_a_mute_and_nothing_else(out: ev.RoomEvent) -> None:
    view = folded(
        ev.MemberRoleChanged(at=T0, identity=ANA, role=Role.ADMIN),
        ev.MemberMuted(at=T0, identity=ANA, source=Source.MICROPHONE),
        ev.MemberAway(at=T0, identity=ANA),
        out,
    )
    assert view.members == (Member(identity=ANA, muted=(Source.MICROPHONE,)),)


def test_hosts_come_and_go() -> None:
    view = folded(
        ev.MemberRoleChanged(at=T0, identity=ANA, role=Role.ADMIN),
        ev.MemberAway(at=T0, identity=HOST),
        ev.HostGone(at=T0, identity=HOST, until=SOON),
    )
    assert view.host_gone_until == SOON
    assert apply(view, ev.HostBack(at=T0, identity=HOST)).host_gone_until is None
    view = apply(view, ev.HostTransferred(at=T0, previous=HOST, host=ANA))
    assert (view.host, view.host_gone_until, view.members) == (ANA, None, ())
    assert view.role_of("ana") is Role.HOST
    view = apply(view, ev.HostTransferred(at=T0, previous=None, host=None))
    assert view.host is None


@pytest.mark.parametrize("settled", [*ev.REQUEST_SETTLED, *ev.INVITE_SETTLED])
def test_what_is_settled_is_no_longer_pending(settled: type[ev.RequestApproved]) -> None:
    view = folded(
        ev.RequestCreated(at=T0, id=1, target=Target.SEAT, expires_at=SOON),
        ev.InviteCreated(at=T0, id=2, target=Target.STAGE, identity=ANA, sources=(Source.CAMERA,)),
    )
    assert (view.requests[0].expires_at, view.invites[0].sources) == (SOON, (Source.CAMERA,))
    after = apply(view, settled(at=T0, id=1))
    after = apply(after, settled(at=T0, id=2))
    left = (len(after.requests), len(after.invites))
    assert left == ((0, 1) if settled in ev.REQUEST_SETTLED else (1, 0))


def test_a_view_answers_for_anybody() -> None:
    view = folded(taken(2, ANA))
    assert view.seat_of("ana") == view.seats[2]
    assert view.seat_of("bob") is None
    assert view.member("bob") == Member(identity=BOB)
    assert (view.role_of("host"), view.role_of("bob")) == (Role.HOST, Role.AUDIENCE)
