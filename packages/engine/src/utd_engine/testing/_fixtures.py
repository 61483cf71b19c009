"""The fixtures of the pytest plugin. The engine is imported by the first test that asks for it."""

from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Protocol

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from utd_engine.testing._apps import ServedEngine
    from utd_engine.testing._clock import RunningClock
    from utd_stream import UTDStreamClient


class MakeUser(Protocol):
    """What the fixture `user` is: `await user("ana")`, with options of `UTDStreamClient`."""

    def __call__(self, identity: str, **options: object) -> "Awaitable[UTDStreamClient]":
        """A signed-in user, closed at the end of the test."""
        ...


@pytest_asyncio.fixture
async def engine() -> "AsyncIterator[ServedEngine]":
    """A whole engine of the test's own, over a LiveKit that is in this process too."""
    from utd_engine.testing._apps import ServedEngine  # noqa: PLC0415 only for those who ask

    async with ServedEngine.serve() as served:
        yield served


@pytest.fixture
def user(engine: "ServedEngine") -> MakeUser:
    """Make users of the engine."""
    return engine.user


@pytest.fixture
def clock(engine: "ServedEngine") -> "RunningClock":
    """The engine's clock."""
    return engine.clock
