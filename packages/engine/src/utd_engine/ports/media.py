"""LiveKit as the engine uses it. Adapters live in `adapters/`."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from utd_engine.domain.permissions import Permission


class MediaUnavailable(Exception):
    """LiveKit did not do what it was asked, or did not say in time: the outcome is unknown.

    `code` is LiveKit's own (`unavailable`, `unauthenticated`, `invalid_argument` …), or ours:
    `timeout`, `connection`, `malformed`.
    """

    def __init__(self, message: str, *, code: str = "unavailable") -> None:
        super().__init__(message)
        self.code = code


class Observed(NamedTuple):
    """A participant as LiveKit reports it."""

    identity: str
    sid: str
    joined_at: datetime
    active: bool
    """False while its transport is not up yet."""
    agent: bool
    hidden: bool
    permission: Permission
    agent_name: str = ""
    """The name that an agent has told of itself; empty for people, and before it has."""


class Incarnation(NamedTuple):
    """What LiveKit knows of a room name: `sid` is None when there is no such room."""

    sid: str | None
    members: tuple[Observed, ...]


class Join(Struct, frozen=True, kw_only=True):
    """What goes into a LiveKit join token."""

    room: str
    identity: str
    permission: Permission
    name: str = ""
    attributes: dict[str, str] = {}
    kind: Literal["standard", "agent"] = "standard"
    metadata: str = ""
    """What agents read of the user."""
    agents: tuple[tuple[str, str], ...] = ()
    """Names and metadata of agents that will come: clients begin to wait for them."""


class MediaGateway(Protocol):
    """LiveKit, as the engine uses it. Each call has a deadline and raises `MediaUnavailable`."""

    url: str
    """Where clients connect, `ws://…` or `wss://…`."""

    async def ensure_room(self, room: str, *, metadata: str = "", max_participants: int = 0) -> str:
        """Create the room unless it is there; its present incarnation's sid."""
        ...

    async def remove_room(self, room: str) -> None:
        """Delete the room; a missing one is fine."""
        ...

    async def list_rooms(self) -> list[str]:
        """The names of all rooms that are there."""
        ...

    async def push_member(
        self,
        room: str,
        identity: str,
        permission: Permission,
        *,
        attributes: dict[str, str] | None = None,
    ) -> bool:
        """Set the complete permission; False when they are not there."""
        ...

    async def remove_member(self, room: str, identity: str) -> bool:
        """Disconnect somebody; False when they are not there."""
        ...

    async def list_members(self, room: str) -> Incarnation:
        """Who is there now, hidden members and agents too."""
        ...

    async def publish_events(self, room: str, metadata: str) -> bool:
        """Set the room's metadata; False when there is no such room."""
        ...

    async def dispatch_agent(self, room: str, agent_name: str, metadata: str) -> str:
        """Ask for an agent; the dispatch's id."""
        ...

    async def withdraw_agent(self, room: str, dispatch_id: str) -> None:
        """End a dispatch; a missing one is fine."""
        ...

    def mint_token(self, join: Join, *, now: datetime, ttl_s: int) -> str:
        """A join token whose grants are exactly the permission."""
        ...

    async def healthy(self) -> bool:
        """Whether the server answers; never raises."""
        ...

    async def aclose(self) -> None:
        """Free connections."""
        ...


class WebhookEvent(NamedTuple):
    """A LiveKit webhook that was verified and parsed."""

    id: str
    event: str
    room: str
    room_sid: str
    participant: Observed | None
    disconnect_reason: str
    created_at: datetime


WebhookReader = Callable[[bytes, str], WebhookEvent]
"""Verify the raw body against the `Authorization` header and parse it; raises `ValueError`."""
