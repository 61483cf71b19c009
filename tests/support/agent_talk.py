"""A real agent worker beside a real livekit-server, and conversations with it."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

from livekit import api

from utd_cli.media_server.process import LiveKitServer
from utd_stream.agents import Agent, LiteralTokenSource, ReceivedMessage, Session, SessionOptions

ROOT = Path(__file__).parents[2]
WORKER = ROOT / "packages/cli/src/utd_cli/worker_program/echo_agent.py"


class Worker:
    """One worker process. It writes into a file, so that nobody has to read for it to go on."""

    def __init__(self, process: "subprocess.Popen[bytes]", name: str, output: Path) -> None:
        self._process = process
        self._output = output
        self.name = name

    @classmethod
    @asynccontextmanager
    async def start(
        cls, server: LiveKitServer, folder: Path, name: str | None = None
    ) -> AsyncIterator["Worker"]:
        """One that is registered, under a name of its own unless one is given."""
        name = name or f"words-{uuid4().hex[:6]}"
        output = folder / f"worker-{uuid4().hex[:6]}.log"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [ROOT / ".venv-agents/bin/python", WORKER, name],
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={
                    **os.environ,
                    "LIVEKIT_URL": server.url,
                    "LIVEKIT_API_KEY": server.key,
                    "LIVEKIT_API_SECRET": server.secret,
                },
            )
        worker = cls(process, name, output)
        try:
            await worker.wait_line("registered worker")
            yield worker
        finally:
            worker.kill()

    async def wait_line(self, part: str, within: float = 30) -> None:
        try:
            async with asyncio.timeout(within):
                while part not in self._output.read_text(errors="replace"):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            said = self._output.read_text(errors="replace")
            raise AssertionError(f"the worker never said {part!r}:\n{said}") from None

    def kill(self) -> None:
        """End the worker and all its jobs, as a crash of the machine does. Idempotent."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class AgentWorld:
    """A room of its own that does not exist yet, and sessions in it."""

    def __init__(
        self, server: LiveKitServer, client: api.LiveKitAPI, stack: AsyncExitStack
    ) -> None:
        self.server = server
        self.room = ""
        self.new_room()
        self._client = client
        self._stack = stack

    def new_room(self) -> None:
        self.room = f"agent-{uuid4().hex[:8]}"

    def token(self, identity: str, *, agent: str | None = None, **metadata: Any) -> str:
        """With an agent's name the token makes the room, and brings the agent."""
        token = (
            api.AccessToken(self.server.key, self.server.secret)
            .with_identity(identity)
            .with_grants(api.VideoGrants(room_join=True, room=self.room))
        )
        if agent is not None:
            dispatch = api.RoomAgentDispatch(agent_name=agent, metadata=json.dumps(metadata))
            token = token.with_room_config(api.RoomConfiguration(agents=[dispatch]))
        return token.to_jwt()

    async def session(
        self,
        agent: str | None,
        *,
        options: SessionOptions | None = None,
        identity: str = "ana",
        **metadata: Any,
    ) -> Session:
        """A started session that ends with the test."""
        source = LiteralTokenSource(self.server.url, self.token(identity, agent=agent, **metadata))
        session = Session.from_fixed_token_source(source, options=options)
        return await self._stack.enter_async_context(session)

    async def dispatch(self, agent: str, **metadata: Any) -> None:
        """Bring an agent into the room as a backend does."""
        await self._client.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(
                agent_name=agent, room=self.room, metadata=json.dumps(metadata)
            )
        )


StartWorker: TypeAlias = Callable[[], AbstractAsyncContextManager[Worker]]


async def ready(session: Session, within: float = 15) -> Agent:
    """The agent, once it can be talked to."""
    async with asyncio.timeout(within):
        return await session.wait_agent()


async def until(session: Session, wanted: str, within: float = 15) -> ReceivedMessage:
    """The message that has this text in the end."""
    try:
        async with asyncio.timeout(within):
            changes = session.changes()
            while True:
                for message in session.messages:
                    if message.text == wanted:
                        return message
                await anext(changes)
    except TimeoutError:
        said = [each.text for each in session.messages]
        raise AssertionError(f"{wanted!r} was never said, but {said}; {session.error}") from None
