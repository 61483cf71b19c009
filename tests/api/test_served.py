"""Over real sockets: paths, bodies and methods reach the engine as they were sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
import msgspec
from yarl import URL

from utd_engine.adapters.livekit.webhooks import make_reader
from utd_engine.adapters.memory.media import MEMORY_KEY, MemoryGateway
from utd_engine.adapters.memory.store import MemoryStore
from utd_engine.config import HTTP, Admin, Config, Security
from utd_engine.http.call import BODY_LIMIT
from utd_engine.main import Adapters, Serving, serving
from utd_engine.metrics import Metrics
from utd_engine.system import SystemClock, SystemIds
from utd_engine.testing._engine import ADMIN_TOKEN, MASTER
from utd_protocol.answers import TokenAnswer


class Client(NamedTuple):
    """A served engine with one app, and a connection pool to it."""

    served: Serving
    http: aiohttp.ClientSession
    keys: dict[str, str]

    def url(self, path: str) -> URL:
        """The path exactly as it is written."""
        return URL(self.served.base_url + path, encoded=True)


@asynccontextmanager
async def client() -> AsyncIterator[Client]:
    clock = SystemClock()
    sfu = MemoryGateway(clock)
    reader = make_reader({MEMORY_KEY.key: MEMORY_KEY.secret}, clock)
    world = Adapters(MemoryStore(), sfu, reader, clock, SystemIds(), Metrics())
    config = Config(
        http=HTTP(port=0),
        admin=Admin(port=0, token=ADMIN_TOKEN),
        security=Security(master_secrets=(MASTER,)),
    )
    async with serving(config, world) as served, aiohttp.ClientSession() as http:
        headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
        body = {"name": "x", "mode": "development"}
        url = served.admin_url + "/admin/v1/apps"
        async with http.post(url, json=body, headers=headers) as answer:
            app = await answer.json()
        yield Client(served, http, {"x-app-id": app["app_id"], "x-app-key": app["app_key"]})


async def join(api: Client, name: str) -> TokenAnswer:
    wish = {"type": "audio_room", "room_name": name, "identity": "ana", "role": "host"}
    async with api.http.post(api.url("/api/v1/token"), json=wish, headers=api.keys) as answer:
        assert answer.status == 200, await answer.text()
        return msgspec.json.decode(await answer.read(), type=TokenAnswer)


async def test_names_come_through_percent_encoded_and_raw() -> None:
    async with client() as api:
        for name, path in [("a/b", "a%2Fb"), ("é?#", "%C3%A9%3F%23"), ("100%", "100%25")]:
            joined = await join(api, name)
            bearer = {"authorization": f"Bearer {joined.user_token}"}
            url = api.url(f"/api/v1/rooms/audio_room/{path}?room_id=x")
            async with api.http.get(url, headers=bearer) as answer:
                assert (await answer.json())["view"]["name"] == name
            async with api.http.head(url, headers=bearer) as answer:
                assert (answer.status, await answer.read()) == (200, b"")


async def test_a_large_body_is_refused_and_the_next_request_is_answered() -> None:
    async with client() as api:
        url = api.url("/api/v1/token")
        for _ in range(3):
            async with api.http.post(url, data=b"x" * (BODY_LIMIT * 3), headers=api.keys) as answer:
                assert answer.status == 413
                assert (await answer.json())["code"] == "too_large"
        assert (await join(api, "lobby")).role == "host"


async def test_bytes_that_are_no_http_break_nothing() -> None:
    async with client() as api:
        for sent in (b"\x00\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET \xff HTTP/1.1\r\n\r\n"):
            port = api.served.base_url.rpartition(":")[2]
            reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
            writer.write(sent)
            writer.write_eof()
            answer = await reader.read()
            assert not answer.startswith(b"HTTP/1.1 5")
            writer.close()
            await writer.wait_closed()
        assert (await join(api, "lobby")).role == "host"


async def test_a_client_that_goes_within_its_body_changes_nothing() -> None:
    async with client() as api:
        joined = await join(api, "lobby")
        port = int(api.served.base_url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /api/v1/rooms/audio_room/lobby/seats/take HTTP/1.1\r\nhost: x\r\n"
            b"content-length: 9\r\nauthorization: Bearer "
            + joined.user_token.encode()
            + b"\r\n\r\n{}"
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        url = api.url("/api/v1/rooms/audio_room/lobby")
        bearer = {"authorization": f"Bearer {joined.user_token}"}
        async with api.http.get(url, headers=bearer) as answer:
            assert (await answer.json())["seq"] == 1


async def test_probes_answer_on_the_operators_port_only() -> None:
    async with client() as api:
        for path in ("/livez", "/readyz", "/startupz", "/metrics"):
            async with api.http.get(api.served.admin_url + path) as answer:
                assert answer.status == 200
            async with api.http.get(api.url(path)) as answer:
                assert answer.status == 404
