"""What LiveKit tells, as our events. LiveKit's own are names with positional arguments."""

from collections.abc import Callable
from typing import Any, Final, cast, get_args

from livekit import rtc
from livekit.rtc.room import EventTypes

from utd_stream._livekit._translation import (
    participant_of,
    permissions_of,
    quality_of,
    reason_of,
    source_of,
    track_of,
)
from utd_stream._room import events
from utd_stream._room.events import LiveKitEvent
from utd_stream._room.participants import RemoteParticipant

_Remote = rtc.RemoteParticipant
_Publication = rtc.TrackPublication
_UNSAID: Final = frozenset({"connected", "connection_state_changed"})
"""Never emitted, or said by other events already."""


class Inbox:
    """Listens to one LiveKit room, and keeps its participants in our words.

    A participant is translated again only after an event about it, so that an event in a room
    of hundreds stays cheap.
    """

    def __init__(self, room: rtc.Room, tell: Callable[[LiveKitEvent], None]) -> None:
        self._room = room
        self._tell = tell
        self._known: dict[str, RemoteParticipant] = {}
        self._speaking: frozenset[str] = frozenset()
        listen: Callable[[str, Callable[..., None]], object] = cast("Any", room).on
        for name in get_args(EventTypes):
            if name not in _UNSAID:
                listen(name, getattr(self, f"_{name}", None) or self._raw(name))

    def participants(self) -> tuple[RemoteParticipant, ...]:
        """Everybody else, as of now."""
        present = self._room.remote_participants
        for identity in self._known.keys() - present.keys():
            del self._known[identity]
        for identity, participant in present.items():
            if identity not in self._known:
                self._known[identity] = self._translate(participant)
        return tuple(self._known[identity] for identity in present)

    def _translate(self, participant: rtc.RemoteParticipant) -> RemoteParticipant:
        return participant_of(participant, speaking=participant.identity in self._speaking)

    def _of(self, participant: rtc.RemoteParticipant) -> RemoteParticipant:
        """A participant anew, since an event says that something about it changed."""
        changed = self._translate(participant)
        self._known[participant.identity] = changed
        return changed

    def _forget(self, participant: rtc.Participant) -> None:
        self._known.pop(participant.identity, None)

    def _raw(self, name: str) -> Callable[..., None]:
        def tell(*args: object) -> None:
            self._tell(events.RawEvent(name, args))

        return tell

    # ---- the connection

    def _reconnecting(self) -> None:
        self._tell(events.Reconnecting())

    def _reconnected(self) -> None:
        self._known.clear()
        self._tell(events.Reconnected())
        self._tell(events.RoomMetadataChanged(self._room.metadata))

    def _disconnected(self, reason: int) -> None:
        self._tell(events.Disconnected(reason_of(reason)))

    def _room_metadata_changed(self, _: str, metadata: str) -> None:
        self._tell(events.RoomMetadataChanged(metadata))

    # ---- participants

    def _participant_connected(self, participant: _Remote) -> None:
        self._tell(events.ParticipantConnected(self._of(participant)))

    def _participant_active(self, participant: _Remote) -> None:
        self._tell(events.ParticipantActive(self._of(participant)))

    def _participant_disconnected(self, participant: _Remote) -> None:
        reason = reason_of(participant.disconnect_reason)
        self._tell(events.ParticipantDisconnected(self._translate(participant), reason))

    def _participant_attributes_changed(
        self, changed: dict[str, str], participant: rtc.Participant
    ) -> None:
        self._forget(participant)
        self._tell(events.ParticipantAttributesChanged(participant.identity, changed))

    def _participant_metadata_changed(
        self, participant: rtc.Participant, _: str, metadata: str
    ) -> None:
        self._forget(participant)
        self._tell(events.ParticipantMetadataChanged(participant.identity, metadata))

    def _participant_name_changed(self, participant: rtc.Participant, _: str, name: str) -> None:
        self._forget(participant)
        self._tell(events.ParticipantNameChanged(participant.identity, name))

    def _participant_permissions_changed(self, participant: rtc.Participant, _: object) -> None:
        self._tell(
            events.ParticipantPermissionsChanged(
                participant.identity,
                permissions_of(participant),
                isinstance(participant, rtc.LocalParticipant),
            )
        )

    def _active_speakers_changed(self, speakers: list[rtc.Participant]) -> None:
        identities = tuple(each.identity for each in speakers)
        for identity in self._speaking ^ set(identities):
            self._known.pop(identity, None)
        self._speaking = frozenset(identities)
        self._tell(events.ActiveSpeakersChanged(identities))

    def _connection_quality_changed(
        self, participant: rtc.Participant | None, quality: int
    ) -> None:
        if participant is not None:
            self._forget(participant)
            self._tell(events.ConnectionQualityChanged(participant.identity, quality_of(quality)))

    # ---- tracks of others

    def _track_published(self, publication: _Publication, participant: _Remote) -> None:
        self._forget(participant)
        self._tell(events.TrackPublished(participant.identity, track_of(publication)))

    def _track_unpublished(self, publication: _Publication, participant: _Remote) -> None:
        self._forget(participant)
        self._tell(events.TrackUnpublished(participant.identity, track_of(publication)))

    def _track_subscribed(
        self, _: rtc.Track, publication: _Publication, participant: _Remote
    ) -> None:
        self._forget(participant)
        self._tell(events.TrackSubscribed(participant.identity, track_of(publication)))

    def _track_unsubscribed(
        self, _: rtc.Track, publication: _Publication, participant: _Remote
    ) -> None:
        self._forget(participant)
        self._tell(events.TrackUnsubscribed(participant.identity, track_of(publication)))

    def _track_subscription_failed(
        self, participant: _Remote, track_sid: str, error: object
    ) -> None:
        self._tell(events.TrackSubscriptionFailed(participant.identity, track_sid, str(error)))

    def _track_muted(self, participant: rtc.Participant, publication: _Publication) -> None:
        self._forget(participant)
        self._tell(events.TrackMuted(participant.identity, track_of(publication)))

    def _track_unmuted(self, participant: rtc.Participant, publication: _Publication) -> None:
        self._forget(participant)
        self._tell(events.TrackUnmuted(participant.identity, track_of(publication)))

    # ---- tracks of ours

    def _local_track_published(self, publication: _Publication, _: object) -> None:
        self._tell(events.LocalTrackPublished(source_of(publication.source), publication.sid))

    def _local_track_republished(self, publication: _Publication, _: str) -> None:
        self._tell(events.LocalTrackPublished(source_of(publication.source), publication.sid))

    def _local_track_unpublished(self, publication: _Publication) -> None:
        self._tell(events.LocalTrackUnpublished(source_of(publication.source), publication.sid))

    # ---- data

    def _data_received(self, packet: rtc.DataPacket) -> None:
        self._tell(
            events.DataReceived(
                data=packet.data,
                topic=packet.topic or "",
                identity=packet.participant.identity if packet.participant else None,
                reliable=packet.kind == rtc.DataPacketKind.KIND_RELIABLE,
            )
        )
