"""One connection to one LiveKit room, with every trap of LiveKit's client closed.

The traps, each kept shut by the code that names it here: cancelling `Room.connect` ends the
process; publishing can hang for ever and leaks when cancelled; forbidden calls answer "done";
error texts carry whole tokens.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar, cast

import aiohttp
from livekit import rtc

from utd_protocol.types import Source
from utd_stream._errors import ClosedByUs, ConnectionLost, MediaError, PublishFailed, scrub
from utd_stream._livekit._inbox import Inbox
from utd_stream._livekit._streams import BytesFrom, TextFrom
from utd_stream._livekit._tracks import (
    QUEUE_MS,
    ReceivedFrames,
    SentAudio,
    SentVideo,
    audio_frames,
    video_frames,
)
from utd_stream._livekit._translation import (
    encryption_of,
    no_answer,
    number_of,
    permissions_of,
    quality_for,
    refusal,
    source_of,
)
from utd_stream._media.frames import SAMPLE_RATE, AudioFrame
from utd_stream._media.video import VideoFrame
from utd_stream._room import events
from utd_stream._room.connection import NO_RIGHTS, DisconnectReason, Permissions
from utd_stream._room.events import LiveKitEvent
from utd_stream._room.link import (
    Abandoned,
    BytesHandler,
    Link,
    LinkOptions,
    Packet,
    Received,
    Sent,
    TextHandler,
)
from utd_stream._room.participants import RemoteParticipant

T = TypeVar("T")

_PATIENCE: Final = 1.0
"""Seconds that closing a track waits; the rest goes on behind the caller's back."""
_LEAVING: Final = 3.0
"""Seconds that leaving waits for LiveKit."""
_SENDING: Final = 10.0
"""Seconds for data, text and bytes to be taken."""


def open_link(
    options: LinkOptions, on_event: Callable[[LiveKitEvent], None], abandoned: Abandoned
) -> Link:
    """Make a connection that is not joined yet. Needs a running loop."""
    return LiveKitLink(options, on_event, abandoned)


class LiveKitLink:
    """A `Link` over LiveKit's own client."""

    def __init__(
        self,
        options: LinkOptions,
        on_event: Callable[[LiveKitEvent], None],
        abandoned: Abandoned,
    ) -> None:
        self._options = options
        self._on_event = on_event
        self._abandoned = abandoned
        self._room = rtc.Room()
        self._inbox = Inbox(self._room, self._tell)
        self._joined = False
        self._early: list[LiveKitEvent] = []
        """What LiveKit tells between the join and our knowing of it; `Connected` comes first."""
        self._over = asyncio.Event()
        self._behind: set[asyncio.Task[None]] = set()
        self._reading: set[ReceivedFrames[Any]] = set()
        self._asked: dict[str, tuple[bool, int | None]] = {}

    @property
    def raw(self) -> rtc.Room:
        return self._room

    @property
    def raw_local(self) -> rtc.LocalParticipant | None:
        return self._room.local_participant if self._joined else None

    @property
    def identity(self) -> str:
        return self._room.local_participant.identity if self._joined else ""

    @property
    def permissions(self) -> Permissions:
        return permissions_of(self._room.local_participant) if self._joined else NO_RIGHTS

    @property
    def metadata(self) -> str:
        return self._room.metadata

    def participants(self) -> tuple[RemoteParticipant, ...]:
        return self._inbox.participants() if self._joined else ()

    # ---- joining and leaving

    async def connect(self, url: str, token: str) -> None:
        attempt = asyncio.get_running_loop().create_task(
            self._room.connect(url, token, _room_options(self._options)), name="utd-connect"
        )
        try:
            await self._until_over(attempt, self._options.connect_timeout)
        finally:
            if not attempt.done():
                self._abandon(attempt)
        if not attempt.done():
            if self._over.is_set():
                raise ClosedByUs("left before the room was joined")
            answers = await _answers(url)
            raise no_answer(url, self._options.connect_timeout, answers=answers)
        try:
            attempt.result()
        except Exception as refused:  # noqa: BLE001 its cause would carry the token along
            raise refusal(getattr(refused, "message", str(refused)), url, token) from None
        self._joined = True
        early, self._early = self._early, []
        for event in (events.Connected(), events.RoomMetadataChanged(self._room.metadata), *early):
            self._tell(event)

    async def disconnect(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVING):
                await self._room.disconnect()
        if self._joined:
            self._tell(events.Disconnected(DisconnectReason.CLIENT_INITIATED))
        await self._end_all()
        # After an end that came from the server LiveKit's own task is still listening a little.
        listening = cast("asyncio.Task[None] | None", getattr(self._room, "_task", None))
        if listening is not None:
            await asyncio.wait([listening], timeout=_PATIENCE)

    def _abandon(self, attempt: asyncio.Task[None]) -> None:
        """Let an attempt end by itself: cancelling it would end the whole process."""

        async def close_late() -> None:
            with suppress(Exception):
                await attempt
                await self._room.disconnect()

        self._abandoned.adopt(close_late())

    async def _end_all(self) -> None:
        self._over.set()
        for each in tuple(self._reading):
            await each.aclose()
        for task in self._behind:
            task.cancel()
        if self._behind:
            await asyncio.wait(self._behind, timeout=_PATIENCE)

    def _tell(self, event: LiveKitEvent) -> None:
        """Pass an event on, and end what ended with it: LiveKit's own iterators would hang."""
        if not self._joined:
            self._early.append(event)
            return
        match event:
            case events.Disconnected():
                if self._over.is_set():
                    return
                self._over.set()
                for each in self._reading:
                    each.end()
            case events.TrackUnsubscribed(track=track) | events.TrackUnpublished(track=track):
                self._asked.pop(track.sid, None)
                for each in self._reading:
                    if each.track_sid == track.sid:
                        each.end()
            case _:
                pass
        self._on_event(event)

    # ---- sending tracks

    async def publish_audio(self, source: Source, *, preconnect: bool) -> Sent[AudioFrame]:
        sound = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=QUEUE_MS)
        track = rtc.LocalAudioTrack.create_audio_track(source.value, sound)
        options = rtc.TrackPublishOptions(source=number_of(source), preconnect_buffer=preconnect)
        return SentAudio(await self._publish(track, options), sound, self._unpublish)

    async def publish_video(self, source: Source, width: int, height: int) -> Sent[VideoFrame]:
        screen = source is Source.SCREEN_SHARE
        pictures = rtc.VideoSource(width, height, is_screencast=screen)
        track = rtc.LocalVideoTrack.create_video_track(source.value, pictures)
        options = rtc.TrackPublishOptions(source=number_of(source), simulcast=not screen)
        return SentVideo(await self._publish(track, options), pictures, self._unpublish)

    async def _publish(
        self, track: rtc.LocalTrack, options: rtc.TrackPublishOptions
    ) -> rtc.LocalTrackPublication:
        if not self._joined or self._over.is_set():
            raise ConnectionLost("not connected: nothing can be published now")
        # Cancelling it while connected leaks a track that others hear, so it is left to end.
        pending = asyncio.get_running_loop().create_task(
            self._room.local_participant.publish_track(track, options), name="utd-publish"
        )
        try:
            await self._until_over(pending, self._options.publish_timeout)
        except asyncio.CancelledError:
            self._do_behind(self._unpublish_late(pending))
            raise
        if not pending.done():
            self._do_behind(self._unpublish_late(pending))
            if self._over.is_set():
                raise ConnectionLost("the connection ended while a track was being published")
            seconds = self._options.publish_timeout
            raise PublishFailed(f"the media server did not take the track within {seconds:g} s")
        try:
            return pending.result()
        except Exception as refused:  # noqa: BLE001 LiveKit's errors have no common base
            said = scrub(getattr(refused, "message", str(refused)))
            raise PublishFailed(f"the media server did not take the track: {said}") from None

    async def _unpublish_late(self, pending: asyncio.Task[rtc.LocalTrackPublication]) -> None:
        try:
            await self._until_over(pending, None)
            if pending.done():
                with suppress(Exception):
                    await self._room.local_participant.unpublish_track(pending.result().sid)
        finally:
            if not pending.done():
                pending.cancel()  # harmless once the room is over; it would hang for ever
                await asyncio.wait([pending])

    async def _unpublish(self, publication: rtc.LocalTrackPublication) -> None:
        if self._over.is_set():
            return

        async def unpublish() -> None:
            # While LiveKit is reconnecting this takes until it is back; without it the track
            # would be published again then.
            with suppress(rtc.participant.UnpublishTrackError):
                await self._room.local_participant.unpublish_track(publication.sid)

        await asyncio.wait([self._do_behind(unpublish())], timeout=_PATIENCE)

    def _do_behind(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name="utd-behind")
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)
        return task

    async def _until_over(self, task: asyncio.Task[Any], timeout: float | None) -> None:  # noqa: ASYNC109
        """Wait for a task, the end of the room or the deadline; raises nothing of the task's."""
        over = asyncio.get_running_loop().create_task(self._over.wait())
        try:
            await asyncio.wait([task, over], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()

    # ---- receiving tracks

    def receive_audio(
        self, identity: str, source: Source, frame_ms: int
    ) -> Received[AudioFrame] | None:
        track = self._track(identity, source)
        if not isinstance(track, rtc.RemoteAudioTrack):
            return None
        with suppress(AssertionError):  # how LiveKit says that the track ended a moment ago
            return self._keep(audio_frames(track, frame_ms, self._reading.discard))
        return None

    def receive_video(self, identity: str, source: Source) -> Received[VideoFrame] | None:
        track = self._track(identity, source)
        if not isinstance(track, rtc.RemoteVideoTrack):
            return None
        with suppress(AssertionError):
            return self._keep(video_frames(track, self._reading.discard))
        return None

    def _keep(self, frames: ReceivedFrames[T]) -> ReceivedFrames[T]:
        self._reading.add(frames)
        return frames

    def _track(self, identity: str, source: Source) -> rtc.Track | None:
        participant = self._room.remote_participants.get(identity)
        if participant is None or self._over.is_set():
            return None
        found = (
            each.track
            for each in participant.track_publications.values()
            if source_of(each.source) is source and each.track is not None
        )
        return next(found, None)

    def ask_for(self, identity: str, track_sid: str, *, wanted: bool, width: int | None) -> None:
        participant = self._room.remote_participants.get(identity)
        publication = participant.track_publications.get(track_sid) if participant else None
        if publication is None or self._asked.get(track_sid) == (wanted, width):
            return
        self._asked[track_sid] = (wanted, width)
        publication.set_subscribed(wanted)
        if wanted and publication.simulcasted:
            publication.set_video_quality(quality_for(width, publication.width))

    def set_encryption(self, *, enabled: bool) -> None:
        self._room.e2ee_manager.set_enabled(enabled)

    # ---- data, text, bytes

    async def send_data(self, data: bytes, packet: Packet) -> None:
        await self._send(
            self._room.local_participant.publish_data(
                data,
                reliable=packet.reliable,
                destination_identities=list(packet.destinations),
                topic=packet.topic,
            )
        )

    async def send_text(self, text: str, packet: Packet) -> str:
        info = await self._send(
            self._room.local_participant.send_text(
                text,
                destination_identities=list(packet.destinations),
                topic=packet.topic,
                attributes=dict(packet.attributes),
                compress=packet.compress,
            )
        )
        return info.stream_id

    async def send_bytes(self, data: bytes, packet: Packet) -> str:
        info = await self._send(
            self._room.local_participant.send_bytes(
                data,
                topic=packet.topic,
                name=packet.name,
                mime_type=packet.mime_type,
                destination_identities=list(packet.destinations),
                attributes=dict(packet.attributes),
                compress=packet.compress,
            )
        )
        return info.stream_id

    async def _send(self, sending: Coroutine[Any, Any, T]) -> T:
        """Bounded, since a room that ends meanwhile never answers; cancelling these is safe."""
        if self._over.is_set():
            sending.close()
            raise ConnectionLost("the connection ended: nothing can be sent now")
        task = asyncio.get_running_loop().create_task(sending, name="utd-send")
        try:
            await self._until_over(task, _SENDING)
        finally:
            unfinished = task.cancel()
        if unfinished:
            raise ConnectionLost("the connection ended, or stood still, before all was sent")
        try:
            return task.result()
        except Exception as broken:  # noqa: BLE001 LiveKit's errors have no common base
            said = scrub(getattr(broken, "message", str(broken)))
            raise MediaError(f"LiveKit did not send it: {said}") from None

    def serve_text(self, topic: str, handler: TextHandler | None) -> None:
        self._room.unregister_text_stream_handler(topic)
        if handler is not None:
            serve = handler

            def opened(reader: rtc.TextStreamReader, identity: str) -> None:
                serve(TextFrom(reader), identity)

            self._room.register_text_stream_handler(topic, opened)

    def serve_bytes(self, topic: str, handler: BytesHandler | None) -> None:
        self._room.unregister_byte_stream_handler(topic)
        if handler is not None:
            serve = handler

            def opened(reader: rtc.ByteStreamReader, identity: str) -> None:
                serve(BytesFrom(reader), identity)

            self._room.register_byte_stream_handler(topic, opened)


def _room_options(options: LinkOptions) -> rtc.RoomOptions:
    # Gathering continually costs 40 to 90 file descriptors a room; only a device that moves
    # between networks needs it.
    policy = (
        rtc.ContinualGatheringPolicy.GATHER_CONTINUALLY
        if options.roaming
        else rtc.ContinualGatheringPolicy.GATHER_ONCE
    )
    return rtc.RoomOptions(
        auto_subscribe=options.auto_subscribe,
        dynacast=options.dynacast,
        single_peer_connection=options.single_peer_connection,
        rtc_config=rtc.RtcConfiguration(continual_gathering_policy=policy),
        encryption=encryption_of(options.encryption),
    )


async def _answers(url: str) -> bool:
    """Whether anything speaks HTTP at a media server's address."""
    address = url.replace("ws", "http", 1) if url.startswith("ws") else url
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_PATIENCE)) as client,
            client.get(address),
        ):
            return True
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return False
