"""Fixtures for a real agent beside a real livekit-server."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from livekit import api
from support.agent_talk import ROOT, AgentWorld, StartWorker, Worker

from utd_cli.media_server.process import LiveKitServer


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def agent_livekit(
    livekit_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LiveKitServer]:
    """A server where a token makes its room, as LiveKit does by default: no engine is here."""
    folder = tmp_path_factory.mktemp("agent-livekit")
    overrides = {"room": {"auto_create": True, "empty_timeout": 60, "departure_timeout": 1}}
    async with LiveKitServer.start(livekit_binary, folder, overrides=overrides) as server:
        yield server


@pytest.fixture(scope="session")
def agent_environment() -> None:
    """Make .venv-agents from its lock, if it is not there."""
    subprocess.run([ROOT / "tools/setup_agents.sh"], check=True, stdout=sys.stderr)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def worker(
    agent_livekit: LiveKitServer, agent_environment: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Worker]:
    """One worker for all tests; never kill it."""
    async with Worker.start(agent_livekit, tmp_path_factory.mktemp("agent")) as worker:
        yield worker


@pytest.fixture
def start_worker(
    agent_livekit: LiveKitServer, agent_environment: None, tmp_path: Path
) -> StartWorker:
    """Start workers of a test's own, to kill: `async with start_worker() as worker:`."""
    return lambda: Worker.start(agent_livekit, tmp_path)


@pytest.fixture
async def world(agent_livekit: LiveKitServer) -> AsyncIterator[AgentWorld]:
    server = agent_livekit
    async with (
        api.LiveKitAPI(server.http_url, server.key, server.secret) as client,
        AsyncExitStack() as stack,
    ):
        yield AgentWorld(server, client, stack)
