"""Ids and closed word lists that every other module speaks in."""

import re
from enum import StrEnum
from typing import Annotated, Final, Literal, NewType

from msgspec import Meta

AppId = NewType("AppId", str)
Identity = NewType("Identity", str)
RoomId = NewType("RoomId", str)
RoomName = NewType("RoomName", str)
DeviceId = NewType("DeviceId", str)

MAX_SEATS: Final = 64
MAX_IDENTITY_BYTES: Final = 256
"""LiveKit refuses longer identities and names."""
MAX_ROOM_NAME_BYTES: Final = 128

IdentityField = Annotated[str, Meta(min_length=1, max_length=MAX_IDENTITY_BYTES)]
SeatIndex = Annotated[int, Meta(ge=0, le=MAX_SEATS - 1)]
SeatCount = Annotated[int, Meta(ge=1, le=MAX_SEATS)]
Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
Reason = Annotated[str, Meta(max_length=500)]
ModeId = Annotated[str, Meta(min_length=1, max_length=64)]
"""The name of a seat preset of the app."""

Capability = Literal[
    "seats.take", "seats.request", "seats.manage",
    "stage.request", "stage.manage", "stream.control",
    "room.settings", "room.end",
    "members.role", "members.mute", "members.kick", "members.ban",
    "chat.send", "chat.manage", "signals.send", "kv.write", "requests.read", "audit.read",
]  # fmt: skip
"""What a role may be allowed to do (rule R3)."""

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


def check_identity(text: str, field: str = "identity") -> Identity:
    """The text as an identity.

    Args:
        text: who, in the app's own words.
        field: what the error calls it.

    Raises:
        ValueError: it is empty, longer than 256 bytes of UTF-8, holds a control character, or
            cannot be written as UTF-8; the message names the field and the reason.
    """
    _check_name(text, field, MAX_IDENTITY_BYTES)
    return Identity(text)


def check_room_name(text: str, field: str = "room_name") -> RoomName:
    """The text as the name of a room.

    Args:
        text: the name, in the app's own words.
        field: what the error calls it.

    Raises:
        ValueError: it is empty, longer than 128 bytes of UTF-8, `.` or `..`, holds a control
            character, or cannot be written as UTF-8; the message names the field and the reason.
    """
    _check_name(text, field, MAX_ROOM_NAME_BYTES)
    if text in {".", ".."}:
        raise ValueError(f"{field} is {text!r}, which a path cannot carry; choose another name")
    return RoomName(text)


def _check_name(text: str, field: str, most_bytes: int) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{field} holds half a character and is not valid Unicode") from None
    if not 1 <= size <= most_bytes:
        raise ValueError(f"{field} is {size} bytes of UTF-8; 1 to {most_bytes} are allowed")
    control = _CONTROL.search(text)
    if control is not None:
        raise ValueError(
            f"{field} holds the control character {control[0]!r} at position {control.start()}"
        )


class RoomType(StrEnum):
    """What kind of session a room carries."""

    AUDIO_ROOM = "audio_room"
    LIVE_STREAM = "live_stream"
    AUDIO_CALL = "audio_call"
    VIDEO_CALL = "video_call"
    AGENT = "agent"

    @property
    def is_call(self) -> bool:
        """Whether it has two parties and rings."""
        return self in {RoomType.AUDIO_CALL, RoomType.VIDEO_CALL}


class Role(StrEnum):
    """Who moderates. Publishing is never a role."""

    HOST = "host"
    ADMIN = "admin"
    AUDIENCE = "audience"

    @property
    def rank(self) -> int:
        """How senior the role is: a higher number may act on a lower one."""
        return {Role.HOST: 2, Role.ADMIN: 1, Role.AUDIENCE: 0}[self]


class Source(StrEnum):
    """A kind of track somebody may publish."""

    MICROPHONE = "microphone"
    CAMERA = "camera"
    SCREEN_SHARE = "screen_share"
    SCREEN_SHARE_AUDIO = "screen_share_audio"


class RoomState(StrEnum):
    """Where a room is in its life. Audio rooms know `open` and `ended` only."""

    OPEN = "open"
    BACKSTAGE = "backstage"
    LIVE = "live"
    PAUSED = "paused"
    ENDED = "ended"


class SeatState(StrEnum):
    """What a seat is doing now."""

    FREE = "free"
    TAKEN = "taken"
    HELD = "held"
    LOCKED = "locked"


class SeatMode(StrEnum):
    """How a listener comes to a seat without a moderator's act."""

    FREE = "free"
    REQUEST = "request"
    INVITE = "invite"


class StageRole(StrEnum):
    """What somebody is on the stage of a live stream."""

    HOST = "host"
    CO_HOST = "co_host"


class StageInvites(StrEnum):
    """Whether an invitation to the stage must be accepted."""

    GRANT = "grant"
    CONSENT = "consent"


class AgentStatus(StrEnum):
    """Whether an agent that should be in a room is there."""

    WANTED = "wanted"
    DISPATCHED = "dispatched"
    JOINED = "joined"
    FAILED = "failed"


class CallStatus(StrEnum):
    """Where a call is in its life; the last four are final."""

    INITIATING = "initiating"
    RINGING = "ringing"
    ACTIVE = "active"
    ENDED = "ended"
    REJECTED = "rejected"
    BUSY = "busy"
    MISSED = "missed"


class CallReason(StrEnum):
    """Why a call ended."""

    HANGUP = "hangup"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    NO_ANSWER = "no_answer"
    OFFLINE = "offline"
    BUSY = "busy"
    ANSWERED_ELSEWHERE = "answered_elsewhere"
    REJECTED_ELSEWHERE = "rejected_elsewhere"
    IGNORED = "ignored"
    CONNECTION_LOST = "connection_lost"
    FAILED = "failed"
    MAX_DURATION = "max_duration"
    ENDED_BY_SERVER = "ended_by_server"


class Target(StrEnum):
    """What a request or an invite is for."""

    SEAT = "seat"
    STAGE = "stage"


class Direction(StrEnum):
    """Who began: the one who wants a place, or the one who offers it."""

    REQUEST = "request"
    INVITE = "invite"


class BanScope(StrEnum):
    """How far a ban reaches: this room's name, or the whole app."""

    ROOM = "room"
    APP = "app"


class Opens(StrEnum):
    """Who may open a name that has no open room."""

    HOST = "host"
    ANYONE = "anyone"
    SERVER = "server"


class HostGone(StrEnum):
    """What happens when the host stays away."""

    TRANSFER = "transfer"
    TRANSFER_OR_END = "transfer_or_end"
    END = "end"


class DataPolicy(StrEnum):
    """Who may send LiveKit data packets."""

    EVERYONE = "everyone"
    SPEAKERS = "speakers"
    NOBODY = "nobody"


class RequestsVisible(StrEnum):
    """Who may read who asked to speak."""

    EVERYONE = "everyone"
    MODERATORS = "moderators"
