"""Letters: which facts of a room or call reach whom, on all their devices.

Pure translation; letters are written to inboxes in the same transaction as the change.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from utd_engine.app.ports import InboxEvent
from utd_engine.domain.state import BanSet, Fact, RoomState
from utd_protocol import events as ev
from utd_protocol import inbox as ib
from utd_protocol.types import CallStatus, Identity
from utd_protocol.views import CallView

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
    call, view = after.view.call, after.view
    if call is None:
        return
    about = {"call_id": view.room_id, "call_type": view.type, "status": call.status}
    match fact:
        case ev.CallRinging():
            rings = ib.CallRings(at=fact.at, **about)  # type: ignore[arg-type]
            yield Letter(call.caller, rings)
        case ev.CallAccepted():
            device = after.answered_by or ""
            answered = ib.CallAnswered(at=fact.at, device=device, **about)  # type: ignore[arg-type]
            yield Letter(call.caller, answered)
            yield Letter(call.callee, answered)
        case ev.CallEnded():
            event = _over(fact, call, about)
            yield Letter(call.caller, event)
            yield Letter(call.callee, event)
        case _:
            return


def _over(fact: ev.CallEnded, call: CallView, about: dict[str, object]) -> ib.AnyInboxEvent:
    """How the end of a call is called for those who were in it."""
    told = {**about, "status": fact.status, "reason": fact.reason, "at": fact.at}
    match fact.status:
        case CallStatus.MISSED:
            return ib.CallMissed(caller=call.caller, caller_name=call.caller_name, **told)  # type: ignore[arg-type]
        case CallStatus.REJECTED:
            return ib.CallRejected(**told)  # type: ignore[arg-type]
        case CallStatus.BUSY:
            return ib.CallBusy(**told)  # type: ignore[arg-type]
        case _:
            return ib.CallOver(**told)  # type: ignore[arg-type]


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
