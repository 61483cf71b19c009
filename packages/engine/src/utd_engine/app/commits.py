"""What one decision writes and says: a pure translation of facts into an append and an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple, get_args

import msgspec

from utd_engine.app.letters import letters, stored
from utd_engine.app.naming import ban_place
from utd_engine.app.snapshots import Snapshot, encode
from utd_engine.domain.deadlines import next_deadline
from utd_engine.domain.orders import Order
from utd_engine.domain.refusal import Refused
from utd_engine.domain.roles import NEEDS, PRIVILEGED
from utd_engine.domain.state import (
    BanLifted,
    BanSet,
    Fact,
    RoomState,
    apply_all,
    is_public,
    pending_of,
    public_only,
)
from utd_engine.domain.turn import Actor
from utd_engine.ports.audit import AuditEntry
from utd_engine.ports.bans import BanLift, BanRow
from utd_engine.ports.history import HistoryRow
from utd_engine.ports.idempotency import Answered, IdempotencyRecord
from utd_engine.ports.rooms import Append, Key, NewEvent
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.answers import CallRecord, CommandAnswer
from utd_protocol.codec import encode_event
from utd_protocol.types import BanScope, Direction
from utd_protocol.types import RoomState as Phase
from utd_protocol.views import Request, RoomView

IDEMPOTENCY_KEPT: Final = timedelta(hours=24)
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(CommandAnswer)
_STREAM_COMMANDS: Final[tuple[type, ...]] = get_args(c.StreamCommand)
_SEAT_COMMANDS: Final[tuple[type, ...]] = get_args(c.SeatCommand)
_TAGS: Final[dict[type, str]] = {
    kind: str(kind.__struct_config__.tag) for kind in get_args(ev.RoomEvent)
}


@dataclass(slots=True)
class Idempotency:
    """What a caller sent to make retries safe, and whether this was one."""

    key: str
    fingerprint: str
    replayed: bool = False
    """Set when the answer is the one of an earlier try."""


class Context(NamedTuple):
    """Around a command: who gives it, for which request, and whether only to try."""

    actor: Actor
    request_id: str = ""
    idempotency: Idempotency | None = None
    dry_run: bool = False


class Commit(NamedTuple):
    """A decision that is durable, for those who follow: rights, relay, timers."""

    key: Key
    before: RoomState
    after: RoomState
    head: int
    events: tuple[NewEvent, ...]
    wake_at: datetime | None
    recipients: frozenset[str] = frozenset()
    """Who has something new in their inbox."""


class Draft(NamedTuple):
    """A decision that is not durable yet."""

    after: RoomState
    append: Append
    answer: CommandAnswer


class Decision(NamedTuple):
    """A command and the facts that the rules made of it, at a moment."""

    key: Key
    before: Snapshot
    order: Order
    facts: Sequence[Fact]
    now: datetime


def draft(decision: Decision, context: Context) -> Draft:
    """Number the events, fold the facts, and put together all that must be written at once."""
    key, before, order, facts, now = decision
    numbered = _numbered(facts, before.seq)
    after = apply_all(before.state, numbered)
    events = tuple(
        NewEvent(event.seq, _TAGS[type(event)], event.at, encode_event(event))
        for event in public_only(numbered)
    )
    answer = _answer(order, context.actor, before, after, events)
    audit = audit_entry(key, order, context, now) if facts else None
    append = Append(
        key=key,
        expected_version=before.version,
        events=events,
        state=encode(after),
        wake_at=next_deadline(after),
        open=after.view.state is not Phase.ENDED,
        idempotency=_record(context, answer, now),
        audit=() if audit is None else (audit,),
        bans=_bans(key.app, after.view, facts),
        inbox=tuple(stored(letter) for letter in letters(before.state, after, numbered)),
        history=records(after.view) if after.view.call != before.state.view.call else (),
        at=now,
    )
    return Draft(after, append, answer)


def unchanged(order: Order, actor: Actor, before: Snapshot) -> CommandAnswer:
    """The answer to a wish that was fulfilled already."""
    return _answer(order, actor, before, before.state, ())


def records(view: RoomView) -> tuple[HistoryRow, ...]:
    """A call as both parties may look it up, from its beginning on (rule R40)."""
    call = view.call
    if call is None:
        return ()
    record = CallRecord(call_id=view.room_id, type=view.type, call=call)
    data = _encoder.encode(record)
    return tuple(
        HistoryRow(party, view.room_id, call.created_at, data)
        for party in (call.caller, call.callee)
    )


def replay(answered: Answered, sent: Idempotency) -> bytes:
    """The body that was kept of the first try of the same request.

    Raises:
        Refused: `idempotency_mismatch`, when it was another request.
    """
    if answered.fingerprint != sent.fingerprint:
        raise Refused(
            "idempotency_mismatch",
            "This Idempotency-Key was used for another request.",
            hint="Use a new key for every new request.",
        )
    sent.replayed = True
    return answered.body


def read_answer(body: bytes) -> CommandAnswer:
    """An answer that was kept with an idempotency key."""
    return _decoder.decode(body)


def audit_entry(
    key: Key, order: Order, context: Context, at: datetime, outcome: str = "done"
) -> AuditEntry | None:
    """The record of a privileged act, done or refused; None for any other (rule R46)."""
    if context.actor.kind == "engine" or NEEDS.get(type(order)) not in PRIVILEGED:
        return None
    return AuditEntry(
        app=key.app,
        room=key.id,
        at=at,
        actor=context.actor.label,
        action=type(order).__name__,
        target=_target(order),
        outcome=outcome,
        reason=getattr(order, "reason", ""),
        request_id=context.request_id,
    )


def _target(order: Order) -> str | None:
    identity: str | None = getattr(order, "identity", None)
    if identity is not None:
        return identity
    index: int | None = getattr(order, "index", None)
    return None if index is None else f"seat {index}"


def _numbered(facts: Sequence[Fact], seq: int) -> list[Fact]:
    numbered: list[Fact] = []
    for fact in facts:
        if is_public(fact):
            seq += 1
            numbered.append(msgspec.structs.replace(fact, seq=seq))
        else:
            numbered.append(fact)
    return numbered


def _answer(
    order: Order,
    actor: Actor,
    before: Snapshot,
    after: RoomState,
    events: tuple[NewEvent, ...],
) -> CommandAnswer:
    """Their own events, and what their kind of command is about."""
    request, created = _request(order, actor, before.state, after)
    return CommandAnswer(
        seq=before.seq + len(events),
        events=tuple(msgspec.Raw(event.data) for event in events),
        media="applied",
        seats=after.view.seats if isinstance(order, _SEAT_COMMANDS) else None,
        members=after.view.stage if isinstance(order, _STREAM_COMMANDS) else None,
        state=after.view.state if isinstance(order, _STREAM_COMMANDS) else None,
        request=request,
        created=created,
    )


def _request(
    order: Order, actor: Actor, before: RoomState, after: RoomState
) -> tuple[Request | None, bool | None]:
    """The request or invite that a command is about, as its author may read it (rule R28)."""
    match order:
        case c.CreateRequest(target=target):
            wanted = (actor.identity or "", target, Direction.REQUEST)
        case c.CreateInvite(identity=identity, target=target):
            wanted = (identity, target, Direction.INVITE)
        case _:
            return None, None
    identity, target, direction = wanted
    for request in pending_of(after, identity):
        if request.target is target and request.direction is direction:
            known = any(old.id == request.id for old in pending_of(before, identity))
            return request, not known
    return None, False


def _record(context: Context, answer: CommandAnswer, now: datetime) -> IdempotencyRecord | None:
    if context.idempotency is None:
        return None
    sent, body = context.idempotency, _encoder.encode(answer)
    return IdempotencyRecord(sent.key, sent.fingerprint, 200, body, now + IDEMPOTENCY_KEPT)


def _bans(app: str, view: RoomView, facts: Sequence[Fact]) -> tuple[BanRow | BanLift, ...]:
    rows: list[BanRow | BanLift] = []
    for fact in facts:
        if isinstance(fact, BanSet | BanLifted):
            place = "" if fact.scope is BanScope.APP else ban_place(view.type, view.name)
            rows.append(_ban(app, place, fact))
    return tuple(rows)


def _ban(app: str, place: str, fact: BanSet | BanLifted) -> BanRow | BanLift:
    if isinstance(fact, BanLifted):
        return BanLift(app, fact.identity, place)
    return BanRow(app, fact.identity, fact.scope, place, fact.by, fact.at, fact.until, fact.reason)
