"""Calls between two: start or accept one, talk, and hang up; one session, call after call."""

import asyncio
import logging
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import structs

from utd_protocol import inbox as ib
from utd_protocol.answers import CallAnswer, CallRequest
from utd_protocol.policy import Policy
from utd_protocol.types import Identity, Role, RoomId, RoomName, RoomState, Source
from utd_protocol.views import CallView, RoomView
from utd_stream._engine.calls import Word
from utd_stream._engine.http import decode, write
from utd_stream._engine.inbox import InboxEvent
from utd_stream._errors import (
    CallOver,
    Closed,
    ClosedByUs,
    Conflict,
    RequestRejected,
    RoomEnded,
    UTDStreamException,
    VersionMismatch,
    fresh,
)
from utd_stream._models import UTDCall, UTDCallStatus, UTDStreamType, UTDTokenResponse
from utd_stream._observable import Observable
from utd_stream._sessions.door import Door
from utd_stream._sessions.place_media import Place, PlaceMedia
from utd_stream._sessions.updates import Update
from utd_stream._sessions.user import User, Who
from utd_stream._sessions.video_session import VideoSession

_GIVE_UP_WITHIN: Final = 2.0
_UNANSWERED: Final = frozenset({UTDCallStatus.REJECTED, UTDCallStatus.BUSY, UTDCallStatus.MISSED})
_OVER_FOR_GOOD: Final = (RoomEnded, ClosedByUs)

_log: Final = logging.getLogger("utd_stream.session")


class UTDCallSession(VideoSession):
    """One user's side of calls. Made by `client.call_session`.

    The reference's `UTDCallSession`. It is in a room only from `start` or `accept` to the end of
    the call; then `ended` is `CallOver` with the engine's reason as its `code`, or `ClosedByUs`,
    iterators end, and the next call may begin. Both parties publish; microphone and camera can be
    switched as in any session.
    """

    def __init__(self, door: Door, who: Who) -> None:
        super().__init__(door, _nowhere(door.type))
        door.mint = self._come_back
        self._who = who
        self._status: Observable[UTDCallStatus | None] = Observable(None)
        self._call_id: Observable[str | None] = Observable(None)
        self._about: str | None = None
        self._ringing = ExitStack()
        place = Place(name="the call", find=_living, allowed=self._allowed)
        self._media = PlaceMedia(door.room, self._view, place, door.http.timeout)
        self._ended = ClosedByUs("there is no call yet: start() or accept() one")

    @property
    def status(self) -> Observable[UTDCallStatus | None]:
        """Where the call is; None before the first. The reference's `status`.

        A call that another device answered is `ended` here.
        """
        return self._status

    @property
    def call_id(self) -> Observable[str | None]:
        """The call that was started or accepted last. The reference's `callId`."""
        return self._call_id

    # The caller.

    async def start(
        self,
        *,
        callee_identity: str,
        callee_name: str | None = None,
        metadata: dict[str, Any] | None = None,
        ring_timeout: float | None = None,
    ) -> UTDCall:
        """Call somebody: ring them, join the call's room, and publish. The reference's `start`.

        It returns while it rings; `status` tells what becomes of it. When it fails or is
        cancelled, the call is hung up.

        Args:
            callee_identity: whom.
            callee_name: how they are called, for display.
            metadata: rides with the ring, 4 KB of JSON at most.
            ring_timeout: seconds after which it is missed, 5 to 120; the app's policy by default.

        Returns:
            The call. One whose callee is in another call is over at once, with the status `busy`.

        Raises:
            NotAuthenticated: `client.authenticate` comes first.
            Conflict: this user is in a call already.
            Invalid: nobody calls themselves, and metadata is limited.
            Unreachable: the engine or LiveKit did not answer in time.
            PublishFailed: LiveKit did not take the microphone or camera in time.
        """
        request = CallRequest(
            callee_identity=callee_identity,
            type=self.type.room_type,
            callee_name=callee_name,
            metadata=metadata or {},
            ring_timeout_s=ring_timeout,
        )
        async with self._entering:
            user = await self._at_rest()
            return await self._begin(user, await user.calls.start(request))

    # The callee.

    async def accept(self, call_id: str) -> UTDCall:
        """Answer a call on this device: join its room and publish. The reference's `accept`.

        When it fails or is cancelled after the engine has agreed, the call is hung up.

        Args:
            call_id: of an incoming call of this session's type.

        Raises:
            NotAuthenticated: `client.authenticate` comes first.
            NotFound: there is no such call of this user's.
            Conflict: another device was first (`answered_elsewhere`, `rejected_elsewhere`), the
                call is over (`call_over`), or this session is in another one.
            Unreachable: the engine or LiveKit did not answer in time.
            PublishFailed: LiveKit did not take the microphone or camera in time.
        """
        async with self._entering:
            user = await self._at_rest()
            try:
                raw = await user.calls.accept(call_id)
            except Conflict as error:
                rejected = error.code == "rejected_elsewhere"
                self._tell(call_id, UTDCallStatus.REJECTED if rejected else UTDCallStatus.ENDED)
                raise
            return await self._begin(user, raw)

    async def ringing(self, call_id: str) -> None:
        """Say that this device rings; `status` follows the call then. The reference's `ringing`.

        Args:
            call_id: of an incoming call.

        Raises:
            NotFound: there is no such call of this user's.
            Conflict: it is over (`call_over`).
        """
        await self._say(call_id, "ringing")
        if self._about == call_id and self._status.value is UTDCallStatus.RINGING:
            self._follow_ring()

    async def reject(self, call_id: str) -> None:
        """Say no, for all devices. Arguments and errors as of `ringing`. The reference's."""
        await self._say(call_id, "reject")

    async def busy(self, call_id: str) -> None:
        """Say that this user is busy. Arguments and errors as of `ringing`. The reference's."""
        await self._say(call_id, "busy")

    async def ignore(self, call_id: str) -> None:
        """Stop ringing on this device; nobody is told. Arguments and errors as of `ringing`."""
        await self._who().calls.say(call_id, "ignore")
        self._tell(call_id, None)

    # Both.

    async def end(self) -> None:
        """Hang up, and leave the call's room. The reference's `end`.

        Before the answer this cancels the call. Without a call, and the second time, nothing
        happens. This side is silent at once and leaves the room in any case.

        Raises:
            Unreachable: this side is out, but the engine could not be told; it finds out within
                the policy's `call_grace`.
        """
        if self._ended is not None:
            async with self._entering:  # one that is being started may have no id yet
                pass
        call_id = self._call_id.value
        if call_id is None or self._ended is not None:
            return
        self._ended_by_us = True
        self.room.want_nothing()
        try:
            self._tell(call_id, (await self._who().calls.say(call_id, "end")).status)
        except RequestRejected as error:
            _log.debug("nothing to hang up: %s", error)
        finally:
            self._keeper.leaving = True
            self._end(_hung_up())
            if self._stay is not None:
                await asyncio.shield(self._stay)

    async def rejoin(self) -> None:
        """Come back into a call whose connection was lost for good, and publish again.

        Does nothing while the session is in its call.

        Raises:
            CallOver: there is no such call any more.
            ConnectError: the engine or LiveKit could not be reached.
            PublishFailed: LiveKit did not take the microphone or camera in time.
        """
        if self._ended is None:
            return
        if self._stay is not None:
            await asyncio.shield(self._stay)  # it takes every wish with it
        with self._media.wish(*self._devices()):
            await super().rejoin()
            await self._media.live()

    # Inside.

    async def _at_rest(self) -> User:
        """Who calls, once nothing of a call before is left."""
        self._require_usable()
        user = self._who()
        if self._ended is None:
            message = "this session is in a call: end() it, or make another call_session()"
            raise Conflict(message)
        if self._stay is not None:
            await asyncio.shield(self._stay)
        return user

    async def _begin(self, user: User, raw: bytes) -> UTDCall:
        call, joined = decode(raw, UTDCall), _joined(decode(raw, CallAnswer))
        self._call_id._set(call.call_id)  # noqa: SLF001 its owner sets it
        self._show(call.call_id, call.status)
        if call.status.is_over:
            self._ended = _over(call.status, call.reason)
            return call
        if joined is None:
            raise VersionMismatch("the engine gave no token for the call: update this SDK")
        try:
            await self._join(user, joined)
        except UTDStreamException as error:
            final = await self._give_up(user, call)
            if isinstance(error, CallOver) or final.status in _UNANSWERED:
                return final
            raise
        except BaseException:
            await self._give_up(user, call)
            raise
        return structs.replace(call, status=self._status.value or call.status)

    async def _join(self, user: User, joined: UTDTokenResponse) -> None:
        """Be in the call's room, and be heard."""
        self._door.identity = user.identity
        self._door.room_name = joined.room_name
        self._bearer.replace(joined.user_token)
        self._ended = None
        self._follower.restart(joined.room, joined.seq)
        with self._media.wish(*self._devices()):
            await self._enter(joined)
            await self._media.live()

    async def _give_up(self, user: User, call: UTDCall) -> UTDCall:
        """Hang up what did not come about; tells how it stands then, as far as that is known."""
        try:
            async with asyncio.timeout(_GIVE_UP_WITHIN):
                call = await user.calls.say(call.call_id, "end")
            self._tell(call.call_id, call.status)
        except (UTDStreamException, TimeoutError) as error:
            _log.debug("the engine was not told that the call is given up: %s", error)
        self._end(_over(call.status, call.reason))
        await self.leave()
        return call

    async def _come_back(self) -> UTDTokenResponse:
        """A call that is not over is joined again; there is no other one to come back to."""
        if self._ended is not None and (self._status.value is None or self._status.value.is_over):
            raise fresh(self._ended)
        call = write("POST", f"{self._door.path}/rejoin")
        return decode(await self._bearer.send(call), UTDTokenResponse)

    async def _say(self, call_id: str, word: Word) -> None:
        """Say something about a call that is not answered here."""
        call = await self._who().calls.say(call_id, word)
        elsewhere = call.status is UTDCallStatus.ACTIVE
        if self._ended is not None:
            self._show(call_id, UTDCallStatus.ENDED if elsewhere else call.status)

    def _show(self, call_id: str, status: UTDCallStatus) -> None:
        """This call is the one that `status` is about."""
        self._about = call_id
        self._tell(call_id, status)

    def _tell(self, call_id: str, status: UTDCallStatus | None) -> None:
        """Show a new status, if it is of the call that `status` is about."""
        if call_id != self._about:
            return
        self._status._set(status)  # noqa: SLF001 its owner sets it
        if status is not UTDCallStatus.RINGING:
            self._ringing.close()

    def _follow_ring(self) -> None:
        """Let the inbox tell what becomes of a call before it is answered here."""
        self._ringing.close()
        inbox = self._who().inbox
        self._ringing.enter_context(inbox.following())
        self._ringing.callback(inbox.subscribe(self._hear_inbox))

    def _hear_inbox(self, event: InboxEvent) -> None:
        match event:
            case ib.CallAnswered(device=device):
                if device != self._who().device_id:
                    self._tell(event.call_id, UTDCallStatus.ENDED)
            case ib.CallRejected() | ib.CallBusy() | ib.CallMissed() | ib.CallOver():
                self._tell(event.call_id, UTDCallStatus(event.status.value))
            case _:
                pass

    def _devices(self) -> tuple[Source, ...]:
        both = (Source.MICROPHONE, Source.CAMERA)
        return both if self.type.has_video else both[:1]

    def _allowed(self, view: RoomView, call: CallView) -> frozenset[Source]:
        del call
        return frozenset(self._devices()).difference(view.member(self.identity).muted)

    def _accept(self, answer: UTDTokenResponse) -> None:
        self._media.restart()
        super()._accept(answer)

    def _changed(self, updates: tuple[Update, ...]) -> None:
        super()._changed(updates)
        call = self._view.value.call
        if call is not None:
            self._tell(self._view.value.room_id, UTDCallStatus(call.status.value))

    def _room_end(self, view: RoomView) -> Closed:
        call = view.call
        return super()._room_end(view) if call is None else _over(call.status, call.reason)

    def _end(self, reason: Closed) -> None:
        """Every end of a call is one that was meant; who hung up sees that, whoever tells first."""
        if isinstance(reason, RoomEnded) and self._ended_by_us:
            reason = _hung_up()
        elif isinstance(reason, RoomEnded) and not isinstance(reason, CallOver):
            reason = CallOver(reason.message, code=reason.code, request_id=reason.request_id)
        super()._end(reason)

    def _stopped(self, reason: Closed) -> None:
        super()._stopped(reason)
        self._media.stop(reason)
        status = self._status.value
        if isinstance(reason, _OVER_FOR_GOOD) and status is not None and not status.is_over:
            self._status._set(UTDCallStatus.ENDED)  # noqa: SLF001 its owner sets it

    def _close_values(self) -> None:
        super()._close_values()
        self._ringing.close()
        self._status._close()  # noqa: SLF001
        self._call_id._close()  # noqa: SLF001


def _living(view: RoomView) -> CallView | None:
    return None if view.call is None or view.call.is_over else view.call


def _hung_up() -> ClosedByUs:
    return ClosedByUs("this side hung up: start() or accept() another call")


def _over(status: object, reason: str | None) -> CallOver:
    return CallOver(f"the call is over: {status}, {reason}", code=reason)


def _joined(answer: CallAnswer) -> UTDTokenResponse | None:
    """The part of an answer that lets one into the call's room."""
    token, url, bearer = answer.token, answer.url, answer.user_token
    if token is None or url is None or bearer is None or answer.room is None:
        return None
    return UTDTokenResponse(
        token=token,
        url=url,
        room_name=answer.room_name or answer.call_id,
        user_token=bearer,
        ws_url=answer.ws_url,
        role=Role.AUDIENCE,
        role_clamped=False,
        room=answer.room,
        seq=answer.seq or 0,
    )


def _nowhere(kind: UTDStreamType) -> UTDTokenResponse:
    """What a session has seen that was in no call yet: a room that is over, without anybody."""
    nobody = Identity("")
    room = RoomView(
        room_id=RoomId(""),
        type=kind.room_type,
        name=RoomName(""),
        state=RoomState.ENDED,
        owner=nobody,
        host=None,
        opened_at=datetime.fromtimestamp(0, UTC),
        policy=Policy(),
    )
    return UTDTokenResponse(
        token="",
        url="",
        room_name="",
        user_token="",
        ws_url=None,
        role=Role.AUDIENCE,
        role_clamped=False,
        room=room,
        seq=0,
    )
