"""The one transaction of a command, for SQLite. It runs inside a savepoint of the writer.

All checks come before the first write. Only one writer exists, so what was checked holds; the
unique constraints of the schema say the same a second time.
"""

from collections.abc import Sequence
from datetime import datetime
from sqlite3 import Connection

from utd_engine.adapters.sqlite.rows import decided_at, next_seq, to_ms, to_ms_or_none
from utd_engine.ports.audit import AuditEntry
from utd_engine.ports.bans import BanLift, BanRow
from utd_engine.ports.idempotency import IdempotencyRecord
from utd_engine.ports.rooms import Append, Appended, Conflict, Key

_EVENT = """
    INSERT INTO events (app, kind, id, seq, type, at, append_id, data)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""


def append(db: Connection, append_id: int, change: Append) -> Appended | Conflict:
    """Everything of one command, or a conflict and no change."""
    row = db.execute(
        "SELECT version, seq FROM aggregates WHERE app = ? AND kind = ? AND id = ?", change.key
    ).fetchone()
    version, seq = row or (0, 0)
    conflict = _conflict(db, change, version)
    if conflict is not None:
        return conflict
    seq = next_seq(change, seq)
    _put_snapshot(db, append_id, change, seq)
    pos = _put_events(db, append_id, change)
    _put_names(db, change)
    _put_answer(db, change)
    put_audit(db, change.audit)
    _put_bans(db, change.bans)
    _put_inbox(db, append_id, change)
    _put_history(db, change)
    if not change.open:
        _close(db, change.key)
    return Appended(seq, version + 1, pos)


def _conflict(db: Connection, change: Append, version: int) -> Conflict | None:
    answer = change.idempotency
    if answer and _is_answered(db, change.key.app, answer, decided_at(change)):
        return Conflict("answered")
    if version != change.expected_version:
        return Conflict("version_moved")
    if any(_is_taken(db, change.key, name) for name in change.take_keys):
        return Conflict("key_taken")
    return None


def _is_answered(db: Connection, app: str, answer: IdempotencyRecord, now: datetime | None) -> bool:
    """Whether an answer is there that has not expired. Without a time none has."""
    row = db.execute(
        "SELECT expires_at FROM answers WHERE app = ? AND key = ?", (app, answer.key)
    ).fetchone()
    return row is not None and (now is None or row[0] > to_ms(now))


def _is_taken(db: Connection, key: Key, name: str) -> bool:
    row = db.execute(
        "SELECT app, kind, id FROM names WHERE app = ? AND name = ?", (key.app, name)
    ).fetchone()
    return row is not None and row != key


def _put_snapshot(db: Connection, append_id: int, change: Append, seq: int) -> None:
    values = (
        change.expected_version + 1,
        seq,
        change.open,
        to_ms_or_none(change.wake_at),
        to_ms_or_none(decided_at(change)),
        append_id,
        change.state,
        *change.key,
    )
    if change.expected_version:
        db.execute(
            """UPDATE aggregates SET version = ?, seq = ?, open = ?, wake_at = ?,
                   touched_at = COALESCE(?, touched_at), append_id = ?, state = ?
               WHERE app = ? AND kind = ? AND id = ?""",
            values,
        )
    else:
        db.execute(
            """INSERT INTO aggregates
                   (version, seq, open, wake_at, touched_at, append_id, state, app, kind, id)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            values,
        )


def _put_events(db: Connection, append_id: int, change: Append) -> int:
    pos = 0
    for event in change.events:
        values = (*change.key, event.seq, event.type, to_ms(event.at), append_id, event.data)
        pos = db.execute(_EVENT, values).lastrowid or 0
    return pos


def _put_names(db: Connection, change: Append) -> None:
    for name in change.drop_keys:
        db.execute(
            "DELETE FROM names WHERE app = ? AND name = ? AND kind = ? AND id = ?",
            (change.key.app, name, change.key.kind, change.key.id),
        )
    for name in change.take_keys:
        db.execute(
            """INSERT INTO names (app, name, kind, id) VALUES (?, ?, ?, ?)
               ON CONFLICT (app, name) DO NOTHING""",
            (change.key.app, name, change.key.kind, change.key.id),
        )


def _put_answer(db: Connection, change: Append) -> None:
    answer = change.idempotency
    if answer is None:
        return
    db.execute(
        """INSERT OR REPLACE INTO answers (app, key, fingerprint, status, expires_at, body)
           VALUES (?, ?, ?, ?, ?, ?)""",
        (
            change.key.app,
            answer.key,
            answer.fingerprint,
            answer.status,
            to_ms(answer.expires_at),
            answer.body,
        ),
    )


def put_audit(db: Connection, entries: Sequence[AuditEntry]) -> None:
    """Records of an append, or of refusals alone."""
    for entry in entries:
        db.execute(
            """INSERT INTO audit
                   (app, room, at, actor, action, target, outcome, reason, request_id)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (entry.app, entry.room, to_ms(entry.at), *entry[3:9]),
        )


def _put_bans(db: Connection, bans: Sequence[BanRow | BanLift]) -> None:
    for ban in bans:
        if isinstance(ban, BanRow):
            db.execute(
                """INSERT OR REPLACE INTO bans
                       (app, place, identity, scope, banned_by, at, until, reason)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    ban.app,
                    ban.place,
                    ban.identity,
                    ban.scope.value,
                    ban.by,
                    to_ms(ban.at),
                    to_ms_or_none(ban.until),
                    ban.reason,
                ),
            )
        else:
            db.execute("DELETE FROM bans WHERE app = ? AND identity = ? AND place = ?", ban)


def _put_inbox(db: Connection, append_id: int, change: Append) -> None:
    app = change.key.app
    for event in change.inbox:
        at = to_ms(event.at)
        (seq,) = db.execute(
            """INSERT INTO aggregates
                   (app, kind, id, version, seq, open, touched_at, append_id, state)
               VALUES (?, 'inbox', ?, 1, 1, 0, ?, ?, x'')
               ON CONFLICT (app, kind, id) DO UPDATE
               SET version = version + 1, seq = seq + 1,
                   touched_at = excluded.touched_at, append_id = excluded.append_id
               RETURNING seq""",
            (app, event.identity, at, append_id),
        ).fetchone()
        values = (app, "inbox", event.identity, seq, event.type, at, append_id, event.data)
        db.execute(_EVENT, values)


def _put_history(db: Connection, change: Append) -> None:
    for row in change.history:
        db.execute(
            """INSERT INTO history (app, identity, id, at, data) VALUES (?, ?, ?, ?, ?)
               ON CONFLICT (app, identity, id) DO UPDATE SET data = excluded.data""",
            (change.key.app, row.identity, row.id, to_ms(row.at), row.data),
        )


def _close(db: Connection, key: Key) -> None:
    """An aggregate that is over holds no name, and nobody is in it."""
    db.execute("DELETE FROM names WHERE app = ? AND kind = ? AND id = ?", key)
    db.execute("DELETE FROM presence WHERE app = ? AND kind = ? AND id = ?", key)
