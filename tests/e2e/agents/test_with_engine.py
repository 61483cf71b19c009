"""The whole way: a Session from the engine, its agent asked for by the engine, on a real LiveKit.

LiveKit makes no rooms here by itself and dispatches nothing: whoever comes, the engine asked.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeAlias

import pytest
from support.agent_talk import Worker, ready, until
from support.stack import Stack

from utd_engine.app.apps import AppSettings
from utd_engine.app.commits import Commit
from utd_protocol.policy import PolicyPatch
from utd_protocol.types import AgentStatus, RoomType
from utd_protocol.views import AgentView, RoomView
from utd_stream import UTDConnectionState
from utd_stream.agents import AgentFailed, AgentFailure, Session, SessionOptions

pytestmark = pytest.mark.e2e

StartWorker: TypeAlias = Callable[..., AbstractAsyncContextManager[Worker]]


@pytest.fixture
def start_worker(stack: Stack, agent_environment: None, tmp_path: Path) -> StartWorker:
    """Start workers of this stack: `async with start_worker() as worker:`."""
    return lambda name=None: Worker.start(stack.livekit, tmp_path, name=name)


@pytest.fixture
async def worker(start_worker: StartWorker) -> AsyncIterator[Worker]:
    async with start_worker() as worker:
        yield worker


class Log:
    """What the engine says about the agents of its rooms, from now on."""

    def __init__(self, stack: Stack) -> None:
        self.told: list[str] = []
        self.view: RoomView | None = None
        self._news = asyncio.Event()
        stack.served.engine.services.rooms.follow(self._take)

    def _take(self, commit: Commit) -> None:
        if commit.after.view.type is RoomType.AGENT:
            self.view = commit.after.view
            self.told += [new.type for new in commit.events if new.type.startswith("agent.")]
            self._news.set()

    async def until(self, status: AgentStatus, attempts: int = 1, within: float = 15) -> AgentView:
        """The one agent, once this is said of it."""
        try:
            async with asyncio.timeout(within):
                while True:
                    for agent in self.view.agents if self.view else ():
                        if (agent.status, agent.attempts) == (status, attempts):
                            return agent
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"never {status}, but {self.told}, {self.view}") from None


async def says(session: Session, text: str) -> None:
    """One question and its answer."""
    await session.send_text(text)
    await until(session, f"you said: {text}")
    assert session.error is None


async def test_a_question_is_answered_by_an_agent_that_the_engine_asked_for(
    stack: Stack, worker: Worker
) -> None:
    log = Log(stack)
    client = await stack.client()
    async with client.agent_session(agent_name=worker.name, identity="ann") as session:
        agent = await ready(session)
        seen = await log.until(AgentStatus.JOINED)
        assert seen.identity == agent.identity
        await says(session, "good morning")
        assert log.told == ["agent.dispatched", "agent.joined"]
        first = log.view
    async with client.agent_session(agent_name=worker.name, identity="ann") as session:
        await ready(session)
        await says(session, "good night")
        assert log.view is not None
        assert first is not None
        assert log.view.room_id != first.room_id, "a room that was served is never used again"


async def test_without_a_worker_both_sides_say_that_it_failed(stack: Stack) -> None:
    """One try only here: three take half a minute."""
    apps = stack.served.engine.services.apps
    settings = AppSettings(policies={RoomType.AGENT: PolicyPatch(agent_attempts=1)})
    await apps.update(stack.app_id, settings=settings)
    log = Log(stack)
    client = await stack.client()
    options = SessionOptions(agent_connect_timeout=2)
    async with client.agent_session(agent_name="nobody", options=options) as session:
        with pytest.raises(AgentFailed) as why:
            await session.wait_agent()
        assert why.value.failure is AgentFailure.TIMEOUT
        assert session.connection_state is UTDConnectionState.CONNECTED
        failed = await log.until(AgentStatus.FAILED)
    assert failed.reason == "'nobody' never came, after 1 dispatch"
    assert log.told == ["agent.dispatched", "agent.failed"]


async def test_a_worker_that_starts_late_is_asked_again_and_answers(
    stack: Stack, start_worker: StartWorker
) -> None:
    log = Log(stack)
    client = await stack.client()
    async with client.agent_session(agent_name="late", identity="ann") as session:
        await log.until(AgentStatus.DISPATCHED)
        async with start_worker("late"):
            await log.until(AgentStatus.JOINED, attempts=2)
            await ready(session)
            await says(session, "there you are")
    assert log.told == ["agent.dispatched", "agent.left", "agent.dispatched", "agent.joined"]


@pytest.mark.slow  # LiveKit takes 22 s to notice that a participant died
async def test_another_worker_takes_the_place_of_one_that_was_killed(
    stack: Stack, start_worker: StartWorker
) -> None:
    log = Log(stack)
    client = await stack.client()
    async with (
        start_worker("twin") as first,
        client.agent_session(agent_name="twin", identity="ann") as session,
    ):
        agent = await ready(session)
        before = agent.identity
        await says(session, "one")
        async with start_worker("twin"):
            first.kill()
            await log.until(AgentStatus.JOINED, attempts=2, within=60)
            async with asyncio.timeout(15):
                async for _ in session.changes():
                    if agent.is_connected and agent.identity != before:
                        break
            await says(session, "two")
    assert log.told == ["agent.dispatched", "agent.joined", "agent.left",
                        "agent.dispatched", "agent.joined"]  # fmt: skip
