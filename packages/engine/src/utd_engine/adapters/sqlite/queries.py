"""Every SELECT behind the port's reads, for SQLite. Nothing here changes anything."""

from datetime import datetime
from sqlite3 import Connection

from utd_engine.adapters.sqlite import rows
from utd_engine.adapters.sqlite.rows import to_ms
from utd_engine.ports.audit import AuditEntry
from utd_engine.ports.bans import BanRow
from utd_engine.ports.history import HistoryRow
from utd_engine.ports.idempotency import Answered
from utd_engine.ports.presence import PresenceRow
from utd_engine.ports.rooms import Key, Loaded, OpenRoom, StoredEvent
from utd_engine.ports.tenants import AppRow, KeyRow

_EVENT = "SELECT pos, app, kind, id, seq, type, data FROM events"
_APP = "SELECT app_id, name, mode, settings, created_at FROM apps"
_KEY = "SELECT app_id, kind, prefix, digest, created_at, revoked_at FROM keys"
_BAN = "SELECT app, identity, scope, place, banned_by, at, until, reason FROM bans"
_PRESENCE = "SELECT identity, sid, joined_at FROM presence WHERE app = ? AND kind = ? AND id = ?"
_AUDIT = """
    SELECT app, room, at, actor, action, target, outcome, reason, request_id, id FROM audit
"""
_OPEN = """
    SELECT * FROM (
        SELECT app, kind, id,
               (SELECT MIN(name) FROM names
                WHERE names.app = a.app AND names.kind = a.kind AND names.id = a.id
                  AND substr(name, 1, length(:prefix)) = :prefix) AS name,
               state, seq, version
        FROM aggregates AS a
        WHERE open = 1 AND id > :after {of_app} ORDER BY id, app
    ) WHERE name IS NOT NULL LIMIT :limit
"""
_OPEN_OF_ALL = _OPEN.format(of_app="")
_OPEN_OF_APP = _OPEN.format(of_app="AND app = :app")


def load(db: Connection, key: Key) -> Loaded | None:
    """The snapshot of an aggregate."""
    row = db.execute(
        "SELECT state, seq, version FROM aggregates WHERE app = ? AND kind = ? AND id = ?", key
    ).fetchone()
    return row and rows.loaded(row)


def resolve(db: Connection, app: str, name: str) -> Key | None:
    """Who holds a name."""
    row = db.execute(
        "SELECT app, kind, id FROM names WHERE app = ? AND name = ?", (app, name)
    ).fetchone()
    return row and Key(*row)


def answered(db: Connection, app: str, key: str, now: datetime) -> Answered | None:
    """The answer to an idempotency key that has not expired."""
    row = db.execute(
        """SELECT fingerprint, status, body FROM answers
           WHERE app = ? AND key = ? AND expires_at > ?""",
        (app, key, to_ms(now)),
    ).fetchone()
    return row and Answered(*row)


def events(db: Connection, key: Key, after: int, limit: int) -> list[StoredEvent]:
    """A page of one log."""
    found = db.execute(
        f"{_EVENT} WHERE app = ? AND kind = ? AND id = ? AND seq > ? ORDER BY seq LIMIT ?",
        (*key, after, limit),
    )
    return [rows.stored_event(row) for row in found]


def first_seq(db: Connection, key: Key) -> int:
    """The lowest seq kept; after the last seq when all of them were trimmed."""
    row = db.execute(
        """SELECT COALESCE(
               (SELECT MIN(seq) FROM events WHERE app = :app AND kind = :kind AND id = :id),
               (SELECT seq + 1 FROM aggregates WHERE app = :app AND kind = :kind AND id = :id),
               1)""",
        key._asdict(),
    ).fetchone()
    return int(row[0])


def log(db: Connection, app: str, after_pos: int, limit: int) -> list[StoredEvent]:
    """A page of an app's log, without inboxes."""
    found = db.execute(
        f"{_EVENT} WHERE app = ? AND kind <> 'inbox' AND pos > ? ORDER BY pos LIMIT ?",
        (app, after_pos, limit),
    )
    return [rows.stored_event(row) for row in found]


def due(db: Connection, now: datetime, limit: int) -> list[Key]:
    """Open aggregates that must wake, earliest first."""
    found = db.execute(
        """SELECT app, kind, id FROM aggregates
           WHERE open = 1 AND wake_at IS NOT NULL AND wake_at <= ?
           ORDER BY wake_at, id LIMIT ?""",
        (to_ms(now), limit),
    )
    return [Key(*row) for row in found]


def next_wake(db: Connection) -> datetime | None:
    """The earliest wake time of all."""
    row = db.execute(
        "SELECT MIN(wake_at) FROM aggregates WHERE open = 1 AND wake_at IS NOT NULL"
    ).fetchone()
    return rows.from_ms_or_none(row[0])


def open_rooms(
    db: Connection, app: str | None, after: str, limit: int, prefix: str
) -> list[OpenRoom]:
    """A page of open aggregates that hold a name with this prefix, by id."""
    found = db.execute(
        _OPEN_OF_ALL if app is None else _OPEN_OF_APP,
        {"app": app, "after": after, "limit": limit, "prefix": prefix},
    )
    return [rows.open_room(row) for row in found]


def history(
    db: Connection, app: str, identity: str, before: tuple[datetime, str] | None, limit: int
) -> list[HistoryRow]:
    """A page of a user's records, newest first."""
    at, id_ = (to_ms(before[0]), before[1]) if before is not None else (2**62, "")
    found = db.execute(
        """SELECT identity, id, at, data FROM history
           WHERE app = ? AND identity = ? AND (at, id) < (?, ?)
           ORDER BY at DESC, id DESC LIMIT ?""",
        (app, identity, at, id_, limit),
    )
    return [rows.history_row(row) for row in found]


def present(db: Connection, key: Key, after: str, limit: int) -> list[PresenceRow]:
    """A page of who is present."""
    found = db.execute(
        f"{_PRESENCE} AND identity > ? ORDER BY identity LIMIT ?", (*key, after, limit)
    )
    return [rows.presence(row) for row in found]


def present_one(db: Connection, key: Key, identity: str) -> PresenceRow | None:
    """The presence of one identity."""
    row = db.execute(f"{_PRESENCE} AND identity = ?", (*key, identity)).fetchone()
    return row and rows.presence(row)


def count(db: Connection, key: Key) -> int:
    """How many are present."""
    row = db.execute(
        "SELECT COUNT(*) FROM presence WHERE app = ? AND kind = ? AND id = ?", key
    ).fetchone()
    return int(row[0])


def occupied(db: Connection) -> list[Key]:
    """Open aggregates with somebody present."""
    found = db.execute(
        """SELECT app, kind, id FROM aggregates AS a
           WHERE open = 1 AND EXISTS (
               SELECT 1 FROM presence AS p WHERE p.app = a.app AND p.kind = a.kind AND p.id = a.id)
           ORDER BY id, app"""
    )
    return [Key(*row) for row in found]


def app(db: Connection, app_id: str) -> AppRow | None:
    """One tenant."""
    row = db.execute(f"{_APP} WHERE app_id = ?", (app_id,)).fetchone()
    return row and rows.app_row(row)


def apps(db: Connection) -> list[AppRow]:
    """All tenants, oldest first."""
    return [rows.app_row(row) for row in db.execute(f"{_APP} ORDER BY created_at, app_id")]


def keys(db: Connection, app_id: str) -> list[KeyRow]:
    """All keys of an app, oldest first."""
    found = db.execute(f"{_KEY} WHERE app_id = ? ORDER BY created_at, prefix", (app_id,))
    return [rows.key_row(row) for row in found]


def key_by_digest(db: Connection, digest: bytes) -> KeyRow | None:
    """The key with this digest."""
    row = db.execute(f"{_KEY} WHERE digest = ?", (digest,)).fetchone()
    return row and rows.key_row(row)


def bans_of(db: Connection, app: str, identity: str, now: datetime) -> list[BanRow]:
    """Bans of one identity that hold now."""
    found = db.execute(
        f"""{_BAN} WHERE app = ? AND identity = ? AND (until IS NULL OR until > ?)
            ORDER BY place""",
        (app, identity, to_ms(now)),
    )
    return [rows.ban_row(row) for row in found]


def banned(db: Connection, app: str, place: str, now: datetime) -> frozenset[str]:
    """Identities that may not be at a place now."""
    found = db.execute(
        """SELECT identity FROM bans
           WHERE app = ? AND place IN (?, '') AND (until IS NULL OR until > ?)""",
        (app, place, to_ms(now)),
    )
    return frozenset(identity for (identity,) in found)


def bans(db: Connection, app: str, place: str, after: str, limit: int) -> list[BanRow]:
    """A page of bans that reach a place. One row longer rather than an identity cut in two."""
    found = db.execute(
        f"""{_BAN} WHERE app = ? AND place IN (?, '') AND identity > ?
            ORDER BY identity, place LIMIT ?""",
        (app, place, after, limit + 1),
    )
    page = [rows.ban_row(row) for row in found]
    return page if _cuts_identity(page, limit) else page[:limit]


def _cuts_identity(page: list[BanRow], limit: int) -> bool:
    """Whether the row after the page is a second ban of the last identity, which is the cursor."""
    return 0 < limit < len(page) and page[limit].identity == page[limit - 1].identity


def audit(db: Connection, app: str, room: str, after: int, limit: int) -> list[AuditEntry]:
    """A page of audit records, of a room or of the whole app."""
    of_room, names = ("AND room = ?", (room,)) if room else ("", ())
    found = db.execute(
        f"{_AUDIT} WHERE app = ? {of_room} AND id > ? ORDER BY id LIMIT ?",
        (app, *names, after, limit),
    )
    return [rows.audit_entry(row) for row in found]
