"""Time lives in state: what is due when, in which order, and that ticking ends."""

import pytest
from support.calls import Call
from support.rooms import Room, stream, told

from utd_engine.domain.deadlines import deadlines, next_deadline
from utd_engine.domain.orders import OccupancyChanged
from utd_engine.domain.turn import ENGINE
from utd_protocol import commands as c
from utd_protocol.policy import Policy, PolicyPatch
from utd_protocol.types import Target


def test_a_room_in_order_has_nothing_due() -> None:
    assert next_deadline(Room().state) is None


@pytest.mark.parametrize(
    ("policy", "due"),
    [
        (Policy(), 30),  # the host must appear
        (Policy(seat_hold_s=900), 300),  # the first guest must come
        (Policy(seat_hold_s=900, empty_before_first_join_s=800, max_duration_s=700), 700),
    ],
)
def test_a_new_room_waits_for_its_host_its_first_guest_and_its_end(
    policy: Policy, due: float
) -> None:
    assert Room(policy=policy, here=(), people=None).due_in == due


def test_a_room_older_than_its_time_ends() -> None:
    room = Room(policy=Policy(max_duration_s=3600))
    assert told(room.later(3599)) == []
    assert told(room.later(1)) == ["room.ended"]
    assert room.state.view.ended_reason == "max_duration"


def test_a_duration_shorter_than_the_room_is_old_ends_it_at_the_next_tick() -> None:
    room = Room()
    room.later(100)
    room.act("host", c.ChangePolicy(policy=PolicyPatch(max_duration_s=10)))
    assert told(room.later(0)) == ["room.ended"]


def test_an_ended_room_has_no_deadlines() -> None:
    room = Room(policy=Policy(max_duration_s=10), seated={"ana": 0})
    room.loses("ana")
    room.later(2)
    room.act("host", c.EndRoom())
    assert list(deadlines(room.state)) == []
    assert room.later(1000) == []


def test_a_late_tick_does_everything_in_order_of_time() -> None:
    """The timer was down for an hour: each step sees what the one before it did."""
    room = Room(seated={"ana": 0}, policy=Policy(request_ttl_s=10))
    room.act("bob", c.CreateRequest())
    room.sees("bob")
    room.loses("host")
    room.loses("ana")
    facts = told(room.later(3600))
    assert facts == [
        "member.away", "host.gone",
        "member.away", "seat.held",
        "request.expired",
    ]  # fmt: skip
    assert room.due_in == 30
    assert told(room.later(3600)) == ["seat.left", "host.transferred"]
    assert room.due_in is None


def test_all_delays_zero_still_end() -> None:
    zero = Policy(seat_hold_s=0, away_after_s=0, host_grace_s=0, invite_ttl_s=0)
    room = Room(policy=zero, admins=["adm"], seated={"ana": 0})
    room.act("host", c.CreateInvite(identity="bob"))
    room.loses("host")
    room.loses("ana")
    assert "host.transferred" in told(room.later(0))
    assert room.due_in is None


def test_a_lonely_room_that_minds_has_a_deadline() -> None:
    assert Room(policy=Policy(solo_s=7), people=1).due_in == 7


def test_r27_a_late_tick_holds_a_place_from_when_it_is_noticed() -> None:
    room = stream()
    room.act("host", c.InviteToStage(identity="ana"))
    room.sees("ana")
    room.loses("ana")
    assert told(room.later(3600)) == ["member.away", "stage.held"]
    assert room.due_in == 30


def test_r29_a_wish_for_the_stage_is_given_up_after_the_time_of_a_stage_place() -> None:
    room = stream(policy=Policy(stage_hold_s=7, seat_hold_s=99))
    room.act("ana", c.CreateRequest(target=Target.STAGE))
    assert room.due_in == 7
    room.later(7)
    assert told(room.later(7)) == ["request.cancelled"]


def test_r39_what_a_call_waits_for_at_each_moment() -> None:
    call = Call()
    assert call.due_in == 45
    call.act("bob", c.CallRinging())
    assert call.due_in == 45
    call.act("bob", c.AcceptCall())
    assert call.due_in == 20
    call.arrives("ana", "bob")
    assert call.due_in == 4 * 3600
    call.loses("ana")
    assert call.due_in == 2
    call.later(2)
    assert call.due_in == 20
    call.later(20)
    assert call.due_in is None


def test_r39_a_call_does_not_end_for_being_empty_or_hostless() -> None:
    call = Call(policy=Policy(empty_before_first_join_s=1, empty_after_last_leave_s=1, solo_s=1))
    for people in (1, 0):
        call.give(ENGINE, OccupancyChanged(count=people))
    assert told(call.later(44)) == []


def test_r39_a_call_with_all_delays_zero_still_ends() -> None:
    zero = Policy(connect_timeout_s=0, call_grace_s=0, away_after_s=0)
    call = Call(policy=zero)
    call.act("bob", c.AcceptCall())
    assert told(call.later(0)) == ["call.ended", "room.ended"]
    call = Call(policy=zero)
    call.arrives("ana")
    call.loses("ana")
    assert told(call.later(0)) == ["member.away", "call.ended", "room.ended"]
