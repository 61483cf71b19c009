"""A conversation by text with a real agent, and everything that can happen to it meanwhile."""

import asyncio
import time

import pytest
from livekit import rtc
from support.agent_talk import AgentWorld, StartWorker, Worker, ready, until

from utd_stream import DisconnectReason, UTDConnectionState
from utd_stream.agents import (
    AgentFailed,
    AgentFailure,
    AgentState,
    AgentTranscript,
    ReceivedMessage,
    SessionOptions,
    UserInput,
)

pytestmark = pytest.mark.e2e


async def test_text_goes_there_and_comes_back_in_pieces(world: AgentWorld, worker: Worker) -> None:
    session = await world.session(worker.name)
    agent = await ready(session)
    assert agent.agent_state is AgentState.LISTENING
    seen: list[str] = []
    session.add_listener(lambda: seen.append(session.messages[-1].text if session.messages else ""))

    sent = await session.send_text("hi there agent")
    answer = await until(session, "you said: hi there agent")

    assert sent is not None
    assert session.error is None
    assert session.messages[0] == ReceivedMessage(
        sent.id, sent.timestamp, UserInput("hi there agent")
    )
    assert isinstance(answer.content, AgentTranscript)
    assert abs(answer.timestamp.timestamp() - time.time()) < 60
    assert len(session.messages) == 2
    assert {"you", "you said:", "you said: hi"} & set(seen), "it came in pieces"


async def test_a_worker_that_arrives_late_is_waited_for(world: AgentWorld, worker: Worker) -> None:
    session = await world.session(worker.name, late_s=2)
    assert session.agent.is_pending
    agent = await ready(session)
    assert agent.identity is not None
    await session.send_text("hello")
    await until(session, "you said: hello")


async def test_an_agent_that_a_backend_dispatches_is_found(
    world: AgentWorld, worker: Worker
) -> None:
    session = await world.session(None)
    assert session.agent.is_pending
    await world.dispatch(worker.name)
    await ready(session)
    await session.send_text("hello")
    await until(session, "you said: hello")


async def test_without_a_worker_it_fails_in_time_and_says_why(world: AgentWorld) -> None:
    options = SessionOptions(agent_connect_timeout=1.0)
    session = await world.session("nobody-of-this-name", options=options)
    async with asyncio.timeout(5):
        with pytest.raises(AgentFailed, match=r"within 1 s.*is a worker of the asked name") as why:
            await session.wait_agent()
    assert why.value.failure is AgentFailure.TIMEOUT
    assert session.agent.is_finished
    assert session.error is None
    assert session.connection_state is UTDConnectionState.CONNECTED


async def test_a_leaving_agent_is_left_with_its_reason(world: AgentWorld, worker: Worker) -> None:
    session = await world.session(worker.name)
    agent = await ready(session)
    await session.send_text("goodbye")
    async with asyncio.timeout(15):
        async for _ in session.changes():
            if agent.is_finished:
                break
    assert agent.error is AgentFailure.LEFT
    assert agent.disconnect_reason in {
        DisconnectReason.CLIENT_INITIATED,
        DisconnectReason.PARTICIPANT_REMOVED,
    }
    assert session.connection_state is UTDConnectionState.CONNECTED
    assert session.error is None


@pytest.mark.parametrize("scenario", ["SIGNAL_RECONNECT", "FULL_RECONNECT"])
async def test_a_reconnect_keeps_the_history_and_doubles_nothing(
    world: AgentWorld, worker: Worker, scenario: str
) -> None:
    session = await world.session(worker.name)
    agent = await ready(session)
    await session.send_text("one")
    await until(session, "you said: one")
    before = session.messages
    failures: list[AgentFailure | None] = []
    agent.add_listener(lambda: failures.append(agent.error))

    raw = session.room.room
    assert isinstance(raw, rtc.Room)
    broken = asyncio.create_task(session.room.connection.wait_for(UTDConnectionState.RECONNECTING))
    await raw.simulate_scenario(getattr(rtc.SimulateScenarioKind, f"SIMULATE_{scenario}"))
    async with asyncio.timeout(15):
        await broken
        assert session.is_connected
        await session.room.connected.wait_for(wanted=True)
    await ready(session)
    await session.send_text("two")
    await until(session, "you said: two")

    assert session.messages[:2] == before
    assert [each.text for each in session.messages[2:]] == ["two", "you said: two"]
    assert set(failures) <= {None}
    assert session.error is None


async def test_a_reconnect_amid_an_answer_doubles_nothing(
    world: AgentWorld, worker: Worker
) -> None:
    session = await world.session(worker.name)
    await ready(session)
    await session.send_text("tell me a story")
    async with asyncio.timeout(10):
        async for _ in session.changes():
            if len(session.messages) == 2 and "word5" in session.messages[1].text:
                break
    raw = session.room.room
    assert isinstance(raw, rtc.Room)
    broken = asyncio.create_task(session.room.connection.wait_for(UTDConnectionState.RECONNECTING))
    await raw.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
    async with asyncio.timeout(15):
        await broken
        await session.room.connected.wait_for(wanted=True)
    await ready(session)
    words = session.messages[1].text.split()
    assert words == [f"word{n}" for n in range(len(words))]
    assert session.messages[0].text == "tell me a story"
    assert session.error is None


@pytest.mark.slow  # LiveKit takes 22 s to notice that a participant died
async def test_a_worker_killed_amid_an_answer_is_left(
    world: AgentWorld, start_worker: StartWorker
) -> None:
    async with start_worker() as worker:
        session = await world.session(worker.name)
        agent = await ready(session)
        await session.send_text("tell me a story")
        async with asyncio.timeout(10):
            async for _ in session.changes():
                if len(session.messages) == 2:
                    break
        worker.kill()
        async with asyncio.timeout(60):
            async for _ in session.changes():
                if agent.is_finished:
                    break
    assert agent.error is AgentFailure.LEFT
    assert agent.disconnect_reason is DisconnectReason.CONNECTION_TIMEOUT
    assert "word0" in session.messages[1].text
    assert session.connection_state is UTDConnectionState.CONNECTED
    with pytest.raises(AgentFailed) as why:
        await session.wait_agent()
    assert why.value.failure is AgentFailure.LEFT
