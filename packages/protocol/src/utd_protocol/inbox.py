"""What reaches one user on all their devices: calls, invites, decisions about them.

An inbox is a log of its own with a gap-free `seq`, kept for seven days. It is delivered at least
once; who drops what is not newer than the last `seq` has it exactly once.
"""

from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from utd_protocol.types import (
    BanScope,
    CallReason,
    CallStatus,
    Identity,
    RoomType,
    Source,
    Target,
)


class Place(Struct, frozen=True, kw_only=True):
    """Which room an inbox event is about."""

    room_id: str
    type: RoomType
    name: str


class InboxEvent(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """What every event of an inbox says."""

    seq: int = 0
    at: datetime


class CallIncoming(InboxEvent, frozen=True, kw_only=True, tag="call.incoming"):
    """Somebody calls: ring, and say that you do."""

    call_id: str
    call_type: RoomType
    caller: Identity
    caller_name: str = ""
    metadata: dict[str, Any] = {}
    rings_until: datetime


class _OfCall(InboxEvent, frozen=True, kw_only=True):
    """About one call."""

    call_id: str
    call_type: RoomType
    status: CallStatus
    reason: CallReason | None = None


class CallRings(_OfCall, frozen=True, kw_only=True, tag="call.ringing"):
    """A device of the callee rings."""


class CallAnswered(_OfCall, frozen=True, kw_only=True, tag="call.answered"):
    """A device of the callee has it: all others stop ringing."""

    device: str = ""


class CallRejected(_OfCall, frozen=True, kw_only=True, tag="call.rejected"):
    """The callee said no."""


class CallBusy(_OfCall, frozen=True, kw_only=True, tag="call.busy"):
    """The callee is busy."""


class CallMissed(_OfCall, frozen=True, kw_only=True, tag="call.missed"):
    """Nobody answered in time."""

    caller: Identity
    caller_name: str = ""


class CallOver(_OfCall, frozen=True, kw_only=True, tag="call.ended"):
    """Hung up, cancelled, lost, or over in another way: see `reason`."""


class InviteReceived(InboxEvent, frozen=True, kw_only=True, tag="invite.received"):
    """A place is offered."""

    place: Place
    id: int
    target: Target
    index: int | None = None
    by: Identity | None = None
    expires_at: datetime | None = None


class InviteWithdrawn(InboxEvent, frozen=True, kw_only=True, tag="invite.withdrawn"):
    """The offer is no longer there."""

    place: Place
    id: int


class RequestDecided(InboxEvent, frozen=True, kw_only=True, tag="request.decided"):
    """What became of one's request: approved, rejected or expired."""

    place: Place
    id: int
    outcome: str
    by: Identity | None = None


class MuteAsked(InboxEvent, frozen=True, kw_only=True, tag="member.mute_asked"):
    """A moderator asks to mute; nothing is enforced."""

    place: Place
    source: Source
    by: Identity | None = None


class BanNotice(InboxEvent, frozen=True, kw_only=True, tag="banned"):
    """Refused from now on: in one room, or in the whole app."""

    scope: BanScope
    place: Place
    until: datetime | None = None
    reason: str = ""


class UnknownInboxEvent(Struct, frozen=True, kw_only=True):
    """An event of a newer engine: known only by its place in the inbox."""

    seq: int
    type: str


AnyInboxEvent: TypeAlias = (
    CallIncoming | CallRings | CallAnswered | CallRejected | CallBusy | CallMissed | CallOver
    | InviteReceived | InviteWithdrawn | RequestDecided | MuteAsked | BanNotice
)  # fmt: skip

_decoder: Final = msgspec.json.Decoder(AnyInboxEvent)
_unknown: Final = msgspec.json.Decoder(UnknownInboxEvent)


def decode_inbox_event(raw: bytes | msgspec.Raw) -> AnyInboxEvent | UnknownInboxEvent:
    """The event, or `UnknownInboxEvent` when a newer engine wrote it.

    Raises:
        msgspec.DecodeError: not even `seq` and `type` can be read.
    """
    try:
        event: AnyInboxEvent = _decoder.decode(raw)
    except msgspec.DecodeError:
        return _unknown.decode(raw)
    return event
