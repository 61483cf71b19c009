"""Rooms, calls and inboxes as the store keeps them: a key, a snapshot, a gap-free log, names."""

from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from utd_engine.ports.audit import AuditEntry
from utd_engine.ports.bans import BanLift, BanRow
from utd_engine.ports.history import HistoryRow
from utd_engine.ports.idempotency import Answered, IdempotencyRecord
from utd_engine.ports.inbox import InboxEvent


class Key(NamedTuple):
    """The name of an aggregate: a room, a call or an inbox of one app."""

    app: str
    kind: Literal["room", "call", "inbox"]
    id: str


class Loaded(NamedTuple):
    """A snapshot. `version` moves with every append, `seq` with every event of the log."""

    state: bytes
    seq: int
    version: int


class NewEvent(NamedTuple):
    """An event to append: encoded, with its `seq` inside already."""

    seq: int
    type: str
    at: datetime
    data: bytes


class StoredEvent(NamedTuple):
    """An event of a log. `pos` orders all logs of all apps in one row."""

    pos: int
    key: Key
    seq: int
    type: str
    data: bytes


class OpenRoom(NamedTuple):
    """An open aggregate as the loops and lists see it."""

    key: Key
    name: str
    """The key it took, e.g. `room:audio_room:lobby`."""
    loaded: Loaded


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


class RoomStore(Protocol):
    """Snapshots, logs and names. Rows never leave the adapter."""

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
