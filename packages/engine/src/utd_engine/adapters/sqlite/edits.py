"""The writes beside the append, for SQLite: presence, tenants and their keys, ageing.

Each function runs inside a savepoint of the writer and may be run again.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from sqlite3 import Connection

from utd_engine.adapters.sqlite.rows import check_key, to_ms, to_ms_or_none
from utd_engine.ports.presence import PresenceRow
from utd_engine.ports.rooms import Key
from utd_engine.ports.tenants import AppRow, KeyRow

TRIM_BATCH = 500
"""Rows of one transaction of a trim: no command waits behind a longer one."""


def seen(db: Connection, key: Key, row: PresenceRow) -> bool:
    """Keep the newest join of an identity; nothing for an aggregate that is over."""
    if _is_over(db, key):
        return False
    known = db.execute(
        """SELECT sid, joined_at FROM presence
           WHERE app = ? AND kind = ? AND id = ? AND identity = ?""",
        (*key, row.identity),
    ).fetchone()
    if known and known[0] == row.sid:
        return True
    joined_at = to_ms(row.joined_at)
    if known and known[1] > joined_at:
        return False
    db.execute(
        """INSERT OR REPLACE INTO presence (app, kind, id, identity, sid, joined_at)
           VALUES (?, ?, ?, ?, ?, ?)""",
        (*key, row.identity, row.sid, joined_at),
    )
    return True


def _is_over(db: Connection, key: Key) -> bool:
    row = db.execute(
        "SELECT open FROM aggregates WHERE app = ? AND kind = ? AND id = ?", key
    ).fetchone()
    return row is not None and not row[0]


def gone(db: Connection, key: Key, identity: str, sid: str | None) -> bool:
    """Forget a presence, with a sid only that one."""
    found = db.execute(
        """DELETE FROM presence
           WHERE app = ? AND kind = ? AND id = ? AND identity = ? AND sid = COALESCE(?, sid)""",
        (*key, identity, sid),
    )
    return found.rowcount > 0


def put_app(db: Connection, app: AppRow, keys: Sequence[KeyRow]) -> None:
    """Create or replace a tenant and add keys."""
    db.execute(
        """INSERT INTO apps (app_id, name, mode, settings, created_at) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT (app_id) DO UPDATE
           SET name = excluded.name, mode = excluded.mode, settings = excluded.settings,
               created_at = excluded.created_at""",
        (app.app_id, app.name, app.mode, app.settings, to_ms(app.created_at)),
    )
    for key in keys:
        add_key(db, key)


def add_key(db: Connection, row: KeyRow) -> None:
    """One more key. A key that is there stays as it is, revoked if it was."""
    (is_app,) = db.execute(
        "SELECT EXISTS (SELECT 1 FROM apps WHERE app_id = ?)", (row.app_id,)
    ).fetchone()
    known = db.execute("SELECT app_id FROM keys WHERE digest = ?", (row.digest,)).fetchone()
    check_key(row, known[0] if known else row.app_id, is_app=bool(is_app))
    db.execute(
        """INSERT INTO keys (app_id, kind, prefix, digest, created_at, revoked_at)
           VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING""",
        (*row[:4], to_ms(row.created_at), to_ms_or_none(row.revoked_at)),
    )


def revoke_key(db: Connection, app_id: str, prefix: str, at: datetime) -> bool:
    """Stop honouring a key; the first time stays."""
    found = db.execute(
        """UPDATE keys SET revoked_at = COALESCE(revoked_at, ?)
           WHERE app_id = ? AND prefix = ?""",
        (to_ms(at), app_id, prefix),
    )
    return found.rowcount > 0


def _trimmer(table: str, row: str, where: str) -> Callable[[Connection, int], int]:
    statement = (
        f"DELETE FROM {table} WHERE {row} IN (SELECT {row} FROM {table} WHERE {where} LIMIT ?)"
    )

    def trim(db: Connection, before: int) -> int:
        return db.execute(statement, (before, TRIM_BATCH)).rowcount

    return trim


TRIMS = (
    _trimmer("events", "pos", "at < ?"),
    _trimmer("answers", "row", "expires_at < ?"),
    _trimmer("aggregates", "row", "open = 0 AND kind <> 'inbox' AND touched_at < ?"),
)
"""Each drops one batch of what is older than a time and says how many rows went."""
HISTORY_TRIM = _trimmer("history", "row", "at < ?")
