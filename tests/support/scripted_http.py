"""An HTTP server on loopback that answers as a test says, and remembers what it was asked."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from utd_protocol.errors import Problem, status_of, title_of


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    """Still encoded, without the query."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: object


@dataclass(frozen=True)
class Said:
    """One answer; it can be given any number of times."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Asked], Awaitable[Said | None]]
"""None breaks the connection off."""


def answer(body: object, status: int = 200, **headers: str) -> Said:
    """A JSON answer; msgspec writes it, as the engine does."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Said(status, msgspec.json.encode(body), headers=named)


def refusal(
    code: str,
    detail: str = "",
    *,
    status: int | None = None,
    retry_after: float | None = None,
    **facts: Any,
) -> Said:
    """A refusal with a code of the closed list, and other fields of a `Problem`."""
    problem = Problem(
        title=title_of(code),
        status=status or status_of(code),
        code=code,
        detail=detail or title_of(code),
        request_id="req_1",
        retry_after=retry_after,
        **facts,
    )
    return Said(problem.status, msgspec.json.encode(problem), "application/problem+json")


@dataclass
class ScriptedHTTP:
    """The server: set `handler`, read `asked`."""

    handler: Handler
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    connections: set[int] = field(default_factory=set)
    on_socket: Callable[[web.WebSocketResponse], Awaitable[None]] | None = None
    """Talks over each WebSocket of `/api/v1/ws`; without it there is none."""

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.on_socket is not None and request.path == "/api/v1/ws":
            socket = web.WebSocketResponse(protocols=("utd.v1",))
            await socket.prepare(request)
            await self.on_socket(socket)
            return socket
        raw = await request.read()
        asked = Asked(
            method=request.method,
            path=request.raw_path.partition("?")[0],
            query=dict(request.query),
            headers=request.headers,
            body=msgspec.json.decode(raw) if raw else None,
        )
        self.asked.append(asked)
        self.connections.add(id(request.transport))
        said = await self.handler(asked)
        if said is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(
            status=said.status,
            body=said.body,
            content_type=said.content_type,
            headers=said.headers,
        )


@asynccontextmanager
async def serving(handler: Handler, port: int | None = None) -> AsyncIterator[ScriptedHTTP]:
    """Serve on a free port of loopback."""
    scripted = ScriptedHTTP(handler)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", scripted._serve)
    server = TestServer(app, port=port)
    await server.start_server(shutdown_timeout=0.1)
    scripted.url = str(server.make_url("")).rstrip("/")
    try:
        yield scripted
    finally:
        await server.close()
