"""Every code is reached by a request, with the problem body."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import pytest
from structlog.testing import capture_logs
from support.faulty_store import REASON, FaultyStore
from support.route_cases import CALLS, ROOM, STREAM, Case, Cast, cast

from utd_engine.app.apps import AppSettings
from utd_engine.config import Limits
from utd_engine.domain.requests import MAX_PENDING
from utd_engine.testing import Answer, EngineUnderTest
from utd_protocol.errors import CODES, Problem

TOKEN: Final = "/api/v1/token"
OF_OTHERS: Final = {"chat_muted": "chat", "chat_locked": "chat"}
"""Codes that no request can produce yet, with what they belong to."""

Scene = Callable[[Cast], Awaitable[Answer]]
REACHED: Final[dict[str, Scene]] = {}


def scene(code: str) -> Callable[[Scene], Scene]:
    def keep(play: Scene) -> Scene:
        assert code not in REACHED
        REACHED[code] = play
        return play

    return keep


async def call(
    play: Cast, who: str, method: str, path: str, body: Any = None, **more: Any
) -> Answer:
    bearer = "secret" if who == "secret" else play.people[who].user_token
    return await play.engine.call(method, path, body, bearer=bearer, **more)


async def join(play: Cast, identity: str = "cy", **wish: Any) -> Answer:
    body = {"type": "audio_room", "room_name": "lobby", "identity": identity} | wish
    return await play.engine.call("POST", TOKEN, body, app_key=True)


async def take(play: Cast, who: str, index: int | None = 0) -> Answer:
    return await call(play, who, "POST", ROOM + "/seats/take", {"index": index})


@scene("invalid_request")
async def _(play: Cast) -> Answer:
    return await take(play, "bo", -1)


@scene("unauthenticated")
async def _(play: Cast) -> Answer:
    return await play.engine.call("GET", ROOM)


@scene("token_expired")
async def _(play: Cast) -> Answer:
    play.engine.clock._elapsed += 3611
    return await call(play, "bo", "GET", ROOM)


@scene("token_invalid")
async def _(play: Cast) -> Answer:
    return await play.engine.call("GET", ROOM, bearer="nonsense")


@scene("not_allowed")
async def _(play: Cast) -> Answer:
    return await call(play, "bo", "POST", ROOM + "/seats/mute", {"index": 0})


@scene("not_room_host")
async def _(play: Cast) -> Answer:
    return await call(play, "bo", "POST", ROOM + "/end", {})


@scene("banned")
async def _(play: Cast) -> Answer:
    await call(play, "ana", "PUT", ROOM + "/bans/cy", {"reason": "spam"})
    return await join(play, "cy")


@scene("kicked")
async def _(play: Cast) -> Answer:
    await call(play, "ana", "POST", ROOM + "/members/bo/kick", {})
    return await take(play, "bo")


@scene("app_key_only")
async def _(play: Cast) -> Answer:
    return await call(play, "ana", "GET", "/api/v1/rooms")


@scene("invite_required")
async def _(play: Cast) -> Answer:
    await call(play, "ana", "PUT", ROOM + "/seats", {"mode": "invite"})
    return await take(play, "bo")


@scene("request_required")
async def _(play: Cast) -> Answer:
    await call(play, "ana", "PUT", ROOM + "/seats", {"mode": "request"})
    return await take(play, "bo")


@scene("seat_reserved")
async def _(play: Cast) -> Answer:
    await call(play, "ana", "POST", ROOM + "/seats/reserve", {"index": 0, "identity": "cy"})
    return await take(play, "bo")


async def begin_call(play: Cast, callee: str = "bo", **wish: Any) -> Answer:
    """Ana calls somebody."""
    body = {"callee_identity": callee, "type": "audio_call", **wish}
    answer = await call(play, "ana", "POST", CALLS, body)
    play.call_id = answer.json().get("call_id", play.call_id)
    return answer


async def say(play: Cast, device: str, word: str) -> Answer:
    """One of bo's devices says something about the call."""
    wish = {"identity": "bo", "device_id": device}
    session = await play.engine.call("POST", "/api/v1/auth/session", wish, app_key=True)
    path = f"{CALLS}/{play.call_id}/{word}"
    saying = asyncio.ensure_future(
        play.engine.call("POST", path, {}, bearer=session.json()["user_token"])
    )
    await play.engine.clock.advance(1)
    return await saying


@scene("call_not_found")
async def _(play: Cast) -> Answer:
    return await call(play, "bo", "GET", CALLS + "/ca_nothing")


@scene("invalid_callee")
async def _(play: Cast) -> Answer:
    return await begin_call(play, "ana")


@scene("caller_busy")
async def _(play: Cast) -> Answer:
    await begin_call(play)
    return await begin_call(play, "cy")


@scene("answered_elsewhere")
async def _(play: Cast) -> Answer:
    await begin_call(play)
    await say(play, "phone", "accept")
    return await say(play, "tablet", "accept")


@scene("rejected_elsewhere")
async def _(play: Cast) -> Answer:
    await begin_call(play)
    await say(play, "phone", "reject")
    return await say(play, "tablet", "accept")


@scene("call_over")
async def _(play: Cast) -> Answer:
    await begin_call(play)
    await say(play, "phone", "accept")
    await say(play, "phone", "end")
    return await say(play, "phone", "accept")


@scene("stream_not_live")
async def _(play: Cast) -> Answer:
    await play.prepare(Case("hal", STREAM))
    return await call(play, "hal", "POST", STREAM + "/pause")


@scene("not_in_room")
async def _(play: Cast) -> Answer:
    await play.prepare(Case("hal", STREAM))
    return await call(play, "hal", "POST", STREAM + "/stage/invite", {"identity": "nobody"})


@scene("not_found")
async def _(play: Cast) -> Answer:
    return await call(play, "ana", "GET", "/api/v1/nothing")


@scene("room_not_found")
async def _(play: Cast) -> Answer:
    return await join(play, room_name="nowhere")


@scene("seat_not_found")
async def _(play: Cast) -> Answer:
    return await take(play, "bo", 63)


@scene("request_not_found")
async def _(play: Cast) -> Answer:
    return await call(play, "ana", "POST", ROOM + "/requests/7/approve")


@scene("unknown_seat_mode")
async def _(play: Cast) -> Answer:
    return await call(play, "ana", "PUT", ROOM + "/seats", {"mode_id": "nope"})


@scene("seat_taken")
async def _(play: Cast) -> Answer:
    await take(play, "ana")
    return await take(play, "bo")


@scene("seat_locked")
async def _(play: Cast) -> Answer:
    await call(play, "ana", "POST", ROOM + "/seats/lock", {"indices": [0]})
    return await take(play, "bo")


@scene("seat_occupied")
async def _(play: Cast) -> Answer:
    await take(play, "bo")
    return await call(play, "ana", "POST", ROOM + "/seats/lock", {"indices": [0]})


@scene("already_seated")
async def _(play: Cast) -> Answer:
    await take(play, "bo")
    return await take(play, "bo", 1)


@scene("no_free_seat")
async def _(play: Cast) -> Answer:
    await call(play, "ana", "PUT", ROOM + "/seats", {"count": 1})
    await take(play, "ana")
    return await take(play, "bo", None)


@scene("already_handled")
async def _(play: Cast) -> Answer:
    await call(play, "bo", "POST", ROOM + "/requests", {})
    await call(play, "ana", "POST", ROOM + "/requests/1/reject")
    return await call(play, "ana", "POST", ROOM + "/requests/1/approve")


@scene("version_conflict")
async def _(play: Cast) -> Answer:
    body = {"policy": {"seat_hold_s": 1}, "if_version": 9}
    return await call(play, "ana", "PATCH", ROOM + "/policy", body)


@scene("idempotency_mismatch")
async def _(play: Cast) -> Answer:
    headers = {"idempotency-key": "k1"}
    for index in (0, 1):
        body = {"index": index}
        answer = await call(play, "bo", "POST", ROOM + "/seats/mute", body, headers=headers)
        answer = await call(play, "ana", "POST", ROOM + "/seats/mute", body, headers=headers)
    return answer


@scene("room_full")
async def _(play: Cast) -> Answer:
    await call(play, "ana", "PATCH", ROOM + "/policy", {"policy": {"max_audience": 1}})
    await play.engine.clock.advance(6)
    return await join(play, "cy")


@scene("room_ended")
async def _(play: Cast) -> Answer:
    ending = asyncio.ensure_future(call(play, "ana", "POST", ROOM + "/end", {}))
    await play.engine.clock.advance(1)
    assert (await ending).status == 200
    return await take(play, "bo")


@scene("snapshot_required")
async def _(play: Cast) -> Answer:
    await take(play, "bo")
    engine = play.engine
    await engine.store.trim(engine.clock.now().replace(year=2030))
    return await call(play, "bo", "GET", ROOM + "/events", query={"after": 0})


@scene("too_large")
async def _(play: Cast) -> Answer:
    return await call(play, "ana", "PATCH", ROOM + "/settings", b" " * (64 * 1024 + 1))


@scene("invalid_state")
async def _(play: Cast) -> Answer:
    return await call(play, "bo", "POST", ROOM + "/seats/move", {"index": 1})


@scene("too_many_requests_pending")
async def _(play: Cast) -> Answer:
    for number in range(MAX_PENDING + 1):
        headers = {"x-act-as": f"user {number}"}
        answer = await call(play, "secret", "POST", ROOM + "/requests", {}, headers=headers)
    return answer


@scene("rate_limited")
async def _(play: Cast) -> Answer:
    for _ in range(3):
        answer = await take(play, "bo")
    return answer


@scene("internal")
async def _(play: Cast) -> Answer:
    store = play.engine.store
    assert isinstance(store, FaultyStore)

    def explode(method: str) -> None:
        if method == "audit":
            raise ZeroDivisionError("canary of the inside")

    store.before = explode
    return await call(play, "ana", "GET", ROOM + "/audit")


@scene("unavailable")
async def _(play: Cast) -> Answer:
    store = play.engine.store
    assert isinstance(store, FaultyStore)
    store.failing.add("append")
    return await take(play, "bo")


@scene("media_unavailable")
async def _(play: Cast) -> Answer:
    play.engine.sfu.faults.unavailable = True
    return await join(play, "ana", role="host", room_name="new room")


def test_every_code_is_reached_or_belongs_elsewhere() -> None:
    assert not set(REACHED) & set(OF_OTHERS)
    assert set(REACHED) | set(OF_OTHERS) == set(CODES)


WAITED_FOR: Final = {
    "rate_limited",
    "unavailable",
    "media_unavailable",
    "room_full",
    "too_many_requests_pending",
}
LIMITED: Final = {"rate_limited": Limits(writes_per_second=1, writes_burst=2)}


@pytest.mark.parametrize("code", REACHED)
async def test_a_code_comes_with_its_status_and_a_whole_problem(code: str) -> None:
    more: dict[str, Any] = {"limits": LIMITED[code]} if code in LIMITED else {}
    async with EngineUnderTest.start(store=FaultyStore(), settings=AppSettings(), **more) as engine:
        answer = await REACHED[code](await cast(engine))
        assert answer.headers["content-type"] == "application/problem+json"
        problem = msgspec.json.decode(answer.body, type=Problem)
        assert (problem.code, problem.status) == (code, CODES[code][0])
        assert (answer.status, problem.title) == CODES[code]
        assert problem.request_id == answer.headers["x-request-id"]
        assert problem.detail
        waits = None if problem.retry_after is None else str(math.ceil(problem.retry_after))
        assert (waits is not None) == (code in WAITED_FOR)
        assert answer.headers.get("retry-after") == waits
        assert "canary" not in answer.body.decode()
        assert REASON not in answer.body.decode()


async def test_a_refusal_says_what_a_program_may_act_on() -> None:
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        until = "2027-01-01T00:00:00Z"
        body = {"until": until, "reason": "spam"}
        await call(play, "ana", "PUT", ROOM + "/bans/cy", body)
        told = (await join(play, "cy")).json()
        assert told["context"] == {"until": "2027-01-01T00:00:00+00:00", "reason": "spam"}
        await call(play, "ana", "POST", ROOM + "/members/bo/kick", {"reason": "noise"})
        rejoin = await call(play, "bo", "POST", ROOM + "/rejoin")
        assert (rejoin.code, rejoin.json()["context"]) == ("kicked", {"reason": "noise"})


async def test_an_unforeseen_error_is_told_without_details_and_logged_with_its_request() -> None:
    async with EngineUnderTest.start(store=FaultyStore()) as engine:
        play = await cast(engine)
        with capture_logs() as lines:
            answer = await REACHED["internal"](play)
        assert answer.status == 500
        assert set(answer.json()) == {"title", "status", "code", "detail", "request_id"}
        failed, request = [line for line in lines if "request_id" in line]
        assert (failed["event"], failed["log_level"]) == ("request.failed", "error")
        assert isinstance(failed["exc_info"], ZeroDivisionError)
        assert (request["event"], request["status"]) == ("request", 500)
        told = answer.json()["request_id"]
        assert {failed["request_id"], request["request_id"]} == {told}
