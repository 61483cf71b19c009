"""Calls: two parties, one winner, and an end with a reason, always (rules R33 to R40).

A call is a room whose only people are caller and callee. It rings on every device of the callee;
the first that accepts has it. Every way out is `end_with`, so each call ends once, with a status
and a reason from the list.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from utd_engine.domain.orders import Join
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import DeviceWon, Fact, RoomState, parties
from utd_engine.domain.turn import Turn
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.types import CallReason, CallStatus
from utd_protocol.views import CallView

WAITING: Final = frozenset({CallStatus.INITIATING, CallStatus.RINGING})
_SAID: Final[Mapping[type[object], CallStatus]] = {
    c.RejectCall: CallStatus.REJECTED,
    c.BusyCall: CallStatus.BUSY,
}
"""What a no leads to; saying it again is fine."""


def refuse_opening(opening: ev.RoomOpened) -> None:
    """A call begins by calling somebody else, and nothing else begins so (rule R33).

    Raises:
        Refused: `invalid_request` or `invalid_callee`.
    """
    if (opening.call is not None) is not opening.room_type.is_call:
        raise Refused(
            "invalid_request",
            f"A room of type {opening.room_type} does not begin like this.",
            rule="R33",
            hint="Calls begin by calling somebody, other rooms by joining them.",
            field="type",
        )
    if opening.call is not None and opening.call.callee == opening.owner:
        raise Refused("invalid_callee", "Nobody calls themselves.", rule="R33")


def refuse_entry(turn: Turn, order: Join) -> None:
    """A token is for the caller, and for the device of the callee that has the call (R33, R36).

    Raises:
        Refused: `call_not_found`, `invalid_state` or `answered_elsewhere`.
    """
    call = call_of(turn)
    _refuse_stranger(call, order.identity)
    if order.identity == call.caller:
        return
    if call.status is not CallStatus.ACTIVE:
        raise Refused(
            "invalid_state", "The call is not answered.", rule="R36", hint="Accept it first."
        )
    if order.device is not None and turn.state.answered_by not in {"", order.device}:
        raise answered_elsewhere()


def ringing(turn: Turn, command: c.CallRinging) -> list[Fact]:
    """A device of the callee rings; a repetition changes nothing (rule R35)."""
    del command
    call = _call_of_callee(turn)
    if call.status is not CallStatus.INITIATING:
        return []
    return [ev.CallRinging(at=turn.now, by=turn.by)]


def accept(turn: Turn, command: c.AcceptCall) -> list[Fact]:
    """Exactly one device wins; the winner may ask again (rule R36)."""
    del command
    call = _call_of_callee(turn)
    if call.status is CallStatus.ACTIVE:
        _refuse_other_device(turn)
        return []
    accepted = ev.CallAccepted(at=turn.now, by=turn.by)
    return [accepted, DeviceWon(device=_device(turn)), *_connected_at_once(turn)]


def reject(turn: Turn, command: c.RejectCall) -> list[Fact]:
    """The callee says no, for all devices (rule R37)."""
    del command
    _refuse_if_answered(turn, _call_of_callee(turn))
    return end_with(turn, CallStatus.REJECTED, CallReason.REJECTED)


def busy(turn: Turn, command: c.BusyCall) -> list[Fact]:
    """The callee is busy otherwise (rule R37)."""
    del command
    _refuse_if_answered(turn, _call_of_callee(turn))
    return end_with(turn, CallStatus.BUSY, CallReason.BUSY)


def ignore(turn: Turn, command: c.IgnoreCall) -> list[Fact]:
    """This device stops ringing; nobody is told (rule R37)."""
    del command
    _call_of_callee(turn)
    return []


def end(turn: Turn, command: c.EndCall) -> list[Fact]:
    """Hang up; before the answer the caller cancels and the callee rejects (rule R38)."""
    del command
    call = call_of(turn)
    if _is_backend(turn):
        by_engine = turn.actor.kind == "engine"  # it gives up a call that LiveKit cannot carry
        why = CallReason.FAILED if by_engine else CallReason.ENDED_BY_SERVER
        return end_with(turn, CallStatus.ENDED, why)
    _refuse_stranger(call, turn.person())
    if call.status is CallStatus.ACTIVE:
        return end_with(turn, CallStatus.ENDED, CallReason.HANGUP)
    if turn.actor.identity == call.caller:
        return end_with(turn, CallStatus.ENDED, CallReason.CANCELLED)
    return end_with(turn, CallStatus.REJECTED, CallReason.REJECTED)


def party_left(turn: Turn, identity: str) -> list[Fact]:
    """A party goes on purpose: that is hanging up.

    A device of the callee that has not the call takes nothing with it.
    """
    call = call_of(turn)
    active = call.status is CallStatus.ACTIVE
    if identity == call.caller:
        return end_with(
            turn, CallStatus.ENDED, CallReason.HANGUP if active else CallReason.CANCELLED
        )
    if active and identity == call.callee and _has_the_call(turn):
        return end_with(turn, CallStatus.ENDED, CallReason.HANGUP)
    return []


def arrived(turn: Turn, identity: str) -> list[Fact]:
    """Both parties in the media room: the call is connected (rule R36)."""
    call = turn.view.call
    if call is None or call.status is not CallStatus.ACTIVE or call.connected_at is not None:
        return []
    other = call.callee if identity == call.caller else call.caller
    known = turn.state.presence.get(other)
    if known is None or not known.present:
        return []
    return [ev.CallConnected(at=turn.now)]


class CallDeadline(NamedTuple):
    """When a call ends by itself, and how."""

    at: datetime
    status: CallStatus
    reason: CallReason


def deadlines(state: RoomState) -> Iterator[CallDeadline]:
    """Everything that is waiting in a call (rule R39)."""
    call = state.view.call
    if call is None:
        return
    policy = state.view.policy
    if call.status in WAITING and call.rings_until is not None:
        reason = CallReason.NO_ANSWER if call.ringing_at else CallReason.OFFLINE
        yield CallDeadline(call.rings_until, CallStatus.MISSED, reason)
    if call.status is CallStatus.ACTIVE and call.accepted_at is not None:
        if call.connected_at is None:
            at = call.accepted_at + timedelta(seconds=policy.connect_timeout_s)
            yield CallDeadline(at, CallStatus.ENDED, CallReason.FAILED)
        if policy.max_duration_s:
            at = call.accepted_at + timedelta(seconds=policy.max_duration_s)
            yield CallDeadline(at, CallStatus.ENDED, CallReason.MAX_DURATION)
    yield from _graces(state, call)


def _graces(state: RoomState, call: CallView) -> Iterator[CallDeadline]:
    """A party who is lost ends the call after `call_grace`; a ringing call, if it is the caller."""
    grace = timedelta(seconds=state.view.policy.call_grace_s)
    for identity in (call.caller, call.callee):
        known = state.presence.get(identity)
        if known is None or known.away_at is None or not known.declared:
            continue
        at = known.away_at + grace
        if call.status is CallStatus.ACTIVE:
            yield CallDeadline(at, CallStatus.ENDED, CallReason.CONNECTION_LOST)
        elif call.status in WAITING and identity == call.caller:
            yield CallDeadline(at, CallStatus.ENDED, CallReason.CANCELLED)


def expire(turn: Turn, deadline: CallDeadline) -> list[Fact]:
    """A deadline of the call has passed. A late tick does not prolong what was talked."""
    return end_with(turn, deadline.status, deadline.reason, until=deadline.at)


def end_with(
    turn: Turn, status: CallStatus, reason: CallReason, *, until: datetime | None = None
) -> list[Fact]:
    """The one end of every call: its record, and the end of its room.

    It lasted from the moment when both were there; a call that never connected lasted no time.
    """
    since = call_of(turn).connected_at
    seconds = ((until or turn.now) - since).total_seconds() if since is not None else 0.0
    ended = ev.CallEnded(
        at=turn.now, by=turn.by, status=status, reason=reason, duration_s=max(seconds, 0.0)
    )
    return [ended, ev.RoomEnded(at=turn.now, by=turn.by, reason=str(reason))]


def after_the_end(turn: Turn, command: c.CallCommand) -> list[Fact]:
    """A finished call: ending it again is fine, answering it tells what became of it (rule R38)."""
    if isinstance(command, c.EndCall):
        if not _is_backend(turn):
            _refuse_stranger(call_of(turn), turn.person())
        return []
    call = _call_of_callee(turn)
    if isinstance(command, c.IgnoreCall) or call.status is _SAID.get(type(command)):
        return []
    if isinstance(command, c.AcceptCall):
        _refuse_late_answer(turn, call)
    raise Refused(
        "call_over",
        f"The call is over: {call.status}, {call.reason}.",
        rule="R38",
        status=str(call.status),
        reason=str(call.reason),
    )


def _refuse_late_answer(turn: Turn, call: CallView) -> None:
    """Another device was first, with a yes or a no."""
    if turn.state.answered_by is not None:
        _refuse_other_device(turn)
    if call.status is CallStatus.REJECTED:
        raise Refused("rejected_elsewhere", "Another device has rejected the call.", rule="R37")


def answered_elsewhere() -> Refused:
    """Another device was first."""
    return Refused("answered_elsewhere", "Another device has answered the call.", rule="R36")


def call_of(turn: Turn) -> CallView:
    """The call of a room that is one."""
    call = turn.view.call
    if call is None:
        raise Refused("invalid_state", "This room is no call.", rule="R33")
    return call


def _connected_at_once(turn: Turn) -> list[Fact]:
    """A callee who was let in before accepting, and is there with the caller."""
    here = (turn.state.presence.get(party) for party in parties(turn.state))
    if all(known is not None and known.present for known in here):
        return [ev.CallConnected(at=turn.now)]
    return []


def _is_backend(turn: Turn) -> bool:
    """The app's backend or the engine, acting for no user."""
    return turn.actor.kind != "user" and turn.actor.identity is None


def _device(turn: Turn) -> str:
    """Which device acts; a backend that acts for the callee has none, and counts as one more."""
    return turn.actor.device or ""


def _has_the_call(turn: Turn) -> bool:
    """Whether the callee speaks from the device that won; a backend speaks for all of them."""
    return turn.actor.device is None or turn.state.answered_by in {"", turn.actor.device}


def _call_of_callee(turn: Turn) -> CallView:
    """The call, for a command that only its callee may give."""
    call, me = call_of(turn), turn.person()
    _refuse_stranger(call, me)
    if me != call.callee:
        raise Refused(
            "not_allowed", "Only the callee may do this.", rule="R36", hint="To hang up, end it."
        )
    return call


def _refuse_stranger(call: CallView, identity: str) -> None:
    if identity not in {call.caller, call.callee}:
        raise Refused("call_not_found", "There is no such call of yours.", rule="R33")


def _refuse_other_device(turn: Turn) -> None:
    if turn.state.answered_by != _device(turn):
        raise answered_elsewhere()


def _refuse_if_answered(turn: Turn, call: CallView) -> None:
    """Too late for a no; the device that has the call hangs up instead."""
    if call.status is CallStatus.ACTIVE:
        _refuse_other_device(turn)
        raise Refused(
            "invalid_state", "You have answered the call.", rule="R37", hint="To hang up, end it."
        )
