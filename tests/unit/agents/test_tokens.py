import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from support.agent_fakes import jwt

from utd_stream import Invalid
from utd_stream.agents import (
    CustomTokenSource,
    DevelopmentTokenSource,
    EndpointTokenSource,
    LiteralTokenSource,
    SandboxTokenSource,
    TokenRequestOptions,
    TokenSourceError,
    TokenSourceHTTPError,
    TokenSourceResponse,
)

NOTHING = TokenRequestOptions()
GOOD = {"server_url": "wss://x", "participant_token": "t"}


class Endpoint:
    """A token endpoint that answers as a test says."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.status = 200
        self.body: Any = GOOD
        self.silent = asyncio.Event()
        self.silent.set()
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, dict(request.headers), await request.text()))
        await self.silent.wait()
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body)
        return web.json_response(self.body, status=self.status)


@asynccontextmanager
async def serving() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    app = web.Application()
    app.router.add_route("*", "/token", endpoint.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    try:
        yield endpoint
    finally:
        endpoint.silent.set()
        await runner.cleanup()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with serving() as endpoint:
        yield endpoint


async def test_a_literal_source_gives_what_it_has() -> None:
    source = LiteralTokenSource("wss://x", "secret-token", "Ana", "lobby")
    response = await source.fetch()
    assert response == TokenSourceResponse("wss://x", "secret-token", "Ana", "lobby")
    assert "secret-token" not in repr(response)


async def test_a_custom_source_gets_the_options() -> None:
    asked: list[TokenRequestOptions] = []

    async def make(options: TokenRequestOptions) -> TokenSourceResponse:
        asked.append(options)
        return TokenSourceResponse("wss://x", "t")

    source = CustomTokenSource(make)
    wanted = TokenRequestOptions(agent_name="helper")
    assert (await source.fetch(wanted)).participant_token == "t"
    await source.fetch(NOTHING)
    assert asked == [wanted, NOTHING]


async def test_an_endpoint_is_asked_by_the_standard_contract(endpoint: Endpoint) -> None:
    source = EndpointTokenSource(endpoint.url, headers={"X-Mine": "1"})
    response = await source.fetch(
        TokenRequestOptions(participant_identity="ana", agent_name="helper")
    )
    [(method, headers, body)] = endpoint.asked
    assert method == "POST"
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Mine"] == "1"
    assert body == (
        '{"participant_identity":"ana","room_config":{"agents":[{"agent_name":"helper"}]}}'
    )
    assert response == TokenSourceResponse("wss://x", "t")


async def test_the_body_is_sent_with_get_too(endpoint: Endpoint) -> None:
    await EndpointTokenSource(endpoint.url, method="GET").fetch(NOTHING)
    [(method, _, body)] = endpoint.asked
    assert (method, body) == ("GET", '{"room_config":{}}')


async def test_headers_may_replace_the_content_type(endpoint: Endpoint) -> None:
    source = EndpointTokenSource(endpoint.url, headers={"Content-Type": "text/x-mine"})
    await source.fetch(NOTHING)
    assert endpoint.asked[0][1]["Content-Type"] == "text/x-mine"


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_a_refusal_names_status_body_and_uri(endpoint: Endpoint, status: int) -> None:
    endpoint.status, endpoint.body = status, "go away"
    with pytest.raises(TokenSourceHTTPError) as refused:
        await EndpointTokenSource(endpoint.url).fetch(NOTHING)
    error = refused.value
    assert (error.uri, error.status_code, error.body) == (endpoint.url, status, "go away")
    assert all(part in str(error) for part in (endpoint.url, str(status), "go away"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"serverUrl": "wss://x", "participantToken": "t"}, ("wss://x", "t", None, None)),
        (
            {**GOOD, "serverUrl": "wss://camel", "roomName": "r", "participantName": "n"},
            ("wss://x", "t", "n", "r"),
        ),
        ({**GOOD, "participant_name": None, "unknown": [1]}, ("wss://x", "t", None, None)),
    ],
)
async def test_answers_in_either_spelling(
    endpoint: Endpoint, body: dict[str, Any], expected: tuple[str | None, ...]
) -> None:
    endpoint.status, endpoint.body = 201, body
    response = await EndpointTokenSource(endpoint.url).fetch(NOTHING)
    assert response == TokenSourceResponse(*expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body", ["", "no json", "[]", {"server_url": "x"}, {**GOOD, "room_name": 1}]
)
async def test_answers_that_cannot_be_read(endpoint: Endpoint, body: object) -> None:
    endpoint.body = body
    with pytest.raises(TokenSourceError) as broken:
        await EndpointTokenSource(endpoint.url).fetch(NOTHING)
    assert not isinstance(broken.value, TokenSourceHTTPError)


async def test_a_slow_endpoint_is_given_up(endpoint: Endpoint) -> None:  # Q15
    endpoint.silent.clear()
    source = EndpointTokenSource(endpoint.url, timeout=0.05)
    with pytest.raises(TokenSourceError, match=r"did not answer within 0\.05 s"):
        await source.fetch(NOTHING)
    assert EndpointTokenSource(endpoint.url).timeout == 10


async def test_an_endpoint_that_is_not_there() -> None:
    async with serving() as endpoint:
        url = endpoint.url
    with pytest.raises(TokenSourceError, match="cannot be reached") as broken:
        await EndpointTokenSource(url).fetch(NOTHING)
    assert broken.value.__cause__ is not None


async def test_a_given_client_is_used_and_not_closed(endpoint: Endpoint) -> None:
    async with aiohttp.ClientSession(headers={"X-Client": "mine"}) as client:
        await EndpointTokenSource(endpoint.url, client=client).fetch(NOTHING)
        assert not client.closed
    assert endpoint.asked[0][1]["X-Client"] == "mine"


@pytest.mark.parametrize("url", ["", "example.org/token", "ws://example.org"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="url: must look like"):
        EndpointTokenSource(url)


@pytest.mark.parametrize("kind", [DevelopmentTokenSource, SandboxTokenSource])
def test_the_sandbox_id_is_stripped(kind: type[DevelopmentTokenSource]) -> None:
    source = kind('  "sandbox-123"  ')
    assert kind("  sandbox-123  ").sandbox_id == source.sandbox_id == "sandbox-123"
    assert source.headers == {"X-Sandbox-ID": "sandbox-123"}
    assert source.url == "https://cloud-api.livekit.io/api/v2/sandbox/connection-details"
    assert source.method == "POST"
    with pytest.raises(Invalid, match="sandbox_id"):
        kind(" - ")


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ({}, {"room_config": {}}),
        (
            {"agent_name": "a", "agent_metadata": "m"},
            {"room_config": {"agents": [{"agent_name": "a", "metadata": "m"}]}},
        ),
        ({"agent_name": "a"}, {"room_config": {"agents": [{"agent_name": "a"}]}}),
        ({"agent_metadata": "m"}, {"room_config": {"agents": [{"metadata": "m"}]}}),
        ({"agent_name": ""}, {"room_config": {"agents": [{"agent_name": ""}]}}),
        (
            {
                "room_name": "r",
                "participant_name": "n",
                "participant_identity": "i",
                "participant_metadata": "pm",
                "participant_attributes": {"k": "v"},
                "agent_name": "a",
                "agent_metadata": "m",
                "agent_deployment": "d",
            },
            {
                "room_name": "r",
                "participant_name": "n",
                "participant_identity": "i",
                "participant_metadata": "pm",
                "participant_attributes": {"k": "v"},
                "room_config": {
                    "agents": [{"agent_name": "a", "metadata": "m", "deployment": "d"}]
                },
            },
        ),
    ],
)
def test_requests(options: dict[str, Any], body: dict[str, Any]) -> None:
    wanted = TokenRequestOptions(**options)
    assert wanted.to_request() == body
    stored = wanted.to_stored()
    assert all("_" not in key for key in stored)
    assert TokenRequestOptions.from_stored({**stored, "unknown": 1}) == wanted


def test_equal_options_are_one_key_and_cannot_be_changed() -> None:
    attributes = {"a": "1", "b": "2"}
    one = TokenRequestOptions(participant_attributes=attributes)
    two = TokenRequestOptions(participant_attributes={"b": "2", "a": "1"})
    assert one == two
    assert len({one, two, NOTHING}) == 2
    attributes["a"] = "9"
    assert one == two


def test_a_response_knows_whether_it_brings_an_agent() -> None:
    def response(**claims: Any) -> TokenSourceResponse:
        return TokenSourceResponse("wss://x", jwt(**claims))

    assert response(roomConfig={"agents": [{"agentName": "a"}]}).dispatches_agent()
    assert response(room_config={"agents": [{}]}).dispatches_agent(), "one without a name counts"
    assert not response(roomConfig={"agents": []}).dispatches_agent()
    assert not response(roomConfig={}).dispatches_agent()
    assert not response().dispatches_agent()
    assert not TokenSourceResponse("wss://x", "garbage").dispatches_agent()
