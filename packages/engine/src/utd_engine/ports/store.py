"""The database: one append is one transaction. Adapters live in `adapters/`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from utd_engine.ports.audit import AuditEntry
from utd_engine.ports.bans import BanLift, BanRow
from utd_engine.ports.history import HistoryRow
from utd_engine.ports.idempotency import Answered, IdempotencyRecord
from utd_engine.ports.inbox import InboxEvent
from utd_engine.ports.presence import PresenceRow
from utd_engine.ports.rooms import Key, Loaded, NewEvent, OpenRoom, StoredEvent
from utd_engine.ports.tenants import AppRow, KeyRow


class Append(Struct, frozen=True, kw_only=True):
    """Everything that one command changes. All of it becomes durable, or nothing."""

    key: Key
    expected_version: int
    """0 for an aggregate that must not exist yet."""
    events: tuple[NewEvent, ...] = ()
    state: bytes
    wake_at: datetime | None
    open: bool = True
    """False once the aggregate is over: loops leave it alone."""
    take_keys: tuple[str, ...] = ()
    """Names that become this aggregate's alone within the app, e.g. `room:audio_room:lobby`."""
    drop_keys: tuple[str, ...] = ()
    idempotency: IdempotencyRecord | None = None
    audit: tuple[AuditEntry, ...] = ()
    bans: tuple[BanRow | BanLift, ...] = ()
    inbox: tuple[InboxEvent, ...] = ()
    history: tuple[HistoryRow, ...] = ()
    """Records that replace those of the same identity and id."""
    at: datetime | None = None
    """When it was decided: it ages the aggregate and tells whether an older answer has expired.

    Left out, it is the newest time that the events, audit and inbox name.
    """


class Appended(NamedTuple):
    """It is durable."""

    seq: int
    version: int
    pos: int
    """Of the last event appended; 0 when there was none."""


class Conflict(NamedTuple):
    """Nothing was changed. `version_moved`: load again. `key_taken`: resolve the name again.

    `answered`: the idempotency key has an answer already.
    """

    kind: Literal["version_moved", "key_taken", "answered"]


class StoreUnavailable(Exception):
    """The database cannot answer now (locked, full, gone).

    Nothing was changed by this call, unless its text says that the outcome is not known yet.
    """


class Store(Protocol):
    """Snapshots, logs and the few tables beside them. Rows never leave the adapter."""

    async def load(self, key: Key) -> Loaded | None:
        """The snapshot of an aggregate."""
        ...

    async def append(self, append: Append) -> Appended | Conflict:
        """One transaction, durable on `Appended`. Cancelling it leaves the outcome open."""
        ...

    async def resolve(self, app: str, name: str) -> Key | None:
        """Who holds this name now."""
        ...

    async def answered(self, app: str, key: str, now: datetime) -> Answered | None:
        """The answer given to an idempotency key that has not expired."""
        ...

    async def events(self, key: Key, after: int, limit: int) -> list[StoredEvent]:
        """Events of one log with seq > after, in order."""
        ...

    async def first_seq(self, key: Key) -> int:
        """The lowest seq still kept in a log; 1 for a log that was never trimmed or is empty."""
        ...

    async def log(self, app: str, after_pos: int, limit: int) -> list[StoredEvent]:
        """Events of all rooms of an app with pos > after_pos, in order; gaps in pos are normal."""
        ...

    async def trim(self, before: datetime, *, history_before: datetime | None = None) -> int:
        """Drop events, answers and closed aggregates older than this; how many rows went."""
        ...

    async def history(
        self, app: str, identity: str, *, before: tuple[datetime, str] | None = None, limit: int
    ) -> list[HistoryRow]:
        """A user's records, newest first, older than a record's time and id."""
        ...

    async def due(self, now: datetime, limit: int) -> list[Key]:
        """Open aggregates whose `wake_at` is not after now, earliest first."""
        ...

    async def next_wake(self) -> datetime | None:
        """The earliest `wake_at` of all open aggregates."""
        ...

    async def open_rooms(
        self,
        app: str | None = None,
        *,
        after: str = "",
        limit: int = 200,
        prefix: str = "room:",
    ) -> list[OpenRoom]:
        """Open aggregates that hold a name with this prefix, by id, after an id."""
        ...

    async def seen(self, key: Key, row: PresenceRow) -> bool:
        """Remember that somebody is present; False when a newer join of theirs is known."""
        ...

    async def gone(self, key: Key, identity: str, sid: str | None) -> bool:
        """Forget a presence; with a sid only that one. False when there was nothing to forget."""
        ...

    async def present(
        self, key: Key, *, after: str = "", limit: int = 100_000
    ) -> list[PresenceRow]:
        """Who is in a room, by identity, after a cursor."""
        ...

    async def present_one(self, key: Key, identity: str) -> PresenceRow | None:
        """The presence of one identity."""
        ...

    async def count(self, key: Key) -> int:
        """How many are present."""
        ...

    async def occupied(self) -> list[Key]:
        """Open rooms with somebody present."""
        ...

    async def put_app(self, app: AppRow, keys: Sequence[KeyRow]) -> None:
        """Create or replace an app, and add keys."""
        ...

    async def app(self, app_id: str) -> AppRow | None:
        """One tenant."""
        ...

    async def apps(self) -> list[AppRow]:
        """All tenants, oldest first."""
        ...

    async def keys(self, app_id: str) -> list[KeyRow]:
        """All keys of an app, revoked ones too."""
        ...

    async def key_by_digest(self, digest: bytes) -> KeyRow | None:
        """The key with this digest, revoked or not."""
        ...

    async def add_key(self, row: KeyRow) -> None:
        """One more key for an app."""
        ...

    async def revoke_key(self, app_id: str, prefix: str, at: datetime) -> bool:
        """Stop honouring a key; False when it is unknown."""
        ...

    async def bans_of(self, app: str, identity: str, now: datetime) -> list[BanRow]:
        """Bans of one identity that hold now, of any place."""
        ...

    async def banned(self, app: str, place: str, now: datetime) -> frozenset[str]:
        """Identities that may not be at a place now (bans of the place and of the app)."""
        ...

    async def bans(
        self, app: str, place: str, *, after: str = "", limit: int = 100
    ) -> list[BanRow]:
        """Bans of a place and of the app, by identity, after a cursor; expired ones too."""
        ...

    async def audit(
        self, app: str, room: str, *, after: int = 0, limit: int = 100
    ) -> list[AuditEntry]:
        """Audit records, oldest first; an empty room means the whole app."""
        ...

    async def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        """Records of refusals, which have no append to ride in."""
        ...

    async def ping(self) -> None:
        """Prove that a write would succeed; raises `StoreUnavailable`."""
        ...

    async def aclose(self) -> None:
        """Finish what is queued and free everything."""
        ...
