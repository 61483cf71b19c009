"""One user's inbox: calls, invites and decisions, in order, exactly once, over one WebSocket.

The socket is open while somebody follows, and comes back by itself. Each reader has a cursor of
its own: what the socket brought lately is kept here, what is older is read over HTTP, and while no
socket can be had the inbox is polled. `_incoming` makes calls that ring of it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Final, NamedTuple, NoReturn, TypeAlias

import msgspec
from msgspec import Struct

from utd_protocol.answers import InboxAnswer
from utd_protocol.inbox import AnyInboxEvent, UnknownInboxEvent, decode_inbox_event
from utd_stream._engine.backoff import Backoff, Jitter, is_passing
from utd_stream._engine.bearer import Bearer
from utd_stream._engine.http import EngineHTTP, decode, read
from utd_stream._errors import (
    AuthRejected,
    Closed,
    ClosedByUs,
    Lagged,
    Unreachable,
    UTDStreamException,
    VersionMismatch,
    fresh,
)
from utd_stream._observable import Observable

InboxEvent: TypeAlias = AnyInboxEvent | UnknownInboxEvent
"""Everything that `client.inbox()` gives."""

_SUBPROTOCOL: Final = "utd.v1"
_KEPT: Final = 512
_PAGE: Final = 200
_SILENCE: Final = 50.0
"""The engine pings every 20 s: one that says nothing for so long is gone."""
_POLL: Final = 5.0
_FIRST_DELAY, _LONGEST_DELAY = 0.2, 5.0
_CLOSING: Final = 2.0
_BEYOND: Final = 10**18 - 1
"""After any event, and the largest number that the engine reads: asks where the inbox ends."""

_log: Final = logging.getLogger("utd_stream.inbox")


class Standing(NamedTuple):
    """How far the inbox is known."""

    head: int | None = None
    """Its last event; None before the engine told where it ends."""
    over: UTDStreamException | None = None
    """Why it is followed no longer."""
    begun: int = 0
    """Where it ended when it began to be followed: who waited for that has all that came since."""


class Inbox:
    """Made by the client, for one user. Nothing runs while nobody follows."""

    def __init__(
        self, http: EngineHTTP, bearer: Bearer, ws_url: str | None, jitter: Jitter
    ) -> None:
        """Follow nothing yet.

        Args:
            http: the client's.
            bearer: the user.
            ws_url: where the engine's WebSocket is; without one the inbox is polled.
            jitter: the chance in delays.
        """
        self._http = http
        self._bearer = bearer
        self._ws_url = ws_url
        self._jitter = jitter
        self._kept: deque[InboxEvent] = deque(maxlen=_KEPT)
        self.standing = Observable(Standing())
        self._callbacks: dict[object, Callable[[InboxEvent], None]] = {}
        self._followers = 0
        self._runner: asyncio.Task[None] | None = None
        self._renewed = False
        """Whether a refused token was renewed, and the new one not taken yet."""
        self._closed = False

    @contextmanager
    def following(self) -> Generator[None]:
        """Keep the socket open inside the block."""
        self._followers += 1
        if self._runner is None and not self._closed:
            self._runner = asyncio.create_task(self._run(), name="utd-inbox")
        try:
            yield
        finally:
            self._followers -= 1
            # Later, since this may be an act of the runner, and be followed by another one.
            asyncio.get_running_loop().call_soon(self._rest)

    def subscribe(self, callback: Callable[[InboxEvent], None]) -> Callable[[], None]:
        """Call `callback` for every event that comes while somebody follows, until unsubscribed."""
        key = object()
        self._callbacks[key] = callback

        def unsubscribe() -> None:
            self._callbacks.pop(key, None)

        return unsubscribe

    async def begin(self) -> int | None:
        """Wait until it is known where the inbox ends. Only inside `following`.

        Returns:
            The last event; None when we closed it.

        Raises:
            UTDStreamException: why it is followed no longer.
        """
        before = self.standing.value
        now = await self.standing.wait_for(lambda now: now != Standing())
        if now.over is not None:
            _raise_unless_ours(now.over)
            return None
        return now.begun if before.head is None else before.head

    async def head(self) -> int:
        """Ask the engine where the inbox ends now."""
        return (await self._page(_BEYOND)).head

    async def events(self, after: int | None) -> AsyncGenerator[InboxEvent, None]:
        """Every event after a cursor, until it is closed."""
        with self.following():
            head = await self.begin()
            if head is None:
                return
            cursor = head if after is None else after
            while await self._has_more(cursor):
                for event in await self._known(cursor):
                    cursor = event.seq
                    yield event

    async def aclose(self) -> None:
        """End everybody who follows, and the socket. Idempotent, two seconds at most."""
        self._closed = True
        self._finish(ClosedByUs("the client is closed, or somebody else signed in with it"))
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.cancel()
            await asyncio.wait([runner], timeout=_CLOSING)

    # Readers.

    async def _has_more(self, cursor: int) -> bool:
        """Wait for an event after the cursor; false when none will come because we closed it."""
        now = await self.standing.wait_for(
            lambda now: now.over is not None or (now.head is not None and now.head > cursor)
        )
        if now.head is None or now.head <= cursor:
            _raise_unless_ours(now.over)
            return False
        return True

    async def _known(self, cursor: int) -> tuple[InboxEvent, ...]:
        """What comes after a cursor: of what is kept here, or else a page of the log."""
        if self._kept and self._kept[0].seq <= cursor + 1:
            return tuple(each for each in self._kept if each.seq > cursor)
        return _decoded((await self._page_in_time(cursor)).events)

    async def _page_in_time(self, cursor: int) -> InboxAnswer:
        """A page, however long the engine takes to come back."""
        backoff = Backoff(_FIRST_DELAY, _LONGEST_DELAY, self._jitter)
        while True:
            try:
                return await self._page(cursor)
            except UTDStreamException as error:
                if not is_passing(error):
                    raise
                await asyncio.sleep(backoff.delay(error))

    async def _page(self, after: int) -> InboxAnswer:
        try:
            raw = await self._bearer.send(read("/inbox", after=after, limit=_PAGE))
        except UTDStreamException as error:
            if error.code != "snapshot_required":
                raise
            message = f"events after {after} are no longer kept: follow from now on instead"
            raise Lagged(message, code=error.code, status_code=error.status_code) from error
        return decode(raw, InboxAnswer)

    # The one owner of the socket.

    async def _run(self) -> None:
        backoff = Backoff(_FIRST_DELAY, _LONGEST_DELAY, self._jitter)
        while True:
            try:
                await self._listen(backoff)
            except UTDStreamException as error:
                try:
                    await self._recover(error)
                except UTDStreamException as lost:
                    if lost is error or not is_passing(lost):
                        self._finish(lost)
                        return
                await asyncio.sleep(backoff.delay(error))

    async def _recover(self, error: UTDStreamException) -> None:
        """Do what another connection needs; raises the error itself if none may follow."""
        match error:
            case AuthRejected() if not self._renewed:
                await self._bearer.renew(self._bearer.token)
                self._renewed = True
            case Lagged():
                self._forget()
            case Unreachable():
                _log.debug("the inbox is not connected: %s", error)
                await self._poll()
            case _:
                raise error

    async def _listen(self, backoff: Backoff) -> NoReturn:
        """Take in what one connection brings, until that ends with an error."""
        if self._ws_url is None:
            raise Unreachable("the engine offers no socket: polling", retry_after=_POLL)
        async with self._http.socket(self._ws_url, _SUBPROTOCOL) as socket:
            first = _First(token=self._bearer.token, after=self.standing.value.head)
            await socket.send(msgspec.json.encode(first).decode())
            while True:
                self._take(await socket.receive(_SILENCE))
                backoff.reset()
                self._renewed = False

    def _take(self, text: str) -> None:
        word = _word(text)
        if word.type == "ready":
            self._begin_at(word.after)
        elif word.type != "ping":
            self._add(_decoded([text.encode()]))

    async def _poll(self) -> None:
        """Read over HTTP what is new."""
        head = self.standing.value.head
        if head is None:
            self._begin_at(await self.head())
            return
        try:
            while head < (page := await self._page(head)).head:
                self._add(_decoded(page.events))
                head = page.head if self.standing.value.head is None else self.standing.value.head
        except Lagged:
            self._forget()

    def _begin_at(self, after: int) -> None:
        """The engine goes on from here; if not from where we are, what is kept is of the past."""
        if self.standing.value.head != after:
            self._kept.clear()
            self._stand(Standing(after, begun=after))

    def _add(self, events: Iterable[InboxEvent]) -> None:
        for event in events:
            head = self.standing.value.head
            if head is not None and event.seq <= head:
                continue
            if head is not None and event.seq > head + 1:
                raise Unreachable(f"the inbox has a gap after {head}: reading it again")
            self._kept.append(event)
            for callback in tuple(self._callbacks.values()):
                callback(event)
            self._stand(self.standing.value._replace(head=event.seq))

    def _forget(self) -> None:
        """Begin anew, with where the inbox ends then."""
        self._kept.clear()
        self._stand(Standing())

    def _finish(self, over: UTDStreamException) -> None:
        self._stand(self.standing.value._replace(over=over))

    def _stand(self, standing: Standing) -> None:
        self.standing._set(standing)  # noqa: SLF001 ours

    def _rest(self) -> None:
        """Run no longer while nobody follows."""
        if self._runner is not None and not self._followers:
            self._runner.cancel()
            self._runner = None
            self._forget()


class _First(Struct, frozen=True):
    """What this side says first."""

    token: str
    after: int | None


class _Word(Struct, frozen=True):
    """What every message says."""

    type: str
    after: int = 0


def _raise_unless_ours(over: UTDStreamException | None) -> None:
    """Raise why it is over, unless we closed it."""
    if over is not None and not (isinstance(over, Closed) and over.is_normal):
        raise fresh(over)


def _word(text: str) -> _Word:
    try:
        return msgspec.json.decode(text, type=_Word)
    except msgspec.DecodeError as error:
        raise _unreadable(error) from error


def _decoded(raws: Iterable[bytes | msgspec.Raw]) -> tuple[InboxEvent, ...]:
    try:
        return tuple(decode_inbox_event(raw) for raw in raws)
    except msgspec.DecodeError as error:
        raise _unreadable(error) from error


def _unreadable(error: msgspec.DecodeError) -> VersionMismatch:
    return VersionMismatch(f"the engine's inbox cannot be read ({error}): update this SDK")
