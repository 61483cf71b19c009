"""One's own inbox: a piece of it by cursor, and over a WebSocket as it grows.

Every event is read from the inbox's log in the store, so a new connection, an old one and a restart
tell the same story. Whoever falls behind is told to come back with the cursor.
"""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct
from starlette.types import Receive, Scope, Send

from utd_engine.app.apps import Apps
from utd_engine.app.bans import Bans
from utd_engine.app.inbox import Waiters, inbox_key
from utd_engine.app.letters import with_seq
from utd_engine.app.limits import Limiter
from utd_engine.app.tokens import UserClaims, UserTokens
from utd_engine.domain.refusal import Refused
from utd_engine.http.call import Call
from utd_engine.http.handlers import Services
from utd_engine.ports.clock import Clock
from utd_engine.ports.rooms import Key
from utd_engine.ports.store import Store, StoreUnavailable
from utd_protocol.answers import InboxAnswer

SUBPROTOCOL: Final = "utd.v1"
FIRST_WITHIN_S: Final = 5.0
PING_S: Final = 20.0
POLL_S: Final = 5.0
"""A wake-up of another replica may be lost: the log is looked at this often."""
SEND_WITHIN_S: Final = 10.0
CLOSE_WITHIN_S: Final = 2.0
PAGE: Final = 200
DEVICES_OF_ONE: Final = 10
MESSAGE_CHARS: Final = 8192

REFUSED: Final = 4401
BANNED: Final = 4403
SILENT: Final = 4408
REPLACED: Final = 4409
SNAPSHOT_REQUIRED: Final = 4410
SLOW: Final = 4413
TOO_MANY: Final = 4429
RESTART: Final = 1012
UNAVAILABLE: Final = 1013


class First(Struct, frozen=True):
    """The first message: who, and the last event that they have (None: only what comes now)."""

    token: str
    after: int | None = None


_first: Final = msgspec.json.Decoder(First)


class _Over(Exception):
    """The connection ends with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class _Gone(Exception):
    """The client has hung up; there is nobody to say anything to."""


class _Line(NamedTuple):
    """One connection: what comes in, what goes out."""

    receive: Receive
    send: Send
    clock: Clock

    async def text(self) -> str:
        """The next message."""
        message = await self.receive()
        if message["type"] == "websocket.disconnect":
            raise _Gone
        text: str = message.get("text") or ""
        if len(text) > MESSAGE_CHARS:
            raise _Over(REFUSED, "messages are short")
        return text

    async def tell(self, text: str) -> None:
        """One message to the client, who is to read it in time."""
        try:
            await self._put({"type": "websocket.send", "text": text}, SEND_WITHIN_S)
        except TimeoutError:
            raise _Over(SLOW, "come back with the cursor") from None

    async def close(self, over: _Over) -> None:
        """Say why it ends. Who reads nothing does not hear it either."""
        message = {"type": "websocket.close", "code": over.code, "reason": over.reason}
        with suppress(TimeoutError):
            await self._put(message, CLOSE_WITHIN_S)

    async def _put(self, message: dict[str, Any], within_s: float) -> None:
        try:
            await self.clock.within(within_s, self.send(message))
        except TimeoutError:
            raise
        except (OSError, RuntimeError):  # what the server raises after a disconnect
            raise _Gone from None


class _Device:
    """A connection that has said who it is. `over` ends it from outside."""

    def __init__(self) -> None:
        self.over: asyncio.Future[_Over] = asyncio.get_running_loop().create_future()

    def end(self, code: int, reason: str) -> None:
        """Once is enough."""
        if not self.over.done():
            self.over.set_result(_Over(code, reason))


async def read(services: Services, call: Call) -> InboxAnswer:
    """One's own events after a cursor."""
    identity = call.actor.identity
    if identity is None:
        raise Refused(
            "invalid_request", "An inbox is somebody's.", hint="Use X-Act-As.", field="X-Act-As"
        )
    after = call.number("after", 0, most=2**63 - 1)
    limit = max(1, call.number("limit", PAGE, most=PAGE))
    key = inbox_key(call.app.app_id, identity)
    loaded = await services.store.load(key)  # first: what comes now must not look like a gap
    head = loaded.seq if loaded is not None else 0
    found = await services.store.events(key, after, limit)
    if after < head and (not found or found[0].seq > after + 1):
        first = await services.store.first_seq(key)
        raise Refused(
            "snapshot_required", f"Events before {first} are no longer kept.", first=first
        )
    raws = tuple(msgspec.Raw(with_seq(event.data, event.seq)) for event in found)
    return InboxAnswer(events=raws, head=max(head, found[-1].seq if found else 0))


class InboxSocket:
    """`/api/v1/ws`."""

    def __init__(
        self,
        apps: Apps,
        tokens: UserTokens,
        bans: Bans,
        *,
        store: Store,
        waiters: Waiters,
        failures: Limiter,
        clock: Clock,
        origins: Sequence[str] = ("*",),
    ) -> None:
        self._apps = apps
        self._tokens = tokens
        self._bans = bans
        self._store = store
        self._waiters = waiters
        self._failures = failures
        self._clock = clock
        self._origins = {origin.encode("latin-1") for origin in origins}
        self._devices: dict[Key, dict[str, _Device]] = {}
        self._is_stopping = False

    @property
    def count(self) -> int:
        """Connections that have said who they are."""
        return sum(len(devices) for devices in self._devices.values())

    def stop(self) -> None:
        """The engine stops: everybody is to come back with the cursor, to whoever is there then."""
        self._is_stopping = True
        for devices in self._devices.values():
            for device in devices.values():
                device.end(RESTART, "come back with the cursor")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection to its end."""
        line = _Line(receive, send, self._clock)
        await receive()  # websocket.connect
        if not self._is_welcome(scope):
            await send({"type": "websocket.close", "code": BANNED, "reason": "wrong origin"})
            return
        accept: dict[str, Any] = {"type": "websocket.accept"}
        if SUBPROTOCOL in (scope.get("subprotocols") or ()):
            accept["subprotocol"] = SUBPROTOCOL
        try:
            await send(accept)
            remote = str((scope.get("client") or ("",))[0])
            await self._serve(line, *await self._first(line, remote))
        except _Over as over:
            with suppress(_Gone):
                await line.close(over)
        except StoreUnavailable:
            with suppress(_Gone):
                await line.close(_Over(UNAVAILABLE, "try later"))
        except _Gone:
            return

    def _is_welcome(self, scope: Scope) -> bool:
        """Browsers say whose page it is; other clients say nothing."""
        origin = dict(scope["headers"]).get(b"origin")
        return origin is None or b"*" in self._origins or origin in self._origins

    async def _first(self, line: _Line, remote: str) -> tuple[UserClaims, int | None]:
        try:
            text = await self._clock.within(FIRST_WITHIN_S, line.text())
        except TimeoutError:
            raise _Over(SILENT, "no first message") from None
        try:
            first = _first.decode(text)
            claims = self._tokens.read(first.token)
        except (msgspec.DecodeError, Refused):
            raise self._refused(remote) from None
        if await self._apps.get(claims.aud) is None:
            raise self._refused(remote)
        await self._refuse_banned(claims)
        return claims, first.after

    def _refused(self, remote: str) -> _Over:
        """Nobody is to try many tokens."""
        try:
            self._failures.take(remote)
        except Refused:
            return _Over(TOO_MANY, "too many refused tokens")
        return _Over(REFUSED, "the token was refused")

    async def _refuse_banned(self, claims: UserClaims) -> None:
        if await self._bans.of(claims.aud, claims.sub, "") is not None:
            raise _Over(BANNED, "banned")

    async def _serve(self, line: _Line, claims: UserClaims, after: int | None) -> None:
        """Read and write until one of both, or somebody else, ends it."""
        key = inbox_key(claims.aud, claims.sub)
        with self._as_device(key, claims.device) as device, self._waiters.waiting(key) as news:
            reading = asyncio.ensure_future(self._read(line))
            writing = asyncio.ensure_future(self._write(line, claims, after, news))
            both = {reading, writing}
            try:
                ends: set[asyncio.Future[Any]] = {*both, device.over}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in both:
                    task.cancel()
                await asyncio.wait(both)
            ended = [task.exception() for task in (writing, reading) if not task.cancelled()]
            if device.over.done() and not any(isinstance(end, _Gone) for end in ended):
                raise device.over.result()
            raise next(end for end in ended if end is not None)

    @contextmanager
    def _as_device(self, key: Key, name: str) -> Generator[_Device]:
        """One connection a device: a second one ends the first."""
        if self._is_stopping:
            raise _Over(RESTART, "come back with the cursor")
        devices = self._devices.setdefault(key, {})
        before = devices.get(name)
        if before is not None:
            before.end(REPLACED, "this device connected again")
        elif len(devices) >= DEVICES_OF_ONE:
            raise _Over(TOO_MANY, f"at most {DEVICES_OF_ONE} devices")
        device = devices[name] = _Device()
        try:
            yield device
        finally:
            device.over.cancel()
            if devices.get(name) is device:
                del devices[name]
            if not devices:
                self._devices.pop(key, None)

    async def _read(self, line: _Line) -> None:
        """Acknowledgements tell nothing that the cursor does not; they keep proxies awake."""
        while True:
            await line.text()

    async def _write(
        self, line: _Line, claims: UserClaims, after: int | None, news: asyncio.Event
    ) -> None:
        key = inbox_key(claims.aud, claims.sub)
        cursor = await self._begin(line, key, after)
        quiet_s = 0.0
        while True:
            news.clear()
            events = await self._store.events(key, cursor, PAGE)
            if events and events[0].seq != cursor + 1:
                raise _Over(SNAPSHOT_REQUIRED, "events before that are no longer kept")
            for event in events:
                await line.tell(with_seq(event.data, event.seq).decode())
                cursor = event.seq
            if any(event.type == "banned" for event in events):
                await self._refuse_banned(claims)
            if events:
                quiet_s = 0.0
            if len(events) == PAGE:  # More may be there; what came since wakes us anyway.
                continue
            if await self._is_quiet(news):
                quiet_s += POLL_S
            if quiet_s >= PING_S:
                quiet_s = 0.0
                await line.tell('{"type":"ping"}')

    async def _begin(self, line: _Line, key: Key, after: int | None) -> int:
        """Where this client goes on."""
        loaded = await self._store.load(key)
        head = loaded.seq if loaded is not None else 0
        cursor = head if after is None else min(max(after, 0), head)
        if cursor < head and await self._store.first_seq(key) > cursor + 1:
            raise _Over(SNAPSHOT_REQUIRED, "events before that are no longer kept")
        await line.tell(f'{{"type":"ready","head":{head},"after":{cursor}}}')
        return cursor

    async def _is_quiet(self, news: asyncio.Event) -> bool:
        """Wait for news; whether there was none."""
        try:
            await self._clock.within(POLL_S, news.wait())
        except TimeoutError:
            return True
        return False
