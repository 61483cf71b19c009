"""What one participant holds of the in-process LiveKit: a `Link`, as the real one."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from utd_protocol.types import Source
from utd_stream._errors import ClosedByUs, ConnectionLost, PublishFailed, Unreachable
from utd_stream._media.frames import AudioFrame
from utd_stream._media.video import VideoFrame
from utd_stream._room import events
from utd_stream._room.connection import NO_RIGHTS, DisconnectReason, Permissions
from utd_stream._room.events import LiveKitEvent
from utd_stream._room.link import (
    BytesHandler,
    LinkOptions,
    Packet,
    Received,
    Sent,
    StreamInfo,
    TextHandler,
)
from utd_stream._room.participants import RemoteParticipant
from utd_stream.testing._livekit import FakeLiveKit, FakeRoom, Member, seen_as
from utd_stream.testing._streams import FakeStream
from utd_stream.testing._tracks import FakeFrames, FakeSent, FakeTrack


class FakeLink:
    """One connection to one room of a `FakeLiveKit`."""

    def __init__(
        self,
        server: FakeLiveKit,
        options: LinkOptions,
        on_event: Callable[[LiveKitEvent], None],
    ) -> None:
        """Made by `FakeLiveKit.open_link`."""
        self._server = server
        self._options = options
        self._on_event = on_event
        self.asked: dict[str, tuple[bool, int | None]] = {}
        self.encrypted = options.encryption is not None
        self._member: Member | None = None
        self._over = asyncio.Event()
        self._lost = False
        self._heard: set[str] = set()
        self._frames: set[FakeFrames[Any]] = set()
        self._text: dict[str, TextHandler] = {}
        self._bytes: dict[str, BytesHandler] = {}
        self._reading: set[FakeStream[Any]] = set()

    @property
    def raw(self) -> object:
        """The room on the fake server, None before the join."""
        return self._room

    @property
    def raw_local(self) -> object:
        """The member on the fake server, None before the join."""
        return self._member

    @property
    def identity(self) -> str:
        """Who we are."""
        return self._member.identity if self._member else ""

    @property
    def permissions(self) -> Permissions:
        """What we may do now."""
        return self._member.permissions if self._member else NO_RIGHTS

    @property
    def metadata(self) -> str:
        """The room's metadata now."""
        return self._room.metadata if self._room else ""

    @property
    def _room(self) -> FakeRoom | None:
        return self._server.rooms.get(self._member.grant.room) if self._member else None

    def participants(self) -> tuple[RemoteParticipant, ...]:
        """The others."""
        if self._room is None or self._lost or self._over.is_set():
            return ()
        return tuple(self.seen(each) for each in self._room.others(self.identity))

    # Joining and leaving.

    async def connect(self, url: str, token: str) -> None:
        """Join."""
        if self._server.faults.down:
            raise Unreachable(f"the media server at {url} cannot be reached: it is down")
        if self._server.faults.silent:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.connect_timeout):
                    await self._over.wait()
            seconds = self._options.connect_timeout
            if not self._over.is_set():
                raise Unreachable(f"nobody answered at {url} within {seconds:g} s")
        await asyncio.sleep(0)
        if self._over.is_set():
            raise ClosedByUs("left before the room was joined")
        self._member = self._server.admit(token, self)
        self._on_event(events.Connected())
        self._on_event(events.RoomMetadataChanged(self.metadata))
        self._meet_all()

    async def disconnect(self) -> None:
        """Leave."""
        if self._member is not None and not self._over.is_set():
            self._server.leave(self._member, DisconnectReason.CLIENT_INITIATED)
            self._take(events.Disconnected(DisconnectReason.CLIENT_INITIATED))
        self._end_all()
        await asyncio.sleep(0)

    # Called by the server.

    def tell(self, event: LiveKitEvent) -> None:
        """Hand over an event, a moment later, as a network does."""
        asyncio.get_running_loop().call_soon(self._take, event)

    def seen(self, member: Member) -> RemoteParticipant:
        """A member as we see it."""
        room = self._room
        speaking = room is not None and member.identity in room.speaking
        return seen_as(member, speaking=speaking, hears=self.hears)

    def hears(self, track: FakeTrack) -> bool:
        """Whether we receive a track."""
        return track.sid in self._heard

    def meet(self, member: Member, track: FakeTrack) -> None:
        """A track is there; we receive it, if we do that by ourselves."""
        if self._options.auto_subscribe and self.permissions.can_subscribe:
            self._hear(member.identity, track)

    def part(self, member: Member, track: FakeTrack) -> None:
        """A track is gone."""
        self._stop_hearing(member.identity, track)
        self.tell(events.TrackUnpublished(member.identity, track.info(subscribed=False)))

    def hear_again(self) -> None:
        """We may receive again: every track ends and comes back in one go."""
        for member in self._room.others(self.identity) if self._room else ():
            for track in member.tracks.values():
                self._stop_hearing(member.identity, track)
                self.meet(member, track)

    def open_text(self, stream: FakeStream[str], identity: str) -> bool:
        """Somebody opens a text stream to us; says whether we have a handler."""
        handler = self._text.get(stream.info.topic)
        if handler is not None:
            self._reading.add(stream)
            asyncio.get_running_loop().call_soon(handler, stream, identity)
        return handler is not None

    def open_bytes(self, stream: FakeStream[bytes], identity: str) -> bool:
        """Somebody opens a byte stream to us; says whether we have a handler."""
        handler = self._bytes.get(stream.info.topic)
        if handler is not None:
            self._reading.add(stream)
            asyncio.get_running_loop().call_soon(handler, stream, identity)
        return handler is not None

    def lose(self, *, full: bool) -> None:
        """The connection breaks; when it has to be built anew, everybody vanishes first."""
        if full and self._room is not None:
            others = self._room.others(self.identity)
            for member in others:
                for track in member.tracks.values():
                    self.part(member, track)
            asyncio.get_running_loop().call_soon(self._lose_everybody)
            for member in others:
                self.tell(
                    events.ParticipantDisconnected(self.seen(member), DisconnectReason.UNKNOWN)
                )
        self.tell(events.Reconnecting())

    def mend(self, *, full: bool) -> None:
        """The connection is back; own tracks have new ids when it was built anew."""
        self._lost = False
        if full and self._room is not None and self._member is not None:
            for member in self._room.others(self.identity):
                self.tell(events.ParticipantConnected(self.seen(member)))
            self._meet_all()
            for track in self._member.tracks.values():
                self.tell(events.LocalTrackPublished(track.source, track.sid))
        self.tell(events.Reconnected())
        self.tell(events.RoomMetadataChanged(self.metadata))

    def _lose_everybody(self) -> None:
        self._break_streams()
        self._lost = True

    def _take(self, event: LiveKitEvent) -> None:
        if self._over.is_set():
            return
        if isinstance(event, events.Disconnected):
            self._end_all()
        self._on_event(event)

    def _end_all(self) -> None:
        self._over.set()
        for each in tuple(self._frames):
            each.end()
        self._frames.clear()
        self._break_streams()

    def _break_streams(self) -> None:
        for stream in self._reading:
            stream.fail()
        self._reading.clear()

    # Tracks.

    async def publish_audio(self, source: Source, *, preconnect: bool) -> Sent[AudioFrame]:
        """Publish a sound track."""
        return await self._publish(source, None, preconnect=preconnect)

    async def publish_video(self, source: Source, width: int, height: int) -> Sent[VideoFrame]:
        """Publish a picture track."""
        return await self._publish(source, (width, height), preconnect=False)

    async def _publish(
        self, source: Source, size: tuple[int, int] | None, *, preconnect: bool
    ) -> FakeSent[Any]:
        member = self._member
        if member is None or self._over.is_set():
            raise ConnectionLost("not connected: nothing can be published now")
        await asyncio.sleep(0)
        if member.identity in self._server.faults.refuse_publish:
            raise PublishFailed("the media server did not take the track: refused")
        ignored = member.identity in self._server.faults.ignore_publish
        if ignored or not member.permissions.allows(source):
            await self._never_answered()
        track = FakeTrack(self._server.number("TR"), source, size, preconnect=preconnect)
        self._server.publish(member, track)
        self.tell(events.LocalTrackPublished(source, track.sid))

        def unpublish() -> None:
            if not self._over.is_set():
                self._server.unpublish(member, track)
                self.tell(events.LocalTrackUnpublished(source, track.sid))

        return FakeSent(track, self._server.sleep, unpublish)

    async def _never_answered(self) -> None:
        seconds = self._options.publish_timeout
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()
        if self._over.is_set():
            raise ConnectionLost("the connection ended while a track was being published")
        raise PublishFailed(f"the media server did not take the track within {seconds:g} s")

    def receive_audio(
        self, identity: str, source: Source, frame_ms: int
    ) -> Received[AudioFrame] | None:
        """Frames of somebody's sound."""
        return self._receive(identity, source, frame_ms)

    def receive_video(self, identity: str, source: Source) -> Received[VideoFrame] | None:
        """Frames of somebody's pictures."""
        return self._receive(identity, source, None)

    def _receive(
        self, identity: str, source: Source, frame_ms: int | None
    ) -> FakeFrames[Any] | None:
        member = self._room.members.get(identity) if self._room else None
        if member is None or self._over.is_set():
            return None
        for track in member.tracks.values():
            if track.source is source and self.hears(track):
                frames = FakeFrames[Any](track, frame_ms, deaf=self._deaf)
                self._frames.add(frames)
                return frames
        return None

    def _deaf(self) -> bool:
        return not self.permissions.can_subscribe

    def ask_for(self, identity: str, track_sid: str, *, wanted: bool, width: int | None) -> None:
        """Receive a track or not; there is one size of pictures only, `asked` keeps the wish."""
        self.asked[track_sid] = (wanted, width)
        member = self._room.members.get(identity) if self._room else None
        track = member.tracks.get(track_sid) if member else None
        if track is None:
            return
        if wanted and self.permissions.can_subscribe:
            self._hear(identity, track)
        elif not wanted:
            self._stop_hearing(identity, track)

    def _meet_all(self) -> None:
        for member in self._room.others(self.identity) if self._room else ():
            for track in member.tracks.values():
                self.meet(member, track)

    def _hear(self, identity: str, track: FakeTrack) -> None:
        if track.sid not in self._heard:
            self._heard.add(track.sid)
            self.tell(events.TrackSubscribed(identity, track.info(subscribed=True)))

    def _stop_hearing(self, identity: str, track: FakeTrack) -> None:
        if track.sid in self._heard:
            self._heard.discard(track.sid)
            for each in tuple(self._frames):
                if each.track is track:
                    self._frames.discard(each)
                    each.end()
            self.tell(events.TrackUnsubscribed(identity, track.info(subscribed=False)))

    def set_encryption(self, *, enabled: bool) -> None:
        """Keep the wish in `encrypted`; nothing is encrypted here."""
        self.encrypted = enabled

    # Data, text, bytes.

    async def send_data(self, data: bytes, packet: Packet) -> None:
        """Send data; without the right nothing happens, as with the real one."""
        member = self._for_sending()
        if member.permissions.can_publish_data:
            event = events.DataReceived(data, packet.topic, member.identity, packet.reliable)
            self._server.deliver(member.grant.room, event, set(packet.destinations))
        await asyncio.sleep(0)

    async def send_text(self, text: str, packet: Packet) -> str:
        """Send a text stream; without the right nothing happens."""
        info = self._header(packet, len(text.encode()))
        for link in self._receivers(packet):
            stream = FakeStream[str](info, packet.attributes)
            stream.write(text)
            stream.finish()
            link.open_text(stream, self.identity)
        await asyncio.sleep(0)
        return info.stream_id

    async def send_bytes(self, data: bytes, packet: Packet) -> str:
        """Send a byte stream; without the right nothing happens."""
        info = self._header(packet, len(data))
        for link in self._receivers(packet):
            stream = FakeStream[bytes](info, packet.attributes)
            stream.write(data)
            stream.finish()
            link.open_bytes(stream, self.identity)
        await asyncio.sleep(0)
        return info.stream_id

    def serve_text(self, topic: str, handler: TextHandler | None) -> None:
        """Set or remove the handler of a topic."""
        _serve(self._text, topic, handler)

    def serve_bytes(self, topic: str, handler: BytesHandler | None) -> None:
        """Set or remove the handler of a topic."""
        _serve(self._bytes, topic, handler)

    def _for_sending(self) -> Member:
        if self._member is None or self._over.is_set():
            raise ConnectionLost("the connection ended: nothing can be sent now")
        return self._member

    def _receivers(self, packet: Packet) -> list["FakeLink"]:
        member = self._for_sending()
        room = self._room
        if room is None or not member.permissions.can_publish_data:
            return []
        to = set(packet.destinations)
        return [each.link for each in room.others(member.identity) if not to or each.identity in to]

    def _header(self, packet: Packet, size: int) -> StreamInfo:
        return StreamInfo(
            stream_id=self._server.number("stream"),
            topic=packet.topic,
            mime_type=packet.mime_type,
            name=packet.name,
            size=size,
        )


def _serve(handlers: dict[str, Any], topic: str, handler: object) -> None:
    if handler is None:
        handlers.pop(topic, None)
    else:
        handlers[topic] = handler
