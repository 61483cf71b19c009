"""A few threads that read from a SQLite file while the writer writes. They change nothing."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from utd_engine.adapters.sqlite.connect import reading, unavailable
from utd_engine.ports.store import StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")


class Readers:
    """A connection a thread, opened when the thread first reads."""

    def __init__(self, path: Path, threads: int) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="utd-store-reader")
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._closed = False

    async def read(
        self,
        query: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """The answer to a query, which sees every commit that was answered before."""
        if self._closed:
            message = "The store is closed."
            raise StoreUnavailable(message)

        def run() -> T:
            try:
                return query(self._connected(), *args, **kwargs)
            except sqlite3.Error as error:
                raise unavailable(error) from error

        return await asyncio.get_running_loop().run_in_executor(self._pool, run)

    async def aclose(self) -> None:
        """Let running queries end and close the connections."""
        self._closed = True
        await asyncio.to_thread(self._pool.shutdown)
        while self._open:
            self._open.pop().close()

    def _connected(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = reading(self._path)
            self._open.append(db)
        return db
