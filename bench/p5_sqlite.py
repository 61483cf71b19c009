"""Goal P5: durable appends of `SqliteStore` against the disk itself and against one COMMIT each.

All ways write with `synchronous=FULL`, into the same schema.
"""

import asyncio
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import uvloop
from rounds import RESULTS, Case, Goal, run

from utd_engine.adapters.sqlite import appends
from utd_engine.adapters.sqlite.connect import writing
from utd_engine.adapters.sqlite.rows import EPOCH
from utd_engine.adapters.sqlite.store import SqliteStore
from utd_engine.ports.idempotency import IdempotencyRecord
from utd_engine.ports.rooms import Append, Appended, Key, NewEvent

AppendTo: TypeAlias = Callable[[Append], Awaitable[object]]
Execute: TypeAlias = Callable[..., Awaitable[sqlite3.Cursor]]
Hop: TypeAlias = Callable[..., Awaitable[Any]]

EPOCH_MS = 0
STATE = b"s" * 1024
EVENT = b"e" * 160


def take(room: int, version: int, *, answered: bool = False) -> Append:
    """What one seat take writes: a snapshot of 1 KiB and one event, and perhaps its answer."""
    event = NewEvent(version + 1, "seat.taken", EPOCH, EVENT)
    answer = IdempotencyRecord(f"{room:032}{version}", "f" * 32, 200, EVENT, EPOCH)
    return Append(
        key=Key("ap_bench", "room", f"rm_{room:016}"),
        expected_version=version,
        events=(event,),
        state=STATE,
        wake_at=None,
        idempotency=answer if answered else None,
        at=EPOCH,
    )


def fdatasync_append(window: float) -> float:
    """The floor: 4 KiB appended to a file and forced to the disk."""
    page = os.urandom(4096)
    with tempfile.TemporaryFile(dir=RESULTS, buffering=0) as file:

        def append() -> None:
            file.write(page)
            os.fdatasync(file.fileno())

        return _timed(window, append)


def _timed(window: float, work: Callable[[], object]) -> float:
    count, began = 0, time.perf_counter()
    while time.perf_counter() < began + window:
        work()
        count += 1
    return (time.perf_counter() - began) / count


async def _appends(window: float, workers: int, append: AppendTo, *, answered: bool) -> float:
    """Seconds an append, of workers that each keep one in flight."""
    began = time.perf_counter()

    async def worker(room: int) -> int:
        count = 0
        while time.perf_counter() < began + window:
            done = await append(take(room, count, answered=answered))
            if not isinstance(done, Appended):
                message = f"the bench lost a race against itself: {done}"
                raise TypeError(message)
            count += 1
        return count

    counts = await asyncio.gather(*map(worker, range(workers)))
    return (time.perf_counter() - began) / sum(counts)


def store_case(workers: int, *, answered: bool = False) -> Case:
    """The subject."""

    async def case(window: float, path: Path) -> float:
        store = await SqliteStore.open(path)
        try:
            return await _appends(window, workers, store.append, answered=answered)
        finally:
            await store.aclose()

    return lambda window: _in_a_folder(window, case)


def hop_each_transaction(workers: int) -> Case:
    """One thread, a COMMIT a transaction, one hop: what is left of the gain is group commit's."""

    def connected(db: sqlite3.Connection, hop: Hop) -> AppendTo:
        def whole(change: Append) -> object:
            db.execute("BEGIN IMMEDIATE")
            done = appends.append(db, 1, change)
            db.execute("COMMIT")
            return done

        return partial(hop, whole)

    return _baseline(workers, connected)


def hop_each_statement(workers: int) -> Case:
    """The same with a hop a statement, as aiosqlite does it (ours fetches without one more hop)."""

    def connected(db: sqlite3.Connection, hop: Hop) -> AppendTo:
        return partial(_append_by_statement, partial(hop, db.execute))

    return _baseline(workers, connected)


def _baseline(workers: int, connected: Callable[[sqlite3.Connection, Hop], AppendTo]) -> Case:
    async def case(window: float, path: Path) -> float:
        await (await SqliteStore.open(path)).aclose()
        db, loop, turn = writing(path), asyncio.get_running_loop(), asyncio.Lock()
        with ThreadPoolExecutor(1) as thread:
            append_alone = connected(db, partial(loop.run_in_executor, thread))

            async def append(change: Append) -> object:
                async with turn:
                    return await append_alone(change)

            cost = await _appends(window, workers, append, answered=False)
        db.close()
        return cost

    return lambda window: _in_a_folder(window, case)


async def _append_by_statement(execute: Execute, change: Append) -> object:
    """What `appends.append` sends for a take, one await each."""
    (event,), (_, kind, id_) = change.events, change.key
    await execute("BEGIN IMMEDIATE")
    found = await execute(
        "SELECT version, seq FROM aggregates WHERE app = ? AND kind = ? AND id = ?", change.key
    )
    version, seq = found.fetchone() or (0, 0)
    values = (version + 1, seq + 1, EPOCH_MS, 1, change.state, *change.key)
    if version:
        await execute(
            """UPDATE aggregates SET version = ?, seq = ?, touched_at = ?, append_id = ?, state = ?
               WHERE app = ? AND kind = ? AND id = ?""",
            values,
        )
    else:
        await execute(
            """INSERT INTO aggregates
                   (version, seq, touched_at, append_id, state, app, kind, id, open)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)""",
            values,
        )
    added = await execute(
        """INSERT INTO events (app, kind, id, seq, type, at, append_id, data)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
        (change.key.app, kind, id_, seq + 1, event.type, EPOCH_MS, 1, event.data),
    )
    await execute("COMMIT")
    return Appended(seq + 1, version + 1, added.lastrowid or 0)


def _in_a_folder(window: float, case: Callable[[float, Path], Coroutine[Any, Any, float]]) -> float:
    with (
        tempfile.TemporaryDirectory(dir=RESULTS) as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(case(window, Path(folder) / "utd.db"))


CASES = {
    "fdatasync append of 4 KiB": fdatasync_append,
    "take, serial": store_case(1),
    "take, 32 at once": store_case(32),
    "take with Idempotency-Key, 32 at once": store_case(32, answered=True),
    "hop a statement, 32 at once": hop_each_statement(32),
    "hop a transaction, 32 at once": hop_each_transaction(32),
}
GOALS = (
    Goal("take, 32 at once", "fdatasync append of 4 KiB", 2.0),
    Goal("take, 32 at once", "hop a statement, 32 at once", 5.0),
    Goal("take, 32 at once", "hop a transaction, 32 at once", None),
    Goal("take, serial", "fdatasync append of 4 KiB", 0.4),
    Goal("take with Idempotency-Key, 32 at once", "fdatasync append of 4 KiB", None),
)

if __name__ == "__main__":
    sys.exit(run("p5_sqlite", CASES, GOALS, sqlite=sqlite3.sqlite_version, synchronous="FULL"))
