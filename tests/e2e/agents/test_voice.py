"""A conversation by voice with a real agent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np
import pytest
from support.agent_talk import AgentWorld, Worker, ready, until
from support.sound import listen, pitch

from utd_stream import AudioFrame, Push
from utd_stream.agents import AgentTranscript, SessionOptions, UserTranscript

pytestmark = pytest.mark.e2e
TONE = AudioFrame(
    (np.sin(2 * np.pi * 440 * np.arange(48_000 * 9 // 10) / 48_000) * 9_000).astype(np.int16)
)
SILENCE = AudioFrame(np.zeros(48_000, np.int16))


class Voice:
    """A microphone that is silent, says one loud phrase when asked to, and is silent again."""

    def __init__(self, *, at_once: bool = False) -> None:
        self.speak = asyncio.Event()
        self.opened = 0
        if at_once:
            self.speak.set()

    async def __aiter__(self) -> AsyncIterator[AudioFrame]:
        self.opened += 1
        phrase = [TONE.samples[at : at + 480] for at in range(0, len(TONE.samples), 480)]
        silence = AudioFrame(np.zeros(480, np.int16))
        while True:
            if self.speak.is_set():
                self.speak.clear()
                for part in phrase:
                    yield AudioFrame(part)
            yield silence


async def test_a_voice_is_heard_and_answered(world: AgentWorld, worker: Worker) -> None:
    voice = Voice()
    options = SessionOptions(microphone=voice)
    session = await world.session(worker.name, options=options, voice=True)
    agent = await ready(session)
    async with aclosing(session.audio(frame_ms=20)) as frames:
        voiced = asyncio.create_task(listen(frames, 0.3, within=20))
        voice.speak.set()
        heard = await until(session, "hello there agent")
        answer = await until(session, "you said: hello there agent")
        assert pitch(await voiced) == pytest.approx(660, abs=15)
    assert isinstance(heard.content, UserTranscript)
    assert isinstance(answer.content, AgentTranscript)
    assert len(session.messages) == 2, "interim results grew in place"
    assert agent.audio_track is not None
    assert session.error is None


async def test_what_was_said_before_the_join_reaches_the_agent(
    world: AgentWorld, worker: Worker
) -> None:
    voice = Voice(at_once=True)
    options = SessionOptions(microphone=voice)
    session = await world.session(worker.name, options=options, voice=True, late_s=1.5)
    assert session.agent.is_buffering
    assert session.agent.can_listen
    await ready(session)
    heard = await until(session, "hello there agent")
    assert isinstance(heard.content, UserTranscript)
    assert voice.opened == 1, "one microphone, recorded first and published then"


async def test_a_microphone_that_was_silent_does_not_make_the_agent_deaf(
    world: AgentWorld, worker: Worker
) -> None:
    microphone = Push()
    options = SessionOptions(microphone=microphone)
    session = await world.session(worker.name, options=options, voice=True)
    await ready(session)
    async with asyncio.timeout(10):
        await microphone.write(TONE)
        await microphone.write(SILENCE)
    await until(session, "hello there agent", within=5)
