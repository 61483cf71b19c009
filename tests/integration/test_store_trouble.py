"""A database that cannot write for a while: 503, nothing half done, and all well afterwards."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.served_engine import ROOM, Answer, ServedEngine, config

from utd_engine.adapters.livekit.webhooks import make_reader
from utd_engine.adapters.memory.media import MEMORY_KEY, MemoryGateway
from utd_engine.adapters.sqlite.connect import writing
from utd_engine.adapters.sqlite.store import SqliteStore
from utd_engine.main import Adapters
from utd_engine.metrics import Metrics
from utd_engine.system import SystemClock, SystemIds

PLENTY = 1_000_000


class Disk:
    """A database file whose size has a limit that can be moved, and that can be locked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pages = PLENTY
        self._open: list[sqlite3.Connection] = []
        self._locker: sqlite3.Connection | None = None

    def connect(self, path: Path) -> sqlite3.Connection:
        db = writing(path, busy_timeout_ms=20)
        db.execute(f"PRAGMA max_page_count = {self._pages}")
        self._open.append(db)
        return db

    def fill(self) -> None:
        """From now on the file may not grow."""
        self._limit(1)  # SQLite takes the present size where that is more

    def empty(self) -> None:
        self._limit(PLENTY)

    def lock(self) -> None:
        """Somebody else writes, and does not end."""
        self._locker = sqlite3.connect(self.path, isolation_level=None)
        self._locker.execute("BEGIN IMMEDIATE")

    def unlock(self) -> None:
        assert self._locker is not None
        self._locker.execute("ROLLBACK")
        self._locker.close()

    def _limit(self, pages: int) -> None:
        self._pages = pages
        for db in self._open:
            try:
                db.execute(f"PRAGMA max_page_count = {pages}")
            except sqlite3.ProgrammingError:
                continue  # closed after an error; the next one gets the new limit


class Trouble:
    def __init__(self, served: ServedEngine, disk: Disk, sfu: MemoryGateway) -> None:
        self.served = served
        self.disk = disk
        self.sfu = sfu
        self.host = ""
        self.ana = ""

    async def do(self, bearer: str, method: str, path: str, body: Any, key: str = "") -> Answer:
        return await self.served.call(method, ROOM + path, body, bearer=bearer, key=key or None)

    async def view(self) -> dict[str, Any]:
        answer = await self.served.call("GET", ROOM, bearer=self.host)
        assert answer.status == 200
        view: dict[str, Any] = answer.body
        return view

    async def log(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        while True:
            answer = await self.served.call(
                "GET", f"{ROOM}/events?after={len(events)}", bearer=self.host
            )
            events += answer.body["events"]
            if len(events) >= answer.body["head"]:
                assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
                return events


@asynccontextmanager
async def troubled(path: Path) -> AsyncIterator[Trouble]:
    clock, disk = SystemClock(), Disk(path)
    sfu = MemoryGateway(clock)
    store = await SqliteStore.open(path, connect=disk.connect)
    reader = make_reader({MEMORY_KEY.key: MEMORY_KEY.secret}, clock)
    world = Adapters(store, sfu, reader, clock, SystemIds(), Metrics())
    async with ServedEngine.start(config(path), world) as served:
        trouble = Trouble(served, disk, sfu)
        trouble.host = (await served.join("host", "host"))["user_token"]
        joined = await served.join("ana")
        trouble.ana = joined["user_token"]
        await sfu.join(joined["token"])
        yield trouble
    await store.aclose()


@pytest.fixture
async def trouble(tmp_path: Path) -> AsyncIterator[Trouble]:
    async with troubled(tmp_path / "utd.db") as trouble:
        yield trouble
    db = sqlite3.connect(tmp_path / "utd.db")
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


async def test_a_locked_database_refuses_whole_and_recovers(trouble: Trouble) -> None:
    before = await trouble.view()
    trouble.disk.lock()
    pushed = trouble.sfu.calls["push_member"]
    for _ in range(3):
        answer = await trouble.do(trouble.ana, "POST", "/seats/take", {"index": 0}, "take-1")
        assert (answer.status, answer.code) == (503, "unavailable")
        assert answer.body["retry_after"] > 0
    assert await trouble.view() == before
    assert trouble.sfu.calls["push_member"] == pushed
    trouble.disk.unlock()
    answer = await trouble.do(trouble.ana, "POST", "/seats/take", {"index": 0}, "take-1")
    assert answer.status == 200
    assert [event["type"] for event in await trouble.log()] == ["room.opened", "seat.taken"]
    [member] = next(iter(trouble.sfu.rooms.values())).members.values()
    assert member.permission.can_publish


async def test_a_refusal_of_a_privileged_act_is_not_told_without_its_record(
    trouble: Trouble,
) -> None:
    trouble.disk.lock()
    answer = await trouble.do(trouble.ana, "POST", "/members/host/kick", {})
    assert answer.status == 503
    trouble.disk.unlock()
    answer = await trouble.do(trouble.ana, "POST", "/members/host/kick", {})
    assert answer.status == 403


async def test_a_full_disk_refuses_whole_and_recovers(trouble: Trouble) -> None:
    trouble.disk.fill()
    said: list[str] = []
    refused = ""
    for number in range(2000):
        text = f"{number:04d}" + "x" * 4000
        answer = await trouble.do(trouble.host, "PATCH", "/settings", {"metadata": text}, text[:4])
        if answer.status != 200:
            refused = text
            break
        said.append(text)
    assert (answer.status, answer.code) == (503, "unavailable")
    assert refused
    shown = (await trouble.view())["view"]["metadata"]
    assert shown == (said[-1] if said else "")
    log = await trouble.log()
    assert [event["metadata"] for event in log[1:]] == said
    trouble.disk.empty()
    for _ in range(2):
        answer = await trouble.do(
            trouble.host, "PATCH", "/settings", {"metadata": refused}, refused[:4]
        )
        assert answer.status == 200
    log = await trouble.log()
    assert [event["metadata"] for event in log[1:]] == [*said, refused]
    assert (await trouble.view())["view"]["metadata"] == refused


async def test_readiness_tells_of_the_disk(trouble: Trouble) -> None:
    probes = trouble.served.engine.probes
    trouble.disk.lock()
    assert (await probes.ready()).status == "unavailable"
    trouble.disk.unlock()
    async with asyncio.timeout(10):
        while (await probes.ready()).status != "ok":  # it is kept for a second
            await asyncio.sleep(0.05)
