"""Calls: two parties, one winner, and an end with a reason, always (rules R33 to R40).

A call is a room whose only people are caller and callee. It rings on every device of the callee;
the first that accepts has it. Every way out ends in `_end`, so each call ends once, with a status
and a reason from the list.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import DeviceWon, Fact, RoomState
from utd_engine.domain.turn import Turn
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.types import CallReason, CallStatus, Identity
from utd_protocol.views import CallView

WAITING = frozenset({CallStatus.INITIATING, CallStatus.RINGING})


def ringing(turn: Turn, command: c.CallRinging) -> list[Fact]:
    """A device of the callee rings; a repetition changes nothing (rule R35)."""
    del command
    call = call_of(turn)
    _refuse_unless_callee(turn, call)
    if call.status is not CallStatus.INITIATING:
        return []
    return [ev.CallRinging(at=turn.now, by=turn.by)]


def accept(turn: Turn, command: c.AcceptCall) -> list[Fact]:
    """Exactly one device wins; the winner may ask again (rule R36)."""
    del command
    call = call_of(turn)
    _refuse_unless_callee(turn, call)
    if call.status is CallStatus.ACTIVE:
        if turn.state.answered_by == turn.actor.device:
            return []
        raise answered_elsewhere()
    accepted = ev.CallAccepted(at=turn.now, by=turn.by)
    return [accepted, DeviceWon(device=turn.actor.device or ""), *_connected_at_once(turn)]


def reject(turn: Turn, command: c.RejectCall) -> list[Fact]:
    """The callee says no, for all devices (rule R37)."""
    del command
    call = call_of(turn)
    _refuse_unless_callee(turn, call)
    _refuse_if_answered(call)
    return end_with(turn, CallStatus.REJECTED, CallReason.REJECTED)


def busy(turn: Turn, command: c.BusyCall) -> list[Fact]:
    """The callee is busy otherwise (rule R37)."""
    del command
    call = call_of(turn)
    _refuse_unless_callee(turn, call)
    _refuse_if_answered(call)
    return end_with(turn, CallStatus.BUSY, CallReason.BUSY)


def ignore(turn: Turn, command: c.IgnoreCall) -> list[Fact]:
    """This device stops ringing; nobody is told (rule R37)."""
    del command
    _refuse_unless_callee(turn, call_of(turn))
    return []


def end(turn: Turn, command: c.EndCall) -> list[Fact]:
    """Hang up: before the answer it is a cancellation by the caller (rule R38)."""
    del command
    call = call_of(turn)
    if turn.actor.kind != "user":
        return end_with(turn, CallStatus.ENDED, CallReason.ENDED_BY_SERVER)
    if call.status is CallStatus.ACTIVE:
        return end_with(turn, CallStatus.ENDED, CallReason.HANGUP)
    if turn.actor.identity == call.caller:
        return end_with(turn, CallStatus.ENDED, CallReason.CANCELLED)
    return end_with(turn, CallStatus.REJECTED, CallReason.REJECTED)


def party_left(turn: Turn, identity: str) -> list[Fact]:
    """A party goes on purpose: that is hanging up."""
    call = turn.view.call
    if call is None or identity not in {call.caller, call.callee}:
        return []
    if call.status is CallStatus.ACTIVE:
        return end_with(turn, CallStatus.ENDED, CallReason.HANGUP)
    if identity == call.caller:
        return end_with(turn, CallStatus.ENDED, CallReason.CANCELLED)
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
        if known is None or known.present or known.away_at is None or not known.declared:
            continue
        at = known.away_at + grace
        if call.status is CallStatus.ACTIVE and not known.awaited:
            yield CallDeadline(at, CallStatus.ENDED, CallReason.CONNECTION_LOST)
        elif call.status in WAITING and identity == call.caller:
            yield CallDeadline(at, CallStatus.ENDED, CallReason.CANCELLED)


def expire(turn: Turn, deadline: CallDeadline) -> list[Fact]:
    """A deadline of the call has passed."""
    return end_with(turn, deadline.status, deadline.reason)


def end_with(turn: Turn, status: CallStatus, reason: CallReason) -> list[Fact]:
    """The one end of every call: its record, and the end of its room."""
    call = call_of(turn)
    since = call.connected_at or call.accepted_at
    seconds = (turn.now - since).total_seconds() if since is not None else 0.0
    ended = ev.CallEnded(
        at=turn.now, by=turn.by, status=status, reason=reason, duration_s=max(seconds, 0.0)
    )
    return [ended, ev.RoomEnded(at=turn.now, by=turn.by, reason=str(reason))]


def after_the_end(turn: Turn, command: object) -> list[Fact]:
    """A finished call: ending it again is fine, answering it tells what became of it (rule R38)."""
    call = call_of(turn)
    if isinstance(command, c.EndCall):
        return []
    mine = turn.actor.identity == call.callee
    if mine and isinstance(command, c.RejectCall) and call.status is CallStatus.REJECTED:
        return []
    if mine and isinstance(command, c.AcceptCall) and turn.state.answered_by is not None:
        raise answered_elsewhere()
    if mine and isinstance(command, c.AcceptCall) and call.status is CallStatus.REJECTED:
        raise Refused("rejected_elsewhere", "Another device has rejected the call.", rule="R37")
    raise Refused(
        "call_over",
        f"The call is over: {call.status}, {call.reason}.",
        rule="R38",
        status=str(call.status),
        reason=str(call.reason),
    )


def answered_elsewhere() -> Refused:
    """Another device was first."""
    return Refused("answered_elsewhere", "Another device has answered the call.", rule="R36")


def call_of(turn: Turn) -> CallView:
    """The call of a room that is one."""
    call = turn.view.call
    if call is None:
        raise Refused("invalid_state", "This room is no call.", rule="R33")
    return call


def parties(state: RoomState) -> frozenset[Identity]:
    """The two people of a call; nobody in any other room."""
    call = state.view.call
    return frozenset() if call is None else frozenset({call.caller, call.callee})


def _connected_at_once(turn: Turn) -> list[Fact]:
    """A callee who was let in before accepting, and is there with the caller."""
    here = (turn.state.presence.get(party) for party in parties(turn.state))
    if all(known is not None and known.present for known in here):
        return [ev.CallConnected(at=turn.now)]
    return []


def _refuse_unless_callee(turn: Turn, call: CallView) -> None:
    if turn.actor.identity != call.callee:
        raise Refused(
            "not_allowed", "Only the callee may do this.", rule="R36", hint="To hang up, end it."
        )


def _refuse_if_answered(call: CallView) -> None:
    if call.status is CallStatus.ACTIVE:
        raise Refused(
            "answered_elsewhere", "The call is answered.", rule="R37", hint="To hang up, end it."
        )
