"""Goal P8: what the server's processor does for one letter on one device of its reader.

400 sockets of `/api/v1/ws` follow the inboxes of 100 people with four devices each. Eight hosts
invite them in turn and withdraw each invite; either is one letter to one person, so four
deliveries. Their cost counts everything that the engine does for it: the command over HTTP, its
durable commit with the letter in it, the event of its room, the wake-up, a read of the store for
every socket, and the frame. Reported beside it is the delivery alone: what a letter costs more when
four devices follow than when nobody does, a quarter of that. It is a difference of two windows, so
its median says more than its cheapest round.

The floor has the very frames that the engine wrote, and writes them as they are to as many sockets
by bare transports: no command, no log, no framing.
"""

import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import uvicorn
import uvloop
from load import Client, request
from p1_token import PATH, keys
from p10_memory import connect
from programs import Program, program
from rounds import RESULTS, Goal, run
from serve_floor import FOLLOW

PEOPLE, DEVICES, HOSTS = 100, 4, 8
SOCKETS = PEOPLE * DEVICES
ARRIVES_WITHIN_S = 10.0
RAW, WHOLE, ALONE = "raw frame", "delivery with its commit", "delivery alone"
PING, PONG = b"\x89", b"\x8a"
LONG = 126
"""A length that says: two more bytes have it."""


class Post:
    """The letters that have arrived at all sockets of one server."""

    def __init__(self) -> None:
        self.count = 0
        self.samples: set[bytes] = set()
        """Whole frames, until enough of them are there."""
        self._wanted = 0
        self._is_here = asyncio.Event()

    def came(self, frame: bytes) -> None:
        """One more."""
        self.count += 1
        if len(self.samples) < 2:
            self.samples.add(frame)
        if self.count >= self._wanted:
            self._is_here.set()

    async def until(self, count: int) -> None:
        """Wait until so many are here."""
        self._wanted = count
        self._is_here.clear()
        if self.count < count:
            async with asyncio.timeout(ARRIVES_WITHIN_S):
                await self._is_here.wait()


class Follower(asyncio.Protocol):
    """One socket from which frames come; it answers pings, so that it is kept."""

    def __init__(self, writer: asyncio.StreamWriter, post: Post) -> None:
        self._writer = writer  # which closes the connection when it goes
        self._post = post
        self._left = b""
        writer.transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """A part of some frames."""
        data = self._left + data
        while (size := frame_size(data)) <= len(data):
            self._took(data[:size])
            data = data[size:]
        self._left = data

    def _took(self, frame: bytes) -> None:
        if frame.startswith(PING):
            payload = frame[2:]
            self._writer.transport.write(PONG + bytes((0x80 | len(payload),)) + bytes(4) + payload)
        elif b'{"seq":' in frame[:16]:
            self._post.came(frame)


def frame_size(data: bytes) -> int:
    """Bytes of the first frame, or more than there are while its head is not whole."""
    if len(data) < 2:
        return 2
    return 4 + int.from_bytes(data[2:4], "big") if data[1] == LONG else 2 + data[1]


class Room(NamedTuple):
    """An open room: how its host invites, and withdraws an invite."""

    path: str
    bearer: Mapping[str, str]

    async def two_letters(self, client: Client, to: str) -> None:
        """An invite, withdrawn at once."""
        wish = json.dumps({"identity": to}).encode()
        invited = json.loads(await client.ask(request("POST", self.path, self.bearer, wish)))
        withdraw = f"{self.path}/{invited['events'][0]['id']}/cancel"
        await client.ask(request("POST", withdraw, self.bearer, b"{}"))


class Bench:
    """The engine with its rooms and followers, and the floor with as many."""

    def __init__(self, engine: Program, floor: Program) -> None:
        self._engine = engine
        self._floor = floor
        self._rooms: Sequence[Room] = ()
        self._post, self._floor_post = Post(), Post()
        self._followers: list[Follower] = []
        self._control: asyncio.StreamWriter

    async def prepare(self) -> int:
        """Open the rooms and all sockets, and see one of each letter. Bytes of a frame."""
        async with Client.connected(self._engine.port) as client:
            self._rooms = [await self._open(client, number) for number in range(HOSTS)]
            for person in range(PEOPLE):
                await self._follow(client, f"person-{person}")
            await self._rooms[0].two_letters(client, "person-0")
        await self._post.until(2 * DEVICES)
        for _ in range(SOCKETS):
            await self._follow_floor()
        _, self._control = await asyncio.open_connection("127.0.0.1", self._floor.port)
        return sum(map(len, self._post.samples)) // len(self._post.samples)

    async def _open(self, client: Client, number: int) -> Room:
        name = f"room-{number}"
        wish = {"type": "audio_room", "room_name": name, "identity": f"host-{number}"}
        body = json.dumps(wish | {"role": "host"}).encode()
        joined = json.loads(await client.ask(request("POST", PATH, keys(self._engine), body)))
        bearer = {"authorization": f"Bearer {joined['user_token']}"}
        return Room(f"/api/v1/rooms/audio_room/{name}/invites", bearer)

    async def _follow(self, client: Client, who: str) -> None:
        for device in range(DEVICES):
            wish = json.dumps({"identity": who, "device_id": f"device-{device}"}).encode()
            asked = request("POST", "/api/v1/auth/session", keys(self._engine), wish)
            token = json.loads(await client.ask(asked))["user_token"]
            first = json.dumps({"token": token, "after": None})
            writer = await connect(self._engine.port, first)
            self._followers.append(Follower(writer, self._post))

    async def _follow_floor(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._floor.port)
        writer.write(FOLLOW)
        await reader.readexactly(len(FOLLOW))
        self._followers.append(Follower(writer, self._floor_post))

    async def raw(self, window: float) -> float:
        """The floor: the engine's own frames, one at a time to all sockets."""
        began, before = self._floor.cpu_s(), self._floor_post.count
        until = time.perf_counter() + window
        for frame in itertools.cycle(self._post.samples):
            self._control.write(frame)
            await self._floor_post.until(self._floor_post.count + SOCKETS)
            if time.perf_counter() >= until:
                break
        return (self._floor.cpu_s() - began) / (self._floor_post.count - before)

    async def letters(self, window: float) -> Mapping[str, float]:
        """The subject: letters to those who follow, and to people who do not."""
        followed = await self._letter("person", window, DEVICES)
        unfollowed = await self._letter("nobody", window, 0)
        return {WHOLE: followed / DEVICES, ALONE: (followed - unfollowed) / DEVICES}

    async def _letter(self, to: str, window: float, devices: int) -> float:
        """Seconds of the engine's processor for one letter that reaches so many devices."""
        began, before = self._engine.cpu_s(), self._post.count
        people = itertools.cycle(f"{to}-{number}" for number in range(PEOPLE))
        until = time.perf_counter() + window
        sent = sum(await asyncio.gather(*(self._host(one, people, until) for one in self._rooms)))
        await self._post.until(before + sent * devices)
        return (self._engine.cpu_s() - began) / sent

    async def _host(self, room: Room, people: Iterator[str], until: float) -> int:
        """One host at work. The letters that were sent."""
        sent = 0
        async with Client.connected(self._engine.port) as client:
            while time.perf_counter() < until:
                await room.two_letters(client, next(people))
                sent += 2
        return sent


def main() -> int:
    """Run it."""
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        tempfile.TemporaryDirectory(dir=RESULTS) as folder,
        program("serve_sfu") as sfu,
        program("serve_floor", "frames") as floor,
        program("serve_engine", folder, f"ws://127.0.0.1:{sfu.port}", "bench", "x" * 32) as engine,
    ):
        bench = Bench(engine, floor)
        size = runner.run(bench.prepare())
        cases = {
            RAW: lambda window: runner.run(bench.raw(window)),
            "letters": lambda window: runner.run(bench.letters(window)),
        }
        goals = [Goal(WHOLE, RAW, 0.40, held=0.006), Goal(ALONE, RAW)]
        return run(
            "p8_inbox", cases, goals, sockets=SOCKETS, devices=DEVICES, frame_bytes=size,
            uvicorn=uvicorn.__version__,
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
