"""A real agent worker beside a real livekit-server, and conversations with it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

from livekit import api

from utd_cli._server_process import LiveKitServer
from utd_stream.agents import Agent, LiteralTokenSource, ReceivedMessage, Session, SessionOptions

ROOT = Path(__file__).parents[2]
WORKER = ROOT / "tests/support/agent_worker.py"


class Worker:
    """One worker process; `heard` is what its speech recognition reported."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process = process
        self.name = name
        self._lines: list[str] = []
        self._said = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def start(cls, server: LiveKitServer) -> AsyncIterator["Worker"]:
        name = f"words-{uuid4().hex[:6]}"
        process = await asyncio.create_subprocess_exec(
            ROOT / ".venv-agents/bin/python",
            WORKER,
            name,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={
                **os.environ,
                "LIVEKIT_URL": server.url,
                "LIVEKIT_API_KEY": server.key,
                "LIVEKIT_API_SECRET": server.secret,
            },
        )
        worker = cls(process, name)
        worker._reader = asyncio.create_task(worker._read())
        try:
            await worker.wait_line("registered worker")
            yield worker
        finally:
            await worker.stop()

    async def wait_line(self, part: str, within: float = 30) -> str:
        try:
            async with asyncio.timeout(within):
                while True:
                    for line in self._lines:
                        if part in line:
                            return line
                    self._said.clear()
                    await self._said.wait()
        except TimeoutError:
            output = "\n".join(self._lines)
            raise AssertionError(f"the worker never said {part!r}:\n{output}") from None

    def kill(self) -> None:
        """End the worker and all its jobs, as a crash of the machine does."""
        os.killpg(self._process.pid, signal.SIGKILL)

    async def stop(self) -> None:
        if self._process.returncode is None:
            self.kill()
        await self._process.wait()
        if self._reader is not None:
            await self._reader

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._lines.append(line.decode(errors="replace").rstrip())
            print(self._lines[-1], file=sys.stderr)
            self._said.set()


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
