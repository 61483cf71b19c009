"""An engine in this process: called as over HTTP, with no socket."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, Self
from urllib.parse import quote, urlencode

import msgspec
import orjson

from utd_engine.adapters.livekit.webhooks import make_reader
from utd_engine.adapters.memory.media import MEMORY_KEY, MemoryGateway
from utd_engine.adapters.memory.media_rooms import MemoryParticipant
from utd_engine.adapters.memory.store import MemoryStore
from utd_engine.app.apps import AppSettings
from utd_engine.app.snapshots import Snapshot
from utd_engine.config import Admin, Config, Limits, Security
from utd_engine.main import Adapters, Engine, build
from utd_engine.metrics import Metrics
from utd_engine.ports.clock import Ids
from utd_engine.ports.media import WebhookEvent
from utd_engine.ports.rooms import Key
from utd_engine.ports.store import Store
from utd_engine.testing._clock import FakeClock, FakeIds
from utd_protocol.answers import TokenAnswer
from utd_protocol.types import RoomType

MASTER: Final = "for-tests-only-for-tests-only-for-tests-only"
ADMIN_TOKEN: Final = "operator-for-tests-only-xx"  # noqa: S105 it opens nothing else
UNLIMITED: Final = Limits(writes_per_second=0, mints_per_second=0, failures_per_second=0)


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 JSON is anything
        """The body, decoded."""
        return orjson.loads(self.body)

    @property
    def code(self) -> str | None:
        """The error code of a refusal, None for an answer."""
        return None if self.status < 400 else str(self.json()["code"])  # noqa: PLR2004 HTTP


class Joined(NamedTuple):
    """Somebody who was let in, and perhaps is in LiveKit too."""

    identity: str
    answer: TokenAnswer
    participant: MemoryParticipant | None

    @property
    def user_token(self) -> str:
        """Their bearer."""
        return self.answer.user_token

    def path(self, rest: str = "") -> str:
        """A path of their room."""
        view = self.answer.room
        return f"/api/v1/rooms/{view.type}/{quote(view.name, safe='')}{rest}"


class EngineUnderTest:
    """Made by `start`, never by its user."""

    def __init__(
        self, engine: Engine, world: Adapters, clock: FakeClock, sfu: MemoryGateway
    ) -> None:
        self.engine = engine
        self.store: Store = world.store
        self.clock = clock
        self.sfu = sfu
        self.app_id = ""
        self.app_key = ""
        self.secret_key = ""

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        *,
        store: Store | None = None,
        clock: FakeClock | None = None,
        sfu: MemoryGateway | None = None,
        limits: Limits = UNLIMITED,
        settings: AppSettings | None = None,
        mode: str = "development",
        ids: Ids | None = None,
        admin_token: str = ADMIN_TOKEN,
    ) -> AsyncGenerator[Self]:
        """A running engine with one app. Give store, clock, SFU and ids to start anew over them."""
        clock = clock or FakeClock()
        sfu = sfu or MemoryGateway(clock)
        reader = make_reader({MEMORY_KEY.key: MEMORY_KEY.secret}, clock)
        world = Adapters(store or MemoryStore(), sfu, reader, clock, ids or FakeIds(), Metrics())
        config = Config(
            security=Security(master_secrets=(MASTER,)),
            limits=limits,
            admin=Admin(token=admin_token),
        )
        async with build(config, world) as engine:
            under_test = cls(engine, world, clock, sfu)
            sfu.on_webhook = under_test.webhook
            await under_test._make_app(settings, mode)
            await clock.settle()
            try:
                yield under_test
            finally:
                sfu.on_webhook = _unheard
            if engine.background.crashed.done():
                engine.background.crashed.result()

    async def _make_app(self, settings: AppSettings | None, mode: str) -> None:
        apps = self.engine.services.apps
        known = await apps.all()
        if known:
            self.app_id = known[0].app_id
            self.app_key = (await apps.add_key(self.app_id, "publishable")).key
            self.secret_key = (await apps.add_key(self.app_id, "secret")).key
            return
        tenant, publishable, secret = await apps.create(
            "test", "production" if mode == "production" else "development", settings
        )
        self.app_id, self.app_key, self.secret_key = (
            tenant.app_id,
            publishable.key,
            secret.key,
        )

    def webhook(self, event: WebhookEvent) -> None:
        """LiveKit reports something; the signature was checked elsewhere."""
        self.engine.hooks.take(event)

    async def join(
        self,
        identity: str,
        *,
        role: str = "audience",
        room_name: str = "lobby",
        enter: bool = True,
        **wish: object,
    ) -> Joined:
        """Mint a token and, unless `enter` is False, come into LiveKit with it."""
        body = {"type": RoomType.AUDIO_ROOM, "room_name": room_name, "identity": identity,
                "role": role, **wish}  # fmt: skip
        answer = await self.call("POST", "/api/v1/token", body, app_key=True)
        if answer.status != 200:  # noqa: PLR2004 HTTP
            raise AssertionError(answer.body.decode())
        token = msgspec.json.decode(answer.body, type=TokenAnswer)
        participant = await self.sfu.join(token.token) if enter else None
        await self.clock.settle()
        return Joined(identity, token, participant)

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        bearer: str | None = None,
        app_key: bool = False,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Answer:
        """One HTTP request to the public port. `bearer="secret"` is the app's secret key."""
        sent = dict(headers or {})
        if bearer is not None:
            sent["authorization"] = f"Bearer {self.secret_key if bearer == 'secret' else bearer}"
        if app_key:
            sent |= {"x-app-id": self.app_id, "x-app-key": self.app_key}
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        )
        return await asgi_call(
            self.engine.public, method, path, raw, sent, urlencode(dict(query or {}))
        )

    async def operate(
        self, method: str, path: str, body: object = None, *, token: str | None = ADMIN_TOKEN
    ) -> Answer:
        """One HTTP request to the operator's port."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        )
        return await asgi_call(self.engine.admin, method, path, raw, headers)

    async def room(self, key: Key) -> Snapshot:
        """A room as the engine has it."""
        snapshot = await self.engine.services.rooms.peek(key)
        if snapshot is None:
            raise AssertionError(f"there is no {key}")
        return snapshot

    def key(self, joined: Joined) -> Key:
        """The store's key of somebody's room."""
        return Key(self.app_id, "room", joined.answer.room.room_id)


def _unheard(_event: WebhookEvent) -> None:
    """LiveKit reports to nobody."""


async def asgi_call(  # noqa: PLR0917 the parts of a request, in their usual order
    app: Any,  # noqa: ANN401 ASGI's own type
    method: str,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    query: str = "",
) -> Answer:
    """Call an ASGI application once."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = sent[0]
    got = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], got, b"".join(part.get("body", b"") for part in sent[1:]))
