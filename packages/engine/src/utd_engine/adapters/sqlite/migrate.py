"""Brings a database to the newest schema, forward only. It holds no schema itself.

A migration is a file `migrations/<dialect>/NNNN_name.sql`. Its checksum is remembered: a file that
has been released is never edited again.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from utd_engine.adapters.sqlite.connect import unavailable, writing
from utd_engine.adapters.sqlite.lock import FileLock


class SchemaError(Exception):
    """The database and this version of the engine do not fit together."""


class Migration(NamedTuple):
    """One numbered step."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Of its whole text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


class Status(NamedTuple):
    """Where a database stands: numbers of the steps it has, and of those it has not."""

    applied: tuple[int, ...]
    pending: tuple[int, ...]


def shipped(dialect: str = "sqlite") -> tuple[Migration, ...]:
    """All steps that came with this engine, in order."""
    folder = resources.files("utd_engine.adapters.sqlite") / "migrations" / dialect
    files = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    return tuple(
        Migration(int(name[:4]), name, (folder / name).read_text(encoding="utf-8"))
        for name in files
    )


def migrate(path: Path | str, steps: Sequence[Migration] | None = None) -> Status:
    """Apply what is missing while no engine has the file; raises `SchemaError`, `StoreLocked`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock.take(path)
    try:
        return migrate_locked(path, steps)
    finally:
        lock.release()


def migrate_locked(path: Path, steps: Sequence[Migration] | None = None) -> Status:
    """Like `migrate`, by the holder of the file's lock."""
    steps = shipped() if steps is None else steps
    path.touch(mode=0o600)
    try:
        db = writing(path)
        try:
            for step in _missing(db, steps):
                _apply(db, step)
            return _status(db, steps)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise unavailable(error) from error


def status(path: Path | str, steps: Sequence[Migration] | None = None) -> Status:
    """Which steps a database has and lacks; a missing file lacks all. Changes nothing."""
    steps = shipped() if steps is None else steps
    if not Path(path).exists():
        return Status((), tuple(step.version for step in steps))
    try:
        db = sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)
        try:
            return _status(db, steps)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise unavailable(error) from error


def _status(db: sqlite3.Connection, steps: Sequence[Migration]) -> Status:
    missing = tuple(step.version for step in _missing(db, steps))
    return Status(tuple(step.version for step in steps if step.version not in missing), missing)


def _missing(db: sqlite3.Connection, steps: Sequence[Migration]) -> list[Migration]:
    """Steps to apply, after comparing those that are there with ours."""
    applied = _applied(db)
    ours = {step.version: step for step in steps}
    newest = max(applied, default=0)
    if newest > max(ours, default=0):
        message = (
            f"The database is at schema {newest}, this engine knows {max(ours, default=0)}. "
            "Run the newer engine, or restore a backup from before the upgrade."
        )
        raise SchemaError(message)
    for version, checksum in applied.items():
        step = ours.get(version)
        if step is None or step.checksum != checksum:
            name = step.name if step else f"{version:04d}"
            message = (
                f"Migration {name} is not the one that was applied to this database. "
                "Install the released engine again; never edit an applied migration."
            )
            raise SchemaError(message)
    return [step for step in steps if step.version not in applied]


def _applied(db: sqlite3.Connection) -> dict[int, str]:
    exists = db.execute(
        "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'"
    ).fetchone()
    if not exists:
        return {}
    found = db.execute("SELECT version, checksum FROM schema_migrations ORDER BY version")
    return dict(found.fetchall())


def _apply(db: sqlite3.Connection, step: Migration) -> None:
    """One step and the note of it, in one transaction."""
    db.execute("BEGIN IMMEDIATE")
    try:
        _run(db, step)
        db.execute("COMMIT")
    except sqlite3.Error as error:
        message = f"Migration {step.name} failed and nothing of it was kept: {error}."
        raise SchemaError(message) from error
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _run(db: sqlite3.Connection, step: Migration) -> None:
    db.execute(
        """CREATE TABLE IF NOT EXISTS schema_migrations
           (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)"""
    )
    for statement in statements(step.sql):
        db.execute(statement)
    db.execute(
        "INSERT INTO schema_migrations (version, name, checksum) VALUES (?, ?, ?)",
        (step.version, step.name, step.checksum),
    )


def statements(sql: str) -> Iterator[str]:
    """The statements of a script, each to be run inside our own transaction."""
    pending = ""
    *pieces, rest = sql.split(";")
    for piece in pieces:
        pending += f"{piece};"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    lines = [line for line in f"{pending}{rest}".splitlines() if line.strip()]
    unfinished = [line for line in lines if not line.lstrip().startswith("--")]
    if unfinished:
        message = f"A migration stops in the middle of {unfinished[0]!r}. End it with ';'."
        raise SchemaError(message)
