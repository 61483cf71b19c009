from collections.abc import AsyncIterator

import pytest
from support.agent_fakes import AgentStage


@pytest.fixture
async def stage() -> AsyncIterator[AgentStage]:
    async with AgentStage() as stage:
        yield stage
