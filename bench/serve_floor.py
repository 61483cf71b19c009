"""Servers without features, for benches: what the same work costs with nothing around it.

Argument: `proto` (asyncio.Protocol and httptools), `asgi` (uvicorn), `starlette` (a bare app),
`sockets` (the bare WebSocket protocol of uvicorn, that is websockets-sansio) or `frames` (bytes
as they are, to all who follow). The first two read a request for a join token, sign it, and answer
with it.
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httptools
import orjson
import uvicorn
from programs import BACKLOG, run_program, until_stdin_ends
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from utd_engine.adapters.livekit.tokens import ApiKey, Signer, mint_join
from utd_engine.domain.permissions import Permission
from utd_engine.ports.media import Join

SIGNER = Signer(ApiKey("devkey", "a-secret-of-at-least-32-characters!"))
LISTENER = Permission(can_subscribe=True)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
FOLLOW = b"follow"


def answer(body: bytes) -> bytes:
    """A join token for who asks."""
    wish = orjson.loads(body)
    join = Join(
        room=f"ap_3kTq3kTq3kTq.audio_room.{wish['room_name']}",
        identity=wish["identity"],
        permission=LISTENER,
        attributes={"utd.role": "audience"},
    )
    token = mint_join(join, SIGNER, now=datetime.now(UTC), ttl_s=600)
    return orjson.dumps({"token": token, "url": "ws://127.0.0.1:7880", **wish})


class Proto(asyncio.Protocol):
    """One connection, parsed by httptools and by nothing else."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """A part of a request."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer it."""
        body = answer(self._body)
        self._body = b""
        self._transport.write(HEAD % len(body) + body)


class Frames(asyncio.Protocol):
    """One who follows, or one whose bytes go to all who follow, as they come."""

    def __init__(self, followers: list[asyncio.Transport]) -> None:
        self._followers = followers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """A wish to follow, which is said back, or a whole frame."""
        if data == FOLLOW:
            self._followers.append(self._transport)
            self._transport.write(FOLLOW)
            return
        for follower in self._followers:
            follower.write(data)


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """The same on raw ASGI."""
    del scope
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    said = answer(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(said))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


async def sockets(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers the first message with another, then says nothing."""
    del scope
    await receive()
    await send({"type": "websocket.accept"})
    await receive()
    await send({"type": "websocket.send", "text": '{"type":"ready","head":0,"after":0}'})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """204."""
    del scope, receive
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def on_transports(protocol: Callable[[], asyncio.Protocol]) -> Callable[[], Awaitable[None]]:
    """Served with nothing between the protocol and its sockets."""

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=BACKLOG)
        await until_stdin_ends(port=server.sockets[0].getsockname()[1])
        server.close()

    return serve


def on_uvicorn(app: ASGIApp) -> Callable[[], Awaitable[None]]:
    """Served with the options of the engine."""

    async def serve() -> None:
        options: dict[str, Any] = {"ws": "websockets-sansio", "ws_per_message_deflate": False}
        options |= {"lifespan": "off", "log_config": None, "access_log": False}
        options |= {"server_header": False, "backlog": BACKLOG}
        server = uvicorn.Server(uvicorn.Config(app, loop="none", http="httptools", **options))
        with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            await until_stdin_ends(port=listener.getsockname()[1])
            server.should_exit = server.force_exit = True
            await serving

    return serve


KINDS = {
    "proto": lambda: on_transports(Proto),
    "frames": lambda: on_transports(partial(Frames, [])),
    "asgi": lambda: on_uvicorn(asgi),
    "starlette": lambda: on_uvicorn(Starlette(routes=[Route("/", nothing)])),
    "sockets": lambda: on_uvicorn(sockets),
}

if __name__ == "__main__":
    run_program(KINDS[sys.argv[1]]()())
