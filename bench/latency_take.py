"""Legs of a seat take with a real LiveKit and the SDK, against the same legs without our code.

take_to_permission: from `take_seat` until LiveKit's own client may publish; its floor is a bare
UpdateParticipant. take_to_first_audio: from there until a listener hears the first sound; its floor
is grant, publish and first sound by bare `livekit.rtc`.
`--two-connections` gives every client one connection for each direction, in place of one for both.
"""

import argparse
import asyncio
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from livekit import rtc
from load import Client, request
from p1_token import PATH, keys
from programs import Program, program
from rounds import RESULTS, Case, Goal, run

from utd_cli.media_server.binary import get_server
from utd_cli.media_server.pin import VERSION
from utd_cli.media_server.process import LiveKitServer
from utd_engine.adapters.livekit.gateway import LiveKitGateway
from utd_engine.adapters.livekit.tokens import ApiKey
from utd_engine.domain.permissions import Permission
from utd_engine.ports.media import Join
from utd_engine.system import SystemClock
from utd_protocol.types import Source
from utd_stream import MediaInputs, Tone, UTDAudioRoomSession, UTDStreamClient

RATE = 48_000
FRAME = RATE // 100
LOUD = 1000
"""Of 32767: the tone is louder, and a silent track is not."""
WITHIN_S = 10.0
LISTENER = Permission(can_subscribe=True)
SPEAKER = Permission(can_subscribe=True, can_publish=True, sources=(Source.MICROPHONE,))
BARE_PERMISSION, BARE_SOUND = "bare UpdateParticipant", "bare grant to sound"
PERMISSION, SOUND = "take_to_permission", "take_to_first_audio"


class Person:
    """A bare LiveKit client: what it may do, and when it heard the first sound."""

    def __init__(self, room: rtc.Room) -> None:
        self.room = room
        self.permitted_at = 0.0
        self._heard_at: float | None = None
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        room.on("participant_permissions_changed", self._permitted)
        room.on("track_subscribed", self._hear)
        room.on("track_unsubscribed", self._silent)

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str, token: str, *, single: bool) -> AsyncGenerator["Person"]:
        """In the room, for the length of the block."""
        once = rtc.ContinualGatheringPolicy.GATHER_ONCE
        config = rtc.RtcConfiguration(continual_gathering_policy=once)
        person = cls(rtc.Room())
        options = rtc.RoomOptions(rtc_config=config, single_peer_connection=single)
        await person.room.connect(url, token, options)
        try:
            yield person
        finally:
            await person.room.disconnect()

    @property
    def may_publish(self) -> bool:
        """Whether LiveKit has said so."""
        return bool(self.room.local_participant.permissions.can_publish)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that an event brings."""
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def first_sound(self) -> float:
        """When the first sound came of whoever speaks now."""
        await self.until(lambda: self._heard_at is not None)
        return self._heard_at or 0.0

    async def silence(self) -> None:
        """Wait until nobody speaks."""
        await self.until(lambda: self._heard_at is None)

    def _permitted(self, *_: object) -> None:
        self.permitted_at = time.perf_counter()
        self._news.set()

    def _hear(self, track: rtc.Track, *_: object) -> None:
        task = asyncio.ensure_future(self._listen(rtc.AudioStream(track)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _silent(self, *_: object) -> None:
        self._heard_at = None
        self._news.set()

    async def _listen(self, stream: rtc.AudioStream) -> None:
        async for event in stream:
            samples = np.frombuffer(event.frame.data, dtype=np.int16)
            if int(np.abs(samples.astype(np.int32)).max(initial=0)) > LOUD:
                self._heard_at = time.perf_counter()
                self._news.set()
                break
        await stream.aclose()


class Bare:
    """The floor: the engine's own caller of LiveKit and `livekit.rtc`, and nothing between."""

    def __init__(self, gateway: LiveKitGateway, speaker: Person, listener: Person) -> None:
        self._gateway = gateway
        self._speaker = speaker
        self._listener = listener

    async def once(self) -> Mapping[str, float]:
        """Grant, publish, hear; then take all of it back."""
        began = time.perf_counter()
        await self._push(SPEAKER)
        await self._speaker.until(lambda: self._speaker.may_publish)
        permitted = self._speaker.permitted_at
        publication, singing = await self._publish()
        heard = await self._listener.first_sound()
        singing.cancel()
        await asyncio.wait([singing])
        await self._speaker.room.local_participant.unpublish_track(publication.sid)
        await self._push(LISTENER)
        await self._speaker.until(lambda: not self._speaker.may_publish)
        await self._listener.silence()
        return {BARE_PERMISSION: permitted - began, BARE_SOUND: heard - began}

    async def _push(self, permission: Permission) -> None:
        await self._gateway.push_member("bare", "speaker", permission)

    async def _publish(self) -> tuple[rtc.LocalTrackPublication, asyncio.Task[None]]:
        source = rtc.AudioSource(RATE, 1)
        singing = asyncio.create_task(_sing(source))
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        return await self._speaker.room.local_participant.publish_track(track, options), singing


class Taken:
    """The subject: the SDK's session, and the engine between it and LiveKit."""

    def __init__(self, session: UTDAudioRoomSession, listener: Person) -> None:
        self._session = session
        self._listener = listener

    async def once(self) -> Mapping[str, float]:
        """Take a seat, be heard, and leave it."""
        permitted: list[float] = []

        def note(allowed: bool) -> None:  # noqa: FBT001 the value that is listened to
            if allowed:
                permitted.append(time.perf_counter())

        stop = self._session.can_publish.listen(note)
        began = time.perf_counter()
        await self._session.take_seat(0)
        heard = await self._listener.first_sound()
        stop()
        await self._session.leave_seat()
        async with asyncio.timeout(WITHIN_S):
            await self._session.can_publish.wait_for(False)
        await self._listener.silence()
        return {PERMISSION: permitted[0] - began, SOUND: heard - began}


async def _sing(source: rtc.AudioSource) -> None:
    wave = np.sin(2 * np.pi * 440 / RATE * np.arange(RATE)) * 0.3 * 32767
    frames = wave.astype(np.int16).reshape(-1, FRAME)
    while True:
        for frame in frames:
            await source.capture_frame(rtc.AudioFrame(frame.tobytes(), RATE, 1, FRAME))


def repeated(once: Callable[[], Awaitable[Mapping[str, float]]], runner: asyncio.Runner) -> Case:
    """Medians of a window."""

    async def window_of(window: float) -> Mapping[str, float]:
        until, measured = time.perf_counter() + window, [await once()]
        while time.perf_counter() < until:
            measured.append(await once())
        return {name: statistics.median(one[name] for one in measured) for name in measured[0]}

    return lambda window: runner.run(window_of(2.5 * window))


async def prepare_bare(exits: AsyncExitStack, livekit: LiveKitServer, *, single: bool) -> Bare:
    """A room of its own with a speaker and a listener."""
    gateway = LiveKitGateway(livekit.url, ApiKey(livekit.key, livekit.secret), SystemClock())
    exits.push_async_callback(gateway.aclose)
    await gateway.ensure_room("bare")
    people = [await _join(exits, gateway, name, single=single) for name in ("speaker", "listener")]
    return Bare(gateway, *people)


async def _join(
    exits: AsyncExitStack, gateway: LiveKitGateway, identity: str, *, single: bool
) -> Person:
    join = Join(room="bare", identity=identity, permission=LISTENER)
    token = gateway.mint_token(join, now=datetime.now(UTC), ttl_s=600)
    connected = Person.connected(gateway.url, token, single=single)
    return await exits.enter_async_context(connected)


async def prepare_taken(exits: AsyncExitStack, engine: Program, *, single: bool) -> Taken:
    """The host with the SDK, and a bare listener in their room."""
    client = UTDStreamClient(
        app_id=engine.said["app_id"],
        app_key=engine.said["app_key"],
        base_url=f"http://127.0.0.1:{engine.port}",
        media=MediaInputs(microphone=Tone()),
        single_peer_connection=single,
    )
    await exits.enter_async_context(client)
    session = await client.join_audio_room(identity="host", room_name="lobby", as_host=True)
    wish = {"type": "audio_room", "room_name": "lobby", "identity": "listener"}
    async with Client.connected(engine.port) as http:
        asked = request("POST", PATH, keys(engine), json.dumps(wish).encode())
        answer = json.loads(await http.ask(asked))
    connected = Person.connected(answer["url"], answer["token"], single=single)
    return Taken(session, await exits.enter_async_context(connected))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--two-connections", action="store_true")
    options, arguments = parser.parse_known_args()
    single, port, binary = not options.two_connections, free_port(), get_server(print)
    with tempfile.TemporaryDirectory(dir=RESULTS) as folder, asyncio.Runner() as runner:
        exits = AsyncExitStack()
        try:
            hook = f"http://127.0.0.1:{port}/hooks/livekit"
            starting = LiveKitServer.start(binary, Path(folder) / "livekit", webhook_url=hook)
            livekit = runner.run(exits.enter_async_context(starting))
            given = (folder, livekit.url, livekit.key, livekit.secret, str(port))
            engine = exits.enter_context(program("serve_engine", *given))
            bare = runner.run(prepare_bare(exits, livekit, single=single))
            taken = runner.run(prepare_taken(exits, engine, single=single))
            cases = {"bare": repeated(bare.once, runner), "take": repeated(taken.once, runner)}
            goals = [
                Goal(PERMISSION, BARE_PERMISSION, most=3.0),
                Goal(SOUND, BARE_SOUND, most=1.25),
            ]
            return run(
                "latency_take", cases, goals, arguments=arguments, livekit_server=VERSION,
                rtc=rtc.__version__, peer_connections=1 if single else 2, network="loopback",
            )  # fmt: skip
        finally:
            runner.run(exits.aclose())


if __name__ == "__main__":
    sys.exit(main())
