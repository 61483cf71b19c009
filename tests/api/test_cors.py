"""Browsers: which pages may call, what they may read, and what every answer tells them."""

from typing import Any

import pytest
from support.asgi import raw_call
from support.route_cases import ROOM

from utd_engine.http.server import CORS, EXPOSED_HEADERS, SafetyHeaders
from utd_engine.testing import Answer, EngineUnderTest

PAGE = "https://page.example"


def rules(answer: Answer) -> dict[str, str]:
    return {
        name: text
        for name, text in answer.headers.items()
        if name.startswith("access-control") or name == "vary"
    }


async def test_a_preflight_is_answered_for_any_page_by_default() -> None:
    async with EngineUnderTest.start() as engine:
        headers = {"origin": PAGE, "access-control-request-method": "POST"}
        answer = await engine.call("OPTIONS", ROOM + "/seats/take", headers=headers)
        assert (answer.status, answer.body) == (204, b"")
        assert rules(answer) == {
            "access-control-allow-origin": "*",
            "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
            "access-control-allow-headers": "authorization, content-type, idempotency-key, "
            "x-app-id, x-app-key, x-request-id",
            "access-control-max-age": "600",
        }


async def test_refusals_and_answers_can_be_read_by_the_page() -> None:
    async with EngineUnderTest.start() as engine:
        for path, status in ((ROOM, 401), ("/nothing", 404), ("/openapi.json", 200)):
            answer = await engine.call("GET", path, headers={"origin": PAGE})
            assert answer.status == status
            assert rules(answer) == {
                "access-control-allow-origin": "*",
                "access-control-expose-headers": EXPOSED_HEADERS,
            }


async def test_credentials_are_never_allowed() -> None:
    async with EngineUnderTest.start() as engine:
        for origins in (["*"], [PAGE]):
            app = CORS(unwrapped(engine), origins)
            answer = await raw_call(app, "GET", ROOM.encode(), headers=[(b"origin", PAGE.encode())])
            assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (PAGE, True),
        ("https://page.example:443", False),
        ("http://page.example", False),
        ("https://evil.example", False),
        ("https://page.example.evil.example", False),
        ("HTTPS://PAGE.EXAMPLE", False),
        ("null", False),
        ("*", False),
        ("", False),
    ],
)
async def test_only_listed_pages_are_allowed(origin: str, *, allowed: bool) -> None:
    async with EngineUnderTest.start() as engine:
        app = CORS(unwrapped(engine), [PAGE])
        headers = [(b"origin", origin.encode())]
        answer = await raw_call(app, "GET", ROOM.encode(), headers=headers)
        expected = {"vary": "origin"}
        if allowed:
            expected |= {
                "access-control-allow-origin": PAGE,
                "access-control-expose-headers": EXPOSED_HEADERS,
            }
        assert rules(answer) == expected
        headers.append((b"access-control-request-method", b"POST"))
        answer = await raw_call(app, "OPTIONS", ROOM.encode(), headers=headers)
        assert (answer.status == 204) == allowed
        assert ("access-control-allow-methods" in answer.headers) == allowed


def unwrapped(engine: EngineUnderTest) -> Any:
    """The engine without its own rules for origins."""
    return engine.engine.public._app._app._app


async def test_an_options_request_that_is_no_preflight_is_unknown() -> None:
    async with EngineUnderTest.start() as engine:
        for headers in ({}, {"origin": PAGE}, {"access-control-request-method": "GET"}):
            answer = await engine.call("OPTIONS", ROOM, headers=headers)
            assert (answer.status, answer.code) == (404, "not_found")


async def test_every_answer_has_the_headers_of_safety() -> None:
    async with EngineUnderTest.start() as engine:
        for method, path in [
            ("GET", ROOM), ("GET", "/nothing"), ("GET", "/openapi.json"),
            ("POST", "/hooks/livekit"),
        ]:  # fmt: skip
            answer = await engine.call(method, path)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            csp = "default-src 'none'; frame-ancestors 'none'"
            assert answer.headers["content-security-policy"] == csp
            assert "strict-transport-security" not in answer.headers


async def test_where_clients_come_by_https_they_keep_to_it() -> None:
    async with EngineUnderTest.start() as engine:
        app = SafetyHeaders(unwrapped(engine), https=True)
        answer = await raw_call(app, "GET", ROOM.encode())
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
