"""What happens in a LiveKit room, as frozen structs. `RawEvent` carries whatever is not listed."""

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct

from utd_protocol.types import Source
from utd_stream._errors import UTDStreamException
from utd_stream._room.connection import ConnectionQuality, DisconnectReason, Permissions
from utd_stream._room.participants import RemoteParticipant, TrackInfo


class Connected(Struct, frozen=True):
    """The room was joined."""


class Reconnecting(Struct, frozen=True):
    """The connection is interrupted; LiveKit tries to get it back by itself."""


class Reconnected(Struct, frozen=True):
    """The connection is back."""


class Disconnected(Struct, frozen=True):
    """The connection is over; LiveKit does not come back from this."""

    reason: DisconnectReason


class ParticipantConnected(Struct, frozen=True):
    """Somebody joined."""

    participant: RemoteParticipant


class ParticipantActive(Struct, frozen=True):
    """Somebody who joined can receive data from now on."""

    participant: RemoteParticipant


class ParticipantDisconnected(Struct, frozen=True):
    """Somebody left. Reason `unknown` means that our own connection is being rebuilt."""

    participant: RemoteParticipant
    reason: DisconnectReason


class ParticipantAttributesChanged(Struct, frozen=True):
    """Attributes of a participant (the local one too) changed."""

    identity: str
    changed: Mapping[str, str]


class ParticipantMetadataChanged(Struct, frozen=True):
    """LiveKit metadata of a participant changed."""

    identity: str
    metadata: str


class ParticipantNameChanged(Struct, frozen=True):
    """The display name of a participant changed."""

    identity: str
    name: str


class ParticipantPermissionsChanged(Struct, frozen=True):
    """The server changed what a participant may do."""

    identity: str
    permissions: Permissions
    is_local: bool


class TrackPublished(Struct, frozen=True):
    """Somebody published a track."""

    identity: str
    track: TrackInfo


class TrackUnpublished(Struct, frozen=True):
    """Somebody's track ended."""

    identity: str
    track: TrackInfo


class TrackSubscribed(Struct, frozen=True):
    """Somebody's track is being received from now on."""

    identity: str
    track: TrackInfo


class TrackUnsubscribed(Struct, frozen=True):
    """Somebody's track is not received any more."""

    identity: str
    track: TrackInfo


class TrackMuted(Struct, frozen=True):
    """A track was muted by its publisher or the server."""

    identity: str
    track: TrackInfo


class TrackUnmuted(Struct, frozen=True):
    """A muted track carries sound or pictures again."""

    identity: str
    track: TrackInfo


class TrackSubscriptionFailed(Struct, frozen=True):
    """A track could not be received."""

    identity: str
    track_sid: str
    error: str


class LocalTrackPublished(Struct, frozen=True):
    """A track of ours is published. After a full reconnect it comes again with a new sid."""

    source: Source | None
    sid: str


class LocalTrackUnpublished(Struct, frozen=True):
    """A track of ours is not published any more."""

    source: Source | None
    sid: str


class LocalTrackFailed(Struct, frozen=True):
    """A track of ours could not be published, or its input broke."""

    source: Source
    error: UTDStreamException


class ActiveSpeakersChanged(Struct, frozen=True):
    """Who is speaking now, loudest first."""

    identities: tuple[str, ...]


class ConnectionQualityChanged(Struct, frozen=True):
    """The server's opinion of a participant's network changed."""

    identity: str
    quality: ConnectionQuality


class DataReceived(Struct, frozen=True):
    """A data packet came."""

    data: bytes
    topic: str
    identity: str | None
    """The sender, or None: the server, or one who joined a moment ago."""
    reliable: bool


class RoomMetadataChanged(Struct, frozen=True):
    """The room's metadata changed; also sent with the value at join and after a reconnect."""

    metadata: str


class RawEvent(Struct, frozen=True):
    """Any other event of LiveKit's client, as it came."""

    name: str
    args: tuple[object, ...] = ()


LiveKitEvent: TypeAlias = (
    Connected
    | Reconnecting
    | Reconnected
    | Disconnected
    | ParticipantConnected
    | ParticipantActive
    | ParticipantDisconnected
    | ParticipantAttributesChanged
    | ParticipantMetadataChanged
    | ParticipantNameChanged
    | ParticipantPermissionsChanged
    | TrackPublished
    | TrackUnpublished
    | TrackSubscribed
    | TrackUnsubscribed
    | TrackMuted
    | TrackUnmuted
    | TrackSubscriptionFailed
    | LocalTrackPublished
    | LocalTrackUnpublished
    | LocalTrackFailed
    | ActiveSpeakersChanged
    | ConnectionQualityChanged
    | DataReceived
    | RoomMetadataChanged
    | RawEvent
)
