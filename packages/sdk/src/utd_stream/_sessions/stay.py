"""Stays in the room: what a loss of the connection means, and the way back from one that heals.

It decides about LiveKit's disconnects and reports one `Closed` when it is over. LiveKit resumes
by itself after short losses; this begins where LiveKit gives up.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from utd_stream._engine.backoff import Backoff, is_passing
from utd_stream._engine.bearer import Bearer
from utd_stream._engine.http import decode, write
from utd_stream._errors import (
    Closed,
    ClosedByUs,
    ConnectionLost,
    Kicked,
    Replaced,
    RoomEnded,
    UTDStreamException,
)
from utd_stream._models import UTDTokenResponse
from utd_stream._observable import Observable
from utd_stream._room.connection import DisconnectReason, UTDConnectionState
from utd_stream._room.events import (
    Connected,
    Disconnected,
    LiveKitEvent,
    Reconnected,
    Reconnecting,
    RoomMetadataChanged,
)
from utd_stream._sessions.door import Door
from utd_stream._sessions.follow import Follower

_FIRST_DELAY, _LONGEST_DELAY = 0.3, 5.0
_REMOVED: Final = frozenset(
    {
        DisconnectReason.PARTICIPANT_REMOVED,
        DisconnectReason.ROOM_DELETED,
        DisconnectReason.ROOM_CLOSED,
    }
)
_KICKED_CODES: Final = frozenset({"banned", "kicked"})
_ENDED_CODES: Final = frozenset({"room_ended", "room_not_found"})

_log: Final = logging.getLogger("utd_stream.session")


class Keeper:
    """Owns the state of one session's connection."""

    def __init__(self, door: Door, bearer: Bearer, follower: Follower) -> None:
        """Start disconnected; nothing is done before `join`."""
        self._door = door
        self._bearer = bearer
        self._follower = follower
        self._link = UTDConnectionState.DISCONNECTED
        self._lost: DisconnectReason | None = None
        self._losses = asyncio.Event()
        self._unsubscribe: Callable[[], None] | None = None
        self.leaving = False
        """Set before this side goes on purpose: what LiveKit then reports means nothing."""
        self.connection = Observable(UTDConnectionState.DISCONNECTED)
        follower.resyncing.listen(lambda _: self._show())

    async def join(self, url: str, token: str) -> None:
        """Connect to LiveKit for the first time.

        Raises:
            ConnectError: it could not be reached, or refused.
        """
        self.leaving = False
        self._lost = None
        self._losses.clear()
        self._set(UTDConnectionState.CONNECTING)
        if self._unsubscribe is None:
            self._unsubscribe = self._door.room.subscribe(self._on_event)
        try:
            await self._connect(url, token)
        except BaseException:
            self.rest()
            raise

    def rest(self) -> None:
        """Take no more notice of LiveKit; the connection is shown as over."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self._set(UTDConnectionState.DISCONNECTED)

    async def run(self) -> Closed:
        """Come back after every loss that allows it; returns why that ended."""
        while True:
            await self._losses.wait()
            self._losses.clear()
            lost, self._lost = self._lost, None
            if lost is None or self.leaving:
                continue
            over = await self._after(lost)
            if over is not None:
                return over

    async def _after(self, lost: DisconnectReason) -> Closed | None:
        if lost is DisconnectReason.DUPLICATE_IDENTITY:
            return Replaced("the same identity joined this room from elsewhere")
        if lost is DisconnectReason.CLIENT_INITIATED:
            return ClosedByUs("the room was disconnected by hand")
        if lost in _REMOVED:
            over = await self._ask_why(lost)
            if over is not None:
                return over
        return await self._come_back(lost)

    async def _ask_why(self, lost: DisconnectReason) -> Closed | None:
        """Ask the engine once: LiveKit may drop the last event of one who is put out.

        An event of the log that tells the reason ends the session on its own, before this returns.
        """
        try:
            await self._follower.catch_up(once=True)
        except UTDStreamException as error:
            if not is_passing(error):
                return closed_by(error)
        if lost is DisconnectReason.PARTICIPANT_REMOVED:
            return Kicked("you were put out of the room; the engine does not say why")
        return None

    async def _come_back(self, lost: DisconnectReason) -> Closed | None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._door.reconnect_for
        backoff = Backoff(_FIRST_DELAY, _LONGEST_DELAY, self._door.jitter)
        error: UTDStreamException | None = None
        self._set(UTDConnectionState.RECONNECTING)
        while (delay := backoff.delay(error)) <= until - loop.time():
            await asyncio.sleep(delay)
            try:
                await self._rejoin(until - loop.time())
            except _Refused as refused:
                return closed_by(refused.error)
            except ClosedByUs as closed:  # somebody used `session.room` meanwhile
                return closed
            except UTDStreamException as failed:
                error = failed
                _log.debug("not back yet: %s", failed)
            else:
                return None
        message = f"the connection was lost ({lost.value}) and did not come back in time"
        return _caused(ConnectionLost(message), error)

    async def _rejoin(self, left: float) -> None:
        http = self._door.http
        call = write("POST", f"{self._door.path}/rejoin")
        try:
            raw = await self._bearer.send(call, timeout=max(0.0, min(http.timeout, left)))
            answer = decode(raw, UTDTokenResponse)
        except UTDStreamException as error:
            if is_passing(error):
                raise
            raise _Refused(error) from error
        self._bearer.replace(answer.user_token)
        self._lost = None
        self._losses.clear()
        await self._connect(answer.url, answer.token)

    async def _connect(self, url: str, token: str) -> None:
        await self._door.room.connect(url, token)
        if self._link is not UTDConnectionState.CONNECTED and self._lost is None:
            self._connected()

    def _on_event(self, event: LiveKitEvent) -> None:
        match event:
            case RoomMetadataChanged(metadata=metadata):
                self._follower.hear(metadata)
            case Connected() | Reconnected():
                self._connected()
            case Reconnecting():
                self._set(UTDConnectionState.RECONNECTING)
            case Disconnected(reason=reason):
                if not self.leaving:
                    self._set(UTDConnectionState.RECONNECTING)
                self._lost = reason
                self._losses.set()
            case _:
                pass

    def _connected(self) -> None:
        self._follower.resync()
        self._set(UTDConnectionState.CONNECTED)

    def _set(self, link: UTDConnectionState) -> None:
        self._link = link
        self._show()

    def _show(self) -> None:
        shown = self._link
        if shown is UTDConnectionState.CONNECTED and self._follower.resyncing.value:
            shown = UTDConnectionState.RESYNCING
        self.connection._set(shown)  # noqa: SLF001 its owner sets it


class _Refused(Exception):
    """The engine does not let this user back in."""

    def __init__(self, error: UTDStreamException) -> None:
        super().__init__(error.message)
        self.error = error


def closed_by(error: UTDStreamException) -> Closed:
    """The end of a session that a refusal of the engine means."""
    if isinstance(error, Closed):
        return error
    kind: type[Closed] = ConnectionLost
    if error.code in _KICKED_CODES:
        kind = Kicked
    elif error.code in _ENDED_CODES:
        kind = RoomEnded
    return _caused(
        kind(
            error.message,
            status_code=error.status_code,
            code=error.code,
            request_id=error.request_id,
            rule=error.rule,
            hint=error.hint,
            context=error.context,
        ),
        error,
    )


def _caused(closed: Closed, cause: UTDStreamException | None) -> Closed:
    closed.__cause__ = cause
    return closed
