"""Goal P7: from the request for a seat until LiveKit has the right and the event, on a durable log.

One take at a time, in many rooms in turn, so that none waits for the pace of a room's events. A
take is over when its answer is here (it has waited for the commit and for UpdateParticipant) and
UpdateRoomMetadata was accepted too. The floor is a command that changes nothing: it passes every
door, is decided, and writes and tells nothing. Reported beside it are the same take as a dry run,
and a POST that the server does not even look at. LiveKit's stand-in lives in the load's process.
"""

import asyncio
import itertools
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import uvloop
from livekit.protocol.room import UpdateRoomMetadataRequest
from load import Client, load, request
from p1_token import PATH, keys
from programs import Program, program
from rounds import RESULTS, Goal, run
from serve_engine import NOOP_PATH
from serve_sfu import Twirp

ROOMS = 64
P50, P99 = "take p50", "take p99"
NOTHING, DRY, UNREAD = "no-op command", "dry run", "unread POST"


class Room(NamedTuple):
    """An open room and its host."""

    sfu_name: str
    take: bytes
    dry: bytes
    leave: bytes


class Accepted:
    """When the stand-in last took the events of each room."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        self._news = asyncio.Event()

    def on_call(self, method: str, body: bytes) -> None:
        """One call of the engine."""
        if method == "UpdateRoomMetadata":
            self._at[UpdateRoomMetadataRequest.FromString(body).room] = time.perf_counter()
            self._news.set()

    async def after(self, room: str, since: float) -> float:
        """When it took those of this room, after a moment."""
        while self._at.get(room, 0.0) < since:
            self._news.clear()
            await self._news.wait()
        return self._at[room]


class Bench:
    """The engine, its rooms, and the connection to it."""

    def __init__(self, engine: Program, accepted: Accepted) -> None:
        self._engine = engine
        self._accepted = accepted
        self._rooms: Iterator[Room] = itertools.cycle(())

    async def open_rooms(self) -> None:
        """By their hosts."""
        async with Client.connected(self._engine.port) as client:
            opened = [await self._open(client, number) for number in range(ROOMS)]
        self._rooms = itertools.cycle(opened)

    async def _open(self, client: Client, number: int) -> Room:
        name = f"room-{number}"
        wish = {"type": "audio_room", "room_name": name, "identity": "host", "role": "host"}
        body = json.dumps(wish).encode()
        answer = await client.ask(request("POST", PATH, keys(self._engine), body))
        joined = json.loads(answer)
        bearer = {"authorization": f"Bearer {joined['user_token']}"}
        seats = f"/api/v1/rooms/audio_room/{name}/seats"
        take, dry = (
            request("POST", f"{seats}/take{query}", bearer, b'{"index":0}')
            for query in ("", "?dry_run=true")
        )
        sfu_name = f"{self._engine.said['app_id']}.audio_room.{joined['room']['room_id']}"
        return Room(sfu_name, take, dry, request("POST", f"{seats}/leave", bearer, b"{}"))

    async def dry_runs(self, window: float) -> float:
        """A take without what makes it last."""
        return await self._half((room.dry for room in self._rooms), window)

    async def nothings(self, window: float) -> float:
        """The floor: a command that changes nothing, since nobody sits."""
        return await self._half((room.leave for room in self._rooms), window)

    async def unread(self, window: float) -> float:
        """The way there and back alone: a request that the server does not even look at."""
        nothing = request("POST", NOOP_PATH, {}, b'{"index":0}')
        return await self._half(itertools.repeat(nothing), window)

    async def _half(self, requests: Iterator[bytes], window: float) -> float:
        return (await load(self._engine.port, requests, window, 1)).percentile(50)

    async def takes(self, window: float) -> Mapping[str, float]:
        """The subject: half of all takes took less, and 99 of 100."""
        seconds: list[float] = []
        until = time.perf_counter() + window
        async with Client.connected(self._engine.port) as client:
            while time.perf_counter() < until:
                room = next(self._rooms)
                began = time.perf_counter()
                await client.ask(room.take)
                answered = time.perf_counter()
                seconds.append(
                    max(answered, await self._accepted.after(room.sfu_name, began)) - began
                )
                await client.ask(room.leave)
        seconds.sort()
        return {P50: seconds[len(seconds) // 2], P99: seconds[len(seconds) * 99 // 100]}


async def listen(accepted: Accepted) -> int:
    """Serve the stand-in for as long as the loop is there. Its port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Twirp(accepted.on_call), "127.0.0.1", 0)
    return int(server.sockets[0].getsockname()[1])


def main() -> int:
    """Run it."""
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        tempfile.TemporaryDirectory(dir=RESULTS) as folder,
    ):
        accepted = Accepted()
        url = f"ws://127.0.0.1:{runner.run(listen(accepted))}"
        with program("serve_engine", folder, url, "bench", "x" * 32) as engine:
            bench = Bench(engine, accepted)
            runner.run(bench.open_rooms())
            cases = {
                UNREAD: lambda window: runner.run(bench.unread(window)),
                NOTHING: lambda window: runner.run(bench.nothings(window)),
                DRY: lambda window: runner.run(bench.dry_runs(window)),
                "take": lambda window: runner.run(bench.takes(2 * window)),
            }
            goals = [
                Goal(P50, NOTHING, most=7.0, held=12.0),
                Goal(P99, P50, most=3.0, held=6.0),
                Goal(P50, DRY, most=math.inf),
                Goal(P50, UNREAD, most=math.inf),
            ]
            return run("p7_take", cases, goals, synchronous="FULL", rooms=ROOMS)


if __name__ == "__main__":
    sys.exit(main())
