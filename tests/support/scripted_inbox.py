"""An inbox of one user over HTTP and WebSockets that a test fills, and whose sockets it closes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web
from msgspec import structs
from support.room_logs import NOW
from support.scripted_engine import ScriptedEngine, scripted
from support.scripted_http import Asked, Said, answer, refusal

from utd_protocol import inbox as ib
from utd_protocol.answers import InboxAnswer, SessionAnswer
from utd_protocol.types import CallReason, CallStatus, Identity, RoomType
from utd_stream._client import UTDStreamClient


class ScriptedInbox:
    """Answers `/auth/…`, `/inbox` and `/ws` of an engine."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self.log: list[Any] = []
        self.kept_from = 1
        self.socket: web.WebSocketResponse | None = None
        self.firsts: list[dict[str, Any]] = []
        """What each connection said first."""
        self.refuses: list[int] = []
        """Close codes of the next connections."""
        self.begun = asyncio.Event()
        self.pages: list[int] = []
        self.tokens = 0
        assert engine.server is not None
        engine.server.on_socket = self._serve
        engine.rules |= {
            "POST /auth/session": lambda _: self._session(engine),
            "POST /auth/refresh": lambda _: self._session(engine),
            "GET /inbox": self._page,
        }

    def _session(self, engine: ScriptedEngine) -> Said:
        assert engine.server is not None
        self.tokens += 1
        url = f"ws{engine.server.url.removeprefix('http')}/api/v1/ws"
        token = f"user-bo-{self.tokens}"
        return answer(SessionAnswer(user_token=token, ws_url=url, expires_at=NOW))

    def _page(self, asked: Asked) -> Said:
        after = int(asked.query["after"])
        self.pages.append(after)
        if after < len(self.log) and after + 1 < self.kept_from:
            return refusal("snapshot_required")
        events = tuple(msgspec.Raw(msgspec.json.encode(each)) for each in self.log[after:][:2])
        return answer(InboxAnswer(events=events, head=len(self.log)))

    async def _serve(self, socket: web.WebSocketResponse) -> None:
        self.firsts.append(msgspec.json.decode(await socket.receive_str()))
        if self.refuses and (code := self.refuses.pop(0)):
            await socket.close(code=code)
            return
        after = self.firsts[-1]["after"]
        cursor = len(self.log) if after is None else min(after, len(self.log))
        ready = {"type": "ready", "head": len(self.log), "after": cursor}
        await socket.send_str(msgspec.json.encode(ready).decode())
        for event in self.log[cursor:]:
            await self._tell(socket, event)
        self.socket = socket
        self.begun.set()
        async for _ in socket:
            pass

    async def _tell(self, socket: web.WebSocketResponse, event: Any) -> None:
        await socket.send_str(msgspec.json.encode(event).decode())

    async def add(self, event: Any, *, times: int = 1) -> None:
        """A new event, told over the socket that is there."""
        event = structs.replace(event, seq=len(self.log) + 1)
        self.log.append(event)
        if self.socket is not None and not self.socket.closed:
            for _ in range(times):
                await self._tell(self.socket, event)

    async def connected(self) -> None:
        async with asyncio.timeout(5):
            await self.begun.wait()

    async def close(self, code: int = WSCloseCode.SERVICE_RESTART) -> None:
        """End the connection; the next one may come."""
        assert self.socket is not None
        socket, self.socket = self.socket, None
        self.begun.clear()
        await socket.close(code=code)


def incoming(call_id: str = "ca_1", rings_s: float = 45) -> ib.CallIncoming:
    return ib.CallIncoming(
        at=NOW,
        call_id=call_id,
        call_type=RoomType.AUDIO_CALL,
        caller=Identity("ana"),
        metadata={"about": "lunch"},
        rings_until=NOW + timedelta(seconds=rings_s),
    )


def answered(device: str, call_id: str = "ca_1") -> ib.CallAnswered:
    return ib.CallAnswered(
        at=NOW,
        call_id=call_id,
        call_type=RoomType.AUDIO_CALL,
        status=CallStatus.ACTIVE,
        device=device,
    )


def over(reason: CallReason = CallReason.CANCELLED, call_id: str = "ca_1") -> ib.CallOver:
    return ib.CallOver(
        at=NOW,
        call_id=call_id,
        call_type=RoomType.AUDIO_CALL,
        status=CallStatus.ENDED,
        reason=reason,
    )


@asynccontextmanager
async def with_inbox(
    **options: Any,
) -> AsyncIterator[tuple[ScriptedEngine, ScriptedInbox, UTDStreamClient]]:
    """An engine with an inbox, and a client that `bo` signed in with."""
    async with scripted(**options) as (engine, client):
        inbox = ScriptedInbox(engine)
        await client.authenticate(identity="bo", device_id="phone")
        yield engine, inbox, client
