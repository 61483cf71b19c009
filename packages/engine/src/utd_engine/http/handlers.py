"""What the rows of the route table call: a few lines each between a call and a service."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar, get_type_hints

import msgspec
from msgspec import Struct

from utd_engine.app.admission import Admission
from utd_engine.app.agents import Agents
from utd_engine.app.apps import Apps
from utd_engine.app.calls import Calls
from utd_engine.app.commits import Context
from utd_engine.app.entrance import Entrance
from utd_engine.app.limits import Left, Limiter
from utd_engine.app.locating import Located, Locator, refuse_stale_reader
from utd_engine.app.naming import ban_place
from utd_engine.app.rooms import Rooms
from utd_engine.app.tokens import Bearer
from utd_engine.domain.refusal import Refused
from utd_engine.domain.roles import may
from utd_engine.http.call import Call
from utd_engine.ports.clock import Clock
from utd_engine.ports.rooms import Key, StoredEvent
from utd_engine.ports.store import Store
from utd_protocol.answers import (
    AuditRecord,
    BanRecord,
    CommandAnswer,
    EventsAnswer,
    LogAnswer,
    LogEntry,
    OpenRequest,
    Page,
    Present,
    RequestsAnswer,
    RoomSummary,
    SeatsAnswer,
    SessionAnswer,
    SessionRequest,
    StageAnswer,
    TokenAnswer,
    TokenRequest,
    ViewAnswer,
)
from utd_protocol.types import (
    RequestsVisible,
    Role,
    RoomType,
    SeatState,
    check_room_name,
)

T = TypeVar("T")
EVENTS_LIMIT: Final = 500
LOG_LIMIT: Final = 1000
_ROOM_PARAMS: Final = frozenset({"type", "name"})


class Services(NamedTuple):
    """All that handlers may use."""

    apps: Apps
    rooms: Rooms
    admission: Admission
    entrance: Entrance
    locator: Locator
    store: Store
    clock: Clock
    writes: Limiter
    mints: Limiter
    calls: Calls
    agents: Agents


# --- getting in -----------------------------------------------------------------------------------

_token_request: Final = msgspec.json.Decoder(TokenRequest)
_session_request: Final = msgspec.json.Decoder(SessionRequest)
_open_request: Final = msgspec.json.Decoder(OpenRequest)


async def token(services: Services, call: Call) -> TokenAnswer:
    """Join a room, opening it where the policy lets this identity."""
    wish = call.parse(_token_request)
    person = services.entrance.person(call.app, call.actor, wish)
    services.mints.take(f"{call.app.app_id}:{person.identity}")
    return await services.admission.join(call.app, person, wish)


async def session(services: Services, call: Call) -> SessionAnswer:
    """A bearer without a room."""
    wish = call.parse(_session_request)
    person = services.entrance.person(call.app, call.actor, wish)
    services.mints.take(f"{call.app.app_id}:{person.identity}")
    bearer = await services.entrance.session(call.app, person)
    return _session(services, bearer)


async def refresh(services: Services, call: Call) -> SessionAnswer:
    """A new bearer like the present one; admission runs again."""
    if call.claims is None:
        raise Refused("invalid_request", "Only a user's bearer is refreshed.")
    services.mints.take(f"{call.app.app_id}:{call.claims.sub}")
    bearer = await services.admission.refresh(call.app, call.claims)
    return _session(services, bearer)


def _session(services: Services, bearer: Bearer) -> SessionAnswer:
    ws_url = services.admission.ws_url
    return SessionAnswer(user_token=bearer.token, ws_url=ws_url, expires_at=bearer.expires_at)


async def rejoin(services: Services, call: Call) -> TokenAnswer:
    """New tokens for the room of the bearer."""
    if call.claims is None:
        raise Refused("invalid_request", "Only a user's bearer rejoins.", hint="Use /token.")
    services.mints.take(f"{call.app.app_id}:{call.claims.sub}")
    located = await _locate(services, call)
    if located.key.id != (call.claims.room.id if call.claims.room else None):
        raise Refused("invalid_request", "The bearer names no room.", hint="Join instead.")
    return await services.admission.rejoin(call.app, call.claims)


async def open_room(services: Services, call: Call) -> ViewAnswer:
    """Open a room for an owner who need not be there."""
    wish = call.parse(_open_request)
    room_type, name = _where(call)
    if room_type not in {RoomType.AUDIO_ROOM, RoomType.LIVE_STREAM}:
        raise Refused("invalid_request", f"Rooms of type {room_type} open by themselves.")
    _, snapshot = await services.admission.open(call.app, room_type, name, wish)
    return ViewAnswer(view=snapshot.state.view, seq=snapshot.seq)


# --- commands -------------------------------------------------------------------------------------


def command(kind: type[Struct]) -> "Callable[[Services, Call], Any]":
    """A handler that merges path and body into one command and carries it out."""
    decoder = msgspec.json.Decoder(kind)
    types = get_type_hints(kind, include_extras=True)

    async def handle(services: Services, call: Call) -> CommandAnswer:
        extra = {name: text for name, text in call.params.items() if name not in _ROOM_PARAMS}
        if extra:
            order = call.merged(kind, {one: _param(types, one, extra[one]) for one in extra})
        else:
            order = call.parse(decoder)
        if call.actor.kind == "user":
            left = services.writes.take(f"{call.app.app_id}:{call.actor.label}")
            call.extra += rate_headers(left)
        located = await _locate(services, call)
        sent = call.idempotency()
        context = Context(located.actor, call.request_id, sent, dry_run=call.flag("dry_run"))
        presets = call.app.settings.presets
        answer = await services.rooms.handle(located.key, order, context, presets)  # type: ignore[arg-type]
        if sent is not None and sent.replayed:
            call.extra.append((b"idempotent-replayed", b"true"))
        return answer

    handle.__doc__ = kind.__doc__
    return handle


def rate_headers(left: Left) -> list[tuple[bytes, bytes]]:
    """What is left of a limit; nothing where there is none."""
    if not left.limit:
        return []
    return [
        (b"ratelimit-limit", b"%d" % left.limit),
        (b"ratelimit-remaining", b"%d" % left.remaining),
        (b"ratelimit-reset", b"%d" % math.ceil(left.reset_s)),
    ]


def _param(types: dict[str, Any], name: str, text: str) -> object:
    try:
        return msgspec.convert(text, types[name], strict=False)
    except msgspec.ValidationError as error:
        raise Refused("invalid_request", f"{name!r} in the path: {error}", field=name) from error


# --- reading --------------------------------------------------------------------------------------


async def view(services: Services, call: Call) -> ViewAnswer:
    """The room as this actor may see it."""
    located = await _read(services, call)
    return ViewAnswer(view=located.snapshot.state.view, seq=located.snapshot.seq)


async def seats(services: Services, call: Call) -> SeatsAnswer:
    """The grid."""
    located = await _read(services, call)
    room = located.snapshot.state.view
    return SeatsAnswer(
        seq=located.snapshot.seq,
        seats=room.seats,
        seat_count=len(room.seats),
        seat_mode=room.seat_mode,
        mode_id=room.mode_id,
    )


async def events(services: Services, call: Call) -> EventsAnswer:
    """The room's log after a cursor."""
    located = await _read(services, call)
    after = call.number("after", 0, most=2**63 - 1)
    limit = max(1, call.number("limit", EVENTS_LIMIT, most=EVENTS_LIMIT))
    found = await services.store.events(located.key, after, limit)
    head = located.snapshot.seq
    if (not found and after < head) or (found and found[0].seq > after + 1):
        first = await services.store.first_seq(located.key)
        raise Refused(
            "snapshot_required",
            f"Events before {first} are no longer kept.",
            hint="Load the view, then go on from its seq.",
            first=first,
        )
    raws = tuple(msgspec.Raw(event.data) for event in found)
    return EventsAnswer(events=raws, head=max(head, found[-1].seq if found else 0))


async def stage(services: Services, call: Call) -> StageAnswer:
    """Who may publish in the stream, and whether it is live."""
    located = await _read(services, call)
    room = located.snapshot.state.view
    return StageAnswer(seq=located.snapshot.seq, state=room.state, members=room.stage)


async def requests(services: Services, call: Call) -> RequestsAnswer:
    """Pending requests: whole ones for moderators, for others their own and that there are more."""
    located = await _read(services, call)
    state, seq = located.snapshot.state, located.snapshot.seq
    open_to_all = state.view.policy.requests_visible is RequestsVisible.EVERYONE
    if open_to_all or may(state.view, located.actor, "requests.read"):
        return RequestsAnswer(items=tuple(state.pending.values()), seq=seq)
    me = located.actor.identity
    known = (state.pending.get(request.id, request) for request in state.view.requests)
    shown = zip(state.view.requests, known, strict=True)
    items = tuple(whole if whole.identity == me else public for public, whole in shown)
    return RequestsAnswer(items=items, seq=seq)


async def invites(services: Services, call: Call) -> RequestsAnswer:
    """Pending invites."""
    located = await _read(services, call)
    return RequestsAnswer(items=located.snapshot.state.view.invites, seq=located.snapshot.seq)


async def members(services: Services, call: Call) -> Page[Present]:
    """Who is there, by identity."""
    located = await _read(services, call)
    room = located.snapshot.state.view
    wanted = call.query.get("role")
    if wanted is not None and wanted not in set(Role):
        raise Refused("invalid_request", f"{wanted!r} is not a role.", field="role")
    rows = await services.store.present(
        located.key, after=call.query.get("cursor", ""), limit=call.limit
    )
    items: list[Present] = []
    for row in rows:
        role, seat = room.role_of(row.identity), room.seat_of(row.identity)
        if wanted in {None, role}:
            index = seat.index if seat else None
            present = Present(identity=row.identity, role=role, joined_at=row.joined_at, seat=index)
            items.append(present)
    return Page(items=tuple(items), next_cursor=_next(rows, call.limit, "identity"))


async def bans(services: Services, call: Call) -> Page[BanRecord]:
    """Bans of this room's name and of the app, for moderators."""
    located = await _read(services, call)
    _need(located, "members.ban")
    room = located.snapshot.state.view
    rows = await services.store.bans(
        located.key.app,
        ban_place(room.type, room.name),
        after=call.query.get("cursor", ""),
        limit=call.limit,
    )
    items = tuple(
        BanRecord(
            identity=row.identity,
            scope=row.scope,
            by=row.by,
            at=row.at,
            until=row.until,
            reason=row.reason,
        )
        for row in rows
    )
    return Page(items=items, next_cursor=_next(rows, call.limit, "identity"))


async def audit(services: Services, call: Call) -> Page[AuditRecord]:
    """Privileged acts in this room, done and refused, for moderators."""
    located = await _read(services, call)
    _need(located, "audit.read")
    after = call.number("cursor", 0, most=2**63 - 1)
    rows = await services.store.audit(
        located.key.app, located.key.id, after=after, limit=call.limit
    )
    items = tuple(
        AuditRecord(
            id=row.id,
            at=row.at,
            actor=row.actor,
            action=row.action,
            target=row.target,
            outcome=row.outcome,
            reason=row.reason,
            request_id=row.request_id,
        )
        for row in rows
    )
    return Page(items=items, next_cursor=_next(rows, call.limit, "id"))


async def rooms(services: Services, call: Call) -> Page[RoomSummary]:
    """The app's open rooms."""
    wanted = call.query.get("type")
    if wanted is not None and wanted not in set(RoomType):
        raise Refused("invalid_request", f"{wanted!r} is not a type of room.", field="type")
    prefix = "room:" if wanted is None else f"room:{wanted}:"
    found = await services.store.open_rooms(
        call.app.app_id, after=call.query.get("cursor", ""), limit=call.limit, prefix=prefix
    )
    items = [await _summary(services, room.key) for room in found]
    cursor = found[-1].key.id if len(found) == call.limit else None
    return Page(items=tuple(item for item in items if item), next_cursor=cursor)


async def log(services: Services, call: Call) -> LogAnswer:
    """The app's whole log after a position: what nobody who follows it can miss."""
    after = call.number("after", 0, most=2**63 - 1)
    limit = max(1, call.number("limit", 500, most=LOG_LIMIT))
    found = await services.store.log(call.app.app_id, after, limit)
    entries = [entry for event in found if (entry := await _entry(services, event))]
    return LogAnswer(events=tuple(entries), next_after=found[-1].pos if found else after)


async def _entry(services: Services, event: StoredEvent) -> LogEntry | None:
    snapshot = await services.rooms.peek(event.key)
    if snapshot is None:
        return None
    room = snapshot.state.view
    return LogEntry(
        pos=event.pos,
        room_id=event.key.id,
        room_type=room.type,
        room_name=room.name,
        event=msgspec.Raw(event.data),
    )


async def _summary(services: Services, key: Key) -> RoomSummary | None:
    snapshot = await services.rooms.peek(key)
    if snapshot is None:
        return None
    room = snapshot.state.view
    taken = sum(seat.state in {SeatState.TAKEN, SeatState.HELD} for seat in room.seats)
    return RoomSummary(
        room_id=key.id,
        type=room.type,
        name=room.name,
        host=room.host,
        opened_at=room.opened_at,
        present=await services.store.count(key),
        seats_taken=taken,
        seat_count=len(room.seats),
    )


# --- pieces ---------------------------------------------------------------------------------------


def _where(call: Call) -> tuple[RoomType, str]:
    kind = call.params["type"]
    if kind not in set(RoomType):
        known = ", ".join(RoomType)
        raise Refused("invalid_request", f"{kind!r} is not one of {known}.", field="type")
    name = call.params["name"]
    try:
        check_room_name(name, "name")
    except ValueError as error:
        raise Refused("invalid_request", str(error), field="name") from error
    return RoomType(kind), name


async def _locate(services: Services, call: Call) -> Located:
    return await services.locator.locate(
        call.app, _where(call), call.actor, call.claims, call.query.get("room_id")
    )


async def _read(services: Services, call: Call) -> Located:
    located = await _locate(services, call)
    refuse_stale_reader(located)
    return located


def _need(located: Located, capability: str) -> None:
    if not may(located.snapshot.state.view, located.actor, capability):
        raise Refused(
            "not_allowed",
            f"This needs the capability {capability!r}.",
            rule="R3",
            capability=capability,
        )


def _next(rows: Sequence[Any], limit: int, attribute: str) -> str | None:
    return str(getattr(rows[-1], attribute)) if len(rows) >= limit else None
