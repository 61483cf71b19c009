"""Groups, faults of the disk, and the lock of `SqliteStore`."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from utd_engine.adapters.sqlite.connect import writing
from utd_engine.adapters.sqlite.lock import StoreLocked
from utd_engine.adapters.sqlite.rows import EPOCH
from utd_engine.adapters.sqlite.store import SqliteStore
from utd_engine.adapters.sqlite.writer import GROUP, MAX_WAITING, Writer
from utd_engine.ports.audit import AuditEntry
from utd_engine.ports.rooms import Append, Appended, Conflict, Key, NewEvent
from utd_engine.ports.store import StoreUnavailable


def room(number: int) -> Key:
    return Key("ap1", "room", f"rm_{number}")


def change(key: Key, version: int = 0, *, seq: int | None = None, size: int = 1) -> Append:
    event = NewEvent(version + 1 if seq is None else seq, "happened", EPOCH, b"{}")
    return Append(
        key=key, expected_version=version, events=(event,), state=b"x" * size, wake_at=None
    )


class FaultyConnection(sqlite3.Connection):
    """A connection whose COMMIT goes wrong while a fault is set."""

    fault: Callable[["FaultyConnection"], None] | None = None
    broken = False

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if self.broken:
            message = "disk I/O error"
            raise sqlite3.OperationalError(message)
        if sql == "COMMIT" and self.fault is not None:
            self.fault(self)
            message = "disk I/O error"
            raise sqlite3.OperationalError(message)
        return super().execute(sql, parameters)

    def run(self, sql: str) -> None:
        super().execute(sql)


class Disk:
    """What the store writes on: gives the connections out and can be told to fail."""

    def __init__(self) -> None:
        self.made: list[FaultyConnection] = []
        self.absent = False

    def connect(self, path: Path) -> sqlite3.Connection:
        if self.absent:
            message = "unable to open database file"
            raise sqlite3.OperationalError(message)
        db = writing(path, factory=FaultyConnection, busy_timeout_ms=1)
        assert isinstance(db, FaultyConnection)
        self.made.append(db)
        return db

    @property
    def db(self) -> FaultyConnection:
        return self.made[-1]


class Opened:
    """A store, its disk and what its commits reported."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.disk = Disk()
        self.groups: list[int] = []
        self.store: SqliteStore

    async def open(self) -> None:
        self.store = await SqliteStore.open(
            self.path, connect=self.disk.connect, on_commit=lambda size, _: self.groups.append(size)
        )
        await self.store.ping()


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Opened]:
    opened = Opened(tmp_path / "utd.db")
    await opened.open()
    yield opened
    await opened.store.aclose()


# --- groups -------------------------------------------------------------------------------------


async def test_waiting_appends_share_a_commit(on: Opened) -> None:
    done = await asyncio.gather(*(on.store.append(change(room(n))) for n in range(200)))
    assert all(isinstance(one, Appended) for one in done)
    assert sum(on.groups) == 201, "with the ping of opening"
    assert max(on.groups) == GROUP
    assert len(on.groups) < 50


async def test_one_mistake_harms_nobody_else_in_the_group(on: Opened) -> None:
    changes = [change(room(n), seq=7 if n == 5 else 1) for n in range(20)]
    tries = (on.store.append(one) for one in changes)
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert isinstance(done.pop(5), ValueError)
    assert all(isinstance(one, Appended) for one in done)
    assert await on.store.load(room(5)) is None


async def test_half_of_a_failed_work_is_undone(on: Opened) -> None:
    await on.store.aclose()
    writer = Writer(partial(on.disk.connect, on.path))

    def half(db: sqlite3.Connection, number: int) -> None:
        insert(db, number)
        message = "in the middle"
        raise RuntimeError(message)

    def insert(db: sqlite3.Connection, number: int) -> None:
        db.execute("INSERT INTO bans VALUES ('ap1', '', ?, 'app', NULL, 0, NULL, '')", (number,))

    works = (insert, half, insert, half, insert)
    done = await asyncio.gather(*map(writer.submit, works), return_exceptions=True)
    await writer.aclose()
    assert [isinstance(one, RuntimeError) for one in done] == [work is half for work in works]
    await on.open()
    assert len(await on.store.bans("ap1", "")) == 3


async def test_a_commit_waits_for_the_disk(on: Opened) -> None:
    (synchronous,) = on.disk.db.execute("PRAGMA synchronous").fetchone()
    (journal,) = on.disk.db.execute("PRAGMA journal_mode").fetchone()
    assert (synchronous, journal) == (2, "wal"), "FULL: the log is synced at each COMMIT"


async def test_what_was_queued_is_written_before_the_store_closes(on: Opened) -> None:
    tasks = [asyncio.create_task(on.store.append(change(room(n)))) for n in range(100)]
    await asyncio.sleep(0)
    await on.store.aclose()
    assert all(isinstance(one, Appended) for one in await asyncio.gather(*tasks))


async def test_closing_leaves_no_thread_and_no_lock(tmp_path: Path) -> None:
    for _ in range(3):
        store = await SqliteStore.open(tmp_path / "utd.db")
        await store.ping()
        await store.apps()
        await store.aclose()
    assert not [one for one in threading.enumerate() if one.name.startswith("utd-store")]


async def test_a_full_queue_refuses_at_once(on: Opened) -> None:
    writer = Writer(partial(writing, on.path))
    going, started = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def stuck(_db: sqlite3.Connection, _number: int) -> None:
        loop.call_soon_threadsafe(started.set)
        going.wait()

    def nothing(_db: sqlite3.Connection, _number: int) -> None:
        """Wait in the queue, no more."""

    first = asyncio.create_task(writer.submit(stuck))
    await started.wait()
    tasks = [asyncio.create_task(writer.submit(nothing)) for _ in range(MAX_WAITING + 1)]
    await asyncio.wait(tasks[-1:])
    with pytest.raises(StoreUnavailable, match="waiting"):
        await tasks.pop()
    going.set()
    await asyncio.gather(first, *tasks)
    await writer.aclose()


# --- faults -------------------------------------------------------------------------------------


async def test_a_locked_database_is_unavailable_and_then_works(on: Opened) -> None:
    other = sqlite3.connect(on.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
        await on.store.append(change(room(1)))
    with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
        await on.store.ping()
    assert await on.store.load(room(1)) is None, "reading goes on"
    other.execute("ROLLBACK")
    other.close()
    assert isinstance(await on.store.append(change(room(1))), Appended)


async def test_a_full_disk_refuses_what_does_not_fit_and_then_works(on: Opened) -> None:
    await on.store.append(change(room(0)))
    (pages,) = on.disk.db.execute("PRAGMA page_count").fetchone()
    on.disk.db.run(f"PRAGMA max_page_count = {pages + 3}")
    changes = [change(room(n), size=10**6 if n == 3 else 1) for n in range(1, 6)]
    tries = (on.store.append(one) for one in changes)
    big = (await asyncio.gather(*tries, return_exceptions=True)).pop(2)
    assert isinstance(big, StoreUnavailable)
    assert "SQLITE_FULL" in str(big)
    assert [await on.store.load(room(n)) is None for n in range(6)] == [n == 3 for n in range(6)], (
        "only what did not fit is missing"
    )
    on.disk.db.run("PRAGMA max_page_count = 1073741823")
    assert isinstance(await on.store.append(change(room(3), size=10**6)), Appended)


async def test_an_error_after_the_commit_is_a_success(on: Opened) -> None:
    on.disk.db.fault = lambda db: db.run("COMMIT")
    done = await asyncio.gather(*(on.store.append(change(room(n))) for n in range(5)))
    assert all(isinstance(one, Appended) for one in done)
    assert len(await on.store.log("ap1", 0, 99)) == 5


async def test_an_error_before_the_commit_is_tried_again_alone(on: Opened) -> None:
    db = on.disk.db
    seen: list[bool] = []

    def once(db: FaultyConnection) -> None:
        seen.append(db.in_transaction)
        db.run("ROLLBACK")
        db.fault = None

    db.fault = once
    entry = AuditEntry("ap1", "", EPOCH, "ana", "kick", None, "done", "", "req_1")
    tries = [on.store.append(change(room(n))) for n in range(5)]
    results = await asyncio.gather(*tries, on.store.add_audit([entry]), return_exceptions=True)
    refused = [one for one in results if isinstance(one, StoreUnavailable)]
    assert seen == [True]
    assert len(refused) <= 1, "only if the thread took the first one before the others came"
    assert len(await on.store.log("ap1", 0, 99)) == 5 - len(refused)
    assert len(await on.store.audit("ap1", "")) == 1, "and nothing twice"


async def test_a_disk_that_stays_broken_is_unavailable_until_it_is_back(on: Opened) -> None:
    on.disk.db.fault = lambda db: db.run("ROLLBACK")
    with pytest.raises(StoreUnavailable, match="disk I/O error"):
        await on.store.append(change(room(1)))
    assert await on.store.load(room(1)) is None
    on.disk.db.fault = None
    assert isinstance(await on.store.append(change(room(1))), Appended)


async def test_if_even_rereading_fails_the_answer_says_unknown(on: Opened) -> None:
    def die(db: FaultyConnection) -> None:
        db.run("COMMIT")
        db.broken = True

    on.disk.db.fault = die
    on.disk.absent = True
    with pytest.raises(StoreUnavailable, match="shows when the disk is back"):
        await on.store.append(change(room(1)))
    with pytest.raises(StoreUnavailable, match="unable to open"):
        await on.store.ping()
    on.disk.absent = False
    assert await on.store.append(change(room(1))) == Conflict("version_moved"), "it was in"
    assert len(on.disk.made) == 2


# --- one engine a file --------------------------------------------------------------------------


async def test_a_second_engine_is_told_who_has_the_file(on: Opened) -> None:
    with pytest.raises(StoreLocked, match=f"process {os.getpid()}") as caught:
        await SqliteStore.open(on.path)
    assert caught.value.pid == os.getpid()
    assert isinstance(caught.value, StoreUnavailable)
    await on.store.aclose()
    await on.open()


async def test_a_cancelled_opening_lets_the_file_go(on: Opened) -> None:
    await on.store.aclose()
    opening = asyncio.create_task(SqliteStore.open(on.path))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    async with asyncio.timeout(30):
        while True:
            with suppress(StoreLocked):
                await on.open()
                break


async def test_the_file_is_for_its_owner_only(on: Opened) -> None:
    files = [on.path, on.path.with_name("utd.db-wal"), on.path.with_name("utd.db.lock")]
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 3


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="nowhere"):
        await SqliteStore.open(tmp_path / "nowhere" / "utd.db", migrate=False)
