"""Joining and leaving a LiveKit room, one connection after another, and what is known of it."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Self

import msgspec

from utd_protocol.types import Source
from utd_stream._broadcast import Broadcast, EventReader
from utd_stream._errors import ClosedByUs, EncryptionError, Invalid, UTDStreamException
from utd_stream._media.frames import MediaInputs
from utd_stream._observable import Observable
from utd_stream._room import events
from utd_stream._room.connection import ConnectionQuality, Permissions, UTDConnectionState
from utd_stream._room.encryption import E2EEOptions
from utd_stream._room.events import LiveKitEvent
from utd_stream._room.link import Abandoned, BytesHandler, Link, LinkOptions, OpenLink, TextHandler
from utd_stream._room.local_tracks import LocalTracks
from utd_stream._room.participants import RemoteParticipant
from utd_stream._room.receiving import Receiving
from utd_stream._room.values import REBUILD, RoomValues

_CLOSING: Final = 5.0
_SUPERSEDED: Final = 1.0
_SCHEMES: Final = ("ws://", "wss://", "http://", "https://")
_UP: Final = frozenset({UTDConnectionState.CONNECTED, UTDConnectionState.RECONNECTING})


class RoomConnection:
    """A room that is joined and left any number of times, and what is known of it.

    The half of `UTDRoom` that does not send or receive anything by itself.
    """

    def __init__(
        self,
        *,
        adaptive_stream: bool = True,
        dynacast: bool = True,
        roaming: bool = False,
        single_peer_connection: bool | None = None,
        timeout: float = 10.0,
        media: MediaInputs | None = None,
        encryption: E2EEOptions | None = None,
        open_link: OpenLink | None = None,
    ) -> None:
        """Choose how it connects; nothing is opened yet.

        Args:
            adaptive_stream: receive pictures only while `video` reads them, and only as large
                as it asks for. LiveKit's Python client has no adaptive stream of its own.
            dynacast: send only the sizes of one's own pictures that somebody receives.
            roaming: for devices that change networks: keeps looking for ways to connect, which
                costs 40 to 90 file descriptors a room instead of 3.
            single_peer_connection: one connection for both directions (None and True), which
                joins sooner, or two (False), which start sound sooner.
            timeout: seconds for joining, and for publishing a track.
            media: what is published when a call names no source; by default a `Push` and two
                `PushVideo`, silent and dark until written to.
            encryption: end-to-end, for everything that is sent and received.
            open_link: makes connections; LiveKit's by default, a fake of `utd_stream.testing`
                in tests.
        """
        self.media = media or MediaInputs()
        self._options = LinkOptions(
            dynacast=dynacast,
            adaptive_stream=adaptive_stream,
            roaming=roaming,
            single_peer_connection=single_peer_connection,
            connect_timeout=timeout,
            publish_timeout=timeout,
            encryption=encryption,
        )
        self._open_link = open_link
        self._abandoned = Abandoned()
        self._waits_for_abandoned = True
        self._values = RoomValues()
        self._broadcast: Broadcast[LiveKitEvent] = Broadcast()
        self._receiving = Receiving(self._link_up, adaptive=adaptive_stream)
        self._tracks = LocalTracks(
            link=self._link_up,
            connected=self._values.connected,
            permissions=self._values.permissions,
            failed=self._track_failed,
        )
        self._text: dict[str, TextHandler] = {}
        self._bytes: dict[str, BytesHandler] = {}
        self._link: Link | None = None
        self._rebuilt: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    # What is known now.

    @property
    def connection(self) -> Observable[UTDConnectionState]:
        """Where LiveKit's connection is in its life; never `resyncing`."""
        return self._values.connection

    @property
    def connected(self) -> Observable[bool]:
        """Whether the room is joined and the connection whole. The reference's `connected`."""
        return self._values.connected

    @property
    def can_publish(self) -> Observable[bool]:
        """Whether the server lets us publish anything. The reference's `canPublish`."""
        return self._values.can_publish

    @property
    def permissions(self) -> Observable[Permissions]:
        """Everything the server lets us do; nothing while disconnected."""
        return self._values.permissions

    @property
    def remote_participants(self) -> Observable[tuple[RemoteParticipant, ...]]:
        """The others; keeps its last value while reconnecting. `remoteParticipants` there."""
        return self._values.remote_participants

    @property
    def active_speakers(self) -> Observable[tuple[str, ...]]:
        """Identities of those who speak now, loudest first, about a second late."""
        return self._values.active_speakers

    @property
    def connection_quality(self) -> Observable[ConnectionQuality]:
        """What the server thinks of our own network."""
        return self._values.connection_quality

    @property
    def metadata(self) -> Observable[str]:
        """The room's metadata."""
        return self._values.metadata

    @property
    def room(self) -> object:
        """LiveKit's `rtc.Room`: a fresh one for each join, None before the first."""
        return None if self._link is None else self._link.raw

    @property
    def local_participant(self) -> object:
        """LiveKit's local participant, None before the first join."""
        return None if self._link is None else self._link.raw_local

    @property
    def identity(self) -> str:
        """Our own identity, empty before the first join."""
        return "" if self._link is None else self._link.identity

    # Events.

    @property
    def events(self) -> EventReader[LiveKitEvent]:
        """A new iterator over every event from now on; each access gives another one.

        It raises `Lagged` when it falls 10,000 events behind, and ends when the room is closed.
        The reference's `events`.
        """
        return self._broadcast.reader()

    def subscribe(self, callback: Callable[[LiveKitEvent], None]) -> Callable[[], None]:
        """Call a plain function for every event, after the values have changed.

        Returns:
            A function that unsubscribes; calling it twice is harmless.
        """
        return self._broadcast.subscribe(callback)

    # Joining and leaving.

    async def connect(self, url: str, token: str, *, auto_subscribe: bool = True) -> None:
        """Join a room. The reference's `connect`.

        It may be called again at any time: the old connection is left first and its events are
        dropped; what was wished is published again as soon as the right is there. Cancelling
        is safe: the attempt is closed in the background when it resolves.

        Args:
            url: of the media server, `ws://…` or `wss://…`.
            token: a LiveKit token. It is kept nowhere.
            auto_subscribe: receive everybody's sound; without it only what is read.

        Raises:
            Unreachable: nobody answered, or no media came through, in time.
            AuthRejected: the token was refused.
            ConnectError: the room is missing (`code` is `room_missing`) or full (`join_refused`).
            ClosedByUs: this object is closed, or another call left or joined meanwhile.
            Invalid: the address or the token is no such thing.
        """
        if not url.startswith(_SCHEMES):
            raise Invalid(f"url: begins with ws:// or wss://, got {url[:40]!r}")
        if not token:
            raise Invalid("token: a LiveKit token is needed, got an empty one")
        await self._drop_link()
        link = self._new_link(auto_subscribe=auto_subscribe)
        try:
            await link.connect(url, token)
        except BaseException:
            if self._link is link:
                self._link = None
                self._values.enter(UTDConnectionState.DISCONNECTED)
            raise

    async def disconnect(self) -> None:
        """Leave the room and keep the object: iterators and wishes wait for another `connect`.

        Idempotent; takes a few seconds at most. Cancelling is safe.
        """
        if self._link is not None:
            await self._link.disconnect()
            await self._tracks.settle()

    def set_encryption_enabled(
        self,
        enabled: bool,  # noqa: FBT001 as in the reference
    ) -> None:
        """Switch end-to-end encryption off and on again; it is on at first.

        Raises:
            EncryptionError: the room was made without it, or is not joined.
        """
        self._check_open()
        link = self._link_up()
        if self._options.encryption is None:
            raise EncryptionError("made without encryption; pass encryption= when making the room")
        if link is None:
            raise EncryptionError("not connected; connect before switching encryption")
        link.set_encryption(enabled=enabled)

    async def aclose(self) -> None:
        """Leave the room and end everything: iterators, waiters, tracks. Idempotent, 5 s at most.

        Later calls that need the room raise `ClosedByUs`. When cancelled, it goes on closing.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="utd-room-close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self._receiving.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING):
                await self.disconnect()
                if self._waits_for_abandoned:
                    await self._abandoned.wait(_CLOSING)
        await self._tracks.aclose(patience=_CLOSING / 10)
        if self._rebuilt is not None:
            self._rebuilt.cancel()
        self._values.close()
        self._broadcast.close()

    def _leave_abandoned_to(self, owner: Abandoned) -> None:
        """Let `owner` wait for attempts to join that are given up, instead of this room."""
        self._abandoned = Abandoned(owner)
        self._waits_for_abandoned = False

    async def _drop_link(self) -> None:
        """Leave a connection that is being replaced; nobody hears of it any more."""
        self._check_open()
        while (link := self._link) is not None:
            self._link = None
            self._values.enter(UTDConnectionState.DISCONNECTED)
            self._tracks.check()
            await link.disconnect()
            await self._tracks.settle()
        # An attempt that was given up may still come in, and would put out its own successor.
        await self._abandoned.wait(_SUPERSEDED)
        self._check_open()

    def _new_link(self, *, auto_subscribe: bool) -> Link:
        make = self._open_link or _livekit()
        options = msgspec.structs.replace(self._options, auto_subscribe=auto_subscribe)

        def take(event: LiveKitEvent) -> None:
            self._take(link, event)

        link = make(options, take, self._abandoned)
        self._link = link
        self._receiving.joined(auto_subscribe=auto_subscribe)
        for topic, text_handler in self._text.items():
            link.serve_text(topic, text_handler)
        for topic, bytes_handler in self._bytes.items():
            link.serve_bytes(topic, bytes_handler)
        self._values.enter(UTDConnectionState.CONNECTING)
        return link

    def _link_up(self) -> Link | None:
        return self._link if self._values.connection.value in _UP else None

    def _take(self, link: Link, event: LiveKitEvent) -> None:
        """Everything that a connection tells comes in here, unless it was replaced."""
        if link is not self._link:
            return
        self._values.fold(link, event)
        self._tracks.check()
        if not isinstance(event, events.DataReceived | events.RawEvent):
            self._receiving.ask(link.participants())
            self._receiving.check()
        if isinstance(event, events.ParticipantDisconnected) and self._values.rebuilding:
            self._look_later(link)
        self._broadcast.send(event)

    def _look_later(self, link: Link) -> None:
        """Believe that people are gone when no reconnect explains it in a moment."""

        def look() -> None:
            if link is self._link and self._values.connected.value:
                self._values.look(link)

        if self._rebuilt is not None:
            self._rebuilt.cancel()
        self._rebuilt = asyncio.get_running_loop().call_later(REBUILD, look)

    def _check_open(self) -> None:
        if self._closing is not None:
            raise ClosedByUs("this room was closed; make a new UTDRoom")

    def _track_failed(self, source: Source, error: UTDStreamException) -> None:
        self._broadcast.send(events.LocalTrackFailed(source, error))


def _livekit() -> OpenLink:
    # Imported late: it loads LiveKit's native library, which users of a fake do not need.
    from utd_stream._livekit import open_link  # noqa: PLC0415

    return open_link
