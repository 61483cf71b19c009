"""Reading what a LiveKit token says, without checking its signature. Pure."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final, TypeAlias, cast

import msgspec

Claims: TypeAlias = Mapping[str, object]

TOLERANCE: Final = timedelta(seconds=60)
"""A token that ends within this time is not used any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoGrants:
    """What a token lets its holder do; None where it says nothing."""

    room: str | None = None
    room_create: bool | None = None
    room_join: bool | None = None
    room_list: bool | None = None
    room_record: bool | None = None
    room_admin: bool | None = None
    can_publish: bool | None = None
    can_subscribe: bool | None = None
    can_publish_data: bool | None = None
    can_publish_sources: tuple[str, ...] | None = None
    hidden: bool | None = None
    recorder: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomAgentDispatch:
    """One agent that joins with the room."""

    agent_name: str | None = None
    metadata: str | None = None
    deployment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomConfiguration:
    """How a token makes its room; None where it says nothing. Timeouts in seconds."""

    name: str | None = None
    empty_timeout: int | None = None
    departure_timeout: int | None = None
    max_participants: int | None = None
    metadata: str | None = None
    min_playout_delay: int | None = None
    max_playout_delay: int | None = None
    sync_streams: bool | None = None
    agents: tuple[RoomAgentDispatch, ...] | None = None


@dataclass(frozen=True, slots=True)
class LiveKitJwtPayload:
    """The claims of a LiveKit token. Whether anybody signed it is not known."""

    claims: Claims
    """All of them, read-only."""

    @property
    def issuer(self) -> str | None:
        """`iss`: the API key that made it."""
        return _text(self.claims.get("iss"))

    @property
    def identity(self) -> str | None:
        """`sub`, or else `identity`: who may join with it."""
        subject = _text(self.claims.get("sub"))
        return subject if subject is not None else _text(self.claims.get("identity"))

    @property
    def name(self) -> str | None:
        """The display name."""
        return _text(self.claims.get("name"))

    @property
    def metadata(self) -> str | None:
        """The participant's metadata."""
        return _text(self.claims.get("metadata"))

    @property
    def attributes(self) -> Mapping[str, str] | None:
        """The participant's attributes; values are made strings, nulls left out."""
        found = _mapping(self.claims.get("attributes"))
        if found is None:
            return None
        return MappingProxyType({key: str(each) for key, each in found.items() if each is not None})

    @property
    def video(self) -> VideoGrants | None:
        """The grants."""
        found = _mapping(self.claims.get("video"))
        return None if found is None else _grants(found)

    @property
    def room_configuration(self) -> RoomConfiguration | None:
        """`roomConfig`, or else `room_config`: how the room is made."""
        found = _mapping(_either(self.claims, "room_config"))
        return None if found is None else _configuration(found)

    @property
    def expires_at(self) -> datetime | None:
        """`exp`."""
        return _time(self.claims.get("exp"))

    @property
    def not_before(self) -> datetime | None:
        """`nbf`."""
        return _time(self.claims.get("nbf"))

    @property
    def issued_at(self) -> datetime | None:
        """`iat`."""
        return _time(self.claims.get("iat"))


def read_token(token: str) -> LiveKitJwtPayload | None:
    """What a token says; None when it cannot be read."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 header, payload, signature
        return None
    try:
        raw = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = msgspec.json.decode(raw, type=dict[str, object])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return None
    return LiveKitJwtPayload(MappingProxyType(claims))


def is_valid(token: str, now: datetime, tolerance: timedelta = TOLERANCE) -> bool:
    """Whether a token may be used now and ends later than `tolerance` from now."""
    payload = read_token(token)
    if payload is None or payload.expires_at is None:
        return False
    if payload.not_before is not None and now < payload.not_before:
        return False
    return payload.expires_at > now + tolerance


def _grants(of: Claims) -> VideoGrants:
    sources = _either(of, "can_publish_sources")
    return VideoGrants(
        room=_text(of.get("room")),
        room_create=_flag(_either(of, "room_create")),
        room_join=_flag(_either(of, "room_join")),
        room_list=_flag(_either(of, "room_list")),
        room_record=_flag(_either(of, "room_record")),
        room_admin=_flag(_either(of, "room_admin")),
        can_publish=_flag(_either(of, "can_publish")),
        can_subscribe=_flag(_either(of, "can_subscribe")),
        can_publish_data=_flag(_either(of, "can_publish_data")),
        can_publish_sources=(
            tuple(str(each) for each in cast("list[object]", sources))
            if isinstance(sources, list)
            else None
        ),
        hidden=_flag(of.get("hidden")),
        recorder=_flag(of.get("recorder")),
    )


def _configuration(of: Claims) -> RoomConfiguration:
    return RoomConfiguration(
        name=_text(of.get("name")),
        empty_timeout=_whole(_either(of, "empty_timeout")),
        departure_timeout=_whole(_either(of, "departure_timeout")),
        max_participants=_whole(_either(of, "max_participants")),
        metadata=_text(of.get("metadata")),
        min_playout_delay=_whole(_either(of, "min_playout_delay")),
        max_playout_delay=_whole(_either(of, "max_playout_delay")),
        sync_streams=_flag(_either(of, "sync_streams")),
        agents=_dispatches(of.get("agents")),
    )


def _dispatches(found: object) -> tuple[RoomAgentDispatch, ...] | None:
    if not isinstance(found, list):
        return None
    agents = (_mapping(each) for each in cast("list[object]", found))
    return tuple(
        RoomAgentDispatch(
            agent_name=_text(_either(each, "agent_name")),
            metadata=_text(each.get("metadata")),
            deployment=_text(each.get("deployment")),
        )
        for each in agents
        if each is not None
    )


def _either(of: Claims, snake: str) -> object:
    """A claim in either spelling; real tokens are in camelCase."""
    first, *rest = snake.split("_")
    camel = first + "".join(each.capitalize() for each in rest)
    found = of.get(camel)
    return of.get(snake) if found is None else found


def _mapping(value: object) -> Claims | None:
    return cast("Claims", value) if isinstance(value, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(cast("float", value)) if is_number else None


def _time(value: object) -> datetime | None:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        return None
