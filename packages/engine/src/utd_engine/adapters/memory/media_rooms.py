"""The rooms and participants of the LiveKit stand-in: what each side of the wire sees."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import jwt

from utd_engine.adapters.livekit.permissions import observed_permission
from utd_engine.adapters.livekit.tokens import ApiKey
from utd_engine.domain.permissions import Permission
from utd_engine.ports.media import Observed
from utd_protocol.types import MAX_IDENTITY_BYTES, Source

LEEWAY = timedelta(seconds=60)


class JoinRefused(Exception):
    """The stand-in let nobody in; `status` is the HTTP status that LiveKit answers."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Grants(NamedTuple):
    """What a join token says once LiveKit has filled in what it leaves out."""

    room: str
    identity: str
    name: str
    attributes: dict[str, str]
    agent: bool
    permission: Permission


class Dispatch(NamedTuple):
    """An agent that was asked for."""

    id: str
    agent_name: str
    metadata: str


@dataclass(slots=True, eq=False)
class MemoryParticipant:
    """Somebody in a room, as the client itself sees it."""

    room: str
    identity: str
    sid: str
    name: str
    attributes: dict[str, str]
    agent: bool
    permission: Permission
    joined_at: datetime
    metadata_seen: list[str]
    """The room's metadata at the join and after each change."""
    disconnected: str = ""
    """LiveKit's reason, once it is out."""
    crashed_at: datetime | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def room_metadata(self) -> str:
        """The room's metadata as last received."""
        return self.metadata_seen[-1]

    async def wait_until(self, condition: Callable[["MemoryParticipant"], bool]) -> None:
        """Return once the condition holds; give it a deadline with `asyncio.timeout`."""
        while not condition(self):
            await self._changed.wait()

    def wake(self) -> None:
        """Something changed: let those who wait look again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def observed(self) -> Observed:
        """What the server reports of it."""
        return Observed(
            identity=self.identity,
            sid=self.sid,
            joined_at=self.joined_at,
            active=not self.disconnected,
            agent=self.agent,
            hidden=self.permission.hidden,
            permission=self.permission,
            agent_name=self.attributes.get("lk.agent.name", ""),
        )


@dataclass(slots=True, eq=False)
class MemoryRoom:
    """One incarnation of a room."""

    name: str
    sid: str
    metadata: str
    max_participants: int
    members: dict[str, MemoryParticipant] = field(default_factory=dict)
    dispatches: dict[str, Dispatch] = field(default_factory=dict)

    def is_full_for(self, grants: Grants) -> bool:
        """Hidden members count and agents do not; who is in already may come again."""
        if not self.max_participants or grants.agent or grants.identity in self.members:
            return False
        return sum(not member.agent for member in self.members.values()) >= self.max_participants

    def set_metadata(self, metadata: str) -> None:
        """Tell everybody."""
        self.metadata = metadata
        for member in self.members.values():
            member.metadata_seen.append(metadata)
            member.wake()


def read_join_token(token: str, api_key: ApiKey, now: datetime) -> Grants:
    """The grants of a token, checked and completed as LiveKit does. Raises `JoinRefused`."""
    try:
        claims = jwt.decode(  # pyright: ignore[reportUnknownMemberType]
            token,
            api_key.secret,
            algorithms=["HS256"],
            issuer=api_key.key,
            options={"verify_exp": False, "verify_nbf": False, "require": ["exp"]},
        )
    except jwt.PyJWTError as error:
        raise JoinRefused(401, f"no valid token: {error}") from error
    if now - LEEWAY >= _time(claims["exp"], now) or now + LEEWAY < _time(claims.get("nbf"), now):
        raise JoinRefused(401, "the token has expired or is not valid yet")
    video: dict[str, Any] = claims.get("video", {})
    if not video.get("roomJoin"):
        raise JoinRefused(401, "the token does not grant roomJoin")
    identity: str = claims.get("sub", "")
    if not 0 < len(identity.encode()) <= MAX_IDENTITY_BYTES:
        raise JoinRefused(400, f"the identity must have 1 to {MAX_IDENTITY_BYTES} bytes")
    return Grants(
        room=video["room"],
        identity=identity,
        name=claims.get("name", ""),
        attributes=dict(claims.get("attributes", {})),
        agent=claims.get("kind") == "agent",
        permission=_permission(video),
    )


def _permission(video: dict[str, Any]) -> Permission:
    can_publish: bool = video.get("canPublish", True)
    return observed_permission(
        can_publish=can_publish,
        sources=[Source(source) for source in video.get("canPublishSources", ())],
        can_subscribe=video.get("canSubscribe", True),
        can_publish_data=video.get("canPublishData", can_publish),
        hidden=video.get("hidden", False),
    )


def _time(seconds: int | None, now: datetime) -> datetime:
    return now if seconds is None else datetime.fromtimestamp(seconds, now.tzinfo)
