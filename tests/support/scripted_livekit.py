"""A LiveKit without sockets: a test says what it grants, tells and breaks."""

import asyncio
from collections.abc import AsyncIterator, Callable

from utd_protocol.types import Source
from utd_stream._media.frames import AudioFrame
from utd_stream._media.video import VideoFrame
from utd_stream._room.connection import NO_RIGHTS, DisconnectReason, Permissions
from utd_stream._room.events import (
    Connected,
    Disconnected,
    LiveKitEvent,
    ParticipantPermissionsChanged,
    Reconnected,
    Reconnecting,
    RoomMetadataChanged,
)
from utd_stream._room.link import Abandoned, LinkOptions, Packet, Received, Sent
from utd_stream._room.participants import RemoteParticipant

LISTENER = Permissions(can_subscribe=True, can_publish_data=True)
SPEAKER = Permissions(
    can_publish=True, can_subscribe=True, can_publish_data=True, sources=(Source.MICROPHONE,)
)


class ScriptedLiveKit:
    """Hand it to the client as `open_link`."""

    def __init__(self) -> None:
        self.links: list[ScriptedLink] = []
        self.permissions = LISTENER
        self.metadata = ""
        self.failures: list[Exception] = []
        """What the next connects raise, one after another."""
        self.connects = 0
        self.takes_tracks = asyncio.Event()
        """Cleared: publishing hangs, as LiveKit's does sometimes."""
        self.takes_tracks.set()
        self.published: list[Source] = []
        """What is live now."""
        self.sent: list[tuple[bytes, Packet]] = []

    def __call__(
        self,
        options: LinkOptions,
        on_event: Callable[[LiveKitEvent], None],
        abandoned: Abandoned,
    ) -> "ScriptedLink":
        link = ScriptedLink(self, on_event)
        self.links.append(link)
        return link

    @property
    def joined(self) -> "ScriptedLink | None":
        """The connection of now."""
        return next((link for link in reversed(self.links) if link.up), None)

    def grant(self, permissions: Permissions) -> None:
        """The server changes the rights of the participant."""
        self.permissions = permissions
        if self.joined is not None:
            changed = ParticipantPermissionsChanged(self.joined.identity, permissions, True)
            self.joined.tell(changed)

    def tell_metadata(self, metadata: str) -> None:
        """The server changes the room's metadata."""
        self.metadata = metadata
        if self.joined is not None:
            self.joined.tell(RoomMetadataChanged(metadata))

    def interrupt(self) -> None:
        """The connection breaks, and LiveKit tries to resume it."""
        assert self.joined is not None
        self.joined.tell(Reconnecting())

    def resume(self) -> None:
        """LiveKit has resumed the connection."""
        assert self.joined is not None
        self.joined.tell(Reconnected())

    def drop(self, reason: DisconnectReason) -> None:
        """The connection is over; without one nothing happens."""
        if self.joined is not None:
            self.joined.drop(reason)


class ScriptedLink:
    """One connection."""

    def __init__(self, livekit: ScriptedLiveKit, tell: Callable[[LiveKitEvent], None]) -> None:
        self._livekit = livekit
        self.tell = tell
        self.up = False
        self.token = ""
        self.identity = ""
        self.raw: object = self
        self.raw_local: object = None

    @property
    def permissions(self) -> Permissions:
        return self._livekit.permissions if self.up else NO_RIGHTS

    @property
    def metadata(self) -> str:
        return self._livekit.metadata

    def participants(self) -> tuple[RemoteParticipant, ...]:
        return ()

    async def connect(self, url: str, token: str) -> None:
        self._livekit.connects += 1
        await asyncio.sleep(0)
        if self._livekit.failures:
            raise self._livekit.failures.pop(0)
        self.up, self.token, self.identity = True, token, "me"
        self.tell(Connected())
        self.tell(RoomMetadataChanged(self._livekit.metadata))

    async def disconnect(self) -> None:
        self.drop(DisconnectReason.CLIENT_INITIATED)

    def drop(self, reason: DisconnectReason) -> None:
        if self.up:
            self.up = False
            self.tell(Disconnected(reason))

    async def publish_audio(self, source: Source, *, preconnect: bool) -> Sent[AudioFrame]:
        await self._livekit.takes_tracks.wait()
        return _Track(self._livekit, source)

    async def publish_video(self, source: Source, width: int, height: int) -> Sent[VideoFrame]:
        await self._livekit.takes_tracks.wait()
        return _Track(self._livekit, source)

    def receive_audio(
        self, identity: str, source: Source, frame_ms: int
    ) -> Received[AudioFrame] | None:
        return None

    def receive_video(self, identity: str, source: Source) -> Received[VideoFrame] | None:
        return None

    def ask_for(self, identity: str, track_sid: str, *, wanted: bool, width: int | None) -> None:
        return None

    async def send_data(self, data: bytes, packet: Packet) -> None:
        self._livekit.sent.append((data, packet))

    async def send_text(self, text: str, packet: Packet) -> str:
        raise NotImplementedError

    async def send_bytes(self, data: bytes, packet: Packet) -> str:
        raise NotImplementedError

    def serve_text(self, topic: str, handler: object) -> None:
        return None

    def serve_bytes(self, topic: str, handler: object) -> None:
        return None


class _Track:
    sid = "TR_1"

    def __init__(self, livekit: ScriptedLiveKit, source: Source) -> None:
        self._livekit = livekit
        self._source = source
        self._live = True
        livekit.published.append(source)

    async def write(self, frame: object) -> None:
        await asyncio.sleep(0)

    async def aclose(self) -> None:
        if self._live:
            self._live = False
            self._livekit.published.remove(self._source)


class Silence:
    """A microphone that gives nothing, so that no test depends on the pace of frames."""

    def __aiter__(self) -> AsyncIterator[AudioFrame]:
        return self._frames()

    async def _frames(self) -> AsyncIterator[AudioFrame]:
        await asyncio.Event().wait()
        yield AudioFrame.__new__(AudioFrame)


class Darkness:
    """A camera that shows nothing."""

    width = height = 16

    def __aiter__(self) -> AsyncIterator[VideoFrame]:
        return self._frames()

    async def _frames(self) -> AsyncIterator[VideoFrame]:
        await asyncio.Event().wait()
        yield VideoFrame.__new__(VideoFrame)
