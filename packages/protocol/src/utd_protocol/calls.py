"""Folds events of calls over a view."""

from datetime import datetime
from typing import Final

from msgspec import structs

from utd_protocol import events as ev
from utd_protocol.types import CallReason, CallStatus
from utd_protocol.views import CallView, RoomView

FINAL: Final = frozenset(
    {CallStatus.ENDED, CallStatus.REJECTED, CallStatus.BUSY, CallStatus.MISSED}
)


def opened_call(event: ev.RoomOpened) -> CallView | None:
    """The call that a room begins with; one whose callee is busy is over at once (rule R33)."""
    offer = event.call
    if offer is None:
        return None
    rings = offer.rings_until is not None
    return CallView(
        status=CallStatus.INITIATING if rings else CallStatus.BUSY,
        caller=event.owner,
        callee=offer.callee,
        caller_name=offer.caller_name,
        callee_name=offer.callee_name,
        metadata=offer.metadata,
        created_at=event.at,
        rings_until=offer.rings_until,
        ended_at=None if rings else event.at,
        reason=None if rings else CallReason.BUSY,
    )


def apply_call(view: RoomView, event: ev.RoomEvent | ev.UnknownEvent) -> RoomView | None:
    """The view after an event of a call; None for any other, and for a room that is none."""
    call = view.call
    if call is None:
        return None
    match event:
        case ev.CallRinging(at=at):
            return _changed(view, call, status=CallStatus.RINGING, ringing_at=at)
        case ev.CallAccepted(at=at):
            return _changed(view, call, status=CallStatus.ACTIVE, accepted_at=at, rings_until=None)
        case ev.CallConnected(at=at):
            return _changed(view, call, connected_at=at)
        case ev.CallEnded():
            return _ended(view, call, event, event.at)
        case _:
            return None


def _ended(view: RoomView, call: CallView, event: ev.CallEnded, at: datetime) -> RoomView:
    return _changed(
        view,
        call,
        status=event.status,
        reason=event.reason,
        ended_at=at,
        ended_by=event.by,
        duration_s=event.duration_s,
        rings_until=None,
    )


def _changed(view: RoomView, call: CallView, **changes: object) -> RoomView:
    return structs.replace(view, call=structs.replace(call, **changes))
