"""What anybody in a room may see: the public half of its state.

The engine keeps it, sends it, and the SDK folds events over it with the same `apply`.
"""

from datetime import datetime
from typing import Any

from msgspec import Struct

from utd_protocol.policy import Policy
from utd_protocol.types import (
    AgentStatus,
    CallReason,
    CallStatus,
    Direction,
    Identity,
    Role,
    RoomId,
    RoomName,
    RoomState,
    RoomType,
    SeatMode,
    SeatState,
    Source,
    StageRole,
    Target,
)


class Seat(Struct, frozen=True, kw_only=True):
    """One place of an audio room. Sitting on it is what grants the microphone."""

    index: int
    state: SeatState = SeatState.FREE
    identity: Identity | None = None
    held_until: datetime | None = None
    """When a disconnected occupant loses the seat."""
    mic_locked: bool = False
    """The seat's microphone is off, whoever sits there."""
    reserved_for: Identity | None = None
    reserved_role: Role | None = None
    version: int = 0
    """Grows with every change of this seat."""


class Member(Struct, frozen=True, kw_only=True):
    """Somebody the room keeps facts about beside a seat: a role, a mute, an absence."""

    identity: Identity
    role: Role = Role.AUDIENCE
    muted: tuple[Source, ...] = ()
    """Sources taken away until a moderator lifts the mute."""
    away: bool = False


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pending wish for a place, or a pending offer of one (`direction`).

    Where the policy hides requests, `identity`, `index` and `note` are absent for all but
    moderators.
    """

    id: int
    direction: Direction
    target: Target
    created_at: datetime
    identity: Identity | None = None
    index: int | None = None
    note: str = ""
    sources: tuple[Source, ...] = ()
    expires_at: datetime | None = None


class StageMember(Struct, frozen=True, kw_only=True):
    """Somebody who may publish in a live stream while it is live."""

    identity: Identity
    role: StageRole = StageRole.CO_HOST
    sources: tuple[Source, ...] = (Source.CAMERA, Source.MICROPHONE)
    held_until: datetime | None = None
    """When a disconnected member loses the place."""


class AgentView(Struct, frozen=True, kw_only=True):
    """An agent that should be in the room."""

    agent_name: str
    status: AgentStatus = AgentStatus.WANTED
    attempts: int = 0
    """How often it was asked for since it last stayed a while."""
    identity: Identity | None = None
    joined_at: datetime | None = None
    reason: str = ""
    """Why it failed."""


class CallView(Struct, frozen=True, kw_only=True):
    """A call: two parties, where it is, and at last how it ended."""

    status: CallStatus
    caller: Identity
    callee: Identity
    caller_name: str = ""
    callee_name: str = ""
    metadata: dict[str, Any] = {}
    created_at: datetime
    rings_until: datetime | None = None
    """When an unanswered call is missed."""
    ringing_at: datetime | None = None
    accepted_at: datetime | None = None
    connected_at: datetime | None = None
    """When both were in the media room."""
    ended_at: datetime | None = None
    reason: CallReason | None = None
    ended_by: Identity | None = None
    duration_s: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether its status is final."""
        return self.ended_at is not None


class RoomView(Struct, frozen=True, kw_only=True):
    """A room as everybody in it sees it."""

    room_id: RoomId
    type: RoomType
    name: RoomName
    state: RoomState
    owner: Identity
    """Who opened it; regains the host role by joining while nobody has it."""
    host: Identity | None
    host_gone_until: datetime | None = None
    """Set while the host is missing: when the policy `host_gone` acts."""
    opened_at: datetime
    ended_reason: str | None = None
    metadata: str = ""
    policy: Policy
    policy_version: int = 0
    seat_mode: SeatMode = SeatMode.FREE
    mode_id: str | None = None
    seats: tuple[Seat, ...] = ()
    members: tuple[Member, ...] = ()
    """Admins by seniority, and everybody with a mute or an absence."""
    requests: tuple[Request, ...] = ()
    invites: tuple[Request, ...] = ()
    stage: tuple[StageMember, ...] = ()
    """The host first, then co-hosts in the order they came."""
    scheduled_at: datetime | None = None
    call: CallView | None = None
    agents: tuple[AgentView, ...] = ()

    def agent(self, agent_name: str) -> AgentView | None:
        """The agent of this name that should be here."""
        return next((one for one in self.agents if one.agent_name == agent_name), None)

    def stage_member(self, identity: str) -> StageMember | None:
        """What somebody is on the stage."""
        return next((one for one in self.stage if one.identity == identity), None)

    def seat_of(self, identity: str) -> Seat | None:
        """The seat somebody sits on or holds."""
        return next((seat for seat in self.seats if seat.identity == identity), None)

    def member(self, identity: str) -> Member:
        """What the room keeps about somebody; the plain audience member when nothing."""
        known = next((member for member in self.members if member.identity == identity), None)
        return known or Member(identity=Identity(identity))

    def role_of(self, identity: str) -> Role:
        """The role of anybody, in the room or not."""
        return Role.HOST if identity == self.host else self.member(identity).role
