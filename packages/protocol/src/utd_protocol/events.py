"""Facts of a room, in the past tense. The log of a room is a gap-free list of these.

Everything here is public to the room. `UnknownEvent` keeps old clients alive: it only advances
the cursor.
"""

from datetime import datetime
from typing import Any, TypeAlias

from msgspec import Struct

from utd_protocol.policy import Policy
from utd_protocol.types import (
    BanScope,
    CallReason,
    CallStatus,
    Identity,
    Role,
    RoomId,
    RoomName,
    RoomState,
    RoomType,
    SeatMode,
    Source,
    Target,
)


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """What every event says: its place in the log, when, and who did it (None: the engine)."""

    seq: int = 0
    at: datetime
    by: Identity | None = None


class CallOffer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What opens a call: whom it rings, and for how long."""

    callee: Identity
    caller_name: str = ""
    callee_name: str = ""
    metadata: dict[str, Any] = {}
    rings_until: datetime | None = None
    """None: the callee was busy, and it never rang."""


class AgentWish(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An agent that should be in the room."""

    agent_name: str
    metadata: str = ""


class RoomOpened(Event, frozen=True, kw_only=True, tag="room.opened"):
    """Always the first event of a log."""

    room_id: RoomId
    room_type: RoomType
    name: RoomName
    owner: Identity
    host: Identity | None
    state: RoomState
    policy: Policy
    seat_count: int = 0
    seat_mode: SeatMode = SeatMode.FREE
    mode_id: str | None = None
    reserved: dict[int, Role] = {}
    metadata: str = ""
    scheduled_at: datetime | None = None
    call: CallOffer | None = None
    agents: tuple[AgentWish, ...] = ()


class RoomSettingsChanged(Event, frozen=True, kw_only=True, tag="room.settings_changed"):
    """The room's own text changed."""

    metadata: str


class RoomPolicyChanged(Event, frozen=True, kw_only=True, tag="room.policy_changed"):
    """The whole new policy."""

    policy: Policy
    version: int


class RoomEnded(Event, frozen=True, kw_only=True, tag="room.ended"):
    """Final: nothing follows it."""

    reason: str


class MemberAway(Event, frozen=True, kw_only=True, tag="member.away"):
    """Lost, and not back within `away_after`."""

    identity: Identity


class MemberPresent(Event, frozen=True, kw_only=True, tag="member.present"):
    """Back after an absence."""

    identity: Identity


class MemberRoleChanged(Event, frozen=True, kw_only=True, tag="member.role_changed"):
    """Became admin, or audience again."""

    identity: Identity
    role: Role


class MemberMuted(Event, frozen=True, kw_only=True, tag="member.muted"):
    """A source was taken away until it is lifted."""

    identity: Identity
    source: Source


class MemberUnmuted(Event, frozen=True, kw_only=True, tag="member.unmuted"):
    """A taken source may be published again."""

    identity: Identity
    source: Source


class MemberMuteAsked(Event, frozen=True, kw_only=True, tag="member.mute_asked"):
    """A moderator asks somebody to mute; nothing is enforced."""

    identity: Identity
    source: Source


class MemberKicked(Event, frozen=True, kw_only=True, tag="member.kicked"):
    """Put out of the room. They may return unless banned."""

    identity: Identity
    reason: str = ""


class MemberBanned(Event, frozen=True, kw_only=True, tag="member.banned"):
    """Refused from now on. The reason is for moderators."""

    identity: Identity
    scope: BanScope
    until: datetime | None = None


class MemberUnbanned(Event, frozen=True, kw_only=True, tag="member.unbanned"):
    """May come back."""

    identity: Identity
    scope: BanScope


class HostGone(Event, frozen=True, kw_only=True, tag="host.gone"):
    """The host is missing; at `until` the policy acts."""

    identity: Identity
    until: datetime


class HostBack(Event, frozen=True, kw_only=True, tag="host.back"):
    """The host returned in time."""

    identity: Identity


class HostTransferred(Event, frozen=True, kw_only=True, tag="host.transferred"):
    """Somebody else is host now, or nobody (`host` is None)."""

    previous: Identity | None
    host: Identity | None


class SeatsConfigured(Event, frozen=True, kw_only=True, tag="seats.configured"):
    """The grid changed. Seats beyond `count` are gone and were empty."""

    count: int
    mode: SeatMode
    mode_id: str | None = None


class SeatTaken(Event, frozen=True, kw_only=True, tag="seat.taken"):
    """Somebody sits now and may speak."""

    index: int
    identity: Identity


class SeatLeft(Event, frozen=True, kw_only=True, tag="seat.left"):
    """The seat is free again. Reasons: left, removed, timeout, kicked, gone."""

    index: int
    identity: Identity
    reason: str = "left"


class SeatHeld(Event, frozen=True, kw_only=True, tag="seat.held"):
    """The occupant is away; nobody else may sit there until then."""

    index: int
    identity: Identity
    until: datetime


class SeatResumed(Event, frozen=True, kw_only=True, tag="seat.resumed"):
    """The occupant of a held seat is back."""

    index: int
    identity: Identity


class SeatMoved(Event, frozen=True, kw_only=True, tag="seat.moved"):
    """One step: no reader sees zero or two seats."""

    identity: Identity
    source: int
    target: int


class SeatsSwapped(Event, frozen=True, kw_only=True, tag="seats.swapped"):
    """The occupants of two seats changed places."""

    a: int
    b: int


class SeatsLocked(Event, frozen=True, kw_only=True, tag="seats.locked"):
    """Nobody may sit there until unlocked."""

    indices: tuple[int, ...]


class SeatsUnlocked(Event, frozen=True, kw_only=True, tag="seats.unlocked"):
    """The seats are free again."""

    indices: tuple[int, ...]


class SeatMuted(Event, frozen=True, kw_only=True, tag="seat.muted"):
    """The seat's microphone is off, for this occupant and the next."""

    index: int


class SeatUnmuted(Event, frozen=True, kw_only=True, tag="seat.unmuted"):
    """The seat's microphone may be used again."""

    index: int


class SeatReserved(Event, frozen=True, kw_only=True, tag="seat.reserved"):
    """Kept for one person or one role; both None means for anybody again."""

    index: int
    identity: Identity | None = None
    role: Role | None = None


class RequestCreated(Event, frozen=True, kw_only=True, tag="request.created"):
    """Somebody asks for a place. Under policy `moderators` it does not say who."""

    id: int
    target: Target
    identity: Identity | None = None
    index: int | None = None
    note: str = ""
    expires_at: datetime | None = None


class InviteCreated(Event, frozen=True, kw_only=True, tag="invite.created"):
    """Somebody is offered a place."""

    id: int
    target: Target
    identity: Identity
    index: int | None = None
    sources: tuple[Source, ...] = ()
    expires_at: datetime | None = None


class _Settled(Event, frozen=True, kw_only=True):
    """A request or an invite is no longer pending; `by` says who settled it."""

    id: int


class RequestApproved(_Settled, frozen=True, kw_only=True, tag="request.approved"):
    """The requester has the place."""


class RequestRejected(_Settled, frozen=True, kw_only=True, tag="request.rejected"):
    """A moderator said no."""


class RequestCancelled(_Settled, frozen=True, kw_only=True, tag="request.cancelled"):
    """Withdrawn, or moot."""


class RequestExpired(_Settled, frozen=True, kw_only=True, tag="request.expired"):
    """Nobody handled it in time."""


class InviteAccepted(_Settled, frozen=True, kw_only=True, tag="invite.accepted"):
    """The invitee has the place."""


class InviteDeclined(_Settled, frozen=True, kw_only=True, tag="invite.declined"):
    """The invitee said no."""


class InviteCancelled(_Settled, frozen=True, kw_only=True, tag="invite.cancelled"):
    """Withdrawn, or moot."""


class InviteExpired(_Settled, frozen=True, kw_only=True, tag="invite.expired"):
    """The invitee did not answer in time."""


class StreamScheduled(Event, frozen=True, kw_only=True, tag="stream.scheduled"):
    """When the stream is meant to begin; nothing opens by itself."""

    scheduled_at: datetime | None = None


class StreamLive(Event, frozen=True, kw_only=True, tag="stream.live"):
    """Who is on stage may publish from now on."""

    with_video: bool


class StreamPaused(Event, frozen=True, kw_only=True, tag="stream.paused"):
    """Nobody publishes until it is resumed."""


class StreamResumed(Event, frozen=True, kw_only=True, tag="stream.resumed"):
    """Who is on stage may publish again."""


class StageJoined(Event, frozen=True, kw_only=True, tag="stage.joined"):
    """Somebody has a place on the stage."""

    identity: Identity
    sources: tuple[Source, ...]


class StageLeft(Event, frozen=True, kw_only=True, tag="stage.left"):
    """Off the stage. Reasons: left, removed, timeout, kicked."""

    identity: Identity
    reason: str = "left"


class StageHeld(Event, frozen=True, kw_only=True, tag="stage.held"):
    """The member is away; the place waits until then."""

    identity: Identity
    until: datetime


class StageResumed(Event, frozen=True, kw_only=True, tag="stage.resumed"):
    """The member of a held place is back."""

    identity: Identity


class StageSourcesChanged(Event, frozen=True, kw_only=True, tag="stage.sources_changed"):
    """What somebody on stage may publish."""

    identity: Identity
    sources: tuple[Source, ...]


class CallRinging(Event, frozen=True, kw_only=True, tag="call.ringing"):
    """A device of the callee rings."""


class CallAccepted(Event, frozen=True, kw_only=True, tag="call.accepted"):
    """A device of the callee has it."""


class CallConnected(Event, frozen=True, kw_only=True, tag="call.connected"):
    """Both parties are in the media room."""


class CallEnded(Event, frozen=True, kw_only=True, tag="call.ended"):
    """The record of the call's end; the end of its room follows."""

    status: CallStatus
    reason: CallReason
    duration_s: float = 0.0


class AgentDispatched(Event, frozen=True, kw_only=True, tag="agent.dispatched"):
    """The media server was asked for the agent."""

    agent_name: str
    attempt: int


class AgentJoined(Event, frozen=True, kw_only=True, tag="agent.joined"):
    """The agent is there."""

    agent_name: str
    identity: Identity


class AgentLeft(Event, frozen=True, kw_only=True, tag="agent.left"):
    """The agent is gone, or never came; it is asked for again."""

    agent_name: str
    reason: str
    attempts: int = 0
    """How many of its tries count against it."""


class AgentFailed(Event, frozen=True, kw_only=True, tag="agent.failed"):
    """The agent was asked for as often as the policy says; nobody asks again."""

    agent_name: str
    reason: str


class UnknownEvent(Struct, frozen=True, kw_only=True):
    """An event of a newer engine: known only by its place in the log."""

    seq: int
    type: str


RoomEvent: TypeAlias = (
    RoomOpened | RoomSettingsChanged | RoomPolicyChanged | RoomEnded
    | MemberAway | MemberPresent | MemberRoleChanged | MemberMuted | MemberUnmuted | MemberMuteAsked
    | MemberKicked | MemberBanned | MemberUnbanned
    | HostGone | HostBack | HostTransferred
    | SeatsConfigured | SeatTaken | SeatLeft | SeatHeld | SeatResumed | SeatMoved | SeatsSwapped
    | SeatsLocked | SeatsUnlocked | SeatMuted | SeatUnmuted | SeatReserved
    | RequestCreated | RequestApproved | RequestRejected | RequestCancelled | RequestExpired
    | InviteCreated | InviteAccepted | InviteDeclined | InviteCancelled | InviteExpired
    | StreamScheduled | StreamLive | StreamPaused | StreamResumed
    | StageJoined | StageLeft | StageHeld | StageResumed | StageSourcesChanged
    | CallRinging | CallAccepted | CallConnected | CallEnded
    | AgentDispatched | AgentJoined | AgentLeft | AgentFailed
)  # fmt: skip

REQUEST_SETTLED = (RequestApproved, RequestRejected, RequestCancelled, RequestExpired)
INVITE_SETTLED = (InviteAccepted, InviteDeclined, InviteCancelled, InviteExpired)
