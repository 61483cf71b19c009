"""The programs under examples/, run as a reader would, with a real LiveKit."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from support.sound import listen, pitch
from support.stack import Stack

from utd_stream import Tone, UTDStreamType
from utd_stream._media.wav import WavWriter

pytestmark = pytest.mark.e2e
EXAMPLES = Path(__file__).parents[2] / "examples"
DOCS = Path(__file__).parents[2] / "docs"


class Program:
    """A running example and its lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self, within: float = 20) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(within):
            line = await self._process.stdout.readline()
        if not line:
            _, errors = await self._process.communicate()
            raise AssertionError(f"it ended: {errors.decode()}")
        return line.decode().strip()

    async def ends_well(self, within: float = 20) -> list[str]:
        """Its last lines."""
        async with asyncio.timeout(within):
            rest, errors = await self._process.communicate()
        assert self._process.returncode == 0, errors.decode()
        return rest.decode().splitlines()


def programs_of(page: str) -> list[str]:
    """The Python programs of a page of the documentation."""
    parts = (DOCS / page).read_text(encoding="utf-8").split("```python\n")[1:]
    return [part.partition("```")[0] for part in parts]


@asynccontextmanager
async def example(
    stack: Stack, name: str, *arguments: str, folder: Path = EXAMPLES
) -> AsyncIterator[Program]:
    """Start an example; it is ended with the block, if it did not end by itself."""
    keys = {"BASE_URL": stack.base_url, "APP_ID": stack.app_id, "APP_KEY": stack.app_key}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        folder / f"{name}.py",
        *arguments,
        cwd=folder,
        env={**os.environ, **{f"UTD_{key}": value for key, value in keys.items()}},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def a_tone(path: Path, hz: float, seconds: float) -> str:
    with WavWriter(path) as file:
        async with aclosing(aiter(Tone(hz))) as frames:
            while file.seconds < seconds:
                file.write(await anext(frames))
    return str(path)


async def test_the_music_bot_plays_from_its_seat(stack: Stack, tmp_path: Path) -> None:
    music = await a_tone(tmp_path / "music.wav", 500, 1)
    async with example(stack, "music_bot", "lobby", music) as bot:
        assert await bot.line() == "playing in lobby on seat 0"
        client = await stack.client()
        room = await client.join_audio_room(identity="ana", room_name="lobby")
        async with aclosing(room.audio("dj")) as frames:
            assert pitch(await listen(frames, 2)) == pytest.approx(500, abs=3)
        key = (await stack.served.engine.services.apps.add_key(stack.app_id, "secret")).key
        path = "/api/v1/rooms/audio_room/lobby/end"
        ended = await stack.served.call("POST", path, {"reason": "closing time"}, bearer=key)
        assert ended.status == 200
        assert await bot.ends_well() == ["the room has ended: closing time"]


async def test_the_moderator_bot_takes_hands_in_order(stack: Stack) -> None:
    async with example(stack, "moderator_bot", "lobby") as bot:
        assert await bot.line() == "moderating lobby"
        for identity in ("ana", "bo"):
            client = await stack.client()
            room = await client.join_audio_room(identity=identity, room_name="lobby")
            await room.request_to_speak()
            assert await bot.line() == f"{identity} may speak"
        assert [seat.identity for seat in room.seats.value][:2] == ["ana", "bo"]


async def test_the_recorder_has_sound_and_pictures(stack: Stack, tmp_path: Path) -> None:
    client = await stack.client(700)
    live = await client.join_live_stream(identity="host", room_name="show", as_host=True)
    await live.go_live()
    async with example(stack, "stream_recorder", "show", str(tmp_path), "3") as recorder:
        assert await recorder.ends_well(40) == ["recorded 3.0 s"]
    sound = np.frombuffer((tmp_path / "sound.wav").read_bytes()[44:], np.int16)
    assert pitch(sound[-48_000:]) == pytest.approx(700, abs=3)
    pictures = sorted(tmp_path.glob("*.ppm"))
    assert len(pictures) >= 2
    assert pictures[0].read_bytes().startswith(b"P6 320 240 255\n")


async def test_who_was_missed_is_called_back(stack: Stack, tmp_path: Path) -> None:
    message = await a_tone(tmp_path / "message.wav", 600, 3)
    async with example(stack, "call_back", message) as service:
        assert await service.line() == "waiting for missed calls"
        client = await stack.client()
        await client.authenticate(identity="ana")
        session = client.call_session(UTDStreamType.AUDIO_CALL)
        async with aclosing(client.incoming_calls()) as calls:
            await session.start(callee_identity="service", ring_timeout=5)
            async with asyncio.timeout(20):
                rings = await anext(calls)
        assert rings.caller == "service"
        async with await rings.accept() as answered, aclosing(answered.audio("service")) as frames:
            assert pitch(await listen(frames, 0.5)) == pytest.approx(600, abs=3)
            assert await service.line() == "called ana back: active"


async def test_the_programs_of_the_tutorial_hear_each_other(stack: Stack, tmp_path: Path) -> None:
    for name, program in zip(
        ("speaker", "listener"), programs_of("tutorial/first-room.md"), strict=True
    ):
        (tmp_path / f"{name}.py").write_text(program, encoding="utf-8")
    async with example(stack, "speaker", folder=tmp_path) as speaker:
        assert await speaker.line() == "ana speaks from seat 0"
        async with example(stack, "listener", folder=tmp_path) as listener:
            assert await listener.ends_well() == [
                "on the seats: ['ana']",
                "recorded 3.0 s to heard.wav",
            ]
        assert "'ana', None" in await speaker.line()
        assert "'ana', 'bo'" in await speaker.line()
    sound = np.frombuffer((tmp_path / "heard.wav").read_bytes()[44:], np.int16)
    assert pitch(sound[-48_000:]) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("source", ["example", "page"])
async def test_the_test_of_an_app_passes(tmp_path: Path, source: str) -> None:
    path = EXAMPLES / "test_moderator_bot.py"
    if source == "page":
        path = tmp_path / "test_page.py"
        [program] = programs_of("how-to/test-your-app.md")
        path.write_text(program, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path,
        "-c", os.devnull, path,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(40):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert b"1 passed" in output


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 80
