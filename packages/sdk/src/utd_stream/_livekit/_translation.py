"""LiveKit's values in our words. Pure: nothing here talks to anybody."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from livekit import rtc

from utd_protocol.types import Source
from utd_stream._errors import AuthRejected, ConnectError, Unreachable, scrub
from utd_stream._room.connection import ConnectionQuality, DisconnectReason, Permissions
from utd_stream._room.encryption import E2EEOptions
from utd_stream._room.participants import ParticipantKind, RemoteParticipant, TrackInfo, TrackKind

_SOURCES: Final[Mapping[int, Source]] = {
    rtc.TrackSource.SOURCE_CAMERA: Source.CAMERA,
    rtc.TrackSource.SOURCE_MICROPHONE: Source.MICROPHONE,
    rtc.TrackSource.SOURCE_SCREENSHARE: Source.SCREEN_SHARE,
    rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO: Source.SCREEN_SHARE_AUDIO,
}
_SOURCE_NUMBERS: Final[Mapping[Source, rtc.TrackSource.ValueType]] = {
    Source.CAMERA: rtc.TrackSource.SOURCE_CAMERA,
    Source.MICROPHONE: rtc.TrackSource.SOURCE_MICROPHONE,
    Source.SCREEN_SHARE: rtc.TrackSource.SOURCE_SCREENSHARE,
    Source.SCREEN_SHARE_AUDIO: rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO,
}
_QUALITIES: Final[Mapping[int, ConnectionQuality]] = {
    rtc.ConnectionQuality.QUALITY_POOR: ConnectionQuality.POOR,
    rtc.ConnectionQuality.QUALITY_GOOD: ConnectionQuality.GOOD,
    rtc.ConnectionQuality.QUALITY_EXCELLENT: ConnectionQuality.EXCELLENT,
    rtc.ConnectionQuality.QUALITY_LOST: ConnectionQuality.LOST,
}
_KINDS: Final[Mapping[int, ParticipantKind]] = {
    rtc.ParticipantKind.PARTICIPANT_KIND_INGRESS: "ingress",
    rtc.ParticipantKind.PARTICIPANT_KIND_EGRESS: "egress",
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP: "sip",
    rtc.ParticipantKind.PARTICIPANT_KIND_AGENT: "agent",
    rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR: "connector",
    rtc.ParticipantKind.PARTICIPANT_KIND_BRIDGE: "bridge",
}
_REASONS: Final[Mapping[int, DisconnectReason]] = {
    number: DisconnectReason[name]
    for name, number in rtc.DisconnectReason.items()
    if name in DisconnectReason.__members__
}


def source_of(number: int) -> Source | None:
    """A track's source, or None when the publisher did not say."""
    return _SOURCES.get(number)


def number_of(source: Source) -> rtc.TrackSource.ValueType:
    """LiveKit's number for a source."""
    return _SOURCE_NUMBERS[source]


def reason_of(number: int | None) -> DisconnectReason:
    """Why a connection ended; reasons that are newer than this SDK are unknown."""
    if number is None:
        return DisconnectReason.UNKNOWN
    return _REASONS.get(number, DisconnectReason.UNKNOWN)


def quality_of(quality: int) -> ConnectionQuality:
    """The server's opinion of a network."""
    return _QUALITIES.get(quality, ConnectionQuality.UNKNOWN)


def permissions_of(participant: rtc.Participant) -> Permissions:
    """What a participant may do."""
    given = participant.permissions
    sources = (source_of(each) for each in given.can_publish_sources)
    return Permissions(
        can_publish=given.can_publish,
        can_subscribe=given.can_subscribe,
        can_publish_data=given.can_publish_data,
        sources=tuple(each for each in sources if each is not None),
    )


def participant_of(participant: rtc.RemoteParticipant, *, speaking: bool) -> RemoteParticipant:
    """A participant as of now."""
    return RemoteParticipant(
        identity=participant.identity,
        sid=participant.sid,
        name=participant.name,
        metadata=participant.metadata,
        kind=_KINDS.get(participant.kind, "standard"),
        active=participant.state == rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE,
        attributes=MappingProxyType(participant.attributes),
        speaking=speaking,
        quality=quality_of(participant.connection_quality),
        tracks=tuple(track_of(each) for each in participant.track_publications.values()),
        raw=participant,
    )


def track_of(publication: rtc.TrackPublication) -> TrackInfo:
    """A publication as of now."""
    return TrackInfo(
        sid=publication.sid,
        kind=_kind_of(publication),
        source=source_of(publication.source),
        name=publication.name,
        muted=publication.muted,
        subscribed=isinstance(publication, rtc.RemoteTrackPublication) and publication.subscribed,
        width=publication.width,
        height=publication.height,
        simulcast=publication.simulcasted,
        raw=publication,
        track=publication.track,
    )


def _kind_of(publication: rtc.TrackPublication) -> TrackKind:
    return "video" if publication.kind == rtc.TrackKind.KIND_VIDEO else "audio"


def encryption_of(options: E2EEOptions | None) -> rtc.E2EEOptions | None:
    """LiveKit's options for a shared key."""
    if options is None:
        return None
    return rtc.E2EEOptions(key_provider_options=rtc.KeyProviderOptions(shared_key=options.key))


def quality_for(width: int | None, full_width: int) -> rtc.VideoQuality.ValueType:
    """The smallest of the usual three layers (all, a half, a quarter) that fills this width."""
    if width is None or full_width <= 0 or width > full_width / 2:
        return rtc.VideoQuality.VIDEO_QUALITY_HIGH
    if width > full_width / 4:
        return rtc.VideoQuality.VIDEO_QUALITY_MEDIUM
    return rtc.VideoQuality.VIDEO_QUALITY_LOW


def refusal(said: str, url: str, token: str) -> ConnectError:
    """The error that a failed join stands for; LiveKit gives a text and nothing else."""
    text = scrub(said, token).strip()
    if "wait_pc_connection" in text:
        return media_unreachable(url, text)
    if _status(text) == 404:  # noqa: PLR2004 the HTTP status itself
        return ConnectError(
            f"the room does not exist on {url}: it must be opened before it is joined ({text})",
            status_code=404,
            code="room_missing",
        )
    if _status(text) in {400, 401, 403}:
        return AuthRejected(
            f"{url} refused the token: it may be expired, made for another room, or signed with "
            f"another key ({text})",
            status_code=_status(text),
            code="token_rejected",
        )
    if _status(text) == 500:  # noqa: PLR2004 the HTTP status itself
        return ConnectError(
            f"{url} did not let us in: the room may be full ({text})",
            status_code=500,
            code="join_refused",
        )
    return Unreachable(f"the media server at {url} cannot be reached: {text}")


def media_unreachable(url: str, why: str) -> Unreachable:
    """The error for signalling that works while no media connection comes about."""
    return Unreachable(
        f"{url} answers, but no media connection came about: its UDP ports must be reachable from "
        f"here, and this machine needs a network interface besides loopback ({why})"
    )


def no_answer(url: str, seconds: float, *, answers: bool) -> Unreachable:
    """The error for a join that did not end within our own deadline."""
    if answers:
        return media_unreachable(url, f"not joined within {seconds:g} s")
    return Unreachable(f"nobody answered at {url} within {seconds:g} s")


def _status(text: str) -> int | None:
    words = text.replace(":", " ").split()
    numbers = (int(each) for each in words if each.isdigit() and len(each) == 3)  # noqa: PLR2004
    return next((each for each in numbers if 400 <= each < 600), None)  # noqa: PLR2004
