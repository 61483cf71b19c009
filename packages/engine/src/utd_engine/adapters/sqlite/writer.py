"""The one thread that writes to a SQLite file: it groups waiting work into one COMMIT.

A savepoint each keeps one failure from the rest of its group, and a caller is answered only after
the COMMIT that holds its work. It knows transactions and nothing of what is written in them.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeAlias, TypeVar

from utd_engine.adapters.sqlite.connect import unavailable
from utd_engine.ports.store import StoreUnavailable

T = TypeVar("T")

Work: TypeAlias = Callable[[sqlite3.Connection, int], T]
"""Gets the connection and a number that no other durable work has."""
OnCommit: TypeAlias = Callable[[int, float], None]
"""Called in the event loop after each group: how many of it were done, and its seconds."""

GROUP = 64
MAX_WAITING = 4096
"""Longer queues would only answer too late: whoever comes then is told at once."""


class _Job(NamedTuple):
    work: Work[Any]
    future: asyncio.Future[Any]


class _Outcome(NamedTuple):
    value: Any = None
    error: Exception | None = None


class _Lost(NamedTuple):
    """Nothing of the group is in, as far as the disk can tell."""

    reason: str
    cause: Exception
    retry: bool
    """Whether its members may do better alone."""


class Writer:
    """Runs work in order. `submit` belongs to the event loop that made the writer."""

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], on_commit: OnCommit | None = None
    ) -> None:
        self._connect = connect
        self._on_commit = on_commit
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._closed = False
        self._db: sqlite3.Connection | None = None
        self._last = 0
        self._thread = threading.Thread(target=self._serve, name="utd-store-writer", daemon=True)
        self._thread.start()

    async def submit(self, work: Work[T]) -> T:
        """The result of the work once it is durable. Cancelling this does not undo the work."""
        if self._closed:
            message = "The store is closed."
            raise StoreUnavailable(message)
        if self._queue.qsize() >= MAX_WAITING:
            message = f"{MAX_WAITING} writes are waiting for the disk: try again later."
            raise StoreUnavailable(message)
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Job(work, future))
        return await future

    async def aclose(self) -> None:
        """Finish what is queued and end the thread."""
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    # --- in the thread ---------------------------------------------------------------------------

    def _serve(self) -> None:
        while jobs := self._next_group():
            started = time.perf_counter()
            try:
                outcomes = self._outcomes(jobs)
            except Exception as error:  # noqa: BLE001 - a mistake of ours must not end the thread
                self._disconnect()
                outcomes = [_Outcome(error=error) for _ in jobs]
            seconds = time.perf_counter() - started
            # A closed loop has nobody left to tell; what is queued is still written.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._answer, jobs, outcomes, seconds)
        self._disconnect()

    def _next_group(self) -> list[_Job]:
        """Wait for work and take what else is there; nothing means the end."""
        job = self._queue.get()
        jobs: list[_Job] = []
        with suppress(Empty):
            while job is not None:
                jobs.append(job)
                if len(jobs) == GROUP:
                    return jobs
                job = self._queue.get_nowait()
            if jobs:
                self._queue.put(None)
        return jobs

    def _outcomes(self, jobs: Sequence[_Job]) -> list[_Outcome]:
        """Run a group. If it is lost as a whole, each member has a transaction of its own."""
        result = self._transact(jobs)
        if not isinstance(result, _Lost):
            return result
        if result.retry and len(jobs) > 1:
            return [outcome for job in jobs for outcome in self._outcomes([job])]
        return [_Outcome(error=_failure(result.reason, result.cause)) for _ in jobs]

    def _transact(self, jobs: Sequence[_Job]) -> list[_Outcome] | _Lost:
        try:
            db = self._connected()
            db.execute("BEGIN IMMEDIATE")
        except (sqlite3.Error, StoreUnavailable) as error:
            self._disconnect()
            return _Lost(_reason(error), error, retry=False)
        before = db.total_changes
        try:
            outcomes = [self._attempt(db, job) for job in jobs]
            if db.total_changes != before:
                db.execute("UPDATE writer SET last_append = ?", (self._last,))
        except sqlite3.Error as error:
            return self._undo(db, error)
        try:
            db.execute("COMMIT")
        except sqlite3.Error as error:
            return self._settle(db, error) or outcomes
        return outcomes

    def _attempt(self, db: sqlite3.Connection, job: _Job) -> _Outcome:
        """One member in its savepoint. Raises when SQLite gave up the whole transaction."""
        self._last += 1
        db.execute("SAVEPOINT job")
        try:
            outcome = _Outcome(job.work(db, self._last))
        except Exception as error:
            if not db.in_transaction:
                raise
            db.execute("ROLLBACK TO job")
            known = isinstance(error, sqlite3.Error)
            outcome = _Outcome(error=_failure(_reason(error), error) if known else error)
        db.execute("RELEASE job")
        return outcome

    def _undo(self, db: sqlite3.Connection, error: sqlite3.Error) -> _Lost:
        """The transaction broke before its COMMIT, so it is not in."""
        try:
            if db.in_transaction:
                db.execute("ROLLBACK")
        except sqlite3.Error:
            self._disconnect()
        return _Lost(_reason(error), error, retry=True)

    def _settle(self, db: sqlite3.Connection, error: sqlite3.Error) -> _Lost | None:
        """After an error at COMMIT: None if the group is in.

        If it is not, one more commit is written over what may be left of it in the WAL: after a
        failed fsync its frames could be whole, and the next start would bring them back to life.
        """
        number = self._last
        try:
            if db.in_transaction:
                db.execute("ROLLBACK")
            if _last_append(db) == number:
                return None
            self._last += 1
            db.execute("UPDATE writer SET last_append = ?", (self._last,))
        except sqlite3.Error:
            self._disconnect()
            unknown = f"{_reason(error)} Whether the change is saved shows when the disk is back."
            return _Lost(unknown, error, retry=False)
        return _Lost(_reason(error), error, retry=True)

    def _connected(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = self._connect()
            self._last = max(self._last, _last_append(self._db))
        return self._db

    def _disconnect(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()

    # --- in the event loop -----------------------------------------------------------------------

    def _answer(self, jobs: Sequence[_Job], outcomes: Sequence[_Outcome], seconds: float) -> None:
        for job, outcome in zip(jobs, outcomes, strict=True):
            if job.future.done():
                continue
            if outcome.error is None:
                job.future.set_result(outcome.value)
            else:
                job.future.set_exception(outcome.error)
        done = sum(outcome.error is None for outcome in outcomes)
        if done and self._on_commit is not None:
            self._on_commit(done, seconds)


def mark(db: sqlite3.Connection, number: int) -> None:
    """Work that changes nothing but the writer's own row: proof that the disk takes writes."""
    db.execute("UPDATE writer SET last_append = ?", (number,))


def _last_append(db: sqlite3.Connection) -> int:
    (last,) = db.execute("SELECT last_append FROM writer").fetchone()
    return int(last)


def _reason(error: Exception) -> str:
    return str(unavailable(error)) if isinstance(error, sqlite3.Error) else str(error)


def _failure(reason: str, cause: Exception) -> StoreUnavailable:
    """A new one for each caller: a raised exception collects the traceback of who raised it."""
    failure = StoreUnavailable(reason)
    failure.__cause__ = cause
    return failure
