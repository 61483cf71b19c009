"""Calls: creating, answering and looking up. What happens to one is decided by the rules.

One live call per user is unique in the store itself: a call takes the names of both its parties.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from utd_engine.app.admission import Admission, Person
from utd_engine.app.apps import Tenant
from utd_engine.app.bans import Bans
from utd_engine.app.commits import Context
from utd_engine.app.ports import Clock, Ids, Key, Store
from utd_engine.app.rooms import Rooms, Taken
from utd_engine.app.snapshots import Snapshot
from utd_engine.domain.refusal import Refused
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.answers import CallAnswer, CallRecord, CallRequest, Page, TokenAnswer
from utd_protocol.types import Identity, Role, RoomId, RoomName, RoomType
from utd_protocol.types import RoomState as Phase
from utd_protocol.views import CallView

METADATA_BYTES: Final = 4096
_records: Final = msgspec.json.Decoder(CallRecord)


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

    async def start(self, tenant: Tenant, caller: Person, wish: CallRequest) -> CallAnswer:
        """Ring somebody (rules R33 and R34). A busy callee gives a call that is over at once.

        Raises:
            Refused: `invalid_callee`, `invalid_request`, `caller_busy` or `banned`.
            MediaUnavailable: LiveKit cannot take the call now; it is not kept ringing.
        """
        await self._check(tenant, caller, wish)
        opened = await self._open(tenant, caller, wish, rings=True)
        if opened is None:
            await self._refuse_busy_caller(tenant, caller)
            opened = await self._open(tenant, caller, wish, rings=False)
        if opened is None:
            raise Refused("unavailable", "The call could not be recorded.", hint="Try again.")
        key, snapshot = opened
        call = _call_of(snapshot)
        if call.is_over:
            return answer_of(key, snapshot.state.view.type, call)
        try:
            admitted = await self._admission.admit(key, snapshot, caller, Role.AUDIENCE, {})
        except BaseException:
            await self._rooms.act(key, c.EndCall())
            raise
        return _with_token(key, admitted)

    async def act(self, key: Key, command: c.CallCommand, context: Context) -> CallAnswer:
        """Give a command about a call, and tell how the call stands then.

        Raises:
            Refused: as the rules say; `call_not_found`.
        """
        await self.get(key)
        await self._rooms.handle(key, command, context)
        return await self.get(key)

    async def accept(self, key: Key, person: Person, context: Context) -> CallAnswer:
        """Answer on one device (rule R36). The winner gets a token, however often it asks.

        Raises:
            Refused: `answered_elsewhere`, `rejected_elsewhere`, `call_over`, `not_allowed`.
            MediaUnavailable: LiveKit cannot be reached; asking again is safe.
        """
        await self.get(key)
        await self._rooms.handle(key, c.AcceptCall(), context)
        snapshot = await self._rooms.peek(key)
        if snapshot is None:
            raise _not_found()
        return _with_token(
            key, await self._admission.admit(key, snapshot, person, Role.AUDIENCE, {})
        )

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
        return Page(
            items=items, next_cursor=None if last is None else f"{last.at.isoformat()}~{last.id}"
        )

    async def _open(
        self, tenant: Tenant, caller: Person, wish: CallRequest, *, rings: bool
    ) -> tuple[Key, Snapshot] | None:
        opening = self._opening(tenant, caller, wish, rings=rings)
        key = Key(tenant.app_id, "room", opening.room_id)
        take = tuple(user_name(party) for party in (caller.identity, wish.callee_identity))
        opened = await self._rooms.open(key, opening, take=take)
        return None if isinstance(opened, Taken) else (key, opened)

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

    async def _refuse_busy_caller(self, tenant: Tenant, caller: Person) -> None:
        holder = await self._store.resolve(tenant.app_id, user_name(caller.identity))
        if holder is not None:
            raise Refused(
                "caller_busy",
                "You are in a call already.",
                rule="R33",
                hint="End it first.",
                call_id=holder.id,
            )


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


def _call_of(snapshot: Snapshot) -> CallView:
    call = snapshot.state.view.call
    if call is None:
        raise _not_found()
    return call


def _not_found() -> Refused:
    return Refused("call_not_found", "There is no such call of yours.", rule="R33")


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    at, _, call_id = cursor.partition("~")
    refused = Refused("invalid_request", "The cursor is not one of ours.", field="cursor")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise refused from error
    if moment.tzinfo is None:
        raise refused
    return moment, call_id
