"""`UTDRoom`: a LiveKit room without a screen, usable alone with any LiveKit URL and token."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from utd_protocol.types import Source
from utd_stream._errors import ConnectError, Invalid, NotAllowed, PublishNotAllowed
from utd_stream._media.frames import AudioFrame, AudioInput
from utd_stream._media.mixing import mixed, write_wav
from utd_stream._media.video import VideoFrame, VideoInput
from utd_stream._observable import Observable
from utd_stream._room.connection import SourceName
from utd_stream._room.link import BytesHandler, Link, Packet, TextHandler, as_tuple
from utd_stream._room.publishing import Standing
from utd_stream._room.room_connection import RoomConnection

DATA_LIMIT: Final = 64_000
"""Bytes of a data packet with its header: LiveKit's client sends no longer ones."""
_HEADER: Final = 44
"""Bytes around a packet, at most; 4 more for each destination."""
_RECORDED_MS: Final = 100
_FRAME_MS: Final = range(10, 1001, 10)


class UTDRoom(RoomConnection):
    """A LiveKit room: its people, its sound and pictures, and data, as plain values.

    The reference's `UTDRoom`. It joins with any LiveKit URL and token, can be joined again
    after it was left, and never widens its own rights. It is made without a running loop;
    everything else needs one. Use it as `async with UTDRoom() as room:`, or call `aclose`.
    """

    # Our own tracks.

    async def set_microphone(
        self,
        enabled: bool,  # noqa: FBT001 as in the reference
        source: AudioInput | None = None,
        *,
        preconnect: bool = False,
    ) -> None:
        """Publish or withdraw our own sound. The reference's `setMicrophone`.

        Enabling sets a wish that lasts until it is disabled: it survives reconnects, another
        `connect`, and a right that is taken and given back. Cancelling is safe: the wish stays.

        Args:
            enabled: whether it should be live.
            source: what is published: by default the last one, or `media.microphone`.
            preconnect: tells agents that sound recorded before the join follows.

        Raises:
            PublishNotAllowed: the right is missing, or goes away meanwhile; known at once, and
                nothing new was wished.
            PublishFailed: the media server did not take the track in time; it is tried again.
            DeviceFailed: the source could not be used.
            ConnectError: not connected.
        """
        await self._set(
            Source.MICROPHONE,
            enabled,
            lambda: self.want_microphone(enabled, source, preconnect=preconnect),
        )

    async def set_camera(
        self,
        enabled: bool,  # noqa: FBT001 as in the reference
        source: VideoInput | None = None,
    ) -> None:
        """Publish or withdraw our own pictures. The reference's `setCamera`.

        Everything else is as with `set_microphone`.

        Args:
            enabled: whether it should be live.
            source: what is published: by default the last one, or `media.camera`.
        """
        await self._set(Source.CAMERA, enabled, lambda: self.want_camera(enabled, source))

    async def set_screen_share(
        self,
        enabled: bool,  # noqa: FBT001 as the two above
        source: VideoInput | None = None,
    ) -> None:
        """Publish or withdraw pictures of a screen, as `set_camera`.

        Args:
            enabled: whether it should be live.
            source: what is published: by default the last one, or `media.screen_share`.
        """
        await self._set(
            Source.SCREEN_SHARE, enabled, lambda: self.want_screen_share(enabled, source)
        )

    def want_microphone(
        self,
        enabled: bool,  # noqa: FBT001 as `set_microphone`
        source: AudioInput | None = None,
        *,
        preconnect: bool = False,
    ) -> None:
        """Set or clear the wish only: published as soon as the right is there, without errors.

        A failure is told by `publishing`, `wait_published` and the event `LocalTrackFailed`.

        Args:
            enabled: whether it should be live.
            source: what is published: by default the last one, or `media.microphone`.
            preconnect: tells agents that sound recorded before the join follows.
        """
        if enabled:
            self._check_open()
            default = self.media.microphone
            self._tracks.want_sound(Source.MICROPHONE, source, default, preconnect=preconnect)
        else:
            self._tracks.of(Source.MICROPHONE).want(None)

    def want_camera(
        self,
        enabled: bool,  # noqa: FBT001 as `set_camera`
        source: VideoInput | None = None,
    ) -> None:
        """Set or clear the wish only, as `want_microphone`."""
        if enabled:
            self._check_open()
            self._tracks.want_picture(Source.CAMERA, source, self.media.camera)
        else:
            self._tracks.of(Source.CAMERA).want(None)

    def want_screen_share(
        self,
        enabled: bool,  # noqa: FBT001 as `set_screen_share`
        source: VideoInput | None = None,
    ) -> None:
        """Set or clear the wish only, as `want_microphone`."""
        if enabled:
            self._check_open()
            self._tracks.want_picture(Source.SCREEN_SHARE, source, self.media.screen_share)
        else:
            self._tracks.of(Source.SCREEN_SHARE).want(None)

    def want_nothing(self) -> None:
        """Clear every wish: nothing is published any more, now or later."""
        self._tracks.want_nothing()

    def publishing(self, source: SourceName = Source.MICROPHONE) -> Observable[Standing]:
        """How a track of ours stands: `off`, `waiting`, `live`, or the error that it met."""
        return self._tracks.of(Source(source)).standing

    async def wait_published(self, source: SourceName = Source.MICROPHONE) -> None:
        """Wait until what was wished is live. Cancelling is safe.

        Raises:
            PublishFailed: the media server did not take it, or nothing is wished.
            DeviceFailed: its input broke.
        """
        await self._tracks.of(Source(source)).wait_live()

    async def _set(self, source: Source, enabled: bool, want: Callable[[], None]) -> None:  # noqa: FBT001
        if not enabled:
            await self._tracks.withdraw(source)
            return
        self._check_open()
        self._tracks.check_right(source)
        track = self._tracks.of(source)
        before = track.wish
        want()
        mine = track.wish
        try:
            await self._tracks.wait_live(source, self._options.publish_timeout)
        except PublishNotAllowed:
            if before is None and track.wish == mine:
                track.want(None)
            raise

    # Tracks of others.

    def audio(
        self, identity: str, *, frame_ms: int = 10, source: SourceName = Source.MICROPHONE
    ) -> AsyncGenerator[AudioFrame, None]:
        """Somebody's sound as frames of 48 kHz, mono, 16 bit.

        The iterator waits while there is no such track, goes on when it is published anew, and
        survives reconnects and another `connect`; it ends when the room is closed. A reader
        that is 5 s late misses the oldest. Cancelling a read ends the iterator; who leaves the
        loop otherwise closes it, best with `contextlib.aclosing`.

        Args:
            identity: whose.
            frame_ms: milliseconds of a frame, a multiple of 10; 100 costs far less than 10.
            source: the microphone, or the sound of a shared screen.
        """
        _check_frame(frame_ms)
        return self._receiving.audio(identity, Source(source), frame_ms)

    def video(
        self, identity: str, *, width: int | None = None, source: SourceName = Source.CAMERA
    ) -> AsyncGenerator[VideoFrame, None]:
        """Somebody's pictures, as `audio`; a slow reader sees the latest ones.

        Args:
            identity: whose.
            width: pixels that are enough; a smaller size is received where there is one.
            source: the camera, or a shared screen.
        """
        return self._receiving.video(identity, Source(source), width)

    def mixed_audio(self, *, frame_ms: int = 10) -> AsyncGenerator[AudioFrame, None]:
        """The sum of all remote microphones, a frame each `frame_ms` milliseconds, for ever.

        Silence is given too, so it keeps time with the clock. Otherwise as `audio`.
        """
        _check_frame(frame_ms)
        return self._mixed(self._speakers, frame_ms)

    async def record(
        self, path: str | Path, *, identity: str | None = None, seconds: float | None = None
    ) -> float:
        """Record into a 48 kHz, mono, 16 bit WAV file, in step with the clock.

        The file is valid at any moment, so cancelling is the usual way to stop.

        Args:
            path: the file, replaced if it exists.
            identity: one person's microphone; everybody's by default.
            seconds: how long; until cancelled or the room is closed by default.

        Returns:
            The seconds that were written.

        Raises:
            DeviceFailed: the file cannot be written.
        """
        voices = self._speakers if identity is None else lambda: {identity}
        return await write_wav(self._mixed(voices, _RECORDED_MS), path, seconds)

    def _mixed(
        self, voices: Callable[[], set[str]], frame_ms: int
    ) -> AsyncGenerator[AudioFrame, None]:
        def listen(identity: str) -> AsyncGenerator[AudioFrame, None]:
            return self._receiving.audio(identity, Source.MICROPHONE, frame_ms)

        return mixed(voices, listen, frame_ms, lambda: self._receiving.closed)

    def _speakers(self) -> set[str]:
        people = self.remote_participants.value
        return {each.identity for each in people if each.track(Source.MICROPHONE) is not None}

    # Data, text, bytes.

    async def send_data(
        self,
        data: bytes,
        *,
        reliable: bool = True,
        destination_identities: Sequence[str] | None = None,
        topic: str = "",
    ) -> None:
        """Send a data packet. The reference's `sendData`.

        Args:
            data: at most 64,000 bytes together with a header of 44, our own identity, the topic
                and the destinations; `send_bytes` has no limit.
            reliable: send again what was lost, and keep the order.
            destination_identities: to whom; everybody by default.
            topic: a word that receivers sort packets by.

        Raises:
            NotAllowed: the right to send data is missing; known at once.
            Invalid: it is too large.
            ConnectError: not connected.
            ConnectionLost: the connection ended meanwhile.
        """
        link = self._link_for_data()
        packet = Packet(
            topic=topic, destinations=as_tuple(destination_identities), reliable=reliable
        )
        around = _around(link.identity, topic, packet.destinations)
        if len(data) + around > DATA_LIMIT:
            raise Invalid(
                f"data: at most {DATA_LIMIT:,} bytes with header, topic and destinations, got "
                f"{len(data):,} + {around}; use send_bytes for more"
            )
        await link.send_data(data, packet)

    async def send_text(
        self,
        text: str,
        *,
        topic: str,
        destination_identities: Sequence[str] | None = None,
        attributes: Mapping[str, str] | None = None,
        compress: bool = True,
    ) -> str:
        """Send text of any length as a stream; errors are as those of `send_data`.

        Args:
            text: the text.
            topic: receivers have a handler for each topic.
            destination_identities: to whom; everybody by default.
            attributes: words that travel in the header.
            compress: where every receiver understands it.

        Returns:
            The id of the stream.
        """
        link = self._link_for_data()
        destinations = as_tuple(destination_identities)
        packet = Packet(
            topic=topic,
            destinations=destinations,
            attributes=attributes or {},
            compress=compress,
        )
        return await link.send_text(text, packet)

    async def send_bytes(
        self,
        data: bytes,
        *,
        topic: str,
        name: str = "unknown",
        mime_type: str = "application/octet-stream",
        destination_identities: Sequence[str] | None = None,
        attributes: Mapping[str, str] | None = None,
        compress: bool = True,
    ) -> str:
        """Send bytes of any length as a stream, as `send_text`.

        Args:
            data: the bytes.
            topic: receivers have a handler for each topic.
            name: of the file, if it is one.
            mime_type: what the bytes are.
            destination_identities: to whom; everybody by default.
            attributes: words that travel in the header.
            compress: where every receiver understands it.
        """
        link = self._link_for_data()
        packet = Packet(
            topic=topic,
            destinations=as_tuple(destination_identities),
            attributes=attributes or {},
            name=name,
            mime_type=mime_type,
            compress=compress,
        )
        return await link.send_bytes(data, packet)

    def register_text_stream_handler(self, topic: str, handler: TextHandler) -> None:
        """Call `handler(stream, identity)` when a text stream of this topic opens.

        It holds for every connection, and may be registered before the first. The handler is a
        plain function that must not block: start a task that reads the stream.

        Raises:
            Invalid: the topic has a handler already.
        """
        if topic in self._text:
            raise Invalid(f"topic: {topic!r} has a text handler already; unregister it first")
        self._text[topic] = handler
        if self._link is not None:
            self._link.serve_text(topic, handler)

    def unregister_text_stream_handler(self, topic: str) -> None:
        """Remove the handler of a topic; idempotent."""
        if self._text.pop(topic, None) is not None and self._link is not None:
            self._link.serve_text(topic, None)

    def register_byte_stream_handler(self, topic: str, handler: BytesHandler) -> None:
        """As `register_text_stream_handler`, for byte streams."""
        if topic in self._bytes:
            raise Invalid(f"topic: {topic!r} has a byte handler already; unregister it first")
        self._bytes[topic] = handler
        if self._link is not None:
            self._link.serve_bytes(topic, handler)

    def unregister_byte_stream_handler(self, topic: str) -> None:
        """Remove the handler of a topic; idempotent."""
        if self._bytes.pop(topic, None) is not None and self._link is not None:
            self._link.serve_bytes(topic, None)

    def _link_for_data(self) -> Link:
        """The connection; raises what LiveKit would keep to itself: it accepts and does nothing."""
        self._check_open()
        link = self._link_up()
        if link is None:
            raise ConnectError("not connected; connect before sending")
        if not self.permissions.value.can_publish_data:
            raise NotAllowed("the server has not granted the right to send data (canPublishData)")
        return link


def _around(identity: str, topic: str, destinations: tuple[str, ...]) -> int:
    """Bytes that a packet takes besides its data."""
    names = (identity, topic, *destinations)
    return _HEADER + sum(len(each.encode()) for each in names) + 4 * len(destinations)


def _check_frame(frame_ms: int) -> None:
    if frame_ms not in _FRAME_MS:
        raise Invalid(f"frame_ms: a multiple of 10 from 10 to 1000, got {frame_ms}")
