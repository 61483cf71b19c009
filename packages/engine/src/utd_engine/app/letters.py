"""Letters: which facts of a room or call reach whom, on all their devices.

Pure translation; letters are written to inboxes in the same transaction as the change.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from utd_engine.domain.state import BanSet, Fact, RoomState
from utd_engine.ports.inbox import InboxEvent
from utd_protocol import events as ev
from utd_protocol import inbox as ib
from utd_protocol.types import CallStatus, Identity
from utd_protocol.views import CallView, RoomView

_encoder: Final = msgspec.json.Encoder()
_OUTCOMES: Final = {
    ev.RequestApproved: "approved",
    ev.RequestRejected: "rejected",
    ev.RequestExpired: "expired",
}


class Letter(NamedTuple):
    """One event for one person."""

    to: Identity
    event: ib.AnyInboxEvent


def letters(before: RoomState, after: RoomState, facts: Iterable[Fact]) -> tuple[Letter, ...]:
    """Everything that these facts have to tell to single people."""
    view = after.view
    place = ib.Place(room_id=view.room_id, type=view.type, name=view.name)
    told: list[Letter] = []
    for fact in facts:
        told += _of_call(after, fact)
        told += _of_request(before, fact, place)
        if isinstance(fact, ev.MemberMuteAsked):
            asked = ib.MuteAsked(at=fact.at, place=place, source=fact.source, by=fact.by)
            told.append(Letter(fact.identity, asked))
        if isinstance(fact, BanSet):
            notice = ib.BanNotice(
                at=fact.at, scope=fact.scope, place=place, until=fact.until, reason=fact.reason
            )
            told.append(Letter(fact.identity, notice))
    return tuple(told)


def incoming(opening: ev.RoomOpened, call: CallView | None) -> tuple[Letter, ...]:
    """A call begins: every device of the callee rings (rule R34)."""
    if call is None or call.rings_until is None:
        return ()
    event = ib.CallIncoming(
        at=opening.at,
        call_id=opening.room_id,
        call_type=opening.room_type,
        caller=call.caller,
        caller_name=call.caller_name,
        metadata=call.metadata,
        rings_until=call.rings_until,
    )
    return (Letter(call.callee, event),)


def stored(letter: Letter) -> InboxEvent:
    """A letter as the store takes it; the store gives it its `seq`."""
    kind = str(type(letter.event).__struct_config__.tag)
    return InboxEvent(letter.to, kind, letter.event.at, _encoder.encode(letter.event))


def with_seq(data: bytes, seq: int) -> bytes:
    """A stored letter with its place in the inbox, as it is sent."""
    return b'{"seq":%d,' % seq + data[1:]


def _of_call(after: RoomState, fact: Fact) -> Iterator[Letter]:
    call = after.view.call
    if call is None:
        return
    match fact:
        case ev.CallRinging():
            yield Letter(call.caller, ib.CallRings(**_about(after.view, fact)))
        case ev.CallAccepted():
            answered = ib.CallAnswered(device=after.answered_by or "", **_about(after.view, fact))
            yield from (Letter(call.caller, answered), Letter(call.callee, answered))
        case ev.CallEnded():
            over = _over(fact, call, _about(after.view, fact))
            yield from (Letter(call.caller, over), Letter(call.callee, over))
        case _:
            return


def _about(view: RoomView, fact: ev.CallRinging | ev.CallAccepted | ev.CallEnded) -> dict[str, Any]:
    """What every letter about a call says; the call may be further on than the fact."""
    match fact:
        case ev.CallRinging():
            more: dict[str, Any] = {"status": CallStatus.RINGING}
        case ev.CallAccepted():
            more = {"status": CallStatus.ACTIVE}
        case ev.CallEnded():
            more = {"status": fact.status, "reason": fact.reason}
    return {"at": fact.at, "call_id": view.room_id, "call_type": view.type, **more}


def _over(fact: ev.CallEnded, call: CallView, about: dict[str, Any]) -> ib.AnyInboxEvent:
    """How the end of a call is called for those who were in it."""
    match fact.status:
        case CallStatus.MISSED:
            return ib.CallMissed(caller=call.caller, caller_name=call.caller_name, **about)
        case CallStatus.REJECTED:
            return ib.CallRejected(**about)
        case CallStatus.BUSY:
            return ib.CallBusy(**about)
        case _:
            return ib.CallOver(**about)


def _of_request(before: RoomState, fact: Fact, place: ib.Place) -> Iterator[Letter]:
    """Invites reach their invitee; a requester learns what became of the request."""
    match fact:
        case ev.InviteCreated():
            received = ib.InviteReceived(
                at=fact.at,
                place=place,
                id=fact.id,
                target=fact.target,
                index=fact.index,
                by=fact.by,
                expires_at=fact.expires_at,
            )
            yield Letter(fact.identity, received)
        case ev.InviteCancelled() | ev.InviteExpired():
            invite = next((one for one in before.view.invites if one.id == fact.id), None)
            if invite is not None and invite.identity is not None:
                withdrawn = ib.InviteWithdrawn(at=fact.at, place=place, id=fact.id)
                yield Letter(invite.identity, withdrawn)
        case ev.RoomEnded():  # with it end its invites, and the invited need not be there
            for invite in before.view.invites:
                if invite.identity is not None:
                    withdrawn = ib.InviteWithdrawn(at=fact.at, place=place, id=invite.id)
                    yield Letter(invite.identity, withdrawn)
        case ev.RequestApproved() | ev.RequestRejected() | ev.RequestExpired():
            request = before.pending.get(fact.id)
            if request is not None and request.identity is not None:
                outcome = _OUTCOMES[type(fact)]
                decided = ib.RequestDecided(
                    at=fact.at, place=place, id=fact.id, outcome=outcome, by=fact.by
                )
                yield Letter(request.identity, decided)
        case _:
            return
