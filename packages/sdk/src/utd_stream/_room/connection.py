"""Plain words about a connection: its state, why it ended, what it may do. No I/O here."""

from enum import StrEnum
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from utd_protocol.types import Source

SourceName: TypeAlias = (
    Source | Literal["microphone", "camera", "screen_share", "screen_share_audio"]
)


class UTDConnectionState(StrEnum):
    """Where a connection is in its life."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    RESYNCING = "resyncing"


class ConnectionQuality(StrEnum):
    """What the media server thinks of a participant's network."""

    UNKNOWN = "unknown"
    LOST = "lost"
    POOR = "poor"
    GOOD = "good"
    EXCELLENT = "excellent"


class DisconnectReason(StrEnum):
    """Why a participant's connection ended."""

    UNKNOWN = "unknown"
    CLIENT_INITIATED = "client_initiated"
    DUPLICATE_IDENTITY = "duplicate_identity"
    SERVER_SHUTDOWN = "server_shutdown"
    PARTICIPANT_REMOVED = "participant_removed"
    ROOM_DELETED = "room_deleted"
    STATE_MISMATCH = "state_mismatch"
    JOIN_FAILURE = "join_failure"
    MIGRATION = "migration"
    SIGNAL_CLOSE = "signal_close"
    ROOM_CLOSED = "room_closed"
    USER_UNAVAILABLE = "user_unavailable"
    USER_REJECTED = "user_rejected"
    SIP_TRUNK_FAILURE = "sip_trunk_failure"
    CONNECTION_TIMEOUT = "connection_timeout"
    MEDIA_FAILURE = "media_failure"
    AGENT_ERROR = "agent_error"

    @property
    def on_purpose(self) -> bool:
        """Whether somebody meant it, so that coming back by oneself would be wrong."""
        return self in _ON_PURPOSE


_ON_PURPOSE: Final = frozenset(
    {
        DisconnectReason.CLIENT_INITIATED,
        DisconnectReason.DUPLICATE_IDENTITY,
        DisconnectReason.PARTICIPANT_REMOVED,
        DisconnectReason.ROOM_DELETED,
        DisconnectReason.ROOM_CLOSED,
    }
)


class Permissions(Struct, frozen=True, kw_only=True):
    """What the server lets the local participant do. The SDK never widens it."""

    can_publish: bool = False
    can_subscribe: bool = False
    can_publish_data: bool = False
    sources: tuple[Source, ...] = ()
    """The sources that may be published. Empty together with `can_publish`: all of them."""

    def allows(self, source: SourceName) -> bool:
        """Whether a track of this source may be published."""
        return self.can_publish and (not self.sources or Source(source) in self.sources)


NO_RIGHTS: Final = Permissions()
