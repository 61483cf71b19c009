"""Values between Python and SQL, and what every store derives from an append. No queries here."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from utd_engine.ports.audit import AuditEntry
from utd_engine.ports.bans import BanRow
from utd_engine.ports.history import HistoryRow
from utd_engine.ports.presence import PresenceRow
from utd_engine.ports.rooms import Append, Key, Loaded, OpenRoom, StoredEvent
from utd_engine.ports.tenants import AppRow, KeyRow
from utd_protocol.types import BanScope

Row: TypeAlias = tuple[Any, ...]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime, cut."""
    return (at - EPOCH) // _MILLISECOND


def from_ms(ms: int) -> datetime:
    """The UTC datetime of milliseconds since 1970, exactly."""
    return EPOCH + ms * _MILLISECOND


def to_ms_or_none(at: datetime | None) -> int | None:
    """Like `to_ms`, for a time that may be missing."""
    return None if at is None else to_ms(at)


def from_ms_or_none(ms: int | None) -> datetime | None:
    """Like `from_ms`, for a time that may be missing."""
    return None if ms is None else from_ms(ms)


def decided_at(change: Append) -> datetime | None:
    """When an append was decided: what it says itself, else the newest time that it names."""
    return change.at or max(_times(change), default=None)


def _times(change: Append) -> Iterator[datetime]:
    yield from (event.at for event in change.events)
    yield from (entry.at for entry in change.audit)
    yield from (event.at for event in change.inbox)


def next_seq(change: Append, seq: int) -> int:
    """The log's seq after an append; a gap is a fault of the caller and changes nothing."""
    for event in change.events:
        seq += 1
        if event.seq != seq:
            message = f"seq of an event of {change.key} is {event.seq}, must be {seq}: see load()."
            raise ValueError(message)
    return seq


def check_key(row: KeyRow, holder: str, *, is_app: bool) -> None:
    """Refuse a key of an app that is not there, or one that opens another app."""
    if not is_app:
        message = f"app_id {row.app_id!r} is not an app: put_app() first."
        raise ValueError(message)
    if holder != row.app_id:
        message = f"digest of key {row.prefix!r} belongs to another app: make a new key."
        raise ValueError(message)


def loaded(row: Row) -> Loaded:
    """From `state, seq, version`."""
    return Loaded(*row)


def stored_event(row: Row) -> StoredEvent:
    """From `pos, app, kind, id, seq, type, data`."""
    pos, app, kind, id_, seq, type_, data = row
    return StoredEvent(pos, Key(app, kind, id_), seq, type_, data)


def open_room(row: Row) -> OpenRoom:
    """From `app, kind, id, name, state, seq, version`."""
    return OpenRoom(Key(*row[:3]), row[3], Loaded(*row[4:]))


def history_row(row: Row) -> HistoryRow:
    """From `identity, id, at, data`."""
    identity, id_, at, data = row
    return HistoryRow(identity, id_, from_ms(at), data)


def presence(row: Row) -> PresenceRow:
    """From `identity, sid, joined_at`."""
    identity, sid, joined_at = row
    return PresenceRow(identity, sid, from_ms(joined_at))


def app_row(row: Row) -> AppRow:
    """From `app_id, name, mode, settings, created_at`."""
    app_id, name, mode, settings, created_at = row
    return AppRow(app_id, name, mode, settings, from_ms(created_at))


def key_row(row: Row) -> KeyRow:
    """From `app_id, kind, prefix, digest, created_at, revoked_at`."""
    app_id, kind, prefix, digest, created_at, revoked_at = row
    created = from_ms(created_at)
    return KeyRow(app_id, kind, prefix, digest, created, from_ms_or_none(revoked_at))


def ban_row(row: Row) -> BanRow:
    """From `app, identity, scope, place, banned_by, at, until, reason`."""
    app, identity, scope, place, by, at, until, reason = row
    ends = from_ms_or_none(until)
    return BanRow(app, identity, BanScope(scope), place, by, from_ms(at), ends, reason)


def audit_entry(row: Row) -> AuditEntry:
    """From `app, room, at, actor, action, target, outcome, reason, request_id, id`."""
    app, room, at, *rest = row
    return AuditEntry(app, room, from_ms(at), *rest)
