"""`utd demo agent` and `utd agent chat` whole, with a real worker and a real LiveKit."""

import asyncio
import json
import os
import subprocess
import sys
import wave
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from support.agent_talk import ROOT, Worker
from support.dev_stack import dev_stack
from support.stack import Stack

from utd_cli._state import StateFolder
from utd_cli.media_server.process import LiveKitServer

pytestmark = [pytest.mark.e2e, pytest.mark.slow]  # each starts programs and talks in real time
UTD = [sys.executable, "-m", "utd_cli"]


@pytest.fixture(scope="session", autouse=True)
def _agent_environment() -> None:
    """Make .venv-agents from its lock, if it is not there."""
    subprocess.run([ROOT / "tools/setup_agents.sh"], check=True, stdout=sys.stderr)


def run(
    folder: Path, *arguments: str, typed: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*UTD, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        input=typed,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_text_and_voice_go_to_an_agent_and_come_back(tmp_path: Path, livekit_binary: Path) -> None:
    done = run(tmp_path, "demo", "agent", LIVEKIT_SERVER=str(livekit_binary))
    [line] = done.stdout.splitlines()
    told = json.loads(line)
    assert (done.returncode, told["ok"]) == (0, True), (told, done.stderr)
    assert 0 < told["agent_joined_ms"] < 10_000
    assert told["answer"] == "you said: good morning agent"
    assert told["chunks"] > 1
    assert told["voice_transcript"] == "hello there agent"
    assert told["voice_answer_hz"] == pytest.approx(660, abs=15)
    assert not list(tmp_path.iterdir()), "nothing stays behind"


def test_a_python_without_agents_is_told(tmp_path: Path, livekit_binary: Path) -> None:
    done = run(
        tmp_path, "demo", "agent", "--agents-python", sys.executable,
        LIVEKIT_SERVER=str(livekit_binary),
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"]) == (1, False)
    assert "livekit.agents" in told["reason"]


async def test_a_chat_with_an_agent_of_a_plain_livekit(
    livekit_binary: Path, tmp_path: Path
) -> None:
    rooms = {"room": {"auto_create": True, "empty_timeout": 60, "departure_timeout": 1}}
    async with (
        LiveKitServer.start(livekit_binary, tmp_path / "livekit", overrides=rooms) as server,
        Worker.start(server, tmp_path) as worker,
    ):
        done = run(
            tmp_path, "agent", "chat", "--name", worker.name, "--url", server.url,
            typed="good morning\n\ngood night",
            LIVEKIT_API_KEY=server.key, LIVEKIT_API_SECRET=server.secret,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "agent: you said: good morning",
        "agent: you said: good night",
    ]


class DevLiveKit(NamedTuple):
    """The LiveKit of a `utd dev`, as a worker needs it."""

    url: str
    secret: str
    key: str = "utd"


async def test_a_chat_by_voice_through_a_running_stack(
    tmp_path: Path, livekit_binary: Path
) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(43_200) / 48_000) * 9_000
    with wave.open(str(tmp_path / "hello.wav"), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(np.concatenate([tone, np.zeros(48_000)]).astype("<i2").tobytes())
    with dev_stack(tmp_path, livekit_binary, "--port", "0") as stack:
        assert stack.ready is not None, stack.errors
        secret = StateFolder(tmp_path / ".utd").secrets().livekit_secret
        livekit = DevLiveKit(stack.ready["livekit_url"], secret)
        async with Worker.start(livekit, tmp_path) as worker:  # type: ignore[arg-type]
            done = run(
                tmp_path, "agent", "chat", "--name", worker.name,
                "--wav", "hello.wav", "--metadata", '{"voice": true}',
            )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "you: hello there agent",
        "agent: you said: hello there agent",
    ]


async def test_a_chat_by_a_token_endpoint(stack: Stack, tmp_path: Path) -> None:
    async with Worker.start(stack.livekit, tmp_path) as worker:
        said = await chat(
            tmp_path, "--name", worker.name,
            "--token-endpoint", f"{stack.base_url}/api/v1/agents/token",
            "--header", f"X-App-Id: {stack.app_id}", "--header", f"X-App-Key: {stack.app_key}",
        )  # fmt: skip
    assert said == ["agent: you said: good night"]


async def chat(folder: Path, *arguments: str) -> list[str]:
    """What a chat prints. The engine runs in this very loop, so it is waited for."""
    process = await asyncio.create_subprocess_exec(
        *UTD, "agent", "chat", *arguments,
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, _ = await process.communicate(b"good night\n")
    assert process.returncode == 0
    return out.decode().splitlines()
