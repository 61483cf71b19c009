"""A LiveKit server in this process: rooms, people, rights, sound, and faults on demand.

It behaves as the real one where it matters to us, and one test class runs against both.
It is the server; what a participant holds of it is in `_link`.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct

from utd_protocol.types import Source
from utd_stream._errors import AuthRejected, ConnectError, Invalid
from utd_stream._room import events
from utd_stream._room.connection import DisconnectReason, Permissions
from utd_stream._room.events import LiveKitEvent
from utd_stream._room.link import Abandoned, Link, LinkOptions, StreamInfo
from utd_stream._room.participants import ParticipantKind, RemoteParticipant
from utd_stream.testing._streams import FakeStream
from utd_stream.testing._tracks import FakeTrack, Sleep

if TYPE_CHECKING:
    from utd_stream.testing._link import FakeLink

EVERYTHING: Final = Permissions(can_publish=True, can_subscribe=True, can_publish_data=True)


class Grant(Struct, frozen=True, kw_only=True):
    """What a token says."""

    room: str
    identity: str
    permissions: Permissions = EVERYTHING
    name: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = {}
    kind: ParticipantKind = "standard"


Admit: TypeAlias = Callable[[str], Grant | None]
"""Reads a token; None refuses it."""


@dataclass(slots=True, eq=False)
class Faults:
    """What goes wrong at the moment."""

    down: bool = False
    """Nobody answers: joining fails at once."""
    silent: bool = False
    """The server takes a join and never answers."""
    refuse_publish: set[str] = field(default_factory=set[str])
    """Identities whose tracks are not taken."""
    ignore_publish: set[str] = field(default_factory=set[str])
    """Identities whose tracks are never answered."""


@dataclass(slots=True, eq=False)
class Member:
    """Somebody in a room."""

    grant: Grant
    sid: str
    link: "FakeLink"
    permissions: Permissions
    name: str
    attributes: dict[str, str]
    tracks: dict[str, FakeTrack] = field(default_factory=dict[str, FakeTrack])

    @property
    def identity(self) -> str:
        """Who it is."""
        return self.grant.identity


@dataclass(slots=True, eq=False)
class FakeRoom:
    """A room on the server."""

    name: str
    metadata: str = ""
    max_participants: int = 0
    members: dict[str, Member] = field(default_factory=dict[str, Member])
    speaking: tuple[str, ...] = ()

    def others(self, identity: str) -> list[Member]:
        """Everybody but one."""
        return [each for each in self.members.values() if each.identity != identity]


class FakeLiveKit:
    """The server. Give `open_link` to a `UTDRoom`, and a token of `token` to its `connect`."""

    url: Final = "ws://livekit.test"

    def __init__(
        self,
        *,
        admit: Admit | None = None,
        auto_create: bool = True,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Start with no rooms.

        Args:
            admit: reads tokens that others made, such as an engine under test.
            auto_create: whether joining a missing room makes it.
            sleep: how long-lasting sound keeps time; a test's clock can take its place.
        """
        self.faults = Faults()
        self.rooms: dict[str, FakeRoom] = {}
        self.sleep = sleep
        self._admit = admit
        self._auto_create = auto_create
        self._grants: dict[str, Grant] = {}
        self._numbers = itertools.count(1)

    def number(self, prefix: str) -> str:
        """A new id, such as `PA_7`."""
        return f"{prefix}_{next(self._numbers)}"

    def open_link(
        self, options: LinkOptions, on_event: Callable[[LiveKitEvent], None], abandoned: Abandoned
    ) -> Link:
        """Make a connection that is not joined yet; an `OpenLink`."""
        from utd_stream.testing._link import FakeLink  # noqa: PLC0415 the two know each other

        del abandoned  # a join that is given up here has not happened
        return FakeLink(self, options, on_event)

    # What a server's API does.

    def token(self, room: str, identity: str, *, permissions: Permissions = EVERYTHING) -> str:
        """A token for `connect`."""
        return self.token_for(Grant(room=room, identity=identity, permissions=permissions))

    def token_for(self, grant: Grant) -> str:
        """A token that says all of this."""
        token = self.number("fake-token")
        self._grants[token] = grant
        return token

    def create_room(self, name: str, *, metadata: str = "", max_participants: int = 0) -> FakeRoom:
        """Make a room, unless it is there already: then nothing changes."""
        return self.rooms.setdefault(name, FakeRoom(name, metadata, max_participants))

    def delete_room(self, name: str) -> None:
        """End a room for everybody."""
        for member in tuple(self.rooms.pop(name).members.values()):
            member.link.tell(events.Disconnected(DisconnectReason.ROOM_DELETED))

    def remove(self, room: str, identity: str) -> None:
        """Put somebody out."""
        self.drop(room, identity, DisconnectReason.PARTICIPANT_REMOVED)

    def drop(self, room: str, identity: str, reason: DisconnectReason) -> None:
        """End somebody's connection for whatever reason."""
        member = self.member(room, identity)
        self.leave(member, reason)
        member.link.tell(events.Disconnected(reason))

    def permit(self, room: str, identity: str, permissions: Permissions) -> None:
        """Change what somebody may do, at once; tracks that are not allowed any more are gone."""
        member = self.member(room, identity)
        before, member.permissions = member.permissions, permissions
        if before == permissions:
            return
        for each in self.rooms[room].members.values():
            each.link.tell(
                events.ParticipantPermissionsChanged(identity, permissions, each is member)
            )
        for track in tuple(member.tracks.values()):
            if not permissions.allows(track.source):
                self.unpublish(member, track)
        if permissions.can_subscribe and not before.can_subscribe:
            member.link.hear_again()

    def set_metadata(self, room: str, metadata: str) -> None:
        """Change a room's metadata."""
        self.rooms[room].metadata = metadata
        for member in self.rooms[room].members.values():
            member.link.tell(events.RoomMetadataChanged(metadata))

    def set_attributes(self, room: str, identity: str, attributes: Mapping[str, str]) -> None:
        """Change some attributes; an empty value removes one."""
        member = self.member(room, identity)
        merged = {**member.attributes, **attributes}
        member.attributes = {key: value for key, value in merged.items() if value}
        for each in self.rooms[room].members.values():
            each.link.tell(events.ParticipantAttributesChanged(identity, dict(attributes)))

    def send_data(self, room: str, data: bytes, *, topic: str = "", to: Iterable[str] = ()) -> None:
        """Send data as the server: without a sender."""
        self.deliver(room, events.DataReceived(data, topic, None, True), set(to))

    def speak(self, room: str, *identities: str) -> None:
        """Say who speaks now, loudest first."""
        self.rooms[room].speaking = identities
        for member in self.rooms[room].members.values():
            member.link.tell(events.ActiveSpeakersChanged(identities))

    def mute(self, room: str, identity: str, source: Source, *, muted: bool = True) -> None:
        """Mute or open somebody's track."""
        kind = events.TrackMuted if muted else events.TrackUnmuted
        for track in self.member(room, identity).tracks.values():
            if track.source is source:
                track.muted = muted
                for each in self.rooms[room].members.values():
                    each.link.tell(kind(identity, track.info(subscribed=each.link.hears(track))))

    def stream_text(
        self,
        room: str,
        identity: str,
        topic: str,
        *,
        attributes: Mapping[str, str] | None = None,
        to: Iterable[str] = (),
        sender: str | None = None,
    ) -> list[FakeStream[str]]:
        """Open a text stream as somebody; one stream for each receiver with a handler.

        With `sender` it is shown as somebody else's, as an agent does with its user's words.
        """
        opened: list[FakeStream[str]] = []
        for member in self.rooms[room].others(identity):
            if not set(to) or member.identity in to:
                info = StreamInfo(stream_id=self.number("stream"), topic=topic)
                stream = FakeStream[str](info, attributes or {})
                if member.link.open_text(stream, sender or identity):
                    opened.append(stream)
        return opened

    def interrupt(self, room: str, identity: str, *, full: bool = False) -> Callable[[], None]:
        """Break somebody's connection in a way that LiveKit mends by itself.

        Args:
            room: where.
            identity: whose.
            full: everything is built anew, as after a lost server: the others vanish first.

        Returns:
            A function that ends the interruption.
        """
        member = self.member(room, identity)
        member.link.lose(full=full)
        if full:
            self._seen_leaving(member, DisconnectReason.CLIENT_INITIATED)
            del self.rooms[room].members[identity]

        def mend() -> None:
            if full:
                member.sid = self.number("PA")
                for track in tuple(member.tracks.values()):
                    del member.tracks[track.sid]
                    track.sid = self.number("TR")
                    member.tracks[track.sid] = track
                self.enter(room, member)
            member.link.mend(full=full)

        return mend

    def member(self, room: str, identity: str) -> Member:
        """Somebody who is there; `Invalid` otherwise."""
        found = self.rooms[room].members.get(identity) if room in self.rooms else None
        if found is None:
            raise Invalid(f"identity: {identity!r} is not in room {room!r}")
        return found

    # What participants' connections do.

    def admit(self, token: str, link: "FakeLink") -> Member:
        """Let somebody in, replacing the same identity."""
        grant = self._grants.get(token) or (self._admit(token) if self._admit else None)
        if grant is None:
            raise AuthRejected("the token was refused", status_code=401, code="token_rejected")
        if grant.room not in self.rooms and not self._auto_create:
            raise ConnectError("no such room", status_code=404, code="room_missing")
        room = self.create_room(grant.room)
        if grant.identity in room.members:
            self.drop(grant.room, grant.identity, DisconnectReason.DUPLICATE_IDENTITY)
        if 0 < room.max_participants <= len(room.members):
            raise ConnectError("the room is full", status_code=500, code="join_refused")
        member = Member(
            grant=grant,
            sid=self.number("PA"),
            link=link,
            permissions=grant.permissions,
            name=grant.name,
            attributes=dict(grant.attributes),
        )
        self.enter(grant.room, member)
        return member

    def enter(self, room: str, member: Member) -> None:
        """Make somebody visible, with all tracks."""
        self.rooms[room].members[member.identity] = member
        for other in self.rooms[room].others(member.identity):
            other.link.tell(events.ParticipantConnected(other.link.seen(member)))
            other.link.tell(events.ParticipantActive(other.link.seen(member)))
            for track in member.tracks.values():
                other.link.meet(member, track)

    def leave(self, member: Member, reason: DisconnectReason) -> None:
        """Take somebody out of the room, with all tracks."""
        room = self.rooms.get(member.grant.room)
        if room is None or room.members.get(member.identity) is not member:
            return
        for track in tuple(member.tracks.values()):
            self.unpublish(member, track)
        self._seen_leaving(member, reason)
        del room.members[member.identity]

    def publish(self, member: Member, track: FakeTrack) -> None:
        """Show a track to the others."""
        member.tracks[track.sid] = track
        for other in self.rooms[member.grant.room].others(member.identity):
            other.link.tell(events.TrackPublished(member.identity, track.info(subscribed=False)))
            other.link.meet(member, track)

    def unpublish(self, member: Member, track: FakeTrack) -> None:
        """Take a track from the others."""
        room = self.rooms.get(member.grant.room)
        track.dead = True
        if member.tracks.pop(track.sid, None) is None or room is None:
            return
        for other in room.others(member.identity):
            other.link.part(member, track)

    def deliver(self, room: str, event: events.DataReceived, to: set[str]) -> None:
        """Hand data to those it is for, never to its sender."""
        for member in self.rooms[room].members.values():
            if member.identity != event.identity and (not to or member.identity in to):
                member.link.tell(event)

    def _seen_leaving(self, member: Member, reason: DisconnectReason) -> None:
        for other in self.rooms[member.grant.room].others(member.identity):
            for track in member.tracks.values():
                other.link.part(member, track)
            seen = other.link.seen(member)
            other.link.tell(events.ParticipantDisconnected(seen, reason))


def seen_as(
    member: Member, *, speaking: bool, hears: Callable[[FakeTrack], bool]
) -> RemoteParticipant:
    """A member as somebody else sees it."""
    return RemoteParticipant(
        identity=member.identity,
        sid=member.sid,
        name=member.name,
        metadata=member.grant.metadata,
        kind=member.grant.kind,
        attributes=dict(member.attributes),
        speaking=speaking,
        tracks=tuple(each.info(subscribed=hears(each)) for each in member.tracks.values()),
    )
