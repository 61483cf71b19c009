"""The reference's types: what kinds of session there are, and what the engine answers."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from msgspec import Struct

from utd_protocol.answers import TokenAnswer
from utd_protocol.types import CallReason, RoomType, Source
from utd_protocol.views import Request


class UTDStreamType(StrEnum):
    """The four kinds of session. The value is what the wire says.

    The reference's `UTDStreamType`.
    """

    AUDIO_CALL = "audio_call"
    VIDEO_CALL = "video_call"
    LIVE_STREAM = "live_stream"
    AUDIO_ROOM = "audio_room"

    @property
    def is_call(self) -> bool:
        """Whether it is a call between two."""
        return self in {UTDStreamType.AUDIO_CALL, UTDStreamType.VIDEO_CALL}

    @property
    def has_video(self) -> bool:
        """Whether cameras have a place in it."""
        return self in {UTDStreamType.VIDEO_CALL, UTDStreamType.LIVE_STREAM}

    @property
    def room_type(self) -> RoomType:
        """The same in the engine's words."""
        return RoomType(self.value)


class UTDCallStatus(StrEnum):
    """Where a call is in its life. The reference's `UTDCallStatus`."""

    INITIATING = "initiating"
    RINGING = "ringing"
    ACTIVE = "active"
    ENDED = "ended"
    REJECTED = "rejected"
    BUSY = "busy"
    MISSED = "missed"

    @property
    def is_over(self) -> bool:
        """Whether nothing follows it."""
        return self not in _LIVING


_LIVING = frozenset({UTDCallStatus.INITIATING, UTDCallStatus.RINGING, UTDCallStatus.ACTIVE})


class UTDTokenResponse(TokenAnswer, frozen=True, kw_only=True):
    """What a join is answered: tokens, addresses, the role, and the room as of `seq`.

    The reference's `UTDTokenResponse`. `token`, `url`, `room_name`, `user_token` and `ws_url`
    are the reference's; the tokens are secrets, so `repr` leaves them out.
    """

    def __repr__(self) -> str:
        return (
            f"UTDTokenResponse(room_name={self.room_name!r}, url={self.url!r}, "
            f"role={self.role.value!r}, seq={self.seq})"
        )


class UTDCall(Struct, frozen=True, kw_only=True):
    """A call between two, as the engine tells it. The reference's `UTDCall`."""

    call_id: str
    status: UTDCallStatus
    type: UTDStreamType
    caller_identity: str
    callee_identity: str
    caller_name: str = ""
    callee_name: str = ""
    reason: CallReason | None = None
    """Why it is over."""
    ended_by: str | None = None
    metadata: dict[str, Any] = {}
    created_at: datetime | None = None
    rings_until: datetime | None = None
    """When it is missed, if nobody answers."""
    ringing_at: datetime | None = None
    accepted_at: datetime | None = None
    connected_at: datetime | None = None
    """When both were there."""
    ended_at: datetime | None = None
    duration_s: float = 0.0
    """Seconds from `connected_at` to the end."""
    room_name: str | None = None
    url: str | None = None
    token: str | None = None
    """Opens the call's media room; given to the caller and to the device that accepted."""

    def __repr__(self) -> str:
        return (
            f"UTDCall(call_id={self.call_id!r}, status={self.status.value!r}, "
            f"type={self.type.value!r}, caller_identity={self.caller_identity!r}, "
            f"callee_identity={self.callee_identity!r}, reason={self.reason!r})"
        )


class UTDStageMember(Struct, frozen=True, kw_only=True):
    """Somebody on the stage of a live stream. The reference's `UTDStageMember`."""

    identity: str
    name: str | None = None
    role: Literal["host", "co_host"] | None = None
    sources: tuple[Source, ...] = ()
    """What they may publish while the stream is live."""
    held_until: datetime | None = None
    """When one whose connection is lost loses the place."""


Invite = Request
"""An offer of a place: a request in the other direction."""
