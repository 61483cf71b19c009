import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime

import pytest
from support.scripted_http import Asked, Said, ScriptedHTTP, answer, refusal, serving

from utd_protocol.answers import SessionAnswer
from utd_stream._engine.bearer import Bearer, expiry_of
from utd_stream._engine.http import EngineHTTP, decode, read, segment, write
from utd_stream._errors import (
    AuthRejected,
    Banned,
    ClosedByUs,
    Conflict,
    ConnectError,
    EngineError,
    Invalid,
    Limited,
    Unavailable,
    Unreachable,
    VersionMismatch,
    from_problem,
)


@asynccontextmanager
async def engine_of(
    *answers: Said, timeout: float = 5.0
) -> AsyncIterator[tuple[EngineHTTP, ScriptedHTTP]]:
    """An engine that gives these answers one after another, the last one for ever."""
    script = list(answers)

    async def handler(_: Asked) -> Said:
        return script.pop(0) if len(script) > 1 else script[0]

    async with serving(handler) as server, aclosing(client(server, timeout=timeout)) as http:
        yield http, server


def client(server: ScriptedHTTP, timeout: float = 5.0, **options: str) -> EngineHTTP:
    return EngineHTTP(
        app_id="app",
        app_key="pk_secret",
        base_url=server.url,
        timeout=timeout,
        jitter=lambda: 0.0,
        **options,
    )


async def test_a_question_carries_the_app_and_no_idempotency_key() -> None:
    async with engine_of(answer({"seq": 4})) as (http, server):
        raw = await http.send(read("/rooms/audio_room/lobby", after=3, role=None), bearer="t")

    assert json.loads(raw) == {"seq": 4}
    [asked] = server.asked
    assert (asked.method, asked.path, asked.query) == (
        "GET",
        "/api/v1/rooms/audio_room/lobby",
        {"after": "3"},
    )
    assert asked.headers["X-App-Id"] == "app"
    assert asked.headers["X-App-Key"] == "pk_secret"
    assert asked.headers["Authorization"] == "Bearer t"
    assert asked.headers["X-Request-Id"]
    assert "Idempotency-Key" not in asked.headers


async def test_every_write_has_a_key_of_its_own_and_a_body() -> None:
    async with engine_of(answer({})) as (http, server):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            await http.send(write(method, "/x"))

    keys = [asked.headers["Idempotency-Key"] for asked in server.asked]
    assert len(set(keys)) == 4
    assert [asked.body for asked in server.asked] == [{}] * 4


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_passing_failure_is_tried_again_under_the_same_key(status: int) -> None:
    failing = answer({"title": "busy"}, status=status)
    async with engine_of(failing, answer({"ok": True})) as (http, server):
        await http.send(write("POST", "/x", {"a": 1}))

    first, second = server.asked
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.headers["X-Request-Id"] == second.headers["X-Request-Id"]
    assert first.body == second.body == {"a": 1}


async def test_a_broken_connection_is_tried_again() -> None:
    calls: list[Asked] = []

    async def handler(asked: Asked) -> Said | None:
        calls.append(asked)
        if len(calls) == 1:
            return None
        return answer({"ok": True})

    async with serving(handler) as server, aclosing(client(server)) as http:
        await http.send(write("POST", "/x"))

    assert len({asked.headers["Idempotency-Key"] for asked in calls}) == 1


async def test_a_refusal_is_final_and_typed() -> None:
    async with engine_of(refusal("seat_taken", "Seat 3 is taken.")) as (http, server):
        with pytest.raises(Conflict, match="Seat 3 is taken") as caught:
            await http.send(write("POST", "/x"))

    assert len(server.asked) == 1
    assert caught.value.code == "seat_taken"
    assert caught.value.status_code == 409
    assert caught.value.request_id == "req_1"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("banned", Banned),
        ("token_invalid", AuthRejected),
        ("invalid_request", Invalid),
        ("internal", EngineError),
    ],
)
async def test_codes_become_errors(code: str, kind: type[Exception]) -> None:
    async with engine_of(refusal(code)) as (http, server):
        with pytest.raises(kind):
            await http.send(read("/x"))

    assert len(server.asked) == 1


async def test_it_gives_up_when_the_wait_asked_for_is_longer_than_the_deadline() -> None:
    began = time.monotonic()
    async with engine_of(refusal("rate_limited", retry_after=60), timeout=5) as (http, server):
        with pytest.raises(Limited) as caught:
            await http.send(read("/x"))

    assert caught.value.retry_after == 60
    assert len(server.asked) == 1
    assert time.monotonic() - began < 3


async def test_retry_after_may_stand_in_the_header() -> None:
    said = answer({}, status=503, Retry_After="30")
    async with engine_of(said) as (http, _):
        with pytest.raises(Unavailable) as caught:
            await http.send(read("/x"))

    assert caught.value.retry_after == 30


async def test_the_deadline_bounds_a_silent_engine() -> None:
    async def handler(_: Asked) -> Said:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(handler) as server, aclosing(client(server, timeout=0.1)) as http:
        async with asyncio.timeout(3):
            with pytest.raises(Unreachable, match="did not answer in time"):
                await http.send(read("/x"))


async def test_the_deadline_bounds_retries() -> None:
    async with engine_of(answer({}, status=503), timeout=0.05) as (http, server):
        async with asyncio.timeout(3):
            with pytest.raises((Unavailable, Unreachable)):
                await http.send(read("/x"))

    assert server.asked


async def test_nobody_there_is_unreachable_and_says_where() -> None:
    async with engine_of(answer({})) as (_, server):
        url = server.url
    http = EngineHTTP(
        app_id="app", app_key="pk_secret", base_url=url, timeout=0.05, jitter=lambda: 0.0
    )
    with pytest.raises(Unreachable) as caught:
        await http.send(read("/x"))
    await http.aclose()

    assert "127.0.0.1" in caught.value.message
    assert "pk_secret" not in caught.value.message
    assert caught.value.retryable


async def test_a_refusal_carries_the_facts_of_the_engine() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl"
    said = refusal(
        "already_handled",
        "Another moderator was first.",
        rule="R31",
        hint=f"Read the requests again, not by {token} now.",
        context={"handled_by": "cem", "attempts": 2, "seen": token},
    )
    async with engine_of(said) as (http, _):
        with pytest.raises(Conflict) as caught:
            await http.send(write("POST", "/x"))

    error = caught.value
    assert (error.rule, error.hint) == ("R31", "Read the requests again, not by <token> now.")
    assert error.context == {"handled_by": "cem", "attempts": 2, "seen": "<token>"}


@pytest.mark.parametrize(
    ("context", "until", "reason"),
    [
        (
            {"until": "2026-03-01T14:00:00+02:00", "reason": "noise"},
            datetime(2026, 3, 1, 12, tzinfo=UTC),
            "noise",
        ),
        ({"until": None, "reason": ""}, None, None),
        ({"until": "Friday", "reason": 5}, None, None),
        ({"until": "2026-03-01T14:00:00"}, None, None),
        ("?", None, None),
    ],
)
def test_a_ban_says_until_when_and_why(
    context: object, until: datetime | None, reason: str | None
) -> None:
    error = from_problem(403, {"code": "banned", "context": context})

    assert isinstance(error, Banned)
    assert (error.until, error.reason) == (until, reason)
    assert from_problem(409, {"code": "seat_taken"}).context == {}


async def test_one_connection_serves_many_calls() -> None:
    async with engine_of(answer({})) as (http, server):
        for _ in range(5):
            await http.send(read("/x"))

    assert len(server.connections) == 1


async def test_redirects_are_not_followed() -> None:
    said = answer({}, status=302, Location="http://127.0.0.1:1/")
    async with engine_of(said) as (http, server):
        with pytest.raises(ConnectError, match="redirect"):
            await http.send(write("POST", "/x"))

    assert len(server.asked) == 1


async def test_an_unreadable_error_body_is_an_error_all_the_same() -> None:
    said = Said(500, b"\xff<html>")
    async with engine_of(said) as (http, _):
        with pytest.raises(EngineError, match="500") as caught:
            await http.send(read("/x"))

    assert caught.value.request_id


async def test_names_travel_as_one_piece_of_the_path() -> None:
    async with engine_of(answer({})) as (http, server):
        await http.send(read(f"/rooms/audio_room/{segment('a/b?c d%.ö')}/seats"))

    assert server.asked[0].path == "/api/v1/rooms/audio_room/a%2Fb%3Fc%20d%25.%C3%B6/seats"


async def test_tokens_may_be_made_elsewhere() -> None:
    async def handler(_: Asked) -> Said:
        return answer({})

    async with (
        serving(handler) as engine,
        serving(handler) as tokens,
        aclosing(client(engine, token_base_url=tokens.url + "/")) as http,
    ):
        await http.send(write("POST", "/token", mints=True))
        await http.send(write("POST", "/rooms/audio_room/x/leave"))

    assert [asked.path for asked in tokens.asked] == ["/api/v1/token"]
    assert [asked.path for asked in engine.asked] == ["/api/v1/rooms/audio_room/x/leave"]


async def test_a_closed_client_makes_no_call() -> None:
    async with engine_of(answer({})) as (http, server):
        await http.aclose()
        await http.aclose()
        with pytest.raises(ClosedByUs):
            await http.send(read("/x"))

    assert server.asked == []


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ws://x", "/api", "http://"])
def test_wrong_addresses_are_named(url: str) -> None:
    with pytest.raises(ValueError, match="base_url must look like"):
        EngineHTTP(app_id="app", app_key="pk", base_url=url)


def test_an_answer_of_another_shape_says_what_to_check() -> None:
    for raw in (b"<html>", b'{"user_token": 5}'):
        with pytest.raises(VersionMismatch, match="same version"):
            decode(raw, SessionAnswer)


# The bearer.


def jwt(exp: float) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"exp": exp}).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJIUzI1NiJ9.{payload}.sig"


def renewed(token: str) -> Said:
    return answer({"user_token": token, "ws_url": None, "expires_at": "2026-03-01T13:00:00Z"})


def test_the_end_of_a_token_is_read_without_its_key() -> None:
    assert expiry_of(jwt(1234.0)) == 1234.0
    for text in ("", "abc", "a.b.c", "a.e30.c", "a.ö.c"):
        assert expiry_of(text) is None


async def test_an_expired_token_is_renewed_once_for_all_who_wait() -> None:
    async def handler(asked: Asked) -> Said:
        if asked.path.endswith("/auth/refresh"):
            return renewed("new")
        if asked.headers["Authorization"] == "Bearer old":
            return refusal("token_expired")
        return answer({"ok": True})

    async with serving(handler) as server, aclosing(client(server)) as http:
        bearer = Bearer(http, "old")
        await asyncio.gather(*(bearer.send(write("POST", "/x")) for _ in range(5)))

    renewals = [asked for asked in server.asked if asked.path.endswith("/auth/refresh")]
    assert len(renewals) == 1
    assert renewals[0].headers["Authorization"] == "Bearer old"
    assert bearer.token == "new"
    keys = [a.headers["Idempotency-Key"] for a in server.asked if a.path.endswith("/x")]
    assert len(set(keys)) == 5


async def test_a_token_that_is_refused_for_good_is_not_renewed() -> None:
    async with engine_of(refusal("token_invalid")) as (http, server):
        with pytest.raises(AuthRejected):
            await Bearer(http, "old").send(read("/x"))

    assert len(server.asked) == 1


async def test_a_token_is_renewed_before_it_ends() -> None:
    asked = asyncio.Event()

    async def handler(_: Asked) -> Said:
        asked.set()
        return renewed(jwt(time.time() + 3600))

    async with serving(handler) as server, aclosing(client(server)) as http:
        bearer = Bearer(http, jwt(time.time() + 0.2))
        keeping = asyncio.create_task(bearer.keep_fresh())
        async with asyncio.timeout(3):
            await asked.wait()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    assert [each.path for each in server.asked] == ["/api/v1/auth/refresh"]


async def test_renewing_ends_when_the_engine_refuses(caplog: pytest.LogCaptureFixture) -> None:
    async with engine_of(refusal("banned")) as (http, server):
        async with asyncio.timeout(3):
            await Bearer(http, jwt(time.time())).keep_fresh()

    assert len(server.asked) == 1
    assert "cannot be renewed" in caplog.text


async def test_a_token_without_an_end_is_left_alone() -> None:
    async with engine_of(refusal("banned")) as (http, server):
        async with asyncio.timeout(1):
            await Bearer(http, "opaque").keep_fresh()

    assert server.asked == []
