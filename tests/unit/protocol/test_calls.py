"""Folding events of calls over a view."""

from datetime import timedelta

import pytest
from msgspec import structs
from support.rooms import T0, opening

from utd_protocol import events as ev
from utd_protocol.apply import apply, apply_all, open_view
from utd_protocol.calls import FINAL, apply_call
from utd_protocol.types import CallReason, CallStatus, Identity, RoomType
from utd_protocol.types import RoomState as Phase
from utd_protocol.views import CallView, RoomView

HOST, CALLEE = Identity("host"), Identity("callee")


def later(seconds: float) -> object:
    """A time after the beginning."""
    return T0 + timedelta(seconds=seconds)


def opened(*, rings: bool = True) -> RoomView:
    """A call that begins."""
    return open_view(opening(room_type=RoomType.VIDEO_CALL, rings=rings))


def call_of(view: RoomView) -> CallView:
    """The call in it."""
    assert view.call is not None
    return view.call


def test_r33_a_call_begins_with_what_the_caller_said() -> None:
    first = opening(room_type=RoomType.VIDEO_CALL, seats=0)
    offer = structs.replace(
        first.call, caller_name="Ana", callee_name="Bob", metadata={"topic": ["x", 1]}
    )
    view = open_view(structs.replace(first, call=offer))
    assert call_of(view) == CallView(
        status=CallStatus.INITIATING,
        caller=HOST,
        callee=CALLEE,
        caller_name="Ana",
        callee_name="Bob",
        metadata={"topic": ["x", 1]},
        created_at=T0,
        rings_until=T0 + timedelta(seconds=45),
    )
    assert (view.state, view.ended_reason, view.host, view.seats, view.stage) == (
        Phase.OPEN, None, None, (), (),
    )  # fmt: skip


def test_r33_a_call_to_a_busy_callee_is_over_and_so_is_its_room() -> None:
    view = opened(rings=False)
    call = call_of(view)
    assert (call.status, call.reason, call.ended_at) == (CallStatus.BUSY, CallReason.BUSY, T0)
    assert call.is_over
    assert (view.state, view.ended_reason) == (Phase.ENDED, "busy")


def test_r35_r36_r40_a_call_from_ring_to_end() -> None:
    view = opened()
    steps = (
        (ev.CallRinging(at=later(1), by=CALLEE), CallStatus.RINGING),
        (ev.CallAccepted(at=later(2), by=CALLEE), CallStatus.ACTIVE),
        (ev.CallConnected(at=later(3)), CallStatus.ACTIVE),
        (
            ev.CallEnded(
                at=later(9),
                by=HOST,
                status=CallStatus.ENDED,
                reason=CallReason.HANGUP,
                duration_s=6,
            ),
            CallStatus.ENDED,
        ),
    )
    for event, status in steps:
        view = apply(view, event)
        assert (call_of(view).status, call_of(view).is_over) == (status, status in FINAL)
    call = call_of(view)
    times = [call.ringing_at, call.accepted_at, call.connected_at, call.ended_at]
    assert times == [later(1), later(2), later(3), later(9)]
    assert (call.ended_by, call.reason, call.duration_s) == (HOST, CallReason.HANGUP, 6)
    assert view.state is Phase.OPEN
    assert apply(view, ev.RoomEnded(at=later(9), reason="hangup")).state is Phase.ENDED


@pytest.mark.parametrize("status", sorted(FINAL))
def test_r40_a_call_that_is_over_rings_no_more(status: CallStatus) -> None:
    end = ev.CallEnded(at=later(5), status=status, reason=CallReason.OFFLINE)
    call = call_of(apply(opened(), end))
    assert (call.status, call.is_over, call.rings_until) == (status, True, None)


def test_an_answered_call_rings_no_more() -> None:
    assert call_of(apply(opened(), ev.CallAccepted(at=T0))).rings_until is None


EVENTS = (
    ev.CallRinging(at=T0),
    ev.CallAccepted(at=T0),
    ev.CallConnected(at=T0),
    ev.CallEnded(at=T0, status=CallStatus.ENDED, reason=CallReason.HANGUP),
)


@pytest.mark.parametrize("kind", [RoomType.AUDIO_ROOM, RoomType.LIVE_STREAM])
def test_a_room_that_is_no_call_does_not_ring(kind: RoomType) -> None:
    view = open_view(opening(room_type=kind))
    assert apply_all(view, EVENTS) is view


def test_other_events_are_not_about_the_call() -> None:
    assert apply_call(opened(), ev.MemberAway(at=T0, identity=HOST)) is None
