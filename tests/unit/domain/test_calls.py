"""Rules R33 to R40: a call rings, one device has it, and it ends with a status and a reason."""

import pytest
from msgspec import structs
from support.calls import CALLEE, CALLER, Call, device
from support.rooms import SERVER_API, T0, opening, told

from utd_engine.domain.deadlines import deadlines
from utd_engine.domain.decide import decide_open
from utd_engine.domain.orders import OccupancyChanged
from utd_engine.domain.refusal import Refused
from utd_engine.domain.turn import ENGINE, Actor
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.events import CallEnded
from utd_protocol.policy import Policy, PolicyPatch
from utd_protocol.types import CallReason, CallStatus, Identity, RoomType
from utd_protocol.types import RoomState as Phase

ENDED = ["call.ended", "room.ended"]
ACCEPTED = ["call.accepted"]
ANSWERS: tuple[c.CallCommand, ...] = (
    c.CallRinging(), c.AcceptCall(), c.RejectCall(), c.IgnoreCall(), c.BusyCall(),
)  # fmt: skip


def answered(**options: object) -> Call:
    """Bob's phone has the call, and both are in the media room."""
    call = Call(**options)  # type: ignore[arg-type]
    call.arrives(CALLER)
    call.act("bob/phone", c.CallRinging())
    call.act("bob/phone", c.AcceptCall())
    call.arrives(CALLEE)
    return call


def ended(call: Call) -> CallEnded:
    """The one record of its end."""
    [record] = [fact for fact in call.facts if isinstance(fact, CallEnded)]
    return record


# --- the beginning (R33, R34) -------------------------------------------------------------------


def test_r33_a_call_begins_ringing_for_a_while_and_has_no_host() -> None:
    call = Call()
    assert (call.view.status, call.view.caller, call.view.callee) == (
        CallStatus.INITIATING, CALLER, CALLEE,
    )  # fmt: skip
    assert call.due_in == 45
    assert (call.state.view.host, call.state.view.owner) == (None, CALLER)
    assert call.facts == []


def test_r33_a_busy_callee_means_a_call_that_is_over_at_once() -> None:
    call = Call(rings=False)
    assert call.outcome == (CallStatus.BUSY, CallReason.BUSY)
    assert (call.view.ended_at, call.view.is_over, call.view.duration_s) == (T0, True, 0)
    assert (call.state.view.state, call.state.view.ended_reason) == (Phase.ENDED, "busy")
    assert (call.due_in, call.later(10_000)) == (None, [])
    assert call.act(CALLER, c.EndCall()) == []
    assert call.act("bob", c.BusyCall()) == []
    assert call.refused("bob", c.AcceptCall()).code == "call_over"
    with pytest.raises(Refused, match="ended"):
        call.joins(CALLER)


def test_r33_nobody_calls_themselves() -> None:
    with pytest.raises(Refused, match="themselves") as refused:
        decide_open(opening(room_type=RoomType.AUDIO_CALL, host="ana", callee="ana"))
    assert (refused.value.code, refused.value.rule) == ("invalid_callee", "R33")


@pytest.mark.parametrize("kind", list(RoomType))
def test_r33_calls_and_only_calls_begin_with_a_callee(kind: RoomType) -> None:
    whole = opening(room_type=RoomType.AUDIO_CALL)
    wrong = structs.replace(whole, room_type=kind, call=None if kind.is_call else whole.call)
    with pytest.raises(Refused) as refused:
        decide_open(wrong)
    assert (refused.value.code, refused.value.context["field"]) == ("invalid_request", "type")


def test_r33_tokens_are_for_the_two_parties_only() -> None:
    call = Call()
    assert call.joins(CALLER) == []
    with pytest.raises(Refused, match="no such call") as stranger:
        call.joins("eve")
    assert stranger.value.code == "call_not_found"


def test_r36_the_callee_comes_in_by_accepting_and_on_the_winning_device_only() -> None:
    call = Call()
    with pytest.raises(Refused, match="not answered") as early:
        call.joins("bob/phone")
    assert early.value.code == "invalid_state"
    call.act("bob/phone", c.AcceptCall())
    assert call.joins("bob/phone") == []
    with pytest.raises(Refused) as late:
        call.joins("bob/tablet")
    assert late.value.code == "answered_elsewhere"


def test_r36_a_backend_that_accepts_for_the_callee_leaves_the_device_open() -> None:
    call = Call()
    backend = Actor(kind="server", identity=Identity(CALLEE))
    assert told(call.give(backend, c.AcceptCall())) == ACCEPTED
    assert call.give(backend, c.AcceptCall()) == []
    assert call.refused("bob/phone", c.AcceptCall()).code == "answered_elsewhere"
    assert call.joins("bob/phone") == []


def test_r33_a_call_is_no_room_of_seats_stage_or_roles() -> None:
    call = Call()
    for command in (c.TakeSeat(), c.GoLive(), c.CreateRequest(), c.LeaveStage()):
        if isinstance(command, c.GoLive):
            assert call.refused(CALLER, command).code == "not_room_host"
        else:
            assert call.refused(CALLER, command).code == "invalid_state"
    for command in (
        c.Kick(identity=CALLEE),
        c.TransferHost(identity=CALLEE),
        c.EndRoom(),
        c.ChangePolicy(policy=PolicyPatch()),
        c.GoLive(),
        c.LockSeats(indices="all"),
    ):
        assert call.refused(SERVER_API, command).code == "invalid_state"
    assert call.give(device(SERVER_API), OccupancyChanged(count=0)) == []


# --- ringing (R35) ------------------------------------------------------------------------------


def test_r35_the_first_device_that_rings_is_told_and_no_other() -> None:
    call = Call()
    assert told(call.act("bob/phone", c.CallRinging())) == ["call.ringing"]
    assert (call.view.status, call.view.ringing_at) == (CallStatus.RINGING, T0)
    assert call.act("bob/tablet", c.CallRinging()) == []
    assert call.due_in == 45


def test_r35_ringing_after_an_answer_changes_nothing() -> None:
    call = Call()
    call.act("bob/phone", c.AcceptCall())
    assert call.act("bob/tablet", c.CallRinging()) == []
    assert (call.view.status, call.view.ringing_at) == (CallStatus.ACTIVE, None)


def test_r35_ringing_after_the_end_learns_that_it_is_over() -> None:
    call = Call()
    call.act(CALLER, c.EndCall())
    refusal = call.refused("bob", c.CallRinging())
    assert (refusal.code, refusal.context) == (
        "call_over", {"status": "ended", "reason": "cancelled"},
    )  # fmt: skip


# --- answering (R36) ----------------------------------------------------------------------------


@pytest.mark.parametrize("rings", [True, False])
def test_r36_the_first_device_wins_and_may_ask_again(*, rings: bool) -> None:
    call = Call()
    if rings:
        call.act("bob/tablet", c.CallRinging())
    assert told(call.act("bob/phone", c.AcceptCall())) == ACCEPTED
    assert (call.view.status, call.view.accepted_at) == (CallStatus.ACTIVE, T0)
    assert (call.view.rings_until, call.state.answered_by) == (None, "phone")
    assert call.act("bob/phone", c.AcceptCall()) == []
    refusal = call.refused("bob/tablet", c.AcceptCall())
    assert (refusal.code, refusal.rule) == ("answered_elsewhere", "R36")
    assert call.state.answered_by == "phone"


@pytest.mark.parametrize("state", ["waiting", "active", "over"])
@pytest.mark.parametrize("command", [*ANSWERS, c.EndCall()], ids=lambda one: type(one).__name__)
def test_r36_the_caller_cannot_answer_and_strangers_find_no_call(
    command: c.CallCommand, state: str
) -> None:
    call = Call() if state == "waiting" else answered()
    if state == "over":
        call.act("bob", c.EndCall())
    assert call.refused("eve", command).code == "call_not_found"
    if not isinstance(command, c.EndCall):
        assert call.refused(CALLER, command).code == "not_allowed"


def test_r36_a_backend_names_whom_it_acts_for() -> None:
    refusal = Call().refused(SERVER_API, c.AcceptCall())
    assert (refusal.code, refusal.context["field"]) == ("invalid_request", "X-Act-As")


@pytest.mark.parametrize("first", [CALLER, CALLEE])
def test_r36_connected_is_when_both_are_in_the_media_room(first: str) -> None:
    second = CALLER if first == CALLEE else CALLEE
    call = Call()
    call.act("bob", c.AcceptCall())
    assert told(call.arrives(first)) == []
    call.later(3)
    assert told(call.arrives(second)) == ["call.connected"]
    assert call.view.connected_at == call.now
    assert told(call.arrives(first)) == []


def test_r36_a_callee_who_is_there_already_is_connected_by_accepting() -> None:
    call = Call()
    call.arrives(CALLER, CALLEE)
    assert call.view.connected_at is None
    assert told(call.act("bob", c.AcceptCall())) == ["call.accepted", "call.connected"]


# --- no (R37) -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("no", "status", "reason"),
    [
        (c.RejectCall(), CallStatus.REJECTED, CallReason.REJECTED),
        (c.BusyCall(), CallStatus.BUSY, CallReason.BUSY),
    ],
)
@pytest.mark.parametrize("rings", [True, False])
def test_r37_a_no_counts_for_all_devices(
    *, no: c.CallCommand, status: CallStatus, reason: CallReason, rings: bool
) -> None:
    call = Call()
    if rings:
        call.act("bob/phone", c.CallRinging())
    assert told(call.act("bob/phone", no)) == ENDED
    assert call.outcome == (status, reason)
    assert (call.view.ended_by, call.view.duration_s) == (CALLEE, 0)
    assert call.state.view.ended_reason == reason
    assert call.act("bob/tablet", no) == []
    assert call.act(CALLER, c.EndCall()) == []


def test_r37_after_a_rejection_the_other_devices_learn_who_was_first() -> None:
    call = Call()
    call.act("bob/phone", c.RejectCall())
    assert call.refused("bob/tablet", c.AcceptCall()).code == "rejected_elsewhere"
    assert call.refused("bob/tablet", c.BusyCall()).code == "call_over"


def test_r37_a_no_comes_too_late_after_the_answer() -> None:
    call = answered()
    for no in (c.RejectCall(), c.BusyCall()):
        assert call.refused("bob/tablet", no).code == "answered_elsewhere"
        assert call.refused("bob/phone", no).code == "invalid_state"
    assert call.view.status is CallStatus.ACTIVE


def test_r37_ignoring_stops_this_device_and_nothing_else() -> None:
    call = Call()
    before = call.state
    assert call.act("bob/phone", c.IgnoreCall()) == []
    assert call.state == before
    call.act("bob/tablet", c.AcceptCall())
    assert call.act("bob/phone", c.IgnoreCall()) == []
    call.act("bob/tablet", c.EndCall())
    assert call.act("bob/phone", c.IgnoreCall()) == []


# --- the end (R38) ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "active", "outcome"),
    [
        (CALLER, False, (CallStatus.ENDED, CallReason.CANCELLED)),
        (CALLEE, False, (CallStatus.REJECTED, CallReason.REJECTED)),
        (CALLER, True, (CallStatus.ENDED, CallReason.HANGUP)),
        (CALLEE, True, (CallStatus.ENDED, CallReason.HANGUP)),
        (SERVER_API, False, (CallStatus.ENDED, CallReason.ENDED_BY_SERVER)),
        (SERVER_API, True, (CallStatus.ENDED, CallReason.ENDED_BY_SERVER)),
    ],
)
def test_r38_who_ends_a_call_and_how(
    *, who: str, active: bool, outcome: tuple[CallStatus, CallReason]
) -> None:
    call = answered() if active else Call()
    assert told(call.act(who, c.EndCall())) == ENDED
    assert call.outcome == outcome
    assert call.view.ended_by == (None if who == SERVER_API else who)
    assert call.act(who, c.EndCall()) == []


@pytest.mark.parametrize("active", [False, True])
def test_r39_a_call_that_the_engine_gives_up_has_failed(*, active: bool) -> None:
    call = answered() if active else Call()
    assert told(call.give(ENGINE, c.EndCall())) == ENDED
    assert (call.outcome, call.view.ended_by) == ((CallStatus.ENDED, CallReason.FAILED), None)


def test_r38_a_backend_that_acts_for_a_party_ends_as_that_party() -> None:
    call = answered()
    call.give(Actor(kind="server", identity=Identity(CALLER)), c.EndCall())
    assert (call.outcome, call.view.ended_by) == ((CallStatus.ENDED, CallReason.HANGUP), CALLER)


@pytest.mark.parametrize(
    ("device_of_bob", "code"), [("bob/phone", "call_over"), ("bob/tablet", "answered_elsewhere")]
)
def test_r38_accepting_an_answered_call_that_is_over(device_of_bob: str, code: str) -> None:
    call = answered()
    call.act(CALLER, c.EndCall())
    assert call.refused(device_of_bob, c.AcceptCall()).code == code


def test_r38_a_missed_call_is_over_for_all() -> None:
    call = Call()
    call.later(45)
    for command in (c.AcceptCall(), c.RejectCall(), c.BusyCall(), c.CallRinging()):
        assert call.refused("bob", command).code == "call_over"
    assert call.act("bob", c.EndCall()) == call.act(CALLER, c.EndCall()) == []
    assert call.act(CALLER, c.Leave()) == []


@pytest.mark.parametrize("who", [CALLER, "bob/phone"])
def test_r38_leaving_an_active_call_hangs_up(who: str) -> None:
    call = answered()
    assert told(call.act(who, c.Leave())) == ENDED
    party = device(who).identity
    assert (call.outcome, call.view.ended_by) == ((CallStatus.ENDED, CallReason.HANGUP), party)


def test_r38_a_device_that_has_not_the_call_takes_nothing_with_it() -> None:
    call = answered()
    assert call.act("bob/tablet", c.Leave()) == []
    assert call.view.status is CallStatus.ACTIVE


def test_r38_a_caller_who_leaves_before_the_answer_cancels() -> None:
    call = Call()
    assert told(call.act(CALLER, c.Leave())) == ENDED
    assert call.outcome == (CallStatus.ENDED, CallReason.CANCELLED)


def test_r38_a_callee_whose_app_goes_away_while_it_rings_may_still_answer() -> None:
    call = Call()
    call.act("bob/phone", c.CallRinging())
    before = call.state
    assert call.act("bob/phone", c.Leave()) == []
    assert call.act("eve", c.Leave()) == []
    assert call.state == before
    old = Actor(kind="user", identity=Identity(CALLEE), device="tablet", generation=0)
    assert told(call.give(old, c.AcceptCall())) == ACCEPTED


# --- time (R39) ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rings", "reason"), [(True, CallReason.NO_ANSWER), (False, CallReason.OFFLINE)]
)
def test_r39_without_an_answer_it_is_missed(*, rings: bool, reason: CallReason) -> None:
    call = Call()
    call.arrives(CALLER)
    if rings:
        call.act("bob", c.CallRinging())
    assert told(call.later(44.999)) == []
    assert told(call.later(0.001)) == ENDED
    assert call.outcome == (CallStatus.MISSED, reason)
    assert call.view.ended_by is None


def test_r39_a_ring_lasts_as_long_as_the_call_says() -> None:
    call = Call(ring_s=120)
    assert told(call.later(119)) == []
    assert told(call.later(1)) == ENDED


@pytest.mark.parametrize("there", [(), (CALLER,), (CALLEE,)])
def test_r39_accepted_without_media_it_fails(there: tuple[str, ...]) -> None:
    call = Call()
    call.arrives(*there)
    call.act("bob", c.AcceptCall())
    assert call.due_in == 20
    assert told(call.later(20)) == ENDED
    assert call.outcome == (CallStatus.ENDED, CallReason.FAILED)
    assert call.view.duration_s == 0


def test_r39_a_party_who_is_lost_may_return_within_the_grace() -> None:
    call = answered()
    call.loses(CALLEE)
    assert told(call.later(2)) == ["member.away"]
    assert call.due_in == 20
    call.later(19)
    assert told(call.arrives(CALLEE)) == ["member.present"]
    assert told(call.later(3600)) == []
    assert call.view.status is CallStatus.ACTIVE


@pytest.mark.parametrize("lost", [(CALLER,), (CALLEE,), (CALLER, CALLEE)])
def test_r39_a_party_gone_for_the_grace_ends_it(lost: tuple[str, ...]) -> None:
    call = answered()
    call.later(100)
    call.loses(*lost)
    call.later(2)
    assert told(call.later(19.9)) == []
    assert told(call.later(0.1)) == ENDED
    assert call.outcome == (CallStatus.ENDED, CallReason.CONNECTION_LOST)
    assert (call.view.duration_s, call.view.ended_by) == (122, None)


def test_r39_when_both_are_lost_the_first_grace_counts() -> None:
    call = answered()
    call.loses(CALLER)
    call.later(5)
    call.loses(CALLEE)
    assert call.due_in == 2
    call.later(2)
    assert call.due_in == 15
    call.arrives(CALLER)
    assert call.due_in == 20


def test_r39_a_full_reconnect_changes_nothing() -> None:
    call = answered()
    before = call.state.view
    call.loses(CALLER)
    call.later(0.05)
    call.arrives(CALLER)
    assert told(call.later(3600)) == []
    assert call.state.view == before


def test_r39_a_caller_gone_while_it_rings_cancels() -> None:
    call = Call()
    call.arrives(CALLER)
    call.later(1)
    call.loses(CALLER)
    assert told(call.later(2)) == ["member.away"]
    assert told(call.later(20)) == ENDED
    assert call.outcome == (CallStatus.ENDED, CallReason.CANCELLED)


def test_r39_a_caller_who_never_came_rings_on() -> None:
    """Reports are late where LiveKit is out of reach; who was never there is not gone."""
    call = Call(ring_s=120)
    assert told(call.later(119)) == []


def test_r39_a_callee_lost_before_the_answer_rings_on() -> None:
    call = Call()
    call.arrives(CALLER, CALLEE)
    call.loses(CALLEE)
    assert told(call.later(44)) == ["member.away"]
    assert call.view.status is CallStatus.INITIATING


def test_r39_a_grace_that_began_while_it_rang_goes_on_after_the_answer() -> None:
    call = Call()
    call.arrives(CALLER)
    call.loses(CALLER)
    call.later(2)
    call.later(10)
    call.act("bob", c.AcceptCall())
    call.arrives(CALLEE)
    assert call.due_in == 10
    assert told(call.later(10)) == ENDED
    assert call.outcome == (CallStatus.ENDED, CallReason.CONNECTION_LOST)


def test_r39_no_call_is_longer_than_four_hours() -> None:
    call = answered()
    assert call.due_in == 4 * 3600
    assert told(call.later(4 * 3600)) == ENDED
    assert call.outcome == (CallStatus.ENDED, CallReason.MAX_DURATION)
    assert call.view.duration_s == 4 * 3600


def test_r39_a_policy_without_a_longest_duration_leaves_the_end_to_the_parties() -> None:
    assert answered(policy=Policy(max_duration_s=0)).due_in is None


def test_r39_a_call_that_is_over_waits_for_nothing() -> None:
    call = answered()
    call.loses(CALLER)
    call.act("bob", c.EndCall())
    assert list(deadlines(call.state)) == []


def test_r39_a_late_tick_ends_it_once() -> None:
    call = answered()
    call.loses(CALLER, CALLEE)
    assert told(call.later(100_000)) == ["member.away", "member.away", *ENDED]
    assert (call.view.ended_at, call.view.duration_s) == (call.now, 22)


# --- the record (R40) ---------------------------------------------------------------------------


def test_r40_the_record_has_every_time_and_how_long_they_talked() -> None:
    call = Call(kind=RoomType.VIDEO_CALL)
    times = []
    for step in (
        lambda: call.act("bob", c.CallRinging()),
        lambda: call.act("bob", c.AcceptCall()),
        lambda: call.arrives(CALLER, CALLEE),
        lambda: call.act(CALLER, c.EndCall()),
    ):
        call.later(3)
        step()
        times.append(call.now)
    view = call.view
    assert [view.ringing_at, view.accepted_at, view.connected_at, view.ended_at] == times
    assert (view.created_at, view.duration_s, view.ended_by) == (T0, 3, CALLER)
    record = ended(call)
    assert (record.status, record.reason, record.duration_s) == (view.status, view.reason, 3)


def test_r40_a_call_that_never_connected_lasted_no_time() -> None:
    call = Call()
    call.act("bob", c.AcceptCall())
    call.later(9)
    call.act(CALLER, c.EndCall())
    assert call.view.duration_s == 0


def test_r38_every_other_order_to_a_call_that_is_over_is_refused() -> None:
    call = Call()
    call.act(CALLER, c.EndCall())
    assert call.refused(SERVER_API, c.ChangeSettings(metadata="x")).code == "room_ended"
    assert call.act(SERVER_API, c.EndRoom()) == []


def test_r36_an_accepted_event_names_the_callee_and_no_device() -> None:
    call = Call()
    [accepted, _] = call.act("bob/phone", c.AcceptCall())
    assert accepted == ev.CallAccepted(at=T0, by=Identity(CALLEE))
