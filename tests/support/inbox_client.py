"""The user's inbox over a WebSocket without a socket: the engine's ASGI application, called."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from utd_engine.testing import EngineUnderTest

PATH: Final = "/api/v1/ws"


class InboxClient:
    """One connection as its client sees it. Made by `connected`."""

    def __init__(self) -> None:
        self.to_engine: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.got: list[dict[str, Any]] = []
        self.subprotocol: str | None = None
        self.accepted = False
        self.closed: int | None = None
        self.reads = asyncio.Event()
        self.reads.set()

    def say(self, message: object) -> None:
        """Send a message: JSON, or text as it is."""
        text = message if isinstance(message, str) else json.dumps(message)
        self.to_engine.put_nowait({"type": "websocket.receive", "text": text})

    def hang_up(self) -> None:
        """Go."""
        self.to_engine.put_nowait({"type": "websocket.disconnect", "code": 1001})

    @property
    def letters(self) -> list[dict[str, Any]]:
        """All events so far."""
        return [one for one in self.got if one["type"] not in {"ready", "ping"}]

    @property
    def types(self) -> list[str]:
        """What the events are about."""
        return [one["type"] for one in self.letters]

    async def send(self, message: dict[str, Any]) -> None:
        """What the engine sends. While `reads` is clear the client takes nothing."""
        await self.reads.wait()
        if self.closed is not None:
            raise OSError("the client is gone")
        match message["type"]:
            case "websocket.accept":
                self.accepted = True
                self.subprotocol = message.get("subprotocol")
            case "websocket.send":
                self.got.append(json.loads(message["text"]))
            case "websocket.close":
                self.closed = message["code"]


@asynccontextmanager
async def connected(
    engine: EngineUnderTest,
    token: str | None = None,
    after: int | None = None,
    *,
    origin: str | None = None,
    subprotocols: tuple[str, ...] = ("utd.v1",),
) -> AsyncIterator[InboxClient]:
    """A connection, which has said who it is when a token is given."""
    client = InboxClient()
    client.to_engine.put_nowait({"type": "websocket.connect"})
    if token is not None:
        client.say({"token": token, "after": after})
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "scheme": "ws",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [] if origin is None else [(b"origin", origin.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "subprotocols": list(subprotocols),
    }
    serving = asyncio.ensure_future(
        engine.engine.public(scope, client.to_engine.get, client.send)  # type: ignore[arg-type]
    )
    await engine.clock.settle()
    try:
        yield client
    finally:
        client.hang_up()
        client.reads.set()
        await engine.clock.settle()
        assert serving.done(), "the engine goes on serving somebody who has gone"
        serving.result()
