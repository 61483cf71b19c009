"""The whole product in process: an engine on a port, a real livekit-server, and clients of both."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from support.livekit_server import LiveKitFactory
from support.served_engine import ServedEngine, config

from utd_cli.media_server.process import LiveKitServer
from utd_engine.config import LiveKit
from utd_stream import MediaInputs, TestPattern, Tone, UTDStreamClient


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Stack:
    """Made by the fixture `stack`. What its clients leave open, it closes."""

    def __init__(
        self, path: Path, port: int, livekit: LiveKitServer, clients: AsyncExitStack
    ) -> None:
        self.livekit = livekit
        self._clients = clients
        self._config = config(
            path,
            LiveKit(url=livekit.url, api_key=livekit.key, api_secret=livekit.secret),
            port,
        )
        self._engine = AsyncExitStack()
        self.served: ServedEngine
        self.app_id = ""
        self.app_key = ""
        self.base_url = ""

    async def start(self) -> None:
        """Start the engine, the first time or anew: same port, same data."""
        self.served = await self._engine.enter_async_context(ServedEngine.start(self._config))
        self.base_url = self.served.base_url
        if not self.app_key:
            self.app_id, self.app_key = self.served.app_id, self.served.app_key

    async def stop(self) -> None:
        await self._engine.aclose()

    async def client(self, hz: float = 440, **options: Any) -> UTDStreamClient:
        """A user whose microphone sings and whose camera shows the test pattern."""
        media = MediaInputs(microphone=Tone(hz), camera=TestPattern(320, 240, fps=10))
        client = UTDStreamClient(
            app_id=self.app_id,
            app_key=self.app_key,
            base_url=self.base_url,
            media=media,
            **options,
        )
        return await self._clients.enter_async_context(client)


@pytest.fixture
async def stack(livekit_factory: LiveKitFactory, tmp_path: Path) -> AsyncIterator[Stack]:
    """An engine and a LiveKit of a test's own."""
    port = free_port()
    livekit = await livekit_factory(webhook_url=f"http://127.0.0.1:{port}/hooks/livekit")
    async with AsyncExitStack() as clients:
        stack = Stack(tmp_path / "utd.db", port, livekit, clients)
        await stack.start()
        clients.push_async_callback(stack.stop)
        async with AsyncExitStack() as first:
            stack._clients = first
            yield stack
