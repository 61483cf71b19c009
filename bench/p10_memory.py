"""Goal P10: what an idle engine and an idle inbox hold in memory, against bare ones.

Resident bytes of the process: of the engine against a bare Starlette application, and for each of
2,000 followed inboxes against as many sockets of uvicorn's bare WebSocket protocol.
"""

import asyncio
import base64
import gc
import json
import resource
import struct
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import uvicorn
import uvloop
from load import Client, request
from p1_token import keys
from programs import Program, program
from rounds import RESULTS, Goal, run

SOCKETS = 2000
AT_ONCE = 50
PATH = "/api/v1/ws"
IDLE_APP, IDLE_ENGINE = "bare Starlette", "idle engine"
BARE_SOCKET, INBOX = "bare WebSocket", "followed inbox"


@contextmanager
def engine() -> Iterator[Program]:
    """With no LiveKit to talk to: there is no room."""
    with (
        tempfile.TemporaryDirectory(dir=RESULTS) as folder,
        program("serve_sfu") as sfu,
        program("serve_engine", folder, f"ws://127.0.0.1:{sfu.port}", "bench", "x" * 32) as server,
    ):
        yield server


def idle(serving: AbstractContextManager[Program]) -> float:
    """Bytes of a server that has answered once and does nothing."""
    with serving as server:
        asyncio.run(_ask(server.port, "GET", "/openapi.json"))
        return float(server.memory())


async def _ask(port: int, method: str, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(method, path, {"connection": "close"}))
    await reader.read()
    writer.close()


async def tokens(server: Program) -> list[str]:
    """A bearer for each of many people."""
    made: list[str] = []
    async with Client.connected(server.port) as client:
        for number in range(SOCKETS):
            wish = json.dumps({"identity": f"person-{number}", "device_id": "phone"}).encode()
            asked = request("POST", "/api/v1/auth/session", keys(server), wish)
            made.append(json.loads(await client.ask(asked))["user_token"])
    return made


async def connect(port: int, first: str) -> asyncio.StreamWriter:
    """A WebSocket that has sent its first message and got its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(b"bench-bench-benc").decode()
    headers = {"connection": "Upgrade", "upgrade": "websocket"}
    headers |= {"sec-websocket-version": "13", "sec-websocket-key": key}
    writer.write(request("GET", PATH, headers))
    await reader.readuntil(b"\r\n\r\n")
    writer.write(_masked(first.encode()))
    size = (await reader.readexactly(2))[1]
    answer = json.loads(await reader.readexactly(size))
    if answer["type"] != "ready":
        raise ConnectionError(answer)
    return writer


def _masked(text: bytes) -> bytes:
    """One text frame of a client, masked with zeros."""
    return b"\x81" + struct.pack("!BH", 0xFE, len(text)) + bytes(4) + text


async def a_socket(server: Program, firsts: Sequence[str]) -> float:
    """Bytes for each of many sockets."""
    before = server.memory()
    writers: list[asyncio.StreamWriter] = []
    for start in range(0, len(firsts), AT_ONCE):
        some = firsts[start : start + AT_ONCE]
        writers += await asyncio.gather(*(connect(server.port, first) for first in some))
    used = (server.memory() - before) / len(firsts)
    for writer in writers:
        writer.transport.abort()
    return used


async def bare_sockets(server: Program) -> float:
    """The floor: the same bytes in, one answer out, and silence."""
    warm = await connect(server.port, json.dumps({"token": "x" * 400, "after": None}))
    first = json.dumps({"token": "x" * 400, "after": None})
    used = await a_socket(server, [first] * SOCKETS)
    warm.transport.abort()
    return used


async def inboxes(server: Program) -> float:
    """The subject; the bearers were made before, so that they do not count."""
    *rest, first = (json.dumps({"token": one, "after": None}) for one in await tokens(server))
    warm = await connect(server.port, first)
    used = await a_socket(server, rest)
    warm.transport.abort()
    return used


def sockets_of(serving: AbstractContextManager[Program], floor: bool) -> float:  # noqa: FBT001
    """Bytes a socket, of a server of its own."""
    gc.collect()
    with serving as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(bare_sockets(server) if floor else inboxes(server))


def main() -> int:
    """Run it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * SOCKETS), hard))
    cases = {
        IDLE_APP: lambda _: idle(program("serve_floor", "starlette")),
        IDLE_ENGINE: lambda _: idle(engine()),
        BARE_SOCKET: lambda _: sockets_of(program("serve_floor", "sockets"), floor=True),
        INBOX: lambda _: sockets_of(engine(), floor=False),
    }
    goals = [
        Goal(IDLE_ENGINE, IDLE_APP, most=1.45, held=1.9),
        Goal(INBOX, BARE_SOCKET, most=1.25, held=2.2),
    ]
    return run(
        "p10_memory", cases, goals, rounds=2, unit="B", sockets=SOCKETS, uvicorn=uvicorn.__version__
    )


if __name__ == "__main__":
    sys.exit(main())
