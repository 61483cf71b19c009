"""What every connection to a LiveKit room must do: collected for the fake and the real one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol, TypeVar

import numpy as np
import pytest
from support.sound import listen, pitch

from utd_protocol.types import Source
from utd_stream._errors import AuthRejected, ClosedByUs, ConnectError, ConnectionLost, PublishFailed
from utd_stream._media.frames import AudioFrame, Tone
from utd_stream._media.video import TestPattern, VideoFrame
from utd_stream._room import events as ev
from utd_stream._room.connection import DisconnectReason, Permissions
from utd_stream._room.link import (
    Abandoned,
    IncomingBytes,
    IncomingText,
    Link,
    Packet,
    Received,
    Sent,
)

E = TypeVar("E")
SPEAKER = Permissions(can_publish=True, can_subscribe=True, can_publish_data=True)
LISTENER = Permissions(can_publish=False, can_subscribe=True, can_publish_data=False)
CAMERA_ONLY = Permissions(
    can_publish=True, can_subscribe=True, can_publish_data=True, sources=(Source.CAMERA,)
)
PATIENCE = 10.0


class Joined:
    """A joined connection with everything that it told."""

    def __init__(self) -> None:
        self.link: Link = None  # type: ignore[assignment]
        self.told: list[ev.LiveKitEvent] = []
        self._more = asyncio.Event()

    def take(self, event: ev.LiveKitEvent) -> None:
        self.told.append(event)
        self._more.set()

    async def wait(
        self, kind: type[E], fits: Callable[[E], bool] = lambda _: True, *, after: int = 0
    ) -> E:
        async with asyncio.timeout(PATIENCE):
            while True:
                for event in self.told[after:]:
                    if isinstance(event, kind) and fits(event):
                        return event
                self._more.clear()
                await self._more.wait()


class World(Protocol):
    """A server with one room, and what its API can do to it."""

    url: str
    abandoned: Abandoned

    async def join(
        self, identity: str, permissions: Permissions = SPEAKER, **options: Any
    ) -> Joined: ...
    def make(self, **options: Any) -> Joined: ...
    def token(
        self, identity: str, permissions: Permissions = SPEAKER, *, room: str = ""
    ) -> str: ...
    async def permit(self, identity: str, permissions: Permissions) -> None: ...
    async def remove(self, identity: str) -> None: ...
    async def delete_room(self) -> None: ...
    async def set_metadata(self, metadata: str) -> None: ...
    async def set_attributes(self, identity: str, attributes: dict[str, str]) -> None: ...
    async def interrupt(self, joined: Joined, *, full: bool) -> None: ...


@contextlib.asynccontextmanager
async def speaking(link: Link, hz: float = 440.0) -> AsyncIterator[Sent[AudioFrame]]:
    """Publish a tone for the length of the block."""
    sent = await link.publish_audio(Source.MICROPHONE, preconnect=False)

    async def carry() -> None:
        async for frame in Tone(hz):
            await sent.write(frame)

    task = asyncio.create_task(carry())
    try:
        yield sent
    finally:
        task.cancel()
        await asyncio.wait([task])
        await sent.aclose()


async def eventually(check: Callable[[], bool]) -> None:
    """Wait until something that no event tells is true."""
    async with asyncio.timeout(PATIENCE):
        while not check():
            await asyncio.sleep(0.01)


class LinkContract:
    """Subclasses give the fixture `world`."""

    # Joining.

    async def test_a_join_tells_that_it_is_connected_and_the_metadata(self, world: World) -> None:
        await world.set_metadata("hello")
        ana = await world.join("ana")
        assert isinstance(ana.told[0], ev.Connected)
        assert ev.RoomMetadataChanged("hello") in ana.told
        assert ana.link.metadata == "hello"
        assert ana.link.identity == "ana"
        assert ana.link.permissions == SPEAKER

    async def test_a_refused_token_is_named_and_not_shown(self, world: World) -> None:
        ana = world.make()
        bad = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ.bm90LXNpZ25lZA"
        with pytest.raises(AuthRejected) as refused:
            await ana.link.connect(world.url, bad)
        assert bad not in str(refused.value)
        assert "eyJ" not in str(refused.value)
        assert refused.value.__cause__ is None
        await ana.link.disconnect()

    async def test_a_missing_room_is_no_answer_to_a_token(self, world: World) -> None:
        ana = world.make()
        with pytest.raises(ConnectError) as missing:
            await ana.link.connect(world.url, world.token("ana", room="nowhere"))
        assert missing.value.code == "room_missing"
        await ana.link.disconnect()

    async def test_leaving_is_told_once_and_twice_is_harmless(self, world: World) -> None:
        ana = await world.join("ana")
        await ana.link.disconnect()
        await ana.link.disconnect()
        ends = [each for each in ana.told if isinstance(each, ev.Disconnected)]
        assert ends == [ev.Disconnected(DisconnectReason.CLIENT_INITIATED)]

    async def test_leaving_a_link_that_never_joined_tells_nothing(self, world: World) -> None:
        ana = world.make()
        await ana.link.disconnect()
        assert ana.told == []
        assert ana.link.identity == ""

    async def test_leaving_ends_a_join_that_is_under_way(self, world: World) -> None:
        ana = world.make()
        joining = asyncio.create_task(ana.link.connect(world.url, world.token("ana")))
        await asyncio.sleep(0)
        await ana.link.disconnect()
        with pytest.raises(ClosedByUs):
            await joining

    async def test_a_cancelled_join_leaves_nobody_behind(self, world: World) -> None:
        ana = world.make()
        bob = await world.join("bob")
        joining = asyncio.create_task(ana.link.connect(world.url, world.token("ana")))
        await asyncio.sleep(0)
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        assert ana.told == []
        assert await world.abandoned.wait(PATIENCE)
        again = await world.join("ana")
        assert await again.link.send_text("still works", Packet(topic="t")) != ""
        await bob.link.disconnect()

    # People.

    async def test_others_come_and_go(self, world: World) -> None:
        ana = await world.join("ana")
        bob = await world.join("bob")
        async with speaking(bob.link):  # a publisher is seen at once
            came = await ana.wait(ev.ParticipantConnected)
            assert came.participant.identity == "bob"
            await eventually(lambda: [p.identity for p in ana.link.participants()] == ["bob"])
        await bob.link.disconnect()
        gone = await ana.wait(ev.ParticipantDisconnected)
        assert (gone.participant.identity, gone.reason) == (
            "bob",
            DisconnectReason.CLIENT_INITIATED,
        )
        assert ana.link.participants() == ()

    async def test_who_is_there_already_is_there(self, world: World) -> None:
        bob = await world.join("bob")
        async with speaking(bob.link):
            ana = await world.join("ana")
            [seen] = ana.link.participants()
            assert seen.identity == "bob"
            assert seen.track(Source.MICROPHONE) is not None
            await ana.wait(ev.TrackSubscribed, lambda each: each.identity == "bob")

    async def test_attributes_reach_everybody(self, world: World) -> None:
        ana = await world.join("ana")
        bob = await world.join("bob")
        await world.set_attributes("bob", {"seat": "3"})
        await bob.wait(ev.ParticipantAttributesChanged)
        await eventually(
            lambda: [dict(each.attributes) for each in ana.link.participants()] == [{"seat": "3"}]
        )

    async def test_the_same_identity_replaces(self, world: World) -> None:
        first = await world.join("ana")
        await world.join("ana")
        end = await first.wait(ev.Disconnected)
        assert end.reason is DisconnectReason.DUPLICATE_IDENTITY
        assert end.reason.on_purpose

    async def test_being_put_out(self, world: World) -> None:
        ana = await world.join("ana")
        await world.remove("ana")
        end = await ana.wait(ev.Disconnected)
        assert end.reason is DisconnectReason.PARTICIPANT_REMOVED

    async def test_the_end_of_the_room(self, world: World) -> None:
        ana = await world.join("ana")
        await world.delete_room()
        end = await ana.wait(ev.Disconnected)
        assert end.reason is DisconnectReason.ROOM_DELETED

    async def test_metadata_changes_in_order(self, world: World) -> None:
        ana = await world.join("ana")
        for value in ("1", "2", "3"):
            await world.set_metadata(value)
        await ana.wait(ev.RoomMetadataChanged, lambda each: each.metadata == "3")
        seen = [e.metadata for e in ana.told if isinstance(e, ev.RoomMetadataChanged)]
        assert seen == sorted(seen)
        assert ana.link.metadata == "3"

    # Sound and pictures.

    async def test_a_tone_is_heard_at_its_pitch(self, world: World) -> None:
        ana, bob = await world.join("ana"), await world.join("bob")
        async with speaking(ana.link, 440):
            await bob.wait(ev.TrackSubscribed)
            frames = bob.link.receive_audio("ana", Source.MICROPHONE, 10)
            assert frames is not None
            sound = await listen(aiter(frames), 1.0)
            await frames.aclose()
        assert pitch(sound) == pytest.approx(440, abs=2)

    async def test_frames_have_the_asked_length(self, world: World) -> None:
        ana, bob = await world.join("ana"), await world.join("bob")
        async with speaking(ana.link):
            await bob.wait(ev.TrackSubscribed)
            frames = bob.link.receive_audio("ana", Source.MICROPHONE, 100)
            assert frames is not None
            async with asyncio.timeout(PATIENCE):
                async for frame in frames:
                    assert len(frame.samples) == 4800
                    break
            await frames.aclose()

    async def test_frames_end_with_their_track(self, world: World) -> None:
        ana, bob = await world.join("ana"), await world.join("bob")
        async with speaking(ana.link):
            await bob.wait(ev.TrackSubscribed)
            frames = bob.link.receive_audio("ana", Source.MICROPHONE, 10)
            assert frames is not None
        async with asyncio.timeout(PATIENCE):
            async for _ in frames:
                pass
        await bob.wait(ev.TrackUnpublished)
        await frames.aclose()
        assert bob.link.receive_audio("ana", Source.MICROPHONE, 10) is None

    async def test_frames_end_with_the_connection(self, world: World) -> None:
        ana, bob = await world.join("ana"), await world.join("bob")
        async with speaking(ana.link):
            await bob.wait(ev.TrackSubscribed)
            frames = bob.link.receive_audio("ana", Source.MICROPHONE, 10)
            assert frames is not None
            await world.remove("bob")
            async with asyncio.timeout(PATIENCE):
                async for _ in frames:
                    pass
            await frames.aclose()

    async def test_pictures_arrive(self, world: World) -> None:
        ana, bob = await world.join("ana"), await world.join("bob")
        pattern = TestPattern(320, 240, fps=15)
        sent = await ana.link.publish_video(Source.CAMERA, pattern.width, pattern.height)

        async def show() -> None:
            async for picture in pattern:
                await sent.write(picture)

        task = asyncio.create_task(show())
        track = (await bob.wait(ev.TrackSubscribed)).track
        assert (track.kind, track.source) == ("video", Source.CAMERA)
        frames = bob.link.receive_video("ana", Source.CAMERA)
        assert frames is not None
        seen = await _first_large(frames)
        left, right = seen.pixels[-1, 20], seen.pixels[-1, -60]
        assert int(left[0]) > 180, "the left bar is white"
        assert int(right[2]) > int(right[0]) + 80, "the last but one is blue"
        task.cancel()
        await asyncio.wait([task])
        await sent.aclose()
        await frames.aclose()

    async def test_a_track_can_be_unwanted_and_wanted_again(self, world: World) -> None:
        ana, bob = await world.join("ana"), await world.join("bob")
        async with speaking(ana.link):
            track = (await bob.wait(ev.TrackSubscribed)).track
            bob.link.ask_for("ana", track.sid, wanted=False, width=None)
            await bob.wait(ev.TrackUnsubscribed)
            assert bob.link.receive_audio("ana", Source.MICROPHONE, 10) is None
            mark = len(bob.told)
            bob.link.ask_for("ana", track.sid, wanted=True, width=None)
            await bob.wait(ev.TrackSubscribed, after=mark)

    async def test_nothing_is_received_unasked_without_auto_subscribe(self, world: World) -> None:
        ana = await world.join("ana")
        bob = await world.join("bob", auto_subscribe=False)
        async with speaking(ana.link):
            track = (await bob.wait(ev.TrackPublished)).track
            assert bob.link.receive_audio("ana", Source.MICROPHONE, 10) is None
            bob.link.ask_for("ana", track.sid, wanted=True, width=None)
            await bob.wait(ev.TrackSubscribed)

    async def test_a_closed_track_takes_nothing_and_may_be_closed_again(self, world: World) -> None:
        ana, bob = await world.join("ana"), await world.join("bob")
        async with speaking(ana.link) as sent:
            await bob.wait(ev.TrackPublished)
        await bob.wait(ev.TrackUnpublished)
        await sent.aclose()
        with pytest.raises(ClosedByUs):
            await sent.write(AudioFrame(np.zeros(480, np.int16)))

    # Rights.

    async def test_a_revoked_right_silences_and_a_new_grant_revives_nothing(
        self, world: World
    ) -> None:
        ana, bob = await world.join("ana"), await world.join("bob")
        async with speaking(ana.link) as sent:
            await bob.wait(ev.TrackSubscribed)
            await world.permit("ana", LISTENER)
            told = await ana.wait(ev.ParticipantPermissionsChanged, lambda each: each.is_local)
            assert told.permissions == LISTENER == ana.link.permissions
            await bob.wait(ev.TrackUnpublished)
            mark = len(bob.told)
            await world.permit("ana", SPEAKER)
            await ana.wait(
                ev.ParticipantPermissionsChanged, lambda each: each.permissions == SPEAKER
            )
            await sent.aclose()
            async with speaking(ana.link):
                await bob.wait(ev.TrackSubscribed, after=mark)

    async def test_named_sources_are_told(self, world: World) -> None:
        ana = await world.join("ana", CAMERA_ONLY)
        assert ana.link.permissions.allows("camera")
        assert not ana.link.permissions.allows("microphone")

    async def test_publishing_without_the_right_fails_in_time(self, world: World) -> None:
        ana = await world.join("ana", LISTENER, publish_timeout=0.3)
        with pytest.raises(PublishFailed, match=r"0\.3 s"):
            await ana.link.publish_audio(Source.MICROPHONE, preconnect=False)

    async def test_publishing_ends_with_the_connection(self, world: World) -> None:
        ana = await world.join("ana", LISTENER)
        publishing = asyncio.create_task(
            ana.link.publish_audio(Source.MICROPHONE, preconnect=False)
        )
        await asyncio.sleep(0)
        await world.remove("ana")
        with pytest.raises(ConnectionLost):
            async with asyncio.timeout(5):
                await publishing

    async def test_a_cancelled_publish_leaves_no_track(self, world: World) -> None:
        ana, bob = await world.join("ana"), await world.join("bob")
        publishing = asyncio.create_task(
            ana.link.publish_audio(Source.MICROPHONE, preconnect=False)
        )
        await asyncio.sleep(0)
        publishing.cancel()
        await asyncio.wait([publishing])
        async with speaking(ana.link):
            await bob.wait(ev.TrackSubscribed)
            await eventually(lambda: _tracks(bob, "ana") == 1)

    async def test_publishing_after_the_end_fails_at_once(self, world: World) -> None:
        ana = await world.join("ana")
        await ana.link.disconnect()
        with pytest.raises(ConnectionLost):
            await ana.link.publish_audio(Source.MICROPHONE, preconnect=False)
        with pytest.raises(ConnectionLost):
            await ana.link.send_data(b"x", Packet())

    # Data, text, bytes.

    async def test_data_reaches_the_others_with_topic_and_sender(self, world: World) -> None:
        ana, bob = await world.join("ana"), await world.join("bob")
        await eventually(lambda: bool(bob.link.participants()))
        await ana.link.send_data(b"hi", Packet(topic="chat"))
        got = await bob.wait(ev.DataReceived)
        assert got == ev.DataReceived(b"hi", "chat", "ana", True)
        assert not [each for each in ana.told if isinstance(each, ev.DataReceived)]

    async def test_data_without_the_right_vanishes(self, world: World) -> None:
        ana = await world.join("ana", LISTENER)
        cleo = await world.join("cleo")
        bob = await world.join("bob")
        await ana.link.send_data(b"forbidden", Packet())
        await cleo.link.send_data(b"allowed", Packet())
        await bob.wait(ev.DataReceived, lambda each: each.data == b"allowed")
        assert [e.data for e in bob.told if isinstance(e, ev.DataReceived)] == [b"allowed"]

    async def test_text_streams_reach_their_handler(self, world: World) -> None:
        ana, bob = await world.join("ana"), await world.join("bob")
        got: asyncio.Queue[tuple[IncomingText, str]] = asyncio.Queue()
        bob.link.serve_text("chat", lambda stream, who: got.put_nowait((stream, who)))
        await eventually(lambda: bool(bob.link.participants()))
        sent = await ana.link.send_text(
            "hello " * 5000, Packet(topic="chat", attributes={"a": "1"})
        )
        async with asyncio.timeout(PATIENCE):
            stream, who = await got.get()
            text = "".join([chunk async for chunk in stream])
        assert (who, text, stream.info.stream_id) == ("ana", "hello " * 5000, sent)
        assert stream.info.topic == "chat"
        assert stream.attributes["a"] == "1"

    async def test_byte_streams_reach_their_handler(self, world: World) -> None:
        ana, bob = await world.join("ana"), await world.join("bob")
        got: asyncio.Queue[tuple[IncomingBytes, str]] = asyncio.Queue()
        bob.link.serve_bytes("file", lambda stream, who: got.put_nowait((stream, who)))
        await eventually(lambda: bool(bob.link.participants()))
        data = bytes(range(256)) * 300
        await ana.link.send_bytes(data, Packet(topic="file", name="x.bin", mime_type="a/b"))
        async with asyncio.timeout(PATIENCE):
            stream, who = await got.get()
            read = b"".join([chunk async for chunk in stream])
        assert (who, read, stream.info.name, stream.info.mime_type) == ("ana", data, "x.bin", "a/b")

    # Interruptions.

    async def test_a_short_interruption_keeps_everything(self, world: World) -> None:
        ana, bob = await world.join("ana"), await world.join("bob")
        async with speaking(ana.link):
            await bob.wait(ev.TrackSubscribed)
            await world.interrupt(ana, full=False)
            await ana.wait(ev.Reconnected)
            kinds = [type(each) for each in ana.told]
            assert kinds.index(ev.Reconnecting) < kinds.index(ev.Reconnected)
            assert [each.identity for each in ana.link.participants()] == ["bob"]
        assert not [each for each in bob.told if isinstance(each, ev.ParticipantDisconnected)]

    async def test_a_rebuilt_connection_brings_everybody_and_our_track_back(
        self, world: World
    ) -> None:
        ana, bob = await world.join("ana"), await world.join("bob")
        async with speaking(ana.link) as sent, speaking(bob.link):
            await ana.wait(ev.TrackSubscribed)
            await bob.wait(ev.TrackSubscribed)
            before, mark = sent.sid, len(bob.told)
            await world.interrupt(ana, full=True)
            await ana.wait(ev.Reconnected)
            gone = [each for each in ana.told if isinstance(each, ev.ParticipantDisconnected)]
            assert [each.reason for each in gone] == [DisconnectReason.UNKNOWN]
            assert [each.identity for each in ana.link.participants()] == ["bob"]
            await bob.wait(ev.TrackSubscribed, after=mark)
            assert sent.sid != before
            frames = bob.link.receive_audio("ana", Source.MICROPHONE, 10)
            assert frames is not None
            assert pitch(await listen(aiter(frames), 0.5)) == pytest.approx(440, abs=3)
            await frames.aclose()


def _tracks(joined: Joined, identity: str) -> int:
    return sum(len(p.tracks) for p in joined.link.participants() if p.identity == identity)


async def _first_large(frames: Received[VideoFrame]) -> VideoFrame:
    async with asyncio.timeout(PATIENCE):
        async for frame in frames:
            if frame.width == 320:
                return frame
    raise AssertionError("the pictures ended")
