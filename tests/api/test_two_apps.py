"""Two apps in one engine: nothing of one is ever seen, opened or changed from the other (S1).

Both have a room of the same name, and people of the same identities. All that belongs to app A
carries a canary.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import pytest
from support.forged import identity_token
from support.route_cases import CASES, IN_LOBBY, ROOM, ROWS, Cast, cast

from utd_engine.config import Limits
from utd_engine.testing import Answer, EngineUnderTest

CANARY: Final = "canary-of-a"


class Other(NamedTuple):
    """App B, whose people try."""

    app_id: str
    app_key: str
    secret_key: str
    user_token: str
    room_token: str | None = None


@asynccontextmanager
async def two_apps(*, own_room: bool) -> AsyncIterator[tuple[Cast, Other]]:
    """App A with a full room, and app B with or without a room of the same name."""
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        await fill(play)
        apps = engine.engine.services.apps
        tenant, publishable, secret = await apps.create("b", "development", app_id="bbb")
        keys = {"x-app-id": tenant.app_id, "x-app-key": publishable.key}
        session = await engine.call(
            "POST", "/api/v1/auth/session", {"identity": "ana"}, headers=keys
        )
        room_token = None
        if own_room:
            wish = {"type": "audio_room", "room_name": "lobby", "identity": "ana", "role": "host"}
            joined = await engine.call("POST", "/api/v1/token", wish, headers=keys)
            room_token = joined.json()["user_token"]
        yield (
            play,
            Other(
                tenant.app_id,
                publishable.key,
                secret.key,
                session.json()["user_token"],
                room_token,
            ),
        )


async def fill(play: Cast) -> None:
    """Leave a canary in every kind of fact of app A's room."""
    ana = play.people["ana"].user_token
    steps: list[tuple[str, str, Any]] = [
        ("PATCH", "/settings", {"metadata": CANARY}),
        ("PUT", f"/bans/{CANARY}-banned", {"reason": CANARY}),
        ("POST", "/invites", {"identity": f"{CANARY}-invited", "index": 5}),
        ("POST", "/seats/reserve", {"index": 4, "identity": f"{CANARY}-reserved"}),
        ("POST", "/seats/take", {"index": 0}),
    ]
    for method, path, body in steps:
        answer = await play.engine.call(method, ROOM + path, body, bearer=ana)
        assert answer.status == 200, answer.body
    bo = play.people["bo"].user_token
    await play.engine.call("POST", ROOM + "/requests", {"note": CANARY}, bearer=bo)
    await play.engine.clock.advance(6)


def clean(answer: Answer, play: Cast) -> None:
    """No word of app A in an answer to app B."""
    text = answer.body.decode() + repr(answer.headers)
    room_id = play.people["ana"].answer.room.room_id
    for secret in (CANARY, room_id, play.engine.app_id, play.people["ana"].user_token):
        assert secret not in text


@pytest.mark.parametrize("name", IN_LOBBY)
async def test_no_row_finds_a_room_of_the_other_app(name: str) -> None:
    row, case = ROWS[name], CASES[name]
    if name.startswith("PUT ") and row.path == "/api/v1/rooms/{type}/{name}":
        return  # opens a room of one's own: tested below
    async with two_apps(own_room=False) as (play, other):
        engine = play.engine
        key = engine.key(play.people["ana"])
        before = await engine.store.load(key)
        room_id = {"room_id": key.id}
        attempts: list[tuple[str, dict[str, str], dict[str, str]]] = [
            ("a session", {"authorization": f"Bearer {other.user_token}"}, {}),
            ("a backend", {"authorization": f"Bearer {other.secret_key}"}, {}),
            ("a backend by id", {"authorization": f"Bearer {other.secret_key}"}, room_id),
            (
                "a backend for ana",
                {"authorization": f"Bearer {other.secret_key}", "x-act-as": "ana"},
                room_id,
            ),
        ]
        for what, headers, query in attempts:
            answer = await engine.call(
                row.method, case.path, case.body, headers=headers, query=query
            )
            if row.path.endswith("/rejoin") and "backend" in what:
                assert answer.code == "invalid_request", what
            else:
                assert (answer.status, answer.code) == (404, "room_not_found"), what
            clean(answer, play)
        mine = {"x-app-id": engine.app_id}
        for bearer in (other.user_token, other.secret_key):
            headers = mine | {"authorization": f"Bearer {bearer}"}
            answer = await engine.call(row.method, case.path, case.body, headers=headers)
            assert (answer.status, answer.code) == (401, "token_invalid")
            clean(answer, play)
        assert await engine.store.load(key) == before


@pytest.mark.parametrize("name", CASES)
async def test_with_a_room_of_the_same_name_each_stays_in_its_own(name: str) -> None:
    row, case = ROWS[name], CASES[name]
    async with two_apps(own_room=True) as (play, other):
        engine = play.engine
        key = engine.key(play.people["ana"])
        before = await engine.store.load(key)
        bans = await engine.store.bans(key.app, "audio_room:lobby")
        audit = await engine.store.audit(key.app, "")
        bearer = other.secret_key if row.who == "secret" else other.room_token
        headers = {"authorization": f"Bearer {bearer}"}
        if row.who == "app_key":
            headers = {"x-app-id": other.app_id, "x-app-key": other.app_key}
        calling = asyncio.ensure_future(
            engine.call(row.method, case.path, case.body, headers=headers, query=case.query)
        )
        await engine.clock.settle()
        while not calling.done():
            await engine.clock.advance(0.05)
        clean(await calling, play)
        after = await engine.store.load(key)
        assert after == before
        assert await engine.store.bans(key.app, "audio_room:lobby") == bans
        assert await engine.store.audit(key.app, "") == audit
        assert {member.identity for member in engine.sfu.rooms[sfu(play)].members.values()} == {
            "ana",
            "bo",
        }


def sfu(play: Cast) -> str:
    return f"{play.engine.app_id}.audio_room.{play.people['ana'].answer.room.room_id}"


async def test_lists_and_logs_have_ones_own_only() -> None:
    async with two_apps(own_room=True) as (play, other):
        for path in ("/api/v1/rooms", "/api/v1/events"):
            for query in ({}, {"cursor": ""}, {"after": 0, "limit": 1000}):
                answer = await play.engine.call("GET", path, bearer=other.secret_key, query=query)
                assert answer.status == 200
                clean(answer, play)
                items = answer.json().get("items", answer.json().get("events"))
                assert len(items) == 1
        ours = await play.engine.call("GET", "/api/v1/events", bearer="secret")
        assert CANARY in ours.body.decode()
        assert other.app_id not in ours.body.decode()


async def test_a_ban_of_one_app_is_none_of_the_other() -> None:
    async with two_apps(own_room=True) as (play, other):
        for scope in ("room", "app"):
            answer = await play.engine.call(
                "PUT", ROOM + "/bans/cy", {"scope": scope}, bearer="secret"
            )
            assert answer.status == 200
        wish = {"type": "audio_room", "room_name": "lobby", "identity": "cy"}
        keys = {"x-app-id": other.app_id, "x-app-key": other.app_key}
        assert (await play.engine.call("POST", "/api/v1/token", wish, headers=keys)).status == 200
        assert (await play.engine.call("POST", "/api/v1/token", wish, app_key=True)).status == 403


async def test_an_identity_token_of_one_app_is_none_of_the_other() -> None:
    async with two_apps(own_room=False) as (play, other):
        token = identity_token(play.engine, "ana")
        for app, headers in (
            (other.app_id, {"x-app-id": other.app_id, "x-app-key": other.app_key}),
            (play.engine.app_id, {}),
        ):
            answer = await play.engine.call(
                "POST", "/api/v1/auth/session", {"identity": "ana", "identity_token": token},
                headers=headers, app_key=not headers,
            )  # fmt: skip
            good = app == play.engine.app_id
            assert (answer.status, answer.code) == ((200, None) if good else (401, "token_invalid"))
            clean(answer, play) if not good else None


async def test_a_livekit_webhook_of_one_app_touches_one_room() -> None:
    async with two_apps(own_room=True) as (play, other):
        rooms = play.engine.sfu.rooms
        assert len(rooms) == 2
        assert {name.partition(".")[0] for name in rooms} == {play.engine.app_id, other.app_id}


async def test_limits_are_counted_apart() -> None:
    limits = Limits(mints_per_second=1, mints_burst=1)
    async with EngineUnderTest.start(limits=limits) as engine:
        apps = engine.engine.services.apps
        tenant, key, _ = await apps.create("b", "development", app_id="bbb")
        theirs = {"x-app-id": tenant.app_id, "x-app-key": key.key}
        told = [
            (await engine.call(
                "POST", "/api/v1/auth/session", {"identity": "ana"},
                headers=headers, app_key=not headers,
            )).status
            for headers in ({}, theirs, {}, theirs)
        ]  # fmt: skip
        assert told == [200, 200, 429, 429]
