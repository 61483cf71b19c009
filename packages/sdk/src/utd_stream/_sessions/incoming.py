"""Incoming calls: what rings now, on this device, and why it rings no more."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack
from datetime import datetime
from typing import Any, Final, TypeAlias

from msgspec import Struct

from utd_protocol import inbox as ib
from utd_protocol.types import CallReason
from utd_stream._broadcast import Broadcast
from utd_stream._engine.backoff import is_passing
from utd_stream._engine.calls import Calls, Word
from utd_stream._engine.inbox import InboxEvent, Standing
from utd_stream._errors import Conflict, RequestRejected, UTDStreamException
from utd_stream._models import UTDCall, UTDCallStatus, UTDStreamType
from utd_stream._observable import Observable
from utd_stream._sessions.call import UTDCallSession
from utd_stream._sessions.user import User

Sessions: TypeAlias = Callable[[UTDStreamType], UTDCallSession]
"""Makes sessions of a type of call."""

_LATEST: Final = 50
_SETTLED: Final = 256
_LATE: Final = 2.0
"""Seconds for which a call still rings after its time, since its end may be on the way."""
_WAITING: Final = frozenset({UTDCallStatus.INITIATING, UTDCallStatus.RINGING})

_log: Final = logging.getLogger("utd_stream.inbox")


class _Offer(Struct, frozen=True, kw_only=True):
    """What is known of a call that came in."""

    id: str
    type: UTDStreamType
    caller: str
    caller_name: str
    metadata: dict[str, Any]
    at: datetime
    rings_until: datetime


class IncomingCall:
    """Somebody calls. Given by `client.incoming_calls()`."""

    def __init__(self, offer: _Offer, calls: Calls, sessions: Sessions) -> None:
        """Made by the SDK, not by hand."""
        self._offer = offer
        self._calls = calls
        self._sessions = sessions
        self._rings = Observable(value=True)
        self._reason: CallReason | None = None
        self._saying: CallReason | None = None

    def __repr__(self) -> str:
        """Who calls, and whether it still rings."""
        return f"IncomingCall(id={self.id!r}, caller={self.caller!r}, rings={self.rings.value})"

    @property
    def id(self) -> str:
        """The call's id."""
        return self._offer.id

    @property
    def type(self) -> UTDStreamType:
        """`AUDIO_CALL` or `VIDEO_CALL`."""
        return self._offer.type

    @property
    def caller(self) -> str:
        """Who calls, by identity."""
        return self._offer.caller

    @property
    def caller_name(self) -> str:
        """How the caller is called; may be empty."""
        return self._offer.caller_name

    @property
    def metadata(self) -> dict[str, Any]:
        """What the caller's app sent along."""
        return self._offer.metadata

    @property
    def rings_until(self) -> datetime:
        """When it is missed, by the engine's clock."""
        return self._offer.rings_until

    @property
    def rings(self) -> Observable[bool]:
        """Whether it still rings: false once it is answered or over, here or elsewhere."""
        return self._rings

    @property
    def reason(self) -> CallReason | None:
        """Why it rings no more; None while it does, and when it was accepted here."""
        return self._reason

    async def accept(self) -> UTDCallSession:
        """Answer it on this device.

        Returns:
            A session in the call, publishing. Its owner ends and disposes it.

        Raises:
            UTDStreamException: as `UTDCallSession.accept`.
        """
        session = self._sessions(self.type)
        try:
            await session.accept(self.id)
        except BaseException as error:
            if isinstance(error, Conflict):
                self._stop(_REASONS.get(error.code or "", self._reason))
            await session.dispose()
            raise
        self._stop(None)
        return session

    async def ringing(self) -> None:
        """Say that this device rings; `incoming_calls` does it by itself unless told not to.

        Raises:
            Conflict: it is over (`call_over`).
        """
        await self._calls.say(self.id, "ringing")

    async def reject(self) -> None:
        """Say no, for all devices. Errors as of `ringing`."""
        await self._say("reject", CallReason.REJECTED)

    async def busy(self) -> None:
        """Say that this user is busy. Errors as of `ringing`."""
        await self._say("busy", CallReason.BUSY)

    async def ignore(self) -> None:
        """Stop ringing on this device; nobody is told."""
        await self._say("ignore", CallReason.IGNORED)

    async def _say(self, word: Word, reason: CallReason) -> None:
        self._saying = reason
        try:
            await self._calls.say(self.id, word)
        finally:
            self._saying = None
        self._stop(reason)

    def _stop(self, reason: CallReason | None) -> None:
        """It rings no more. The first reason counts, and one's own before what it causes."""
        if self._rings.value:
            self._reason = self._saying or reason
            self._rings._set(False)  # noqa: SLF001 ours
            self._rings._close()  # noqa: SLF001 ours


_REASONS: Final = {
    "answered_elsewhere": CallReason.ANSWERED_ELSEWHERE,
    "rejected_elsewhere": CallReason.REJECTED_ELSEWHERE,
}


class Doorbell:
    """Knows what rings for one user, while somebody listens and until it is settled."""

    def __init__(self, user: User, sessions: Sessions) -> None:
        """Listen to nothing yet."""
        self.user = user
        self._sessions = sessions
        self._calls: dict[str, IncomingCall] = {}
        self._settled: deque[str] = deque(maxlen=_SETTLED)
        self._found: Broadcast[IncomingCall] = Broadcast()
        self._listeners = 0
        user.inbox.subscribe(self._hear)
        user.inbox.standing.listen(self._look)

    async def incoming(self, *, auto_ring: bool) -> AsyncGenerator[IncomingCall, None]:
        """Every call that rings now or comes in later, once, until the inbox is closed."""
        found = self._found.reader()
        self._listeners += 1
        try:
            with self.user.inbox.following():
                ringing = tuple(self._calls.values())
                if await self.user.inbox.begin() is None:
                    return
                await self._find_ringing()
                for call in ringing:
                    if await self._rings(call, auto_ring=auto_ring):
                        yield call
                async for call in found:
                    if await self._rings(call, auto_ring=auto_ring):
                        yield call
        finally:
            self._listeners -= 1

    async def _rings(self, call: IncomingCall, *, auto_ring: bool) -> bool:
        if auto_ring and call.rings.value:
            try:
                await call.ringing()
            except UTDStreamException as error:
                if not isinstance(error, RequestRejected) and not is_passing(error):
                    raise
                _log.debug("the engine was not told that this device rings: %s", error)
        return call.rings.value

    async def _find_ringing(self) -> None:
        """What began before this device listened."""
        for call in (await self.user.calls.history(None, _LATEST)).items:
            mine = call.callee_identity == self.user.identity
            if mine and call.status in _WAITING and call.call_id not in self._settled:
                self._add(_offer_of(call))

    def _hear(self, event: InboxEvent) -> None:
        match event:
            case ib.CallIncoming() if self._listeners:
                self._add(_offered(event))
            case ib.CallAnswered(device=device):
                here = device == self.user.device_id
                self._stop(event.call_id, None if here else CallReason.ANSWERED_ELSEWHERE)
            case ib.CallRejected():
                self._stop(event.call_id, CallReason.REJECTED_ELSEWHERE)
            case ib.CallBusy() | ib.CallMissed() | ib.CallOver():
                self._stop(event.call_id, event.reason)
            case _:
                pass

    def _add(self, offer: _Offer | None) -> None:
        if offer is None or offer.id in self._calls:
            return
        call = IncomingCall(offer, self.user.calls, self._sessions)
        self._calls[offer.id] = call
        until = ExitStack()
        until.enter_context(self.user.inbox.following())
        seconds = (offer.rings_until - offer.at).total_seconds() + _LATE
        late = asyncio.get_running_loop().call_later(
            seconds, self._stop, offer.id, CallReason.NO_ANSWER
        )
        until.callback(late.cancel)
        until.callback(self._calls.pop, offer.id, None)

        def settle(rings: bool) -> None:  # noqa: FBT001 an observable's value
            if not rings:
                self._settled.append(offer.id)
                until.close()

        call.rings.listen(settle)
        self._found.send(call)

    def _stop(self, call_id: str, reason: CallReason | None) -> None:
        self._settled.append(call_id)
        call = self._calls.get(call_id)
        if call is not None:
            call._stop(reason)  # noqa: SLF001 of this module

    def _look(self, standing: Standing) -> None:
        """Nobody will tell what becomes of what rings."""
        if standing.over is not None:
            for call in tuple(self._calls.values()):
                call._stop(None)  # noqa: SLF001 of this module
            self._found.end(standing.over)


def _offered(event: ib.CallIncoming) -> _Offer:
    return _Offer(
        id=event.call_id,
        type=UTDStreamType(event.call_type.value),
        caller=event.caller,
        caller_name=event.caller_name,
        metadata=event.metadata,
        at=event.at,
        rings_until=event.rings_until,
    )


def _offer_of(call: UTDCall) -> _Offer | None:
    if call.created_at is None or call.rings_until is None:
        return None
    return _Offer(
        id=call.call_id,
        type=call.type,
        caller=call.caller_identity,
        caller_name=call.caller_name,
        metadata=call.metadata,
        at=call.created_at,
        rings_until=call.rings_until,
    )
