"""An engine on a real port, called as a client calls it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import aiohttp

from utd_engine.config import HTTP, Admin, Config, Limits, LiveKit, Security, Store
from utd_engine.main import Adapters, Engine, serving

MASTER = "for-tests-only-for-tests-only-for-tests-only"
NO_LIMITS = Limits(writes_per_second=0, mints_per_second=0, failures_per_second=0)
ROOM = "/api/v1/rooms/audio_room/lobby"


class Answer(NamedTuple):
    status: int
    body: Any

    @property
    def code(self) -> str | None:
        return None if self.status < 400 else str(self.body["code"])


def config(path: Path, livekit: LiveKit | None = None, port: int = 0) -> Config:
    """An engine for one test: any free port, no limits, its database in the test's folder."""
    return Config(
        http=HTTP(port=port),
        admin=Admin(port=0),
        store=Store(path=str(path)),
        livekit=livekit or LiveKit(api_key="memory", api_secret="x" * 32),
        security=Security(master_secrets=(MASTER,)),
        limits=NO_LIMITS,
    )


class ServedEngine:
    """Made by `start`."""

    def __init__(self, engine: Engine, base_url: str, http: aiohttp.ClientSession) -> None:
        self.engine = engine
        self.base_url = base_url
        self.app_id = ""
        self.app_key = ""
        self._http = http

    @classmethod
    @asynccontextmanager
    async def start(cls, config: Config, world: Adapters | None = None) -> AsyncIterator[Self]:
        async with serving(config, world) as running, plain_http() as http:
            self = cls(running.engine, running.base_url, http)
            apps = running.engine.services.apps
            known = await apps.all()
            if known:
                self.app_id = known[0].app_id
                self.app_key = (await apps.add_key(self.app_id, "publishable")).key
            else:
                tenant, publishable, _ = await apps.create("test", "development", None)
                self.app_id, self.app_key = tenant.app_id, publishable.key
            yield self

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        bearer: str | None = None,
        key: str | None = None,
    ) -> Answer:
        headers = {"x-app-id": self.app_id, "x-app-key": self.app_key}
        if bearer is not None:
            headers = {"authorization": f"Bearer {bearer}"}
        if key is not None:
            headers["idempotency-key"] = key
        url = self.base_url + path
        async with self._http.request(method, url, json=body or {}, headers=headers) as answer:
            return Answer(answer.status, await answer.json(content_type=None))

    async def join(self, identity: str, role: str = "audience") -> dict[str, Any]:
        """The answer with its tokens."""
        body = {"type": "audio_room", "room_name": "lobby", "identity": identity, "role": role}
        answer = await self.call("POST", "/api/v1/token", body)
        assert answer.status == 200, answer
        joined: dict[str, Any] = answer.body
        return joined


@asynccontextmanager
async def plain_http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        yield http
