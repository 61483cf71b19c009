"""What is known of a room now: every event folded into values that can be watched. No I/O."""

from collections.abc import Iterator
from typing import Any, Final

from utd_stream._observable import Observable
from utd_stream._room import events
from utd_stream._room.connection import (
    NO_RIGHTS,
    ConnectionQuality,
    DisconnectReason,
    Permissions,
    UTDConnectionState,
)
from utd_stream._room.events import LiveKitEvent
from utd_stream._room.link import Link
from utd_stream._room.participants import RemoteParticipant

REBUILD: Final = 1.0
"""Seconds for which people who vanished without a reason may come back unnoticed."""


class RoomValues:
    """The present of one room, over all its connections."""

    def __init__(self) -> None:
        """Start disconnected, with nobody there."""
        self.connection = Observable(UTDConnectionState.DISCONNECTED)
        self.connected = Observable(value=False)
        self.permissions: Observable[Permissions] = Observable(NO_RIGHTS)
        self.can_publish = Observable(value=False)
        self.remote_participants: Observable[tuple[RemoteParticipant, ...]] = Observable(())
        self.active_speakers: Observable[tuple[str, ...]] = Observable(())
        self.connection_quality = Observable(ConnectionQuality.UNKNOWN)
        self.metadata = Observable("")
        self.rebuilding = False
        """People vanish before LiveKit says that it reconnects: then the last value is kept."""

    def enter(self, state: UTDConnectionState) -> None:
        """Set the state of the connection."""
        self.connection._set(state)  # noqa: SLF001 ours
        self.connected._set(state is UTDConnectionState.CONNECTED)  # noqa: SLF001 ours

    def fold(self, link: Link, event: LiveKitEvent) -> None:
        """Take an event of the present connection in."""
        match event:
            case events.Connected() | events.Reconnected():
                self.rebuilding = False
                self._grant(link.permissions)
                self.look(link)
                self.enter(UTDConnectionState.CONNECTED)
            case events.Reconnecting():
                self.rebuilding = True
                self.enter(UTDConnectionState.RECONNECTING)
            case events.Disconnected(reason=reason):
                self._leave(reason)
            case events.ParticipantDisconnected(reason=DisconnectReason.UNKNOWN):
                self.rebuilding = True
            case events.ParticipantPermissionsChanged(permissions=permissions, is_local=True):
                self._grant(permissions)
            case events.RoomMetadataChanged(metadata=metadata):
                self.metadata._set(metadata)  # noqa: SLF001 ours
            case events.DataReceived() | events.RawEvent():
                pass
            case _:
                self._fold_people(link, event)

    def look(self, link: Link) -> None:
        """See who is there now."""
        self.rebuilding = False
        self.remote_participants._set(link.participants())  # noqa: SLF001 ours

    def close(self) -> None:
        """End everybody who watches."""
        for value in self._all():
            value._close()  # noqa: SLF001 ours

    def _fold_people(self, link: Link, event: LiveKitEvent) -> None:
        match event:
            case events.ActiveSpeakersChanged(identities=identities):
                self.active_speakers._set(identities)  # noqa: SLF001 ours
            case events.ConnectionQualityChanged(identity=who, quality=quality):
                if who == link.identity:
                    self.connection_quality._set(quality)  # noqa: SLF001 ours
            case _:
                pass
        if not self.rebuilding:
            self.look(link)

    def _grant(self, permissions: Permissions) -> None:
        self.permissions._set(permissions)  # noqa: SLF001 ours
        self.can_publish._set(permissions.can_publish)  # noqa: SLF001 ours

    def _leave(self, reason: DisconnectReason) -> None:
        """Nothing may be done any more. Who was there stays known while a rejoin makes sense."""
        self.rebuilding = False
        self._grant(NO_RIGHTS)
        self.active_speakers._set(())  # noqa: SLF001 ours
        self.connection_quality._set(ConnectionQuality.UNKNOWN)  # noqa: SLF001 ours
        if reason.on_purpose:
            self.remote_participants._set(())  # noqa: SLF001 ours
        self.enter(UTDConnectionState.DISCONNECTED)

    def _all(self) -> Iterator[Observable[Any]]:
        yield from (each for each in vars(self).values() if isinstance(each, Observable))
