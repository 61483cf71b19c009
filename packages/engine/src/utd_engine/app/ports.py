"""What the services need of the world, in their words. Adapters live in `store/` and `media/`."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from utd_engine.domain.permissions import Permission
from utd_protocol.types import BanScope

T = TypeVar("T")


# --- time and names -----------------------------------------------------------------------------


class Clock(Protocol):
    """The only source of time in the engine."""

    def now(self) -> datetime:
        """The present, aware, UTC, cut to milliseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for deadlines inside this process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after this many seconds of this clock."""
        ...

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        """The result of the work, or `TimeoutError` after this many seconds of this clock."""
        ...


class Ids(Protocol):
    """The only source of randomness in the engine."""

    def new(self, prefix: str) -> str:
        """A new unguessable id, such as `rm_3kTq…` (at least 96 random bits, URL-safe)."""
        ...

    def jitter(self) -> float:
        """A number of [0, 1)."""
        ...


class Tasks(Protocol):
    """Who owns background work: nothing that is started here outlives it."""

    def create_task(self, work: Coroutine[Any, Any, None], *, name: str) -> "asyncio.Task[None]":
        """Start it now."""
        ...


# --- the store ----------------------------------------------------------------------------------


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


class IdempotencyRecord(NamedTuple):
    """An answer to keep with the change it belongs to."""

    key: str
    """At most 255 characters, unique in the app."""
    fingerprint: str
    """Of method, path and body: the same key with another one is a mistake."""
    status: int
    body: bytes
    expires_at: datetime


class AuditEntry(NamedTuple):
    """A privileged act or the refusal of one; `id` is 0 until stored."""

    app: str
    room: str
    """The aggregate's id, or empty for an act on the app."""
    at: datetime
    actor: str
    action: str
    target: str | None
    outcome: str
    """`done` or the code of the refusal."""
    reason: str
    request_id: str
    id: int = 0


class BanRow(NamedTuple):
    """A ban. `place` is empty for scope app, else `{type}:{name}`: it outlives one opening."""

    app: str
    identity: str
    scope: BanScope
    place: str
    by: str | None
    at: datetime
    until: datetime | None
    reason: str


class BanLift(NamedTuple):
    """The end of a ban."""

    app: str
    identity: str
    place: str


class InboxEvent(NamedTuple):
    """A message to one user's inbox. The store gives it the next `seq` of that inbox."""

    identity: str
    type: str
    at: datetime
    data: bytes
    """JSON object without `seq`; the store keeps `seq` beside it."""


class HistoryRow(NamedTuple):
    """One user's record of something that goes on being known after its room is gone: a call."""

    identity: str
    id: str
    at: datetime
    """When it began: the order of the list."""
    data: bytes


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


class Answered(NamedTuple):
    """The first answer to an idempotency key."""

    fingerprint: str
    status: int
    body: bytes


class PresenceRow(NamedTuple):
    """Somebody whom LiveKit reports in a room."""

    identity: str
    sid: str
    joined_at: datetime


class AppRow(NamedTuple):
    """A tenant. Keys are kept hashed elsewhere; `settings` is JSON of the app's own defaults."""

    app_id: str
    name: str
    mode: Literal["development", "production"]
    settings: bytes
    created_at: datetime


class KeyRow(NamedTuple):
    """A credential of an app. `digest` is SHA-256 of the whole key."""

    app_id: str
    kind: Literal["publishable", "secret"]
    prefix: str
    """The first characters, to find and show it."""
    digest: bytes
    created_at: datetime
    revoked_at: datetime | None


class OpenRoom(NamedTuple):
    """An open aggregate as the loops and lists see it."""

    key: Key
    name: str
    """The key it took, e.g. `room:audio_room:lobby`."""
    loaded: Loaded


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


# --- LiveKit ------------------------------------------------------------------------------------


class MediaUnavailable(Exception):
    """LiveKit did not do what it was asked, or did not say in time: the outcome is unknown.

    `code` is LiveKit's own (`unavailable`, `unauthenticated`, `invalid_argument` …), or ours:
    `timeout`, `connection`, `malformed`.
    """

    def __init__(self, message: str, *, code: str = "unavailable") -> None:
        super().__init__(message)
        self.code = code


class Observed(NamedTuple):
    """A participant as LiveKit reports it."""

    identity: str
    sid: str
    joined_at: datetime
    active: bool
    """False while its transport is not up yet."""
    agent: bool
    hidden: bool
    permission: Permission
    agent_name: str = ""
    """The name that an agent has told of itself; empty for people, and before it has."""


class Incarnation(NamedTuple):
    """What LiveKit knows of a room name: `sid` is None when there is no such room."""

    sid: str | None
    members: tuple[Observed, ...]


class Join(Struct, frozen=True, kw_only=True):
    """What goes into a LiveKit join token."""

    room: str
    identity: str
    permission: Permission
    name: str = ""
    attributes: dict[str, str] = {}
    kind: Literal["standard", "agent"] = "standard"
    metadata: str = ""
    """What agents read of the user."""
    agents: tuple[tuple[str, str], ...] = ()
    """Names and metadata of agents that will come: clients begin to wait for them."""


class MediaGateway(Protocol):
    """LiveKit, as the engine uses it. Each call has a deadline and raises `MediaUnavailable`."""

    url: str
    """Where clients connect, `ws://…` or `wss://…`."""

    async def ensure_room(self, room: str, *, metadata: str = "", max_participants: int = 0) -> str:
        """Create the room unless it is there; its present incarnation's sid."""
        ...

    async def remove_room(self, room: str) -> None:
        """Delete the room; a missing one is fine."""
        ...

    async def list_rooms(self) -> list[str]:
        """The names of all rooms that are there."""
        ...

    async def push_member(
        self,
        room: str,
        identity: str,
        permission: Permission,
        *,
        attributes: dict[str, str] | None = None,
    ) -> bool:
        """Set the complete permission; False when they are not there."""
        ...

    async def remove_member(self, room: str, identity: str) -> bool:
        """Disconnect somebody; False when they are not there."""
        ...

    async def list_members(self, room: str) -> Incarnation:
        """Who is there now, hidden members and agents too."""
        ...

    async def publish_events(self, room: str, metadata: str) -> bool:
        """Set the room's metadata; False when there is no such room."""
        ...

    async def dispatch_agent(self, room: str, agent_name: str, metadata: str) -> str:
        """Ask for an agent; the dispatch's id."""
        ...

    async def withdraw_agent(self, room: str, dispatch_id: str) -> None:
        """End a dispatch; a missing one is fine."""
        ...

    def mint_token(self, join: Join, *, now: datetime, ttl_s: int) -> str:
        """A join token whose grants are exactly the permission."""
        ...

    async def healthy(self) -> bool:
        """Whether the server answers; never raises."""
        ...

    async def aclose(self) -> None:
        """Free connections."""
        ...


class WebhookEvent(NamedTuple):
    """A LiveKit webhook that was verified and parsed."""

    id: str
    event: str
    room: str
    room_sid: str
    participant: Observed | None
    disconnect_reason: str
    created_at: datetime


WebhookReader = Callable[[bytes, str], WebhookEvent]
"""Verify the raw body against the `Authorization` header and parse it; raises `ValueError`."""
