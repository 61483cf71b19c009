"""The engine for tests of apps: the SDK's clients talk to it on loopback, as to a real one."""

import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any, Self

from utd_engine.app.apps import AppSettings
from utd_engine.main import INBOX_PATH, listen, served, url_of
from utd_engine.system import SystemIds
from utd_engine.testing._clock import RunningClock
from utd_engine.testing._engine import EngineUnderTest
from utd_engine.testing._livekit import LiveKitInProcess
from utd_stream import UTDStreamClient
from utd_stream.testing import FakeLiveKit

_HOST = "127.0.0.1"


class ServedEngine:
    """Made by `serve`, never by its user.

    `base_url`, `app_id` and `app_key` are what an app needs to reach it, `secret_key` what its
    backend needs. `engine` looks inside, `livekit` acts on the media as the server can.
    """

    def __init__(
        self, engine: EngineUnderTest, base_url: str, clock: RunningClock, livekit: FakeLiveKit
    ) -> None:
        self.engine = engine
        self.base_url = base_url
        self.app_id = engine.app_id
        self.app_key = engine.app_key
        self.secret_key = engine.secret_key
        self.clock = clock
        self.livekit = livekit
        self._clients = AsyncExitStack()

    @classmethod
    @asynccontextmanager
    async def serve(cls, *, settings: AppSettings | None = None) -> AsyncGenerator[Self]:
        """An engine with one app on a free port of loopback, until the block ends.

        Clients that are still there then are closed first.
        """
        clock = RunningClock()
        livekit = LiveKitInProcess(clock)
        with ExitStack() as sockets:
            public, admin = (_port(sockets, name) for name in ("http", "admin"))
            async with (
                EngineUnderTest.start(
                    clock=clock, sfu=livekit, ids=SystemIds(), settings=settings
                ) as engine,
                served(engine.engine, public, admin),
            ):
                base_url = url_of(public)
                inbox = f"ws{base_url.removeprefix('http')}{INBOX_PATH}"
                engine.engine.services.admission.ws_url = inbox
                self = cls(engine, base_url, clock, livekit.clients)
                async with self._clients:
                    yield self

    async def user(self, identity: str, **options: Any) -> UTDStreamClient:  # noqa: ANN401
        """A signed-in user: their client is open until the engine stops.

        Args:
            identity: who it is. Called again with the same one, it is their second device.
            options: of `UTDStreamClient`, such as `media`.
        """
        client = self.client(**options)
        await self._clients.enter_async_context(client)
        await client.authenticate(identity=identity)
        return client

    def client(self, **options: Any) -> UTDStreamClient:  # noqa: ANN401
        """A client that nobody is signed in at. Whoever makes it closes it."""
        return UTDStreamClient(
            app_id=self.app_id,
            app_key=self.app_key,
            base_url=self.base_url,
            open_link=self.livekit.open_link,
            **options,
        )


def _port(sockets: ExitStack, section: str) -> socket.socket:
    return sockets.enter_context(listen(section, _HOST, 0))
