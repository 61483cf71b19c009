"""A stop cuts nothing off, though LiveKit takes calls and never answers them."""

import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support import serving_engine
from support.served_engine import ROOM, ServedEngine, config, plain_http

from utd_engine.adapters.livekit.webhooks import make_reader
from utd_engine.adapters.memory.media import MEMORY_KEY, MemoryGateway
from utd_engine.adapters.sqlite.store import SqliteStore
from utd_engine.main import Adapters
from utd_engine.metrics import Metrics
from utd_engine.system import SystemClock, SystemIds


@asynccontextmanager
async def hanging_livekit() -> AsyncIterator[int]:
    """A port that takes everything and says nothing."""
    taken: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _reader, writer: taken.append(writer), "127.0.0.1")
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in taken:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def bearer(path: Path) -> str:
    """A host's, made while LiveKit was well."""
    clock = SystemClock()
    store = await SqliteStore.open(path)
    reader = make_reader({MEMORY_KEY.key: MEMORY_KEY.secret}, clock)
    world = Adapters(store, MemoryGateway(clock), reader, clock, SystemIds(), Metrics())
    async with ServedEngine.start(config(path), world) as served:
        token: str = (await served.join("host", "host"))["user_token"]
    await store.aclose()
    return token


@asynccontextmanager
async def engine(path: Path, livekit: int) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, serving_engine.__file__, str(path), "0", str(livekit)),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    reading: asyncio.Task[bytes] | None = None
    try:
        async with asyncio.timeout(20):
            while True:
                line = json.loads(await process.stderr.readline())
                if line["event"] == "engine.ready":
                    break
        reading = asyncio.create_task(process.stderr.read())
        yield process, line["base_url"]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        if reading is not None:
            await reading


async def test_a_request_under_way_is_answered_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "utd.db"
    token = await bearer(path)
    async with (
        hanging_livekit() as livekit,
        engine(path, livekit) as (process, url),
        plain_http() as http,
    ):
        headers = {"authorization": f"Bearer {token}"}
        asking = asyncio.ensure_future(
            http.post(f"{url}{ROOM}/seats/take", json={"index": 0}, headers=headers)
        )
        async with asyncio.timeout(10):
            while not committed(path):  # another process writes
                await asyncio.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            async with await asking as answer:
                assert answer.status == 200
                assert (await answer.json())["media"] == "pending"
            assert await process.wait() == 0
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_engine_ends_at_once(tmp_path: Path, name: signal.Signals) -> None:
    async with (
        hanging_livekit() as livekit,
        engine(tmp_path / "utd.db", livekit) as (process, _),
        asyncio.timeout(5),
    ):
        process.send_signal(name)
        assert await process.wait() == 0


async def test_a_second_signal_ends_it_whatever_is_under_way(tmp_path: Path) -> None:
    path = tmp_path / "utd.db"
    token = await bearer(path)
    async with (
        hanging_livekit() as livekit,
        engine(path, livekit) as (process, url),
        plain_http() as http,
    ):
        headers = {"authorization": f"Bearer {token}"}
        asking = asyncio.ensure_future(
            http.post(f"{url}{ROOM}/seats/take", json={"index": 0}, headers=headers)
        )
        async with asyncio.timeout(10):
            while not committed(path):  # another process writes
                await asyncio.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            while process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.02)
        await asyncio.gather(asking, return_exceptions=True)
        assert committed(path)


def committed(path: Path) -> bool:
    """Whether the seat is taken, for whoever reads the file."""
    db = sqlite3.connect(path)
    try:
        (count,) = db.execute("SELECT count(*) FROM events WHERE type = 'seat.taken'").fetchone()
        return bool(count)
    finally:
        db.close()
