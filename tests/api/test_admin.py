"""The operator's port: apps and keys, behind the operator's token and nothing less."""

from typing import Any

import pytest
from support.asgi import raw_call

from utd_engine.testing import EngineUnderTest

APPS = "/admin/v1/apps"
ROWS: list[tuple[str, str, Any]] = [
    ("GET", APPS, None),
    ("POST", APPS, {"name": "shop"}),
    ("PATCH", APPS + "/{app}", {"mode": "production"}),
    ("GET", APPS + "/{app}/keys", None),
    ("POST", APPS + "/{app}/keys", {"kind": "secret"}),
    ("DELETE", APPS + "/{app}/keys/{prefix}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROWS)
async def test_a_row_opens_to_the_operators_token_only(method: str, path: str, body: Any) -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        path = path.format(app=engine.app_id, prefix=engine.secret_key[:11])
        wrong = [None, "", "wrong", engine.secret_key, engine.app_key, ana.user_token, "é", "\x00"]
        apps = await engine.engine.services.apps.all()
        keys = await engine.engine.services.apps.keys(engine.app_id)
        for token in wrong:
            answer = await engine.operate(method, path, body, token=token)
            assert (answer.status, answer.code) == (401, "unauthenticated")
        for header in (b"", b"operator-for-tests-only-xx", b"Basic operator-for-tests-only-xx"):
            answer = await raw_call(
                engine.engine.admin, method, path.encode(), headers=[(b"authorization", header)]
            )
            assert answer.status == 401
        assert await engine.engine.services.apps.all() == apps
        assert await engine.engine.services.apps.keys(engine.app_id) == keys
        answer = await engine.operate(method, path, body)
        assert answer.status == 200, answer.body
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(("method", "path", "body"), ROWS)
async def test_without_a_token_there_is_no_admin_api(method: str, path: str, body: Any) -> None:
    async with EngineUnderTest.start(admin_token="") as engine:
        path = path.format(app=engine.app_id, prefix="sk_x")
        for token in ("", None, "operator-for-tests-only-xx"):
            answer = await engine.operate(method, path, body, token=token)
            assert (answer.status, answer.code) == (404, "not_found")
            assert "UTD_ADMIN_TOKEN" in answer.json()["hint"]


async def test_an_app_is_made_used_and_closed_to_a_key() -> None:
    async with EngineUnderTest.start() as engine:
        made = await engine.operate("POST", APPS, {"name": "Shop", "mode": "development"})
        app = made.json()
        assert (app["name"], app["mode"]) == ("Shop", "development")
        keys = {"x-app-id": app["app_id"], "x-app-key": app["app_key"]}
        who = {"identity": "ana"}
        session = await engine.call("POST", "/api/v1/auth/session", who, headers=keys)
        assert session.status == 200
        rooms = await engine.call("GET", "/api/v1/rooms", bearer=app["secret_key"])
        assert rooms.json() == {"items": [], "next_cursor": None}
        assert engine.engine.identities.secret(app["app_id"]) == app["identity_secret"]

        path = f"{APPS}/{app['app_id']}"
        second = (await engine.operate("POST", path + "/keys", {"kind": "secret"})).json()
        listed = (await engine.operate("GET", path + "/keys")).json()["items"]
        assert [(key["kind"], key["revoked_at"]) for key in listed] == [
            ("publishable", None), ("secret", None), ("secret", None),
        ]  # fmt: skip
        prefix = app["secret_key"][:11]
        gone = await engine.operate("DELETE", f"{path}/keys/{prefix}")
        assert gone.json() == {"revoked": True}
        for key, status in ((app["secret_key"], 401), (second["key"], 200)):
            answer = await engine.call("GET", "/api/v1/rooms", bearer=key)
            assert answer.status == status

        changed = await engine.operate("PATCH", path, {"mode": "production"})
        assert changed.json()["mode"] == "production"
        session = await engine.call("POST", "/api/v1/auth/session", who, headers=keys)
        assert session.code == "app_key_only", "the change counts at once"


async def test_a_new_app_is_in_production_unless_said_otherwise() -> None:
    async with EngineUnderTest.start() as engine:
        assert (await engine.operate("POST", APPS, {"name": "x"})).json()["mode"] == "production"


async def test_keys_are_shown_once() -> None:
    async with EngineUnderTest.start() as engine:
        made = (await engine.operate("POST", APPS, {"name": "x"})).json()
        path = f"{APPS}/{made['app_id']}"
        for asked in (APPS, path + "/keys"):
            text = (await engine.operate("GET", asked)).body.decode()
            for name in ("app_key", "secret_key", "identity_secret"):
                assert made[name] not in text


async def test_settings_are_checked_and_kept() -> None:
    async with EngineUnderTest.start() as engine:
        path = f"{APPS}/{engine.app_id}"
        settings = {
            "policy": {"seat_hold_s": 5},
            "policies": {"audio_room": {"opens": "anyone"}},
            "presets": {"duet": {"count": 2, "mode": "invite"}},
            "development_identities": 7,
        }
        answer = await engine.operate("PATCH", path, {"settings": settings})
        assert answer.status == 200
        ana = await engine.join("ana", mode_id="duet")
        room = ana.answer.room
        assert (room.host, len(room.seats), room.seat_mode) == ("ana", 2, "invite")
        assert room.policy.seat_hold_s == 5
        listed = (await engine.operate("GET", APPS)).json()["items"][0]["settings"]
        assert listed["development_identities"] == 7
        for wrong, field in [
            ({"policy": {"seat_hold_s": -1}}, "settings.policy.seat_hold_s"),
            ({"surprise": 1}, "settings.surprise"),
            ({"presets": {"x": {"count": 99}}}, "settings.presets[...].count"),
        ]:
            answer = await engine.operate("PATCH", path, {"settings": wrong})
            assert answer.json()["errors"][0]["path"] == field


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", APPS, {}, "invalid_request"),
        ("POST", APPS, {"name": 1}, "invalid_request"),
        ("POST", APPS, {"name": "x", "app_id": "a.b"}, "invalid_request"),
        ("POST", APPS, {"name": "x", "mode": "chaos"}, "invalid_request"),
        ("POST", APPS, b"{", "invalid_request"),
        ("POST", APPS, b" " * 70_000, "too_large"),
        ("PATCH", APPS + "/nobody", {"mode": "production"}, "not_found"),
        ("GET", APPS + "/nobody/keys", None, "not_found"),
        ("POST", APPS + "/nobody/keys", {"kind": "secret"}, "not_found"),
        ("DELETE", APPS + "/nobody/keys/sk_x", None, "not_found"),
        ("POST", APPS + "/nobody/keys", {"kind": "master"}, "invalid_request"),
        ("DELETE", APPS, None, "not_found"),
        ("GET", "/admin/v1", None, "not_found"),
        ("GET", "/api/v1/rooms", None, "not_found"),
    ],
)
async def test_what_the_operator_gets_wrong(method: str, path: str, body: Any, code: str) -> None:
    async with EngineUnderTest.start() as engine:
        answer = await engine.operate(method, path, body)
        assert answer.code == code
        assert answer.headers["content-type"] == "application/problem+json"
