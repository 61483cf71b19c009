"""Commands that only the engine gives itself. They enter at the top like everybody's."""

from datetime import datetime
from typing import TypeAlias

from msgspec import Struct

from utd_protocol.commands import RoomCommand
from utd_protocol.types import Identity, Role


class Join(Struct, frozen=True, kw_only=True):
    """Somebody was admitted and is about to get a token. `claim` is what they say they are."""

    identity: Identity
    claim: Role = Role.AUDIENCE
    device: str | None = None
    """Which installation of their client gets the token, where that matters (calls)."""


class PresenceChanged(Struct, frozen=True, kw_only=True):
    """LiveKit reports somebody, or no longer does. Late and repeated reports change nothing."""

    identity: Identity
    sid: str
    joined_at: datetime
    present: bool
    listed: bool = False
    """Read from a complete list, which is the truth whatever single reports said before."""


class OccupancyChanged(Struct, frozen=True, kw_only=True):
    """How many people are in the room now, agents and hidden members left out."""

    count: int


class AgentAsked(Struct, frozen=True, kw_only=True):
    """LiveKit took a dispatch of this agent."""

    agent_name: str
    dispatch_id: str


class AgentsListed(Struct, frozen=True, kw_only=True):
    """All agents that LiveKit reports in the room: names (empty: not told yet) and identities."""

    agents: tuple[tuple[str, str], ...]


class Tick(Struct, frozen=True, kw_only=True):
    """Time has passed."""


Order: TypeAlias = (
    RoomCommand | Join | PresenceChanged | OccupancyChanged | AgentAsked | AgentsListed | Tick
)
