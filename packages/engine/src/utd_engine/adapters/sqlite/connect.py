"""How a connection to the database file is set up. Durability is decided here and nowhere else."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from utd_engine.ports.store import StoreUnavailable

Connect: TypeAlias = Callable[[Path], sqlite3.Connection]
"""Opens a writing connection; tests pass one with a smaller disk or a faulty COMMIT."""

BUSY_TIMEOUT_MS = 5_000


def writing(
    path: Path,
    *,
    factory: type[sqlite3.Connection] = sqlite3.Connection,
    busy_timeout_ms: int = BUSY_TIMEOUT_MS,
) -> sqlite3.Connection:
    """A connection whose COMMIT is on the disk when it returns."""
    db = _open(path, factory, busy_timeout_ms)
    try:
        (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA journal_size_limit = 67108864")
    except BaseException:
        db.close()
        raise
    if mode != "wal":
        db.close()
        message = f"{path} cannot have a write-ahead log (mode {mode}): put it on a local disk."
        raise StoreUnavailable(message)
    return db


def reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot change anything."""
    db = _open(path, sqlite3.Connection, BUSY_TIMEOUT_MS)
    db.execute("PRAGMA query_only = ON")
    return db


def _open(
    path: Path, factory: type[sqlite3.Connection], busy_timeout_ms: int
) -> sqlite3.Connection:
    """Transactions are written out, and threads take turns by our own rules, not by sqlite3's."""
    return sqlite3.connect(
        path,
        factory=factory,
        timeout=busy_timeout_ms / 1000,
        isolation_level=None,
        check_same_thread=False,
    )


def unavailable(error: sqlite3.Error) -> StoreUnavailable:
    """What the port says when SQLite cannot go on."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StoreUnavailable(f"The database cannot answer now: {error} ({name}).")
