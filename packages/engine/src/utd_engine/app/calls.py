"""Calls: creating, answering and looking up. What happens to one is decided by the rules.

One live call per user is unique in the store itself: a call takes the names of both its parties.
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from utd_engine.app.admission import Admission, Person
from utd_engine.app.apps import Tenant
from utd_engine.app.bans import Bans
from utd_engine.app.commits import IDEMPOTENCY_KEPT, Context, Idempotency, replay
from utd_engine.app.rooms import Rooms, is_open
from utd_engine.app.snapshots import Snapshot
from utd_engine.domain.calls import WAITING
from utd_engine.domain.refusal import Refused
from utd_engine.ports.clock import Clock, Ids
from utd_engine.ports.history import HistoryRow
from utd_engine.ports.idempotency import Answered, IdempotencyRecord
from utd_engine.ports.media import MediaUnavailable
from utd_engine.ports.rooms import Key
from utd_engine.ports.store import Store, StoreUnavailable
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.answers import CallAnswer, CallRecord, CallRequest, Page, TokenAnswer
from utd_protocol.types import Identity, Role, RoomId, RoomName, RoomType
from utd_protocol.types import RoomState as Phase
from utd_protocol.views import CallView

METADATA_BYTES: Final = 4096
OPEN_TRIES: Final = 8
"""Who is found busy and is free again this many times in a row is not worth waiting for."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


class _Begun(Struct, frozen=True):
    """The answer that is kept with an idempotency key."""

    call_id: str


_records: Final = msgspec.json.Decoder(CallRecord)
_begun: Final = msgspec.json.Decoder(_Begun)


class Calls:
    """Calls of all apps."""

    def __init__(
        self,
        store: Store,
        rooms: Rooms,
        admission: Admission,
        bans: Bans,
        *,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._admission = admission
        self._bans = bans
        self._clock = clock
        self._ids = ids

    async def start(
        self, tenant: Tenant, caller: Person, wish: CallRequest, sent: Idempotency | None = None
    ) -> CallAnswer:
        """Ring somebody (rules R33 and R34). A busy callee gives a call that is over at once.

        With an idempotency key a repetition is the same call, as it stands now: it does not ring
        again. A live one comes with a new token.

        Raises:
            Refused: `invalid_callee`, `invalid_request`, `caller_busy`, `banned` or
                `idempotency_mismatch`.
            MediaUnavailable: LiveKit cannot take the call now; it is not kept ringing.
        """
        await self._check(tenant, caller, wish)
        key = await self._opened(tenant, caller, wish, sent)
        try:
            return await self._let_in(key, caller)
        except MediaUnavailable:
            if sent is None or not sent.replayed:  # what was begun before is ended by its timers
                with suppress(StoreUnavailable):
                    await self._rooms.act(key, c.EndCall())
            raise

    async def act(self, key: Key, command: c.CallCommand, context: Context) -> CallAnswer:
        """Give a command about a call, and tell how the call stands then.

        Raises:
            Refused: as the rules say; `call_not_found` or `banned`.
        """
        await self._give(key, command, context)
        return await self.get(key)

    async def accept(self, key: Key, person: Person, context: Context) -> CallAnswer:
        """Answer on one device (rule R36). The winner gets a token, however often it asks.

        Raises:
            Refused: `answered_elsewhere`, `rejected_elsewhere`, `call_over`, `not_allowed`,
                `call_not_found` or `banned`.
            MediaUnavailable: LiveKit cannot be reached; asking again is safe.
        """
        await self._give(key, c.AcceptCall(), context)
        answer = await self._let_in(key, person)
        if answer.token is None:
            raise Refused("call_over", f"The call is over: {answer.reason}.", rule="R38")
        return answer

    async def get(self, key: Key, reader: str | None = None) -> CallAnswer:
        """A call as one of its parties may see it.

        Raises:
            Refused: `call_not_found`, for strangers too.
        """
        snapshot = await self._rooms.peek(key)
        if snapshot is None or snapshot.state.view.call is None:
            raise _not_found()
        call = snapshot.state.view.call
        if reader is not None and reader not in {call.caller, call.callee}:
            raise _not_found()
        return answer_of(key, snapshot.state.view.type, call)

    async def history(
        self, tenant: Tenant, identity: str, cursor: str | None, limit: int
    ) -> Page[CallAnswer]:
        """One's calls, newest first (rule R40)."""
        before = _read_cursor(cursor) if cursor else None
        rows = await self._store.history(tenant.app_id, identity, before=before, limit=limit)
        items = tuple(_of_record(_records.decode(row.data)) for row in rows)
        last = rows[-1] if len(rows) == limit else None
        return Page(items=items, next_cursor=None if last is None else _cursor(last))

    async def _give(self, key: Key, command: c.CallCommand, context: Context) -> None:
        await self.get(key)
        actor = context.actor
        if actor.kind == "user" and actor.identity is not None:
            await self._bans.refuse(key.app, actor.identity, "")
        await self._rooms.handle(key, command, context)

    async def _let_in(self, key: Key, person: Person) -> CallAnswer:
        """The call with tokens for one of its people; without any once it is over."""
        snapshot = await self._rooms.peek(key)
        if snapshot is None:
            raise _not_found()
        if is_open(snapshot.state):
            try:
                admitted = await self._admission.admit(key, snapshot, person, Role.AUDIENCE, {})
            except Refused as refusal:
                if refusal.code != "room_ended":
                    raise
            else:
                return _with_token(key, admitted)
        return await self.get(key)

    async def _opened(
        self, tenant: Tenant, caller: Person, wish: CallRequest, sent: Idempotency | None
    ) -> Key:
        """A call that rings, one that is over because the callee is busy, or that of a retry.

        Who is busy is asked only when a name is taken, and may be free again by then.
        """
        rings = True
        for _ in range(OPEN_TRIES):
            opening = self._opening(tenant, caller, wish, rings=rings)
            key = Key(tenant.app_id, "room", opening.room_id)
            take = tuple(user_name(party) for party in (caller.identity, wish.callee_identity))
            answer = None if sent is None else _kept(sent, opening)
            opened = await self._rooms.open(key, opening, take=take, answer=answer)
            if isinstance(opened, Answered) and sent is not None:
                return Key(tenant.app_id, "room", _begun.decode(replay(opened, sent)).call_id)
            if isinstance(opened, Snapshot):
                return key
            rings = not await self._is_busy(tenant, caller.identity, wish.callee_identity)
        raise Refused("version_conflict", "The calls of these two change all the time.")

    async def _is_busy(self, tenant: Tenant, caller: str, callee: str) -> bool:
        """Whether the callee is in a call.

        Raises:
            Refused: `caller_busy`, when the caller is in one. Who is only being called by that very
                callee is told that the callee is busy instead: so of two crossing calls one stays.
        """
        mine = await self._store.resolve(tenant.app_id, user_name(caller))
        theirs = await self._store.resolve(tenant.app_id, user_name(callee))
        if mine is not None and not (mine == theirs and await self._rings(mine, caller)):
            raise Refused(
                "caller_busy",
                "You are in a call already.",
                rule="R33",
                hint="End it first.",
                call_id=mine.id,
            )
        return theirs is not None

    async def _rings(self, key: Key, callee: str) -> bool:
        """Whether a call waits for this callee's answer."""
        snapshot = await self._rooms.peek(key)
        call = snapshot.state.view.call if snapshot is not None else None
        return call is not None and call.callee == callee and call.status in WAITING

    def _opening(
        self, tenant: Tenant, caller: Person, wish: CallRequest, *, rings: bool
    ) -> ev.RoomOpened:
        policy = tenant.policy(wish.type)
        now = self._clock.now()
        ring_s = wish.ring_timeout_s or policy.ring_timeout_s
        call_id = RoomId(self._ids.new("ca"))
        offer = ev.CallOffer(
            callee=Identity(wish.callee_identity),
            caller_name=caller.name,
            callee_name=wish.callee_name or "",
            metadata=wish.metadata,
            rings_until=now + timedelta(seconds=ring_s) if rings else None,
        )
        return ev.RoomOpened(
            at=now,
            by=Identity(caller.identity),
            room_id=call_id,
            room_type=wish.type,
            name=RoomName(call_id),
            owner=Identity(caller.identity),
            host=None,
            state=Phase.OPEN if rings else Phase.ENDED,
            policy=policy,
            call=offer,
        )

    async def _check(self, tenant: Tenant, caller: Person, wish: CallRequest) -> None:
        if not wish.type.is_call:
            raise Refused(
                "invalid_request", f"{wish.type} is no type of call.", rule="R33", field="type"
            )
        if wish.callee_identity == caller.identity:
            raise Refused("invalid_callee", "Nobody calls themselves.", rule="R33")
        if len(msgspec.json.encode(wish.metadata)) > METADATA_BYTES:
            raise Refused(
                "invalid_request",
                f"'metadata' may have {METADATA_BYTES} bytes of JSON.",
                rule="R33",
                field="metadata",
            )
        await self._bans.refuse(tenant.app_id, caller.identity, "")


def user_name(identity: str) -> str:
    """The name that a live call holds for each of its parties."""
    return f"user:{identity}"


def answer_of(key: Key, kind: RoomType, call: CallView) -> CallAnswer:
    """A call as it goes out, without any token."""
    return CallAnswer(
        call_id=key.id,
        type=kind,
        status=call.status,
        caller_identity=call.caller,
        callee_identity=call.callee,
        caller_name=call.caller_name,
        callee_name=call.callee_name,
        reason=call.reason,
        ended_by=call.ended_by,
        metadata=call.metadata,
        created_at=call.created_at,
        rings_until=call.rings_until,
        ringing_at=call.ringing_at,
        accepted_at=call.accepted_at,
        connected_at=call.connected_at,
        ended_at=call.ended_at,
        duration_s=call.duration_s,
    )


def _with_token(key: Key, admitted: TokenAnswer) -> CallAnswer:
    view = admitted.room
    if view.call is None:
        raise _not_found()
    return msgspec.structs.replace(
        answer_of(key, view.type, view.call),
        room_name=view.name,
        token=admitted.token,
        url=admitted.url,
        user_token=admitted.user_token,
        ws_url=admitted.ws_url,
        room=view,
        seq=admitted.seq,
    )


def _of_record(record: CallRecord) -> CallAnswer:
    return answer_of(Key("", "room", record.call_id), record.type, record.call)


def _not_found() -> Refused:
    return Refused("call_not_found", "There is no such call of yours.", rule="R33")


def _kept(sent: Idempotency, opening: ev.RoomOpened) -> IdempotencyRecord:
    """What a retry needs. It holds no token: that is made anew."""
    body = msgspec.json.encode(_Begun(call_id=opening.room_id))
    return IdempotencyRecord(sent.key, sent.fingerprint, 200, body, opening.at + IDEMPOTENCY_KEPT)


def _cursor(row: HistoryRow) -> str:
    return f"{(row.at - _EPOCH) // _MS}~{row.id}"


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    ms, _, call_id = cursor.partition("~")
    try:
        return _EPOCH + int(ms) * _MS, call_id
    except (ValueError, OverflowError) as error:
        raise Refused(
            "invalid_request", "The cursor is not one of ours.", field="cursor"
        ) from error
