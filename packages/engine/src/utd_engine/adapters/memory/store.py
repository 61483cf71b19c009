"""The store in this process: for tests and simulation. It keeps nothing after a restart.

It says the same as the databases in every case of the contract suite, and never waits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from utd_engine.adapters.memory.tables import MemoryTables
from utd_engine.adapters.sqlite.rows import decided_at, next_seq
from utd_engine.ports.history import HistoryRow
from utd_engine.ports.idempotency import Answered, IdempotencyRecord
from utd_engine.ports.inbox import InboxEvent
from utd_engine.ports.presence import PresenceRow
from utd_engine.ports.rooms import (
    Append,
    Appended,
    Conflict,
    Key,
    Loaded,
    NewEvent,
    OpenRoom,
    StoredEvent,
)


@dataclass(slots=True)
class _Aggregate:
    state: bytes = b""
    seq: int = 0
    version: int = 0
    wake_at: datetime | None = None
    open: bool = False
    touched_at: datetime | None = None
    log: list[tuple[datetime, StoredEvent]] = field(default_factory=list)

    @property
    def loaded(self) -> Loaded:
        return Loaded(self.state, self.seq, self.version)


class MemoryStore(MemoryTables):
    """Implements `Store` with dictionaries. Every call is one step, so callers may interleave."""

    def __init__(self) -> None:
        super().__init__()
        self._aggregates: dict[Key, _Aggregate] = {}
        self._presence: dict[Key, dict[str, PresenceRow]] = {}
        self._names: dict[tuple[str, str], Key] = {}
        self._answers: dict[tuple[str, str], IdempotencyRecord] = {}
        self._history: dict[tuple[str, str, str], HistoryRow] = {}
        self._pos = 0

    async def load(self, key: Key) -> Loaded | None:
        """The snapshot of an aggregate."""
        found = self._at(key)
        return None if found is None else found.loaded

    async def append(self, append: Append) -> Appended | Conflict:
        """Everything of one command, or a conflict and no change."""
        before = self._at(append.key) or _Aggregate()
        conflict = self._conflict(append, before.version)
        if conflict is not None:
            return conflict
        seq = next_seq(append, before.seq)
        after = self._aggregates.setdefault(append.key, before)
        after.state, after.seq, after.version = append.state, seq, append.expected_version + 1
        after.wake_at, after.open = append.wake_at, append.open
        after.touched_at = decided_at(append) or after.touched_at
        pos = 0
        for event in append.events:
            pos = self._put_event(append.key, after, event.seq, event)
        self._put_names(append)
        if append.idempotency is not None:
            self._answers[append.key.app, append.idempotency.key] = append.idempotency
        self._put_audit(append.audit)
        self._put_bans(append.bans)
        self._put_inbox(append)
        for row in append.history:
            known = self._history.get((append.key.app, row.identity, row.id))
            at = known.at if known is not None else row.at
            self._history[append.key.app, row.identity, row.id] = row._replace(at=at)
        if not append.open:
            self._presence.pop(append.key, None)
        return Appended(seq, append.expected_version + 1, pos)

    async def resolve(self, app: str, name: str) -> Key | None:
        """Who holds this name now."""
        self._check_open()
        return self._names.get((app, name))

    async def answered(self, app: str, key: str, now: datetime) -> Answered | None:
        """The answer given to an idempotency key that has not expired."""
        self._check_open()
        answer = self._answers.get((app, key))
        if answer is None or answer.expires_at <= now:
            return None
        return Answered(answer.fingerprint, answer.status, answer.body)

    async def events(self, key: Key, after: int, limit: int) -> list[StoredEvent]:
        """Events of one log with seq > after, in order."""
        found = self._at(key)
        return [event for _, event in found.log if event.seq > after][:limit] if found else []

    async def first_seq(self, key: Key) -> int:
        """The lowest seq still kept; after the last one when all were trimmed."""
        found = self._at(key)
        if found is None:
            return 1
        return found.log[0][1].seq if found.log else found.seq + 1

    async def log(self, app: str, after_pos: int, limit: int) -> list[StoredEvent]:
        """Events of all rooms and calls of an app with pos > after_pos, in order."""
        self._check_open()
        found = [
            event
            for key, aggregate in self._aggregates.items()
            if key.app == app and key.kind != "inbox"
            for _, event in aggregate.log
            if event.pos > after_pos
        ]
        return sorted(found)[:limit]

    async def history(
        self, app: str, identity: str, *, before: tuple[datetime, str] | None = None, limit: int
    ) -> list[HistoryRow]:
        """A user's records, newest first."""
        self._check_open()
        mine = [
            row
            for (of, who, _), row in self._history.items()
            if (of, who) == (app, identity) and (before is None or (row.at, row.id) < before)
        ]
        return sorted(mine, key=lambda row: (row.at, row.id), reverse=True)[:limit]

    async def trim(self, before: datetime, *, history_before: datetime | None = None) -> int:
        """Drop events, answers and closed aggregates older than this; how many rows went."""
        self._check_open()
        total = 0
        for key, aggregate in list(self._aggregates.items()):
            kept = [entry for entry in aggregate.log if entry[0] >= before]
            total += len(aggregate.log) - len(kept)
            aggregate.log = kept
            if _is_past(key, aggregate, before):
                del self._aggregates[key]
                total += 1
        expired = [key for key, row in self._answers.items() if row.expires_at < before]
        for name in expired:
            del self._answers[name]
        old = [
            name
            for name, row in self._history.items()
            if history_before is not None and row.at < history_before
        ]
        for past in old:
            del self._history[past]
        return total + len(expired) + len(old)

    async def due(self, now: datetime, limit: int) -> list[Key]:
        """Open aggregates whose `wake_at` is not after now, earliest first."""
        found = [(at, key.id, key) for key, at in self._wakes() if at <= now]
        return [key for _, _, key in sorted(found)][:limit]

    async def next_wake(self) -> datetime | None:
        """The earliest `wake_at` of all open aggregates."""
        return min((at for _, at in self._wakes()), default=None)

    async def open_rooms(
        self,
        app: str | None = None,
        *,
        after: str = "",
        limit: int = 200,
        prefix: str = "room:",
    ) -> list[OpenRoom]:
        """Open aggregates that hold a name with this prefix, by id, after an id."""
        self._check_open()
        names: dict[Key, str] = {}
        for (_, name), key in sorted(self._names.items()):
            if name.startswith(prefix) and app in {None, key.app} and key.id > after:
                names.setdefault(key, name)
        by_id = sorted(names.items(), key=lambda item: (item[0].id, item[0].app))
        return [OpenRoom(key, name, self._aggregates[key].loaded) for key, name in by_id][:limit]

    async def seen(self, key: Key, row: PresenceRow) -> bool:
        """Remember that somebody is present; False for an older join or a room that is over."""
        found = self._at(key)
        if found is not None and not found.open:
            return False
        present = self._presence.setdefault(key, {})
        known = present.get(row.identity)
        if known is not None and known.sid == row.sid:
            return True
        if known is not None and known.joined_at > row.joined_at:
            return False
        present[row.identity] = row
        return True

    async def gone(self, key: Key, identity: str, sid: str | None) -> bool:
        """Forget a presence; with a sid only that one."""
        present = self._people(key)
        known = present.get(identity)
        if known is None or sid not in {None, known.sid}:
            return False
        del present[identity]
        return True

    async def present(
        self, key: Key, *, after: str = "", limit: int = 100_000
    ) -> list[PresenceRow]:
        """Who is in a room, by identity, after a cursor."""
        return sorted(row for row in self._people(key).values() if row.identity > after)[:limit]

    async def present_one(self, key: Key, identity: str) -> PresenceRow | None:
        """The presence of one identity."""
        return self._people(key).get(identity)

    async def count(self, key: Key) -> int:
        """How many are present."""
        return len(self._people(key))

    async def occupied(self) -> list[Key]:
        """Open rooms with somebody present."""
        self._check_open()
        found = [
            key for key in self._aggregates if self._aggregates[key].open and self._people(key)
        ]
        return sorted(found, key=lambda key: (key.id, key.app))

    def _at(self, key: Key) -> _Aggregate | None:
        self._check_open()
        return self._aggregates.get(key)

    def _people(self, key: Key) -> dict[str, PresenceRow]:
        self._check_open()
        return self._presence.get(key, {})

    def _wakes(self) -> Iterator[tuple[Key, datetime]]:
        self._check_open()
        for key, aggregate in self._aggregates.items():
            if aggregate.open and aggregate.wake_at is not None:
                yield key, aggregate.wake_at

    def _conflict(self, change: Append, version: int) -> Conflict | None:
        app, answer = change.key.app, change.idempotency
        known = answer and self._answers.get((app, answer.key))
        now = decided_at(change)
        if known and (now is None or known.expires_at > now):
            return Conflict("answered")
        if version != change.expected_version:
            return Conflict("version_moved")
        holders = (self._names.get((app, name), change.key) for name in change.take_keys)
        if any(holder != change.key for holder in holders):
            return Conflict("key_taken")
        return None

    def _put_event(self, key: Key, into: _Aggregate, seq: int, event: NewEvent | InboxEvent) -> int:
        self._pos += 1
        into.log.append((event.at, StoredEvent(self._pos, key, seq, event.type, event.data)))
        return self._pos

    def _put_names(self, change: Append) -> None:
        app = change.key.app
        for name in change.drop_keys:
            if self._names.get((app, name)) == change.key:
                del self._names[app, name]
        for name in change.take_keys:
            self._names[app, name] = change.key
        if not change.open:
            held = [name for name, key in self._names.items() if key == change.key]
            for taken in held:
                del self._names[taken]

    def _put_inbox(self, change: Append) -> None:
        for event in change.inbox:
            key = Key(change.key.app, "inbox", event.identity)
            into = self._aggregates.setdefault(key, _Aggregate())
            into.seq += 1
            into.version += 1
            into.touched_at = event.at
            self._put_event(key, into, into.seq, event)


def _is_past(key: Key, aggregate: _Aggregate, before: datetime) -> bool:
    """Inboxes stay: their seq must not begin again."""
    touched_at = aggregate.touched_at
    over = not aggregate.open and key.kind != "inbox"
    return over and touched_at is not None and touched_at < before
