"""Starting and ending over and over, with a real agent, leaves nothing behind."""

import asyncio
import threading
from pathlib import Path

import pytest
from support.agent_talk import AgentWorld, Worker, ready, until

from utd_stream.agents import CustomTokenSource, Session, TokenRequestOptions, TokenSourceResponse

pytestmark = pytest.mark.e2e
CYCLES = 20


async def test_twenty_conversations_leave_no_task_thread_or_file(
    world: AgentWorld, worker: Worker
) -> None:
    async def mint(options: TokenRequestOptions) -> TokenSourceResponse:
        world.new_room()
        token = world.token("ana", agent=options.agent_name)
        return TokenSourceResponse(world.server.url, token)

    source = CustomTokenSource(mint)
    session = Session.with_agent(worker.name, token_source=source)
    tasks = threads = files = 0
    for cycle in range(CYCLES + 1):
        await session.start()
        await ready(session)
        if cycle % 5 == 0:
            await session.send_text(f"hello {cycle}")
            await until(session, f"you said: hello {cycle}")
        await session.end()
        assert session.error is None
        if cycle == 0:  # the first one starts LiveKit's own threads
            tasks, threads, files = len(asyncio.all_tasks()), threading.active_count(), open_files()
    assert len(session.messages) == 10
    assert len(asyncio.all_tasks()) == tasks
    assert threading.active_count() == threads
    async with asyncio.timeout(5):
        while open_files() > files + 3:
            await asyncio.sleep(0.05)
    await session.dispose()
    await session.room.aclose()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
