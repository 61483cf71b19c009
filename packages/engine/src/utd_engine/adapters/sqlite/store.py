"""The store on one SQLite file: the default, for one engine on one machine.

This is the shell: it sends reads to the readers and writes to the writer. SQL is in `queries`,
`appends` and `edits`.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, Self, TypeVar

from utd_engine.adapters.sqlite import appends, edits, queries
from utd_engine.adapters.sqlite.connect import Connect, writing
from utd_engine.adapters.sqlite.lock import FileLock
from utd_engine.adapters.sqlite.migrate import SchemaError, migrate_locked, status
from utd_engine.adapters.sqlite.readers import Readers
from utd_engine.adapters.sqlite.rows import to_ms
from utd_engine.adapters.sqlite.writer import OnCommit, Writer, mark
from utd_engine.ports.audit import AuditEntry
from utd_engine.ports.bans import BanRow
from utd_engine.ports.history import HistoryRow
from utd_engine.ports.idempotency import Answered
from utd_engine.ports.presence import PresenceRow
from utd_engine.ports.rooms import Append, Appended, Conflict, Key, Loaded, OpenRoom, StoredEvent
from utd_engine.ports.tenants import AppRow, KeyRow

P = ParamSpec("P")
T = TypeVar("T")

READERS = 2


class SqliteStore:
    """Implements `Store`. Open it with `await SqliteStore.open(path)` in the loop that uses it."""

    def __init__(self, lock: FileLock, writer: Writer, readers: Readers) -> None:
        self._lock = lock
        self._writer = writer
        self._readers = readers

    @classmethod
    async def open(
        cls,
        path: Path | str,
        *,
        migrate: bool = True,
        readers: int = READERS,
        on_commit: OnCommit | None = None,
        connect: Connect = writing,
    ) -> Self:
        """Lock the file and bring it to the newest schema.

        With `migrate=False` an older schema is refused instead. Raises `StoreLocked` when another
        engine has the file, `SchemaError` when the schema does not fit, `StoreUnavailable` when the
        disk does not answer.
        """
        file = Path(path)
        preparing = asyncio.ensure_future(asyncio.to_thread(_prepare, file, migrate=migrate))
        try:
            lock = await asyncio.shield(preparing)
        except asyncio.CancelledError:
            preparing.add_done_callback(_let_go)
            raise
        return cls(lock, Writer(partial(connect, file), on_commit), Readers(file, readers))

    async def load(self, key: Key) -> Loaded | None:
        """The snapshot of an aggregate."""
        return await self._readers.read(queries.load, key)

    async def append(self, append: Append) -> Appended | Conflict:
        """One transaction, durable on return. Cancelling the caller does not undo it."""
        return await self._writer.submit(partial(appends.append, change=append))

    async def resolve(self, app: str, name: str) -> Key | None:
        """Who holds this name now."""
        return await self._readers.read(queries.resolve, app, name)

    async def answered(self, app: str, key: str, now: datetime) -> Answered | None:
        """The answer given to an idempotency key that has not expired."""
        return await self._readers.read(queries.answered, app, key, now)

    async def events(self, key: Key, after: int, limit: int) -> list[StoredEvent]:
        """Events of one log with seq > after, in order."""
        return await self._readers.read(queries.events, key, after, limit)

    async def first_seq(self, key: Key) -> int:
        """The lowest seq still kept; after the last one when all were trimmed."""
        return await self._readers.read(queries.first_seq, key)

    async def log(self, app: str, after_pos: int, limit: int) -> list[StoredEvent]:
        """Events of all rooms and calls of an app with pos > after_pos, in order."""
        return await self._readers.read(queries.log, app, after_pos, limit)

    async def trim(self, before: datetime, *, history_before: datetime | None = None) -> int:
        """Drop what is older, in batches that let commands in between; how many rows went."""
        trims = [(trim, before) for trim in edits.TRIMS]
        if history_before is not None:
            trims.append((edits.HISTORY_TRIM, history_before))
        total = 0
        for trim, older_than in trims:
            gone = edits.TRIM_BATCH
            while gone == edits.TRIM_BATCH:
                gone = await self._write(trim, to_ms(older_than))
                total += gone
        return total

    async def history(
        self, app: str, identity: str, *, before: tuple[datetime, str] | None = None, limit: int
    ) -> list[HistoryRow]:
        """A user's records, newest first."""
        return await self._readers.read(queries.history, app, identity, before, limit)

    async def due(self, now: datetime, limit: int) -> list[Key]:
        """Open aggregates whose `wake_at` is not after now, earliest first."""
        return await self._readers.read(queries.due, now, limit)

    async def next_wake(self) -> datetime | None:
        """The earliest `wake_at` of all open aggregates."""
        return await self._readers.read(queries.next_wake)

    async def open_rooms(
        self,
        app: str | None = None,
        *,
        after: str = "",
        limit: int = 200,
        prefix: str = "room:",
    ) -> list[OpenRoom]:
        """Open aggregates that hold a name with this prefix, by id, after an id."""
        return await self._readers.read(queries.open_rooms, app, after, limit, prefix)

    async def seen(self, key: Key, row: PresenceRow) -> bool:
        """Remember that somebody is present; False for an older join or a room that is over."""
        return await self._write(edits.seen, key, row)

    async def gone(self, key: Key, identity: str, sid: str | None) -> bool:
        """Forget a presence; with a sid only that one."""
        return await self._write(edits.gone, key, identity, sid)

    async def present(
        self, key: Key, *, after: str = "", limit: int = 100_000
    ) -> list[PresenceRow]:
        """Who is in a room, by identity, after a cursor."""
        return await self._readers.read(queries.present, key, after, limit)

    async def present_one(self, key: Key, identity: str) -> PresenceRow | None:
        """The presence of one identity."""
        return await self._readers.read(queries.present_one, key, identity)

    async def count(self, key: Key) -> int:
        """How many are present."""
        return await self._readers.read(queries.count, key)

    async def occupied(self) -> list[Key]:
        """Open rooms with somebody present."""
        return await self._readers.read(queries.occupied)

    async def put_app(self, app: AppRow, keys: Sequence[KeyRow]) -> None:
        """Create or replace an app, and add keys."""
        await self._write(edits.put_app, app, keys)

    async def app(self, app_id: str) -> AppRow | None:
        """One tenant."""
        return await self._readers.read(queries.app, app_id)

    async def apps(self) -> list[AppRow]:
        """All tenants, oldest first."""
        return await self._readers.read(queries.apps)

    async def keys(self, app_id: str) -> list[KeyRow]:
        """All keys of an app, revoked ones too."""
        return await self._readers.read(queries.keys, app_id)

    async def key_by_digest(self, digest: bytes) -> KeyRow | None:
        """The key with this digest, revoked or not."""
        return await self._readers.read(queries.key_by_digest, digest)

    async def add_key(self, row: KeyRow) -> None:
        """One more key for an app; `ValueError` when there is no such app."""
        await self._write(edits.add_key, row)

    async def revoke_key(self, app_id: str, prefix: str, at: datetime) -> bool:
        """Stop honouring a key; False when it is unknown."""
        return await self._write(edits.revoke_key, app_id, prefix, at)

    async def bans_of(self, app: str, identity: str, now: datetime) -> list[BanRow]:
        """Bans of one identity that hold now, of any place."""
        return await self._readers.read(queries.bans_of, app, identity, now)

    async def banned(self, app: str, place: str, now: datetime) -> frozenset[str]:
        """Identities that may not be at a place now."""
        return await self._readers.read(queries.banned, app, place, now)

    async def bans(
        self, app: str, place: str, *, after: str = "", limit: int = 100
    ) -> list[BanRow]:
        """Bans of a place and of the app; one more than the limit rather than half an identity."""
        return await self._readers.read(queries.bans, app, place, after, limit)

    async def audit(
        self, app: str, room: str, *, after: int = 0, limit: int = 100
    ) -> list[AuditEntry]:
        """Audit records, oldest first; an empty room means the whole app."""
        return await self._readers.read(queries.audit, app, room, after, limit)

    async def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        """Records of refusals, which have no append to ride in."""
        await self._write(appends.put_audit, entries)

    async def ping(self) -> None:
        """Write and commit one small row; raises `StoreUnavailable`."""
        await self._writer.submit(mark)

    async def aclose(self) -> None:
        """Finish what is queued, close the file and free it for others."""
        await self._writer.aclose()
        await self._readers.aclose()
        self._lock.release()

    async def _write(
        self,
        edit: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        return await self._writer.submit(lambda db, _number: edit(db, *args, **kwargs))


def _prepare(path: Path, *, migrate: bool) -> FileLock:
    """The lock of a file whose schema fits."""
    if migrate:
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock.take(path)
    try:
        if migrate:
            migrate_locked(path)
        else:
            _check_complete(path)
    except BaseException:
        lock.release()
        raise
    return lock


def _let_go(preparing: asyncio.Future[FileLock]) -> None:
    """Nobody waits for the store any more, so nobody else would free its file."""
    if not preparing.cancelled() and preparing.exception() is None:
        preparing.result().release()


def _check_complete(path: Path) -> None:
    pending = status(path).pending
    if pending:
        steps = ", ".join(f"{step:04d}" for step in pending)
        message = f"{path} lacks schema steps {steps}: run `utd migrate` first."
        raise SchemaError(message)
