"""The stand-in and the real LiveKit keep one contract, so what is tested on the first holds."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from media_contract import MediaContract, WebhookInbox, room  # noqa: F401  # a fixture
from support.rtc_participant import RtcParticipant

from utd_cli.media_server.process import LiveKitServer
from utd_engine.adapters.livekit.gateway import LiveKitGateway
from utd_engine.adapters.livekit.tokens import ApiKey
from utd_engine.adapters.livekit.webhooks import make_reader
from utd_engine.adapters.memory.media import MemoryGateway
from utd_engine.adapters.memory.media_rooms import MemoryParticipant
from utd_engine.system import SystemClock


class MemorySfu:
    def __init__(self) -> None:
        self.clock = SystemClock()
        self.inbox = WebhookInbox()
        self.gateway = MemoryGateway(self.clock, on_webhook=self.inbox.put)

    async def join(self, token: str) -> MemoryParticipant:
        return await self.gateway.join(token)

    async def leave(self, participant: MemoryParticipant) -> None:
        await self.gateway.leave(participant)


class TestMemoryGateway(MediaContract):
    @pytest.fixture
    async def sfu(self) -> MemorySfu:
        return MemorySfu()


class LiveKitSfu:
    def __init__(self, server: LiveKitServer) -> None:
        self.clock = SystemClock()
        self.inbox = WebhookInbox()
        self.gateway = LiveKitGateway(server.url, ApiKey(server.key, server.secret), self.clock)
        self._read = make_reader({server.key: server.secret}, self.clock)
        self._joined: list[RtcParticipant] = []

    async def join(self, token: str) -> RtcParticipant:
        participant = await RtcParticipant.join(self.gateway.url, token)
        self._joined.append(participant)
        return participant

    async def leave(self, participant: RtcParticipant) -> None:
        await participant.leave()

    async def receive(self, request: web.Request) -> web.Response:
        self.inbox.put(self._read(await request.read(), request.headers["Authorization"]))
        return web.Response()

    async def aclose(self) -> None:
        for participant in self._joined:
            await participant.leave()
        await self.gateway.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def livekit_with_webhooks(
    livekit_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[LiveKitServer, int]]:
    """A server, and the port of ours that it tells of everything."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("livekit_with_webhooks")
    webhook_url = f"http://127.0.0.1:{port}/hooks/livekit"
    async with LiveKitServer.start(livekit_binary, folder, webhook_url=webhook_url) as server:
        yield server, port


@pytest.mark.e2e
class TestLiveKitGateway(MediaContract):
    @pytest.fixture
    async def sfu(self, livekit_with_webhooks: tuple[LiveKitServer, int]) -> Any:
        server, port = livekit_with_webhooks
        sfu = LiveKitSfu(server)
        app = web.Application()
        app.router.add_post("/hooks/livekit", sfu.receive)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield sfu
        await sfu.aclose()
        await runner.cleanup()
