"""A real livekit-server for tests: the program, one that runs, and a maker of ones to kill."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import pytest_asyncio

from utd_cli.media_server.binary import get_server
from utd_cli.media_server.process import LiveKitServer

LiveKitFactory: TypeAlias = Callable[..., Awaitable[LiveKitServer]]


@pytest.fixture(scope="session")
def livekit_binary() -> Path:
    """The pinned livekit-server. It is got if it is not here; without it tests fail, not skip."""
    return get_server(lambda line: print(line, file=sys.stderr))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def livekit(
    livekit_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LiveKitServer]:
    """One running server for all tests. Give every room a name of its own; never stop it."""
    folder = tmp_path_factory.mktemp("livekit")
    async with LiveKitServer.start(livekit_binary, folder) as server:
        yield server


@pytest.fixture
async def livekit_factory(livekit_binary: Path, tmp_path: Path) -> AsyncIterator[LiveKitFactory]:
    """Start servers of a test's own, to kill and restart; arguments as of `LiveKitServer.start`."""
    async with AsyncExitStack() as servers:

        async def start(name: str = "livekit", **options: Any) -> LiveKitServer:
            server = LiveKitServer.start(livekit_binary, tmp_path / name, **options)
            return await servers.enter_async_context(server)

        yield start
