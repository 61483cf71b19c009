"""`utd agent` and `utd demo agent`: what is refused before anything is started."""

import asyncio
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from click.testing import CliRunner, Result

from utd_cli import __main__ as cli
from utd_cli._agent_worker import WorkerFailed, find_python
from utd_cli._livekit_token import LiveKitKey, mint_for_agent
from utd_cli._typed_lines import Lines
from utd_cli.agent import Endpoint, Livekit, _place

CHAT = ("agent", "chat", "--name", "echo")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    yield
    logging.getLogger("utd_stream").setLevel(logging.NOTSET)  # a chat keeps it quiet


def utd(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("agent", "chat"), "'--name'"),
        (CHAT, "No stack runs on .utd"),
        ((*CHAT, "--url", "ws://127.0.0.1:9"), "LIVEKIT_API_KEY and LIVEKIT_API_SECRET"),
        ((*CHAT, "--url", "ws://a", "--token-endpoint", "http://a"), "two places"),
        ((*CHAT, "--header", "a:b"), "--header is for --token-endpoint"),
        ((*CHAT, "--token-endpoint", "http://a", "--header", "ab"), "'ab' is not NAME:VALUE"),
        ((*CHAT, "--wav", "nothing.wav"), "'--wav'"),
        (("demo", "agent", "--agents-python", "nothing"), "'--agents-python'"),
        (("demo", "dance"), "No such command 'dance'"),
    ],
)
def test_what_cannot_be_meant_is_named(arguments: tuple[str, ...], words: str) -> None:
    told = utd(*arguments)
    assert told.exit_code == 2
    assert words in told.output


def test_two_microphones_are_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    told = utd(*CHAT, "--voice", "--wav", "a.wav")
    assert told.exit_code == 2
    assert "two microphones" in told.output


def test_an_endpoint_that_is_not_there_is_an_error_and_no_traceback() -> None:
    told = utd(*CHAT, "--token-endpoint", "http://127.0.0.1:9/token")
    assert told.exit_code == 1
    assert told.output.startswith("Error: ")
    assert "127.0.0.1:9" in told.output


def test_a_place_is_one_of_three(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    headers = ("X-App-Id: dev", "Authorization:Bearer a:b")
    assert _place(None, "http://a/token", headers, tmp_path) == Endpoint(
        "http://a/token", {"X-App-Id": "dev", "Authorization": "Bearer a:b"}
    )
    monkeypatch.setenv("LIVEKIT_API_KEY", "key")
    monkeypatch.setenv("LIVEKIT_API_SECRET", "secret")
    assert _place("ws://a", None, (), tmp_path) == Livekit("ws://a", LiveKitKey("key", "secret"))


def test_a_token_for_a_plain_livekit_brings_the_agent() -> None:
    key = LiveKitKey("key", "s" * 32)
    token = mint_for_agent(key, room="r", identity="Zoë", agent="echo", metadata="m")
    claims = jwt.decode(token, key.secret, algorithms=["HS256"], issuer="key")
    assert claims["roomConfig"] == {"agents": [{"agentName": "echo", "metadata": "m"}]}
    assert claims["video"] == {"roomJoin": True, "room": "r"}
    assert claims["sub"] == "Zoë"
    assert claims["exp"] - claims["nbf"] == 600


def test_the_python_of_the_agents_is_looked_for_here_and_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / ".venv-agents/bin/python"
    python.parent.mkdir(parents=True)
    python.touch()
    deep = tmp_path / "a/b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert find_python(None) == python
    assert find_python(Path(sys.executable)) == Path(sys.executable)


def test_without_one_it_is_told_how_to_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utd_cli._agent_worker.ENVIRONMENT", Path("not-there/python"))
    with pytest.raises(WorkerFailed, match=r"tools/setup_agents\.sh.*--agents-python"):
        find_python(None)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Something to write into; it is read as standard input."""
    read, write = os.pipe()
    with os.fdopen(read) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield write


async def test_lines_come_whole_and_end_with_the_input(typed: int) -> None:
    lines = aiter(Lines())
    async with asyncio.timeout(5):
        os.write(typed, b"one\ntw")
        assert await anext(lines) == "one"
        os.write(typed, "o\r\n\nZoë \xff".encode("latin-1"))
        assert [await anext(lines), await anext(lines)] == ["two", ""]
        os.close(typed)
        assert await anext(lines) == "Zo\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}"
        assert await anext(lines, None) is None
