"""Others in the room as plain frozen values. LiveKit's own objects hang on them as `raw`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from utd_protocol.types import Source
from utd_stream._room.connection import ConnectionQuality

TrackKind = Literal["audio", "video"]
ParticipantKind = Literal["standard", "ingress", "egress", "sip", "agent", "connector", "bridge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackInfo:
    """A track that a participant publishes."""

    sid: str
    kind: TrackKind
    source: Source | None
    """None when the publisher did not say what it is."""
    name: str = ""
    muted: bool = False
    subscribed: bool = False
    """Whether it is being received, so that it can be read now."""
    width: int = 0
    height: int = 0
    simulcast: bool = False
    raw: object = field(default=None, compare=False, repr=False)
    """LiveKit's publication."""
    track: object = field(default=None, compare=False, repr=False)
    """LiveKit's track, None until it is received."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteParticipant:
    """Somebody else in the room, as of now. A change makes a new value."""

    identity: str
    sid: str = ""
    name: str = ""
    metadata: str = ""
    kind: ParticipantKind = "standard"
    active: bool = True
    """Whether it can receive data: what is sent earlier is lost."""
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    speaking: bool = False
    quality: ConnectionQuality = ConnectionQuality.UNKNOWN
    tracks: tuple[TrackInfo, ...] = ()
    raw: object = field(default=None, compare=False, repr=False)
    """LiveKit's participant."""

    def track(self, source: Source) -> TrackInfo | None:
        """The first track of this source, or None."""
        return next((each for each in self.tracks if each.source is source), None)
