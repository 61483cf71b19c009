"""`utd demo agent`: somebody talks with a local AI agent, by text and by voice, and measures it.

Stack, worker and talk are all on this machine. The agent is a stand-in without a model: it says
again what it was told, and hears any loud sound as "hello there agent".
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Final, NamedTuple

import click
import msgspec
import numpy as np
from msgspec import Struct, structs
from rich.console import Console
from rich.text import Text

from utd_cli._agent_worker import WorkerFailed, find_python, run_worker
from utd_cli._state import RunningStack
from utd_cli.demos.sound import AUDIBLE_DBFS, RATE, dbfs, strongest_hz
from utd_cli.dev import Stack, StackFailed, configure_logs
from utd_cli.livekit import progress
from utd_cli.media_server.binary import ServerNotFound, get_server
from utd_cli.media_server.pin import VERSION
from utd_cli.serve import fast_loop
from utd_stream import AudioFrame, Push, UTDStreamClient, UTDStreamException
from utd_stream.agents import AgentState, AgentTranscript, Session, SessionOptions, UserTranscript

NAME: Final = "echo"
QUESTION: Final = "good morning agent"
ANSWER: Final = f"you said: {QUESTION}"
SPOKEN: Final = "hello there agent"
SPOKEN_ANSWER: Final = f"you said: {SPOKEN}"
PHRASE_HZ: Final = 440.0
PHRASE_S: Final = 0.9
VOICE_HZ: Final = 660.0
"""The agent says every word as a tone of this pitch."""
HZ_OFF: Final = 15.0
MEASURE_S: Final = 0.3
STEADY_S: Final = 0.3
"""Receivers play the beginning of a track a little faster or slower than it was."""
WITHIN_S: Final = 20.0


class Outcome(Struct, frozen=True, kw_only=True):
    """What was measured."""

    agent_joined_ms: float
    """From the request for a token until the agent could be talked to."""
    answer: str
    """Text that came back to a text."""
    answer_ms: float
    """From sending the text to the end of the answer."""
    chunks: int
    """In how many pieces the answer came."""
    voice_transcript: str
    """What the agent heard us say."""
    voice_answer_hz: float
    """Pitch of the agent's voice, as it was received."""

    def failures(self) -> list[str]:
        """What is not as it must be."""
        checks = {
            f"the answer was {self.answer!r}": self.answer == ANSWER,
            f"the answer came in {self.chunks} piece": self.chunks > 1,
            f"the agent heard {self.voice_transcript!r}": self.voice_transcript == SPOKEN,
            f"the agent spoke at {self.voice_answer_hz} Hz": abs(self.voice_answer_hz - VOICE_HZ)
            < HZ_OFF,
        }
        return [what for what, is_right in checks.items() if not is_right]


class Answer(NamedTuple):
    """A text and how it came."""

    text: str
    chunks: int
    took_ms: float


class Failure(Exception):
    """The talk did not go as it must. The message says where."""


@click.command()
@click.option(
    "--agents-python",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Python that has livekit-agents; by default that of .venv-agents, here or above.",
)
def agent(agents_python: Path | None) -> None:
    """Talk with a local AI agent by text and voice, measure it, and print it as one JSON line."""
    configure_logs()
    line = _verdict(agents_python, Console(stderr=True, highlight=False))
    click.echo(msgspec.json.encode(line).decode())
    sys.exit(0 if line["ok"] else 1)


def _verdict(agents_python: Path | None, console: Console) -> Mapping[str, object]:
    """Perform, and put everything that was measured, or the reason of a failure, into one line."""
    try:
        python, binary = find_python(agents_python), get_server(progress())
        with asyncio.Runner(loop_factory=fast_loop()) as runner:
            return runner.run(_perform(python, binary, console))
    except (
        WorkerFailed, StackFailed, ServerNotFound, Failure, UTDStreamException
    ) as failure:  # fmt: skip
        console.print(f"The demo failed: {failure}", style="red", markup=False)
        return {"ok": False, "reason": str(failure)}


async def _perform(python: Path, binary: Path, console: Console) -> Mapping[str, object]:
    started = time.monotonic()
    async with AsyncExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="utd-demo-")))
        stack = await exits.enter_async_context(Stack.start(folder / "stack", binary))
        worker = run_worker(python, NAME, stack.livekit, folder / "worker.log")
        await exits.enter_async_context(worker)
        setup_s = round(time.monotonic() - started, 2)
        _tell(console, f"stack and worker are ready after {setup_s} s")
        outcome = await _talk(stack.running, console)
    reason = "; ".join(outcome.failures())
    _tell(console, reason or "everything was as it must be", "bold")
    line = {"ok": not reason} | structs.asdict(outcome) | {"livekit": VERSION, "setup_s": setup_s}
    return line | ({"reason": reason} if reason else {})


async def _talk(stack: RunningStack, console: Console) -> Outcome:
    """One session: a question by text, then one by voice."""
    microphone = Push()
    client = UTDStreamClient(
        app_id=stack.app_id, app_key=stack.app_key, base_url=stack.base_url
    )  # fmt: skip
    options = SessionOptions(microphone=microphone)
    async with client:
        session = client.agent_session(
            agent_name=NAME, identity="ana", agent_metadata='{"voice": true}', options=options
        )
        started = time.monotonic()
        async with session:
            await session.wait_agent()
            joined_ms = _ms_since(started)
            _tell(console, f"the agent can be talked to after {joined_ms:.0f} ms")
            answer = await _ask(session)
            _tell(console, f"ana:   {QUESTION}")
            _tell(console, f"agent: {answer.text}  ({answer.chunks} pieces)", "green")
            transcript, hz = await _speak(session, microphone)
            _tell(console, f"ana (by voice): {transcript}")
            _tell(console, f"agent (by voice): a tone of {hz:.0f} Hz", "green")
    return Outcome(
        agent_joined_ms=joined_ms,
        answer=answer.text,
        answer_ms=answer.took_ms,
        chunks=answer.chunks,
        voice_transcript=transcript,
        voice_answer_hz=hz,
    )


async def _ask(session: Session) -> Answer:
    changes = session.message_changes()
    started = time.monotonic()
    chunks, text = 0, ""
    await session.send_text(QUESTION)
    try:
        async with asyncio.timeout(WITHIN_S):
            async for message in changes:
                if isinstance(message.content, AgentTranscript) and message.text != text:
                    chunks, text = chunks + 1, message.text
                if text == ANSWER:
                    break
    except TimeoutError:
        raise Failure(f"To {QUESTION!r} came only {text!r} in {WITHIN_S:g} s.") from None
    return Answer(text, chunks, _ms_since(started))


async def _speak(session: Session, microphone: Push) -> tuple[str, float]:
    """Say a phrase: what the agent heard, and the pitch of its own voice."""
    try:
        async with asyncio.timeout(WITHIN_S):
            await _listening(session)
            voice = asyncio.create_task(_pitch(session), name="agent's voice")
            try:
                await microphone.write(_phrase())
                await _answered(session)
                hz = await voice
            finally:
                voice.cancel()
    except TimeoutError:
        said = [message.text for message in session.messages]
        raise Failure(f"No answer to a voice in {WITHIN_S:g} s, only {said}.") from None
    heard = [one.text for one in session.messages if isinstance(one.content, UserTranscript)]
    return heard[-1] if heard else "", round(hz, 1)


async def _listening(session: Session) -> None:
    """The agent has said its last word."""
    changes = session.changes()
    async with aclosing(changes):
        while session.agent.agent_state is not AgentState.LISTENING:
            await anext(changes)


async def _answered(session: Session) -> None:
    changes = session.changes()
    async with aclosing(changes):
        while not any(message.text == SPOKEN_ANSWER for message in session.messages):
            await anext(changes)


async def _pitch(session: Session) -> float:
    """Of the first audible sound, its uneven beginning left out."""
    heard = np.zeros(0)
    async with aclosing(session.audio()) as frames:
        async for frame in frames:
            sound = frame.samples / 32768
            if dbfs(sound) > AUDIBLE_DBFS:
                heard = np.concatenate([heard, sound])
            if len(heard) >= (STEADY_S + MEASURE_S) * RATE:
                break
    return strongest_hz(heard[round(STEADY_S * RATE) :])


def _phrase() -> AudioFrame:
    """A loud tone and then silence, by which the agent knows that it was all."""
    at = np.arange(round(PHRASE_S * RATE)) / RATE
    tone = np.sin(2 * np.pi * PHRASE_HZ * at) * 9_000
    return AudioFrame(np.concatenate([tone, np.zeros(RATE)]).astype(np.int16))


def _ms_since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)


def _tell(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style))
