"""Two `UTDRoom`s and a real livekit-server, without any engine."""

import asyncio
import socket
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from livekit import api, rtc
from support.sound import listen, pitch, quiet

from utd_cli.media_server.process import LiveKitServer
from utd_stream._errors import (
    AuthRejected,
    ConnectError,
    Invalid,
    NotAllowed,
    PublishNotAllowed,
    Unreachable,
)
from utd_stream._media.frames import Tone
from utd_stream._media.video import TestPattern
from utd_stream._room.connection import DisconnectReason, UTDConnectionState
from utd_stream._room.events import DataReceived, Disconnected, TrackUnpublished
from utd_stream._room.link import Abandoned
from utd_stream._room.room import UTDRoom

pytestmark = pytest.mark.e2e


class Room:
    """A room on the server, and what its API does to people."""

    def __init__(self, server: LiveKitServer, client: api.LiveKitAPI) -> None:
        self.name = f"alone-{uuid4().hex[:8]}"
        self.url = server.url
        self._server = server
        self._client = client

    def token(self, identity: str, *, speak: bool = True, data: bool = True) -> str:
        grants = api.VideoGrants(
            room_join=True,
            room=self.name,
            can_publish=speak,
            can_subscribe=True,
            can_publish_data=data,
        )
        token = api.AccessToken(self._server.key, self._server.secret)
        return token.with_identity(identity).with_grants(grants).to_jwt()

    async def permit(self, identity: str, *, speak: bool, data: bool = True) -> None:
        permission = api.ParticipantPermission(
            can_publish=speak, can_subscribe=True, can_publish_data=data
        )
        await self._client.room.update_participant(
            api.UpdateParticipantRequest(room=self.name, identity=identity, permission=permission)
        )

    async def remove(self, identity: str) -> None:
        await self._client.room.remove_participant(
            api.RoomParticipantIdentity(room=self.name, identity=identity)
        )


@pytest.fixture
async def room(livekit: LiveKitServer) -> AsyncIterator[Room]:
    async with api.LiveKitAPI(livekit.http_url, livekit.key, livekit.secret) as client:
        room = Room(livekit, client)
        await client.room.create_room(api.CreateRoomRequest(name=room.name))
        yield room


@pytest.fixture
async def ana() -> AsyncIterator[UTDRoom]:
    async with UTDRoom() as room:
        yield room


@pytest.fixture
async def bob() -> AsyncIterator[UTDRoom]:
    async with UTDRoom() as room:
        yield room


async def both(room: Room, ana: UTDRoom, bob: UTDRoom) -> None:
    await ana.connect(room.url, room.token("ana"))
    await bob.connect(room.url, room.token("bob"))


async def wait_for(reader: AsyncIterator[object], fits: Callable[[object], bool]) -> object:
    async with asyncio.timeout(10):
        async for event in reader:
            if fits(event):
                return event
    raise AssertionError("the events ended")


async def test_a_tone_is_heard_and_is_silent_after_a_revoke(
    room: Room, ana: UTDRoom, bob: UTDRoom
) -> None:
    await both(room, ana, bob)
    await ana.set_microphone(True, Tone(440))
    events = bob.events
    async with aclosing(bob.audio("ana")) as frames:
        assert pitch(await listen(frames, 1.0)) == pytest.approx(440, abs=2)

        await room.permit("ana", speak=False)
        async with asyncio.timeout(5):
            await ana.can_publish.wait_for(wanted=False)
            await ana.publishing().wait_for("waiting")
        await wait_for(events, lambda event: isinstance(event, TrackUnpublished))
        async with aclosing(bob.audio("ana")) as silent:
            await quiet(silent)
        participant = ana.local_participant
        assert isinstance(participant, rtc.LocalParticipant)
        async with asyncio.timeout(5):
            while participant.track_publications:
                await asyncio.sleep(0.01)
        with pytest.raises(PublishNotAllowed):
            await ana.set_microphone(True)

        await room.permit("ana", speak=True)
        assert pitch(await listen(frames, 0.5)) == pytest.approx(440, abs=3)
        assert ana.publishing().value == "live"


async def test_a_wish_waits_for_the_right(room: Room, ana: UTDRoom, bob: UTDRoom) -> None:
    await ana.connect(room.url, room.token("ana", speak=False))
    await bob.connect(room.url, room.token("bob"))
    ana.want_microphone(True, Tone(600))
    waiting = asyncio.create_task(ana.wait_published())
    await room.permit("ana", speak=True)
    async with asyncio.timeout(5):
        await waiting
    async with aclosing(bob.mixed_audio(frame_ms=20)) as frames:
        assert pitch(await listen(frames, 0.5)) == pytest.approx(600, abs=3)


async def test_data_needs_the_right_and_has_a_limit(room: Room, ana: UTDRoom, bob: UTDRoom) -> None:
    await both(room, ana, bob)
    async with asyncio.timeout(10):
        await bob.remote_participants.wait_for(lambda people: len(people) == 1)
    events = bob.events
    largest = b"x" * (64_000 - 44 - 3 - 4)
    await ana.send_data(largest, topic="chat")
    got = await wait_for(events, lambda event: isinstance(event, DataReceived))
    assert got == DataReceived(largest, "chat", "ana", True)
    with pytest.raises(Invalid, match="64,000"):
        await ana.send_data(largest + b"x", topic="chat")
    await room.permit("ana", speak=True, data=False)
    async with asyncio.timeout(5):
        await ana.permissions.wait_for(lambda now: not now.can_publish_data)
    with pytest.raises(NotAllowed):
        await ana.send_data(b"x")
    with pytest.raises(NotAllowed):
        await ana.send_text("x", topic="chat")


async def test_one_who_is_put_out_knows_it(room: Room, ana: UTDRoom) -> None:
    await ana.connect(room.url, room.token("ana"))
    await ana.set_microphone(True, Tone())
    events = ana.events
    await room.remove("ana")
    end = await wait_for(events, lambda event: isinstance(event, Disconnected))
    assert end == Disconnected(DisconnectReason.PARTICIPANT_REMOVED)
    assert ana.connection.value is UTDConnectionState.DISCONNECTED
    assert ana.can_publish.value is False
    with pytest.raises(ConnectError):
        await ana.send_data(b"x")


@pytest.mark.parametrize("scenario", ["SIGNAL_RECONNECT", "FULL_RECONNECT", "NODE_FAILURE"])
async def test_sound_survives_a_reconnect(
    room: Room, ana: UTDRoom, bob: UTDRoom, scenario: str
) -> None:
    await both(room, ana, bob)
    await ana.set_microphone(True, Tone(440))
    async with aclosing(bob.audio("ana")) as frames:
        await listen(frames, 0.2)
        people: list[int] = []
        ana.remote_participants.listen(lambda now: people.append(len(now)))
        broken = asyncio.create_task(ana.connection.wait_for(UTDConnectionState.RECONNECTING))
        raw = ana.room
        assert isinstance(raw, rtc.Room)
        await raw.simulate_scenario(getattr(rtc.SimulateScenarioKind, f"SIMULATE_{scenario}"))
        async with asyncio.timeout(10):
            await broken
            await ana.connected.wait_for(wanted=True)
        assert 0 not in people
        assert pitch(await listen(frames, 0.5)) == pytest.approx(440, abs=3)


async def test_joining_again_publishes_again_and_iterators_go_on(
    room: Room, ana: UTDRoom, bob: UTDRoom
) -> None:
    await both(room, ana, bob)
    await ana.set_microphone(True, Tone(440))
    async with aclosing(bob.audio("ana")) as frames:
        await listen(frames, 0.2)
        first = ana.room
        await ana.connect(room.url, room.token("ana"))
        await bob.connect(room.url, room.token("bob"))
        assert ana.room is not first
        assert pitch(await listen(frames, 0.5)) == pytest.approx(440, abs=3)


async def test_pictures_are_received_only_while_they_are_read(
    room: Room, ana: UTDRoom, bob: UTDRoom
) -> None:
    await both(room, ana, bob)
    await ana.set_camera(True, TestPattern(320, 240, fps=15))
    async with asyncio.timeout(10):
        await bob.remote_participants.wait_for(
            lambda people: any(each.tracks and not each.tracks[0].subscribed for each in people)
        )
        async with aclosing(bob.video("ana", width=320)) as pictures:
            async for picture in pictures:
                if picture.width == 320:
                    break
        await bob.remote_participants.wait_for(
            lambda people: all(not each.tracks[0].subscribed for each in people)
        )


async def test_a_recording_keeps_time(
    room: Room, ana: UTDRoom, bob: UTDRoom, tmp_path: Path
) -> None:
    await both(room, ana, bob)
    await ana.set_microphone(True, Tone(440))
    assert await bob.record(tmp_path / "all.wav", seconds=1.5) == pytest.approx(1.5)
    with wave.open(str(tmp_path / "all.wav")) as file:
        assert file.getparams()[:4] == (1, 2, 48_000, 72_000)
        sound = np.frombuffer(file.readframes(72_000), np.int16)
    assert pitch(sound[-24_000:]) == pytest.approx(440, abs=3)


async def test_refusals_of_a_join(room: Room, ana: UTDRoom) -> None:
    with pytest.raises(AuthRejected):
        await ana.connect(room.url, "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable):
            await ana.connect(f"ws://127.0.0.1:{closed.getsockname()[1]}", room.token("ana"))
    assert ana.connection.value is UTDConnectionState.DISCONNECTED
    await ana.connect(room.url, room.token("ana"))
    assert ana.connected.value


async def test_a_silent_port_is_noticed_in_time() -> None:
    held: list[asyncio.StreamWriter] = []
    mute = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{mute.sockets[0].getsockname()[1]}"
    abandoned = Abandoned()
    async with UTDRoom(timeout=0.3) as room:
        room._leave_abandoned_to(abandoned)
        with pytest.raises(Unreachable, match=r"nobody answered .* 0\.3 s"):
            await room.connect(url, "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl")
    assert len(abandoned) == 1
    mute.close()
    for writer in held:
        writer.transport.abort()
    assert await abandoned.wait(20), "the attempt ends by itself, and nothing is cancelled"
    for writer in held:
        writer.transport.abort()
    await mute.wait_closed()


async def test_thirty_joins_leave_no_descriptor_and_no_task(room: Room) -> None:
    async def visit() -> None:
        async with UTDRoom() as one:
            await one.connect(room.url, room.token("ana"))
            await one.set_microphone(True, Tone())

    await visit()
    tasks, files = len(asyncio.all_tasks()), _open_files()
    for _ in range(30):
        await visit()
    assert len(asyncio.all_tasks()) == tasks
    async with asyncio.timeout(5):
        while _open_files() > files + 3:
            await asyncio.sleep(0.05)


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
