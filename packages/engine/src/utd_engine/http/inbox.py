"""One's own inbox: a piece of it by cursor, and over a WebSocket as it grows.

Every event is read from the inbox's log in the store, so a new connection, an old one and a restart
tell the same story. Whoever falls behind is told to come back with the cursor.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from msgspec import Struct
from starlette.types import Receive, Scope, Send

from utd_engine.app.apps import Apps
from utd_engine.app.bans import Bans
from utd_engine.app.inbox import Waiters, inbox_key
from utd_engine.app.letters import with_seq
from utd_engine.app.ports import Clock, Key, Store, StoreUnavailable
from utd_engine.app.tokens import UserClaims, UserTokens
from utd_engine.domain.refusal import Refused
from utd_engine.http.call import Call
from utd_engine.http.handlers import Services
from utd_protocol.answers import InboxAnswer

SUBPROTOCOL: Final = "utd.v1"
FIRST_WITHIN_S: Final = 5.0
PING_S: Final = 20.0
POLL_S: Final = 5.0
"""A wake-up of another replica may be lost: the log is looked at this often."""
SEND_WITHIN_S: Final = 10.0
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

_log: Final = structlog.get_logger("utd.inbox")


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


class _Line(NamedTuple):
    """One connection: what comes in, what goes out."""

    receive: Receive
    send: Send

    async def text(self, text: str) -> None:
        try:
            async with asyncio.timeout(SEND_WITHIN_S):
                await self.send({"type": "websocket.send", "text": text})
        except TimeoutError:
            raise _Over(SLOW, "come back with the cursor") from None


async def read(services: Services, call: Call) -> InboxAnswer:
    """One's own events after a cursor."""
    identity = call.actor.identity
    if identity is None:
        raise Refused(
            "invalid_request", "An inbox is somebody's.", hint="Use X-Act-As.", field="X-Act-As"
        )
    after = call.number("after", 0, most=2**63 - 1)
    key = inbox_key(call.app.app_id, identity)
    found = await services.store.events(key, after, call.number("limit", PAGE, most=PAGE))
    loaded = await services.store.load(key)
    head = loaded.seq if loaded is not None else 0
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
        clock: Clock,
    ) -> None:
        self._apps = apps
        self._tokens = tokens
        self._bans = bans
        self._store = store
        self._waiters = waiters
        self._clock = clock
        self._devices: dict[Key, dict[str, asyncio.Event]] = {}
        self._stopping = asyncio.Event()

    @property
    def count(self) -> int:
        """Connections that have said who they are."""
        return sum(len(devices) for devices in self._devices.values())

    def stop(self) -> None:
        """The engine stops: everybody is to come back with the cursor."""
        self._stopping.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection to its end."""
        line = _Line(receive, send)
        await receive()  # websocket.connect
        offered: list[str] = scope.get("subprotocols") or []
        accept: dict[str, Any] = {"type": "websocket.accept"}
        if SUBPROTOCOL in offered:
            accept["subprotocol"] = SUBPROTOCOL
        await send(accept)
        try:
            claims, after = await self._first(line)
            await self._serve(line, claims, after)
        except _Over as over:
            await send({"type": "websocket.close", "code": over.code, "reason": over.reason})
        except StoreUnavailable:
            await send({"type": "websocket.close", "code": UNAVAILABLE, "reason": "try later"})

    async def _first(self, line: _Line) -> tuple[UserClaims, int | None]:
        try:
            message = await self._clock.within(FIRST_WITHIN_S, line.receive())
        except TimeoutError:
            raise _Over(SILENT, "no first message") from None
        text = message.get("text") if message["type"] == "websocket.receive" else None
        if not text or len(text) > MESSAGE_CHARS:
            raise _Over(REFUSED, "the first message is {token, after}")
        try:
            first = _first.decode(text)
            claims = self._tokens.read(first.token)
        except (msgspec.DecodeError, Refused):
            raise _Over(REFUSED, "the token was refused") from None
        if await self._apps.get(claims.aud) is None:
            raise _Over(REFUSED, "the token was refused")
        if await self._bans.of(claims.aud, claims.sub, "") is not None:
            raise _Over(BANNED, "banned")
        return claims, first.after

    async def _serve(self, line: _Line, claims: UserClaims, after: int | None) -> None:
        key = inbox_key(claims.aud, claims.sub)
        async with self._as_device(key, claims.device) as replaced:
            with self._waiters.waiting(key) as news:
                ends: set[asyncio.Future[Any]] = {
                    asyncio.ensure_future(self._read(line)),
                    asyncio.ensure_future(self._write(line, key, after, news)),
                    asyncio.ensure_future(replaced.wait()),
                    asyncio.ensure_future(self._stopping.wait()),
                }
                try:
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in ends:
                        task.cancel()
                    results: list[Any] = await asyncio.gather(*ends, return_exceptions=True)
        for result in results:
            if isinstance(result, _Over | StoreUnavailable):
                raise result
        if replaced.is_set():
            raise _Over(REPLACED, "this device connected again")
        if self._stopping.is_set():
            raise _Over(RESTART, "come back with the cursor")

    @asynccontextmanager
    async def _as_device(self, key: Key, device: str) -> AsyncGenerator[asyncio.Event]:
        """One connection a device: a second one ends the first."""
        devices = self._devices.setdefault(key, {})
        if device not in devices and len(devices) >= DEVICES_OF_ONE:
            raise _Over(TOO_MANY, f"at most {DEVICES_OF_ONE} devices")
        before = devices.get(device)
        if before is not None:
            before.set()
        replaced = devices[device] = asyncio.Event()
        try:
            yield replaced
        finally:
            if devices.get(device) is replaced:
                del devices[device]
            if not devices:
                self._devices.pop(key, None)

    async def _read(self, line: _Line) -> None:
        """Acknowledgements tell nothing that the cursor does not; they keep proxies awake."""
        while True:
            message = await line.receive()
            if message["type"] == "websocket.disconnect":
                return
            if len(message.get("text") or "") > MESSAGE_CHARS:
                raise _Over(SLOW, "messages are short")

    async def _write(self, line: _Line, key: Key, after: int | None, news: asyncio.Event) -> None:
        loaded = await self._store.load(key)
        head = loaded.seq if loaded is not None else 0
        cursor = head if after is None else min(max(after, 0), head)
        await self._refuse_gap(key, cursor, head)
        await line.text(f'{{"type":"ready","head":{head},"after":{cursor}}}')
        quiet = 0.0
        while True:
            news.clear()
            events = await self._store.events(key, cursor, PAGE)
            for event in events:
                await line.text(with_seq(event.data, event.seq).decode())
                cursor = event.seq
            if events:
                quiet = 0.0
                continue
            try:
                await self._clock.within(POLL_S, news.wait())
            except TimeoutError:
                quiet += POLL_S
            if quiet >= PING_S:
                quiet = 0.0
                await line.text('{"type":"ping"}')

    async def _refuse_gap(self, key: Key, cursor: int, head: int) -> None:
        if cursor < head and await self._store.first_seq(key) > cursor + 1:
            raise _Over(SNAPSHOT_REQUIRED, "events before that are no longer kept")
