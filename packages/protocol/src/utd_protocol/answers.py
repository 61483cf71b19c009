"""Bodies of requests that are no room command, and of answers. One struct a shape."""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from utd_protocol.policy import PolicyPatch
from utd_protocol.types import (
    BanScope,
    CallReason,
    CallStatus,
    Identity,
    IdentityField,
    ModeId,
    Role,
    RoomState,
    RoomType,
    SeatCount,
    SeatMode,
    check_identity,
    check_room_name,
)
from utd_protocol.views import CallView, Request, RoomView, Seat, StageMember

T = TypeVar("T")
Name = Annotated[str, Meta(min_length=1, max_length=128)]
"""A room's name in the app's own words, at most 128 bytes of UTF-8."""
DisplayName = Annotated[str, Meta(max_length=256)]
DeviceField = Annotated[str, Meta(min_length=1, max_length=128)]
Text4K = Annotated[str, Meta(max_length=4096)]
IdentityToken = Annotated[str, Meta(min_length=1, max_length=8192)]
Attributes = Annotated[dict[str, str], Meta(max_length=64)]


class TokenRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/v1/token`: join a room, opening it where the policy lets this identity."""

    type: RoomType
    room_name: Name
    identity: IdentityField
    role: Role = Role.AUDIENCE
    name: DisplayName | None = None
    device_id: DeviceField | None = None
    identity_token: IdentityToken | None = None
    seat_count: SeatCount | None = None
    seat_mode: SeatMode | None = None
    mode_id: ModeId | None = None
    policy: PolicyPatch | None = None
    metadata: Text4K = ""
    attributes: Attributes = {}

    def __post_init__(self) -> None:
        if self.type not in {RoomType.AUDIO_ROOM, RoomType.LIVE_STREAM}:
            raise ValueError(f"type is {self.type}; audio_room and live_stream are joined by name")
        if self.role is Role.ADMIN:
            raise ValueError("role is admin, which is never claimed; join as host or audience")
        check_room_name(self.room_name)
        check_identity(self.identity)


class TokenAnswer(Struct, frozen=True, kw_only=True):
    """What a client needs to be in the room: media, bearer, and the state so far."""

    token: str
    url: str
    room_name: str
    user_token: str
    ws_url: str | None
    role: Role
    role_clamped: bool
    room: RoomView
    seq: int


class SessionRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/v1/auth/session`: a bearer without a room."""

    identity: IdentityField
    name: DisplayName | None = None
    device_id: DeviceField | None = None
    identity_token: IdentityToken | None = None

    def __post_init__(self) -> None:
        check_identity(self.identity)


class SessionAnswer(Struct, frozen=True, kw_only=True):
    """A bearer for one identity and device of one app."""

    user_token: str
    ws_url: str | None
    expires_at: datetime


class OpenRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`PUT /rooms/{type}/{name}` (server API): open a room with an owner who need not be there."""

    owner: IdentityField
    seat_count: SeatCount | None = None
    seat_mode: SeatMode | None = None
    mode_id: ModeId | None = None
    policy: PolicyPatch | None = None
    metadata: Text4K = ""

    def __post_init__(self) -> None:
        check_identity(self.owner, "owner")


class _AgentDispatch(Struct, frozen=True, kw_only=True):
    agent_name: Annotated[str, Meta(max_length=128)] = ""
    metadata: Text4K = ""


class _RoomConfig(Struct, frozen=True, kw_only=True):
    agents: Annotated[tuple[_AgentDispatch, ...], Meta(max_length=8)] = ()


class AgentTokenRequest(Struct, frozen=True, kw_only=True):
    """`POST /api/v1/agents/token`: LiveKit's standard request. Fields that are not ours pass by."""

    room_name: Annotated[str, Meta(max_length=128)] = ""
    participant_identity: Annotated[str, Meta(max_length=256)] = ""
    participant_name: DisplayName = ""
    participant_metadata: Text4K = ""
    participant_attributes: Attributes = {}
    room_config: _RoomConfig = _RoomConfig()

    def __post_init__(self) -> None:
        if self.room_name:
            check_room_name(self.room_name)
        if self.participant_identity:
            check_identity(self.participant_identity, "participant_identity")

    @property
    def agents(self) -> tuple[_AgentDispatch, ...]:
        """The agents that are named, each once. A worker without a name enters no room of ours."""
        named = {agent.agent_name: agent for agent in self.room_config.agents if agent.agent_name}
        return tuple(named.values())


class AgentTokenAnswer(Struct, frozen=True, kw_only=True):
    """What LiveKit's clients expect of a token endpoint."""

    server_url: str
    participant_token: str


class CallRecord(Struct, frozen=True, kw_only=True):
    """A call as its parties may look it up."""

    call_id: str
    type: RoomType
    call: CallView


class CallRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/v1/calls`: call somebody."""

    callee_identity: IdentityField
    type: RoomType
    callee_name: DisplayName | None = None
    metadata: dict[str, Any] = {}
    """At most 4 KB as JSON; it rides with the ring and stays in the record."""
    ring_timeout_s: Annotated[float, Meta(ge=5, le=120)] | None = None

    def __post_init__(self) -> None:
        check_identity(self.callee_identity, "callee_identity")


class CallAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call, and what its caller or the winning device of the callee needs to be in it."""

    call_id: str
    type: RoomType
    status: CallStatus
    caller_identity: Identity
    callee_identity: Identity
    caller_name: str = ""
    callee_name: str = ""
    reason: CallReason | None = None
    ended_by: Identity | None = None
    metadata: dict[str, Any] = {}
    created_at: datetime
    rings_until: datetime | None = None
    ringing_at: datetime | None = None
    accepted_at: datetime | None = None
    connected_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float = 0.0
    room_name: str | None = None
    token: str | None = None
    url: str | None = None
    user_token: str | None = None
    ws_url: str | None = None
    room: RoomView | None = None
    seq: int | None = None


class StageAnswer(Struct, frozen=True, kw_only=True):
    """`GET …/stage`."""

    seq: int
    state: RoomState
    members: tuple[StageMember, ...]


class InboxAnswer(Struct, frozen=True, kw_only=True):
    """A piece of one's own inbox after a cursor, and where it ends now."""

    events: tuple[msgspec.Raw, ...]
    head: int


class CommandAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every command answers: its own events, so nobody is behind their own acts.

    `media` is `pending` when LiveKit did not confirm the new rights within 2 s; the engine goes
    on trying.
    """

    seq: int
    events: tuple[msgspec.Raw, ...] = ()
    media: Literal["applied", "pending"]
    seats: tuple[Seat, ...] | None = None
    members: tuple[StageMember, ...] | None = None
    """The stage, after a command about it."""
    state: RoomState | None = None
    request: Request | None = None
    created: bool | None = None


class SeatsAnswer(Struct, frozen=True, kw_only=True):
    """`GET …/seats`."""

    seq: int
    seats: tuple[Seat, ...]
    seat_count: int
    seat_mode: SeatMode
    mode_id: str | None


class RequestsAnswer(Struct, frozen=True, kw_only=True):
    """`GET …/requests` and `GET …/invites`: what is pending, oldest first."""

    items: tuple[Request, ...]
    seq: int


class ViewAnswer(Struct, frozen=True, kw_only=True):
    """`GET /rooms/{type}/{name}`: what this actor may see, as of `seq`."""

    view: RoomView
    seq: int


class EventsAnswer(Struct, frozen=True, kw_only=True):
    """A piece of a room's log after a cursor, and where the log ends now."""

    events: tuple[msgspec.Raw, ...]
    head: int


class LogEntry(Struct, frozen=True, kw_only=True):
    """One event of the app's whole log, with the room it belongs to."""

    pos: int
    room_id: str
    room_type: RoomType
    room_name: str
    event: msgspec.Raw


class LogAnswer(Struct, frozen=True, kw_only=True):
    """A piece of the app's log. Ask again with `next_after`; it is the last `pos` seen."""

    events: tuple[LogEntry, ...]
    next_after: int


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """A piece of a list; the end when `next_cursor` is null."""

    items: tuple[T, ...]
    next_cursor: str | None = None


class RoomSummary(Struct, frozen=True, kw_only=True):
    """A line of a list of rooms."""

    room_id: str
    type: RoomType
    name: str
    host: str | None
    opened_at: datetime
    present: int
    seats_taken: int
    seat_count: int


class Present(Struct, frozen=True, kw_only=True):
    """Somebody in the room now."""

    identity: str
    role: Role
    joined_at: datetime
    seat: int | None = None


class BanRecord(Struct, frozen=True, kw_only=True):
    """A ban, as moderators read it."""

    identity: str
    scope: BanScope
    by: str | None
    at: datetime
    until: datetime | None
    reason: str


class AuditRecord(Struct, frozen=True, kw_only=True):
    """A privileged act, or the refusal of one."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str | None
    outcome: str
    reason: str
    request_id: str
