import asyncio
from contextlib import aclosing

import numpy as np
import pytest
from support.agent_fakes import AgentStage, settle

from utd_stream import AudioFrame, Push, UTDRoom


async def speak(room: UTDRoom, value: int) -> None:
    microphone = Push()
    await room.set_microphone(True, microphone)
    await settle()
    await microphone.write(np.full(480, value, np.int16))


async def heard(frames) -> int:  # noqa: ANN001
    async with asyncio.timeout(5):
        frame: AudioFrame = await anext(frames)
    return int(frame.samples[0])


async def test_the_voice_waits_for_an_agent_and_follows_the_next_one(stage: AgentStage) -> None:
    await stage.session.start()
    async with aclosing(stage.session.audio()) as frames:
        first = asyncio.create_task(heard(frames))
        await settle()
        agent = await stage.join("one")
        await speak(agent, 1)
        assert await first == 1
        second = asyncio.create_task(heard(frames))
        await agent.disconnect()
        await settle()
        await speak(await stage.join("two"), 2)
        assert await second == 2
        readers = [each for each in asyncio.all_tasks() if each.get_name() == "utd-agent-voice"]
        assert len(readers) == 1, "nobody listens to the first one any more"


async def test_an_avatar_speaks_for_an_agent_without_a_voice(stage: AgentStage) -> None:  # Q23
    await stage.session.start()
    await stage.join()
    worker = await stage.join("avatar", on_behalf="agent")
    async with aclosing(stage.session.audio()) as frames:
        first = asyncio.create_task(heard(frames))
        await settle()
        await speak(worker, 7)
        assert await first == 7


@pytest.mark.parametrize("joined", [False, True])
async def test_the_voice_ends_with_the_session(stage: AgentStage, *, joined: bool) -> None:
    await stage.session.start()
    if joined:
        await speak(await stage.join(), 1)
    frames = stage.session.audio()
    reading = asyncio.create_task(_all(frames))
    await settle()
    await stage.session.dispose()
    async with asyncio.timeout(5):
        await reading
    assert [each async for each in stage.session.audio()] == []


async def test_the_voice_ends_when_the_room_is_closed(stage: AgentStage) -> None:
    await stage.session.start()
    await speak(await stage.join(), 1)
    reading = asyncio.create_task(_all(stage.session.audio()))
    await settle()
    await stage.user_room.aclose()
    async with asyncio.timeout(5):
        await reading


async def _all(frames) -> list[AudioFrame]:  # noqa: ANN001
    return [each async for each in frames]
