"""What every kind of session has: a LiveKit room, the engine's view, a connection, an end.

Subclasses add commands. One owner task runs from a join to its end, and nothing outlives it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Final, Self, TypeAlias, TypeVar

from utd_protocol import events as ev
from utd_protocol.answers import CommandAnswer
from utd_protocol.types import RoomState
from utd_protocol.views import RoomView
from utd_stream._broadcast import Broadcast
from utd_stream._engine.bearer import Bearer
from utd_stream._engine.http import Call, Method, decode, write
from utd_stream._errors import (
    Closed,
    ClosedByUs,
    ConnectionLost,
    Kicked,
    RoomEnded,
    Unreachable,
    UTDStreamException,
    fresh,
)
from utd_stream._media.frames import AudioFrame, AudioInput
from utd_stream._models import UTDStreamType, UTDTokenResponse
from utd_stream._observable import Observable
from utd_stream._room.connection import UTDConnectionState
from utd_stream._room.events import LiveKitEvent
from utd_stream._room.participants import RemoteParticipant
from utd_stream._room.room import UTDRoom
from utd_stream._sessions.door import Door
from utd_stream._sessions.follow import Follower
from utd_stream._sessions.stay import Keeper, closed_by
from utd_stream._sessions.updates import Update, Updates

T = TypeVar("T")
Kind: TypeAlias = type[T]

_LEAVE_WITHIN: Final = 2.0
_HANG_UP_WITHIN: Final = 2.0
_DISPOSE_WITHIN: Final = 5.0

_log: Final = logging.getLogger("utd_stream.session")


class UTDSession:
    """One user in one room. Made by the client's `join_…`, never by hand.

    The reference's `UTDSession`. It is an async context manager: leaving the block disposes it.
    """

    def __init__(self, door: Door, answer: UTDTokenResponse) -> None:
        self._door = door
        self._bearer = Bearer(door.http, answer.user_token)
        self._follower = Follower(
            door,
            self._bearer,
            view=answer.room,
            seq=answer.seq,
            on_news=self._hear,
            on_caught_up=self._caught_up,
        )
        self._keeper = Keeper(door, self._bearer, self._follower)
        self._view = Observable(answer.room)
        self._updates = Broadcast[Update]()
        self._ended: Closed | None = None
        self._ending = asyncio.Event()
        self._entering = asyncio.Lock()
        self._stay: asyncio.Task[None] | None = None
        self._disposal: asyncio.Task[None] | None = None
        self._ended_by_us = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.dispose()

    # What it is.

    @property
    def type(self) -> UTDStreamType:
        """The kind of session. The reference's `type`."""
        return self._door.type

    @property
    def identity(self) -> str:
        """Who this session is, in the app's words."""
        return self._door.identity

    @property
    def room_name(self) -> str:
        """The room's name, as it was joined. The reference's `roomName`."""
        return self._door.room_name

    @property
    def room(self) -> UTDRoom:
        """The LiveKit side: tracks, frames, participants. The reference's `room`."""
        return self._door.room

    @property
    def connection(self) -> Observable[UTDConnectionState]:
        """Where the connection is in its life.

        `resyncing` is a connection that is up while the engine's log is being read.
        """
        return self._keeper.connection

    @property
    def ended(self) -> Closed | None:
        """Why this session is not in its room; None while it is."""
        return self._ended

    @property
    def view(self) -> Observable[RoomView]:
        """The room as the engine has it: everything that anybody in it may see."""
        return self._view

    # The LiveKit side under the reference's names.

    @property
    def connected(self) -> Observable[bool]:
        """Whether the media room is connected. The reference's `connected`."""
        return self.room.connected

    @property
    def can_publish(self) -> Observable[bool]:
        """Whether the engine grants publishing. The reference's `canPublish`."""
        return self.room.can_publish

    @property
    def remote_participants(self) -> Observable[tuple[RemoteParticipant, ...]]:
        """The others; keeps its last value while reconnecting. The reference's."""
        return self.room.remote_participants

    @property
    def active_speakers(self) -> Observable[tuple[str, ...]]:
        """Who is speaking now, by identity, loudest first."""
        return self.room.active_speakers

    @property
    def local_participant(self) -> object:
        """LiveKit's local participant, None before the join. The reference's."""
        return self.room.local_participant

    @property
    def events(self) -> AsyncIterator[LiveKitEvent]:
        """Every raw LiveKit event from now on. The reference's `events`."""
        return self.room.events

    def updates(self) -> Updates:
        """Follow the engine's events of this room from now on, in order, without loss.

        Returns:
            An async iterator. It ends when this side leaves. Reading is safe to cancel.

        Raises:
            Closed: raised by the iterator when the session ends in any other way.
            Lagged: raised by the iterator when 10,000 events were left unread.
        """
        return self._updates.reader(self._ended)

    async def set_microphone(self, enabled: bool, source: AudioInput | None = None) -> None:  # noqa: FBT001 the reference's argument
        """Switch the microphone on or off. The reference's `setMicrophone`.

        Args:
            enabled: on or off. Off also withdraws the wish to speak.
            source: where the sound comes from; the client's `media.microphone` by default.

        Raises:
            PublishNotAllowed: at once, when the engine has not granted the microphone.
            PublishFailed: LiveKit did not take the track in time.
            Closed: the session is not in the room.
        """
        self._require_joined()
        await self.room.set_microphone(enabled, source)

    async def send_data(
        self,
        data: bytes,
        reliable: bool = True,  # noqa: FBT001, FBT002 the reference's argument
        to: Sequence[str] | None = None,
        *,
        topic: str = "",
    ) -> None:
        """Send bytes over LiveKit to others in the room. The reference's `sendData`.

        Args:
            data: the bytes.
            reliable: whether losses are repaired, in order.
            to: identities; everybody by default.
            topic: a word by which receivers tell packets apart.

        Raises:
            NotAllowed: the room's policy lets this user send no data.
            Invalid: it is too long for one packet.
            Closed: the session is not in the room.
        """
        self._require_joined()
        await self.room.send_data(data, reliable=reliable, destination_identities=to, topic=topic)

    def audio(self, identity: str, *, frame_ms: int = 10) -> AsyncGenerator[AudioFrame, None]:
        """Hear one participant. See `UTDRoom.audio`."""
        return self.room.audio(identity, frame_ms=frame_ms)

    def mixed_audio(self, *, frame_ms: int = 10) -> AsyncGenerator[AudioFrame, None]:
        """Hear all the others together. See `UTDRoom.mixed_audio`."""
        return self.room.mixed_audio(frame_ms=frame_ms)

    async def record(
        self, path: str | Path, *, identity: str | None = None, seconds: float | None = None
    ) -> float:
        """Write what is heard to a WAV file. See `UTDRoom.record`."""
        return await self.room.record(path, identity=identity, seconds=seconds)

    # Coming and going.

    async def leave(self) -> None:
        """Leave the room on purpose; `rejoin` uses the object again. The reference's `leave`.

        What one had in the room is free at once. The engine is told for 2 s at most, and the
        LiveKit connection is closed in any case. Idempotent. When cancelled, it goes on closing.
        """
        stay = self._stay
        if stay is None or stay.done():
            return
        if not self._keeper.leaving and self._ended is None:
            self._keeper.leaving = True
            try:
                await self._say_goodbye()
            finally:
                self._end(ClosedByUs("this side left the room: rejoin() comes back"))
        await asyncio.shield(stay)

    async def rejoin(self) -> None:
        """Join the same room again after `leave`, or after the connection was lost for good.

        It is a new join: the engine decides anew, and a seat that was left is not given back.
        Does nothing while the session is in the room. When cancelled, the session is out.

        Raises:
            Banned: the engine lets this user in no more.
            NotFound: the room has ended, and this user may not open it.
            ConnectError: the engine or LiveKit could not be reached.
            ClosedByUs: the session or its client is disposed.
        """
        async with self._entering:
            self._require_usable()
            if self._ended is None:
                return
            if self._stay is not None:
                await asyncio.shield(self._stay)
            answer = await self._door.mint()
            self._bearer.replace(answer.user_token)
            self._ended = None
            self._follower.restart(answer.room, answer.seq)
            await self._enter(answer)

    async def dispose(self) -> None:
        """Leave, and free everything. The reference's `dispose`.

        It takes 5 s at most, is idempotent, and goes on when its caller is cancelled.
        """
        if self._disposal is None:
            self._disposal = asyncio.create_task(self._dispose(), name="utd-session-dispose")
        await asyncio.shield(self._disposal)

    async def aclose(self) -> None:
        """The same as `dispose`."""
        await self.dispose()

    # For the client and for subclasses.

    async def _enter(self, answer: UTDTokenResponse) -> None:
        """Connect, and wait until the view is the engine's. On failure nothing stays behind."""
        self._ended = None
        self._ended_by_us = False
        self._ending.clear()
        self._accept(answer)
        try:
            await self._keeper.join(answer.url, answer.token)
        except BaseException:
            self._end(ClosedByUs("the room was not joined: rejoin() tries again"))
            await self._hang_up()
            raise
        self._stay = asyncio.create_task(self._live(), name=f"utd-session-{self.room_name}")
        try:
            await self._wait_settled()
            self._require_usable()
        except BaseException:
            self._end(ClosedByUs("the room was not joined: rejoin() tries again"))
            await asyncio.shield(self._stay)
            raise

    def _accept(self, answer: UTDTokenResponse) -> None:
        """Take over what only the answer to a join says."""

    async def _caught_up(self) -> None:
        """Ask for what no event carries. Called after each reading of the log."""

    def _changed(self, updates: tuple[Update, ...]) -> None:
        """Bring derived values up to date. `view` is the new one already."""

    def _stopped(self, reason: Closed) -> None:
        """Let go of what belongs to one stay in the room. Called as soon as it is over."""

    async def _order(self, method: Method, path: str, body: object = None) -> CommandAnswer:
        """Give a command, and fold its events before returning."""
        raw = await self._send(write(method, f"{self._door.path}{path}", body))
        return await self._fold_answer(raw)

    async def _fold_answer(self, raw: bytes) -> CommandAnswer:
        answer = decode(raw, CommandAnswer)
        self._follower.fold(answer.events, answer.seq)
        await self._follower.reach(answer.seq)
        return answer

    async def _ask(self, call: Call, kind: Kind[T]) -> T:
        """Ask a question about this room."""
        return decode(await self._send(call), kind)

    async def _send(self, call: Call) -> bytes:
        self._require_joined()
        return await self._bearer.send(call)

    def _require_joined(self) -> None:
        if self._door.http.closed:
            raise ClosedByUs("the client is closed: make a new UTDStreamClient")
        if self._ended is not None:
            raise fresh(self._ended)

    def _require_usable(self) -> None:
        if self._disposal is not None:
            raise ClosedByUs("the session is disposed: join again with the client")
        if self._door.http.closed:
            raise ClosedByUs("the client is closed: make a new UTDStreamClient")

    # The one owner of everything that runs while the session is in its room.

    async def _live(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                jobs = [
                    tasks.create_task(self._follower.run()),
                    tasks.create_task(self._stay_connected()),
                    tasks.create_task(self._bearer.keep_fresh()),
                ]
                await self._ending.wait()
                for job in jobs:
                    job.cancel()
        except* UTDStreamException as refused:
            self._end(closed_by(_first(refused)))
        except* Exception:  # noqa: BLE001 it is logged, and ends the session
            _log.exception("the session broke; this is a defect of the SDK")
            self._end(ConnectionLost("the session broke by a defect of the SDK: see the log"))
        finally:
            self._end(ClosedByUs("the event loop is stopping"))
            try:
                await self._hang_up()
            finally:
                self._keeper.rest()

    async def _stay_connected(self) -> None:
        self._end(await self._keeper.run())

    def _hear(self, updates: tuple[Update, ...]) -> None:
        self._view._set(self._follower.view)  # noqa: SLF001 its owner sets it
        self._changed(updates)
        for update in updates:
            self._updates.send(update)
        if not self._keeper.leaving:
            self._judge(updates)

    def _judge(self, updates: tuple[Update, ...]) -> None:
        """End the session when the log says that it is over for this user."""
        for update in updates:
            match update:
                case ev.MemberKicked(identity=self.identity, reason=reason):
                    said = f": {reason}" if reason else ""
                    message = f"you were put out of the room{said}"
                    self._end(Kicked(message, code="kicked", context={"reason": reason}))
                case ev.MemberBanned(identity=self.identity, until=until):
                    end = until.isoformat() if until else None
                    message = f"you are banned until {end}" if end else "you are banned"
                    self._end(Kicked(message, code="banned", context={"until": end}))
                case _:
                    pass
        view = self._follower.view
        if view.state is RoomState.ENDED:
            self._end(self._room_end(view))

    def _room_end(self, view: RoomView) -> Closed:
        if self._ended_by_us:
            return ClosedByUs("this side ended the room")
        return RoomEnded(f"the room has ended: {view.ended_reason}", code="room_ended")

    def _end(self, reason: Closed) -> None:
        """Begin to end. The first reason counts."""
        if self._ended is None:
            self._ended = reason
            self._ending.set()
            self._stopped(reason)
            self._follower.stop(reason)
            self._updates.end(reason)

    async def _wait_settled(self) -> None:
        """Wait until connected and caught up."""
        try:
            async with asyncio.timeout(self._door.http.timeout):
                await self.connection.wait_for(
                    lambda state: (
                        state in {UTDConnectionState.CONNECTED, UTDConnectionState.DISCONNECTED}
                    )
                )
        except TimeoutError:
            message = "the room was joined, but the engine's log of it cannot be read"
            raise Unreachable(message) from None
        self._require_joined()

    async def _say_goodbye(self) -> None:
        call = write("POST", f"{self._door.path}/leave")
        try:
            async with asyncio.timeout(_LEAVE_WITHIN):
                answer = decode(await self._bearer.send(call), CommandAnswer)
                self._follower.fold(answer.events, answer.seq)
        except (UTDStreamException, TimeoutError) as error:
            _log.debug("the engine was not told that this side leaves: %s", error)

    async def _hang_up(self) -> None:
        self._keeper.leaving = True
        self.room.want_nothing()
        try:
            async with asyncio.timeout(_HANG_UP_WITHIN):
                await self.room.disconnect()
        except TimeoutError:
            _log.warning("LiveKit did not confirm the disconnect in time")

    async def _dispose(self) -> None:
        try:
            async with asyncio.timeout(_DISPOSE_WITHIN):
                await self.leave()
                await self.room.aclose()
        except TimeoutError:
            _log.warning("the session was not closed in time; its task is cancelled")
            if self._stay is not None:
                self._stay.cancel()
        self._end(ClosedByUs("the session is disposed: join again with the client"))
        self._close_values()
        self._door.gone(self)

    def _close_values(self) -> None:
        """No value changes any more: let everybody who follows one end."""
        self._view._close()  # noqa: SLF001
        self._keeper.connection._close()  # noqa: SLF001


def _first(group: BaseExceptionGroup[UTDStreamException]) -> UTDStreamException:
    """The first error of a group; groups may hold groups."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
