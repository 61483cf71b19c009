"""Fixtures that every test may ask for, and the check that no test leaves a task behind."""

import asyncio
import inspect
from collections.abc import AsyncIterator

import pytest

pytest_plugins = ["support.livekit_server", "support.stack"]


@pytest.fixture(autouse=True)
def _leaves_no_task(request: pytest.FixtureRequest) -> None:
    """Fail an async test that ends with tasks of its own still there; plain tests pay nothing."""
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("_task_watch")


@pytest.fixture
async def _task_watch(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before
    left.discard(asyncio.current_task())
    if ending := {task for task in left if task.cancelling()}:
        await asyncio.wait(ending, timeout=1)  # cancelled, and not yet told so
        left -= {task for task in ending if task.done()}
    assert not left, f"{request.node.nodeid} left tasks behind: {left}"
