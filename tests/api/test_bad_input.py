"""Whatever is sent: a 4xx that names the field, or a right answer. Never a 5xx, never a change."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from support.asgi import raw_call
from support.route_cases import CASES, ROOM, ROWS, cast

from utd_engine.http.call import BODY_LIMIT, IDEMPOTENCY_KEY_CHARS
from utd_engine.testing import Answer, EngineUnderTest

TOKEN = "/api/v1/token"
WISH = {"type": "audio_room", "room_name": "lobby", "identity": "ana", "role": "host"}
DEEP = b"[" * 30_000 + b"]" * 30_000
BODIES: dict[str, bytes] = {
    "not JSON": b"{",
    "no object": b"[]",
    "text": b'"x"',
    "number": b"1",
    "null": b"null",
    "invalid UTF-8": b'{"identity":"\xff\xfe"}',
    "UTF-16": '{"identity":"ana"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "NUL": b"\x00",
    "half a surrogate": b'{"identity":"\\ud800"}',
    "two objects": b"{}{}",
    "deep array": DEEP,
    "deep object": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "deep in an unknown field": b'{"x":' + DEEP + b"}",
    "unknown field": b'{"surprise":1}',
    "NaN": b'{"index":NaN}',
    "a number of many digits": b'{"index":' + b"9" * 5000 + b"}",
    "a number beyond all": b'{"index":1e999}',
}

ONLY_UNKNOWN = frozenset(
    {"invalid UTF-8", "half a surrogate", "unknown field", "a number of many digits",
     "deep in an unknown field", "a number beyond all"}
)  # fmt: skip
"""Bodies that say nothing to a row that ignores what it does not know."""


def field_of(answer: Answer) -> str:
    assert (answer.status, answer.code) == (400, "invalid_request"), answer.body
    (error,) = answer.json()["errors"]
    assert error["message"] == answer.json()["detail"]
    return str(error["path"])


@pytest.mark.parametrize("name", [name for name in CASES if ROWS[name].body is not None])
async def test_no_body_of_the_wrong_shape_is_taken(name: str) -> None:
    row, case = ROWS[name], CASES[name]
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        key = engine.key(play.people["ana"])
        before = await engine.store.load(key)
        ignores = not row.body.__struct_config__.forbid_unknown_fields
        for what, body in BODIES.items():
            if ignores and what in ONLY_UNKNOWN:
                continue
            bearer = "secret" if row.who == "secret" else play.people["ana"].user_token
            answer = await engine.call(
                row.method, case.path, body, bearer=bearer, app_key=row.who == "app_key"
            )
            assert (answer.status, answer.code) == (400, "invalid_request"), (what, answer.body)
            assert answer.json()["errors"][0]["path"]
        assert await engine.store.load(key) == before


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"identity": None}, "identity"),
        ({"identity": ""}, "identity"),
        ({"identity": 7}, "identity"),
        ({"identity": ["ana"]}, "identity"),
        ({"identity": "x" * 257}, "identity"),
        ({"identity": "é" * 129}, "identity"),
        ({"identity": "a\x00b"}, "identity"),
        ({"identity": "a\nb"}, "identity"),
        ({"identity": "a\x7f"}, "identity"),
        ({"identity": "a\x85"}, "identity"),
        ({"room_name": "."}, "room_name"),
        ({"room_name": ".."}, "room_name"),
        ({"room_name": ""}, "room_name"),
        ({"room_name": "a\tb"}, "room_name"),
        ({"room_name": "é" * 65}, "room_name"),
        ({"type": "party"}, "type"),
        ({"type": "agent"}, "type"),
        ({"type": None}, "type"),
        ({"role": "admin"}, "role"),
        ({"role": "god"}, "role"),
        ({"seat_count": 0}, "seat_count"),
        ({"seat_count": 65}, "seat_count"),
        ({"seat_count": -1}, "seat_count"),
        ({"seat_count": 2.5}, "seat_count"),
        ({"seat_count": True}, "seat_count"),
        ({"seat_count": "8"}, "seat_count"),
        ({"seat_mode": "chaos"}, "seat_mode"),
        ({"name": "x" * 257}, "name"),
        ({"device_id": ""}, "device_id"),
        ({"identity_token": ""}, "identity_token"),
        ({"metadata": "x" * 4097}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"attributes": {str(n): "" for n in range(65)}}, "attributes"),
        ({"attributes": {"a": 1}}, "attributes[...]"),
        ({"policy": {"seat_hold_s": -1}}, "policy.seat_hold_s"),
        ({"policy": {"seat_hold_s": 1e9}}, "policy.seat_hold_s"),
        ({"policy": {"surprise": 1}}, "policy.surprise"),
        ({"policy": {"max_audience": 0}}, "policy.max_audience"),
        ({"policy": {"capabilities": {"audience": ["root"]}}}, "policy.capabilities[...][0]"),
        ({"policy": {"capabilities": {"god": []}}}, "policy.capabilities"),
        ({"surprise": 1}, "surprise"),
        ({"owner": "ana"}, "owner"),
    ],
)
async def test_a_wish_for_a_token_names_the_wrong_field(
    changes: dict[str, Any], field: str
) -> None:
    body = {key: one for key, one in (WISH | changes).items() if one is not None}
    async with EngineUnderTest.start() as engine:
        answer = await engine.call("POST", TOKEN, body, app_key=True)
        assert field_of(answer) == field
        assert not await engine.store.open_rooms()


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/seats/take", {"index": 64}, "index"),
        ("POST", "/seats/take", {"index": -1}, "index"),
        ("POST", "/seats/take", {"index": 0.5}, "index"),
        ("POST", "/seats/take", {"seat": 1}, "seat"),
        ("PUT", "/seats", {"count": 0}, "count"),
        ("PUT", "/seats", {"count": 65}, "count"),
        ("PUT", "/seats", {"count": -3}, "count"),
        ("PUT", "/seats", {"mode_id": ""}, "mode_id"),
        ("POST", "/seats/lock", {"indices": []}, "indices"),
        ("POST", "/seats/lock", {"indices": ["all"]}, "indices[0]"),
        ("POST", "/seats/lock", {"indices": "some"}, "indices"),
        ("POST", "/seats/lock", {}, "indices"),
        ("POST", "/seats/remove", {"identity": "a\n"}, "identity"),
        ("POST", "/requests", {"note": "x" * 201}, "note"),
        ("POST", "/requests", {"target": "moon"}, "target"),
        ("POST", "/requests/0/approve", {}, "id"),
        ("POST", "/requests/-1/approve", {}, "id"),
        ("POST", "/requests/x/approve", {}, "id"),
        ("POST", "/requests/1.5/approve", {}, "id"),
        ("POST", "/requests/1/approve", {"id": 1}, "id"),
        ("POST", "/requests/%D9%A1/approve", {}, "id"),
        ("PATCH", "/members/bo", {}, "role"),
        ("PATCH", "/members/bo", {"role": "admin", "identity": "bo"}, "identity"),
        ("POST", "/members/bo/kick", {"reason": "x" * 501}, "reason"),
        ("POST", "/members/b%0Ao/kick", {}, "identity"),
        ("POST", "/members/b%00o/kick", {}, "identity"),
        ("POST", "/members/%FF/kick", {}, "identity"),
        ("POST", "/members/%ED%A0%80/kick", {}, "identity"),
        ("POST", f"/members/{'x' * 257}/kick", {}, "identity"),
        ("POST", "/mute-all", {"except_": ["a\n"]}, "except_"),
        ("PUT", "/bans/bo", {"until": "tomorrow"}, "until"),
        ("PUT", "/bans/bo", {"until": "2027-01-01T00:00:00"}, "until"),
        ("PUT", "/bans/bo", {"scope": "world"}, "scope"),
        ("PATCH", "/policy", {"policy": {"capabilities": {"host": 1}}}, "policy.capabilities[...]"),
        ("PATCH", "/policy", {"policy": {}, "if_version": -1}, "if_version"),
    ],
)
async def test_a_command_names_the_wrong_field(
    method: str, path: str, body: dict[str, Any], field: str
) -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        await engine.join("bo")
        answer = await engine.call(method, ROOM + path, body, bearer=ana.user_token)
        assert field_of(answer) == field
        assert (await engine.room(engine.key(ana))).seq == 1


@pytest.mark.parametrize(
    "until",
    ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1970-01-01T00:00:00Z"],
)
async def test_the_ends_of_time_are_times(until: str) -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        answer = await engine.call(
            "PUT", ROOM + "/bans/bo", {"until": until}, bearer=ana.user_token
        )
        to_come = until.startswith("9999")
        assert (answer.status if to_come else field_of(answer)) == (200 if to_come else "until")
        for path in ("", "/bans", "/events", "/audit"):
            answer = await engine.call("GET", ROOM + path, bearer=ana.user_token)
            assert answer.status == 200, answer.body
        wish = {**WISH, "identity": "bo", "role": "audience"}
        answer = await engine.call("POST", TOKEN, wish, app_key=True)
        assert answer.status == (403 if to_come else 200)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"after": "-1"}, "after"),
        ({"after": "x"}, "after"),
        ({"after": "1.5"}, "after"),
        ({"after": "1" * 19}, "after"),
        ({"after": "\u0661"}, "after"),
        ({"limit": "-5"}, "limit"),
        ({"limit": ""}, "limit"),
    ],
)
async def test_a_query_names_the_wrong_field(query: dict[str, str], field: str) -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        answer = await engine.call("GET", ROOM + "/events", bearer=ana.user_token, query=query)
        assert field_of(answer) == field


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/events", {"limit": "0"}),
        ("/events", {"limit": "999999999999999999"}),
        ("/events", {"after": "999999999999999999"}),
        ("/events", {"surprise": "1"}),
        ("/members", {"limit": "0"}),
        ("/members", {"cursor": "\U0010ffff", "limit": "1000000"}),
        ("/members", {"cursor": "\x00"}),
        ("/bans", {"cursor": "' OR 1=1 --"}),
        ("/audit", {"cursor": "999999999999999999"}),
    ],
)
async def test_absurd_limits_and_cursors_are_cut_to_what_there_is(
    path: str, query: dict[str, str]
) -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        answer = await engine.call("GET", ROOM + path, bearer=ana.user_token, query=query)
        assert answer.status == 200, answer.body
        body = answer.json()
        assert len(body.get("items", body.get("events"))) <= 1
        if query == {"limit": "0"} and path == "/events":
            assert [event["seq"] for event in body["events"]] == [1]


@pytest.mark.parametrize("query", [b"after=%FF", b"after=%ED%A0%80", b"\xff", b"&&&==&", b"%"])
async def test_a_query_of_any_bytes_is_answered(query: bytes) -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        headers = [(b"authorization", f"Bearer {ana.user_token}".encode())]
        answer = await raw_call(
            engine.engine.public, "GET", f"{ROOM}/events".encode(), headers=headers, query=query
        )
        assert answer.status in {200, 400}


@pytest.mark.parametrize(
    "name",
    [
        "a/b",
        "%2F",
        "a b",
        "..a",
        "...",
        "é",
        "安娜",
        "🎤",
        "?x=1#y",
        "a%b",
        "+",
        "x" * 128,
        "é" * 64,
    ],
)
async def test_a_room_may_have_any_name_and_its_path_is_percent_encoded(name: str) -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host", room_name=name)
        answer = await engine.call("GET", ana.path(), bearer=ana.user_token)
        assert (answer.status, answer.json()["view"]["name"]) == (200, name)
        who = await engine.join(name, room_name=name)
        body = {"role": "admin"}
        path = ana.path("/members/" + quote(name, safe=""))
        answer = await engine.call("PATCH", path, body, bearer=ana.user_token)
        assert answer.status == 200, answer.body
        assert (await engine.room(engine.key(who))).state.view.role_of(name) == "admin"


async def test_a_path_with_raw_bytes_means_the_same_as_percent_encoded() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host", room_name="café")
        headers = [(b"authorization", f"Bearer {ana.user_token}".encode())]
        path = "/api/v1/rooms/audio_room/café".encode()
        answer = await raw_call(engine.engine.public, "GET", path, headers=headers)
        assert answer.json()["view"]["name"] == "café"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/rooms/audio_room/.",
        "/api/v1/rooms/audio_room/..",
        "/api/v1/rooms/audio_room/%2e%2e",
        "/api/v1/rooms/audio_room/%2E",
        "/api/v1/rooms/audio_room/%0A",
        "/api/v1/rooms/audio_room/%FF",
        "/api/v1/rooms/audio_room/%C3%28",
        "/api/v1/rooms/party/lobby",
        f"/api/v1/rooms/audio_room/{'x' * 129}",
    ],
)
async def test_a_name_that_no_room_can_have(path: str) -> None:
    async with EngineUnderTest.start() as engine:
        answer = await engine.call("GET", path, bearer="secret")
        assert field_of(answer) in {"name", "type"}


@pytest.mark.parametrize(
    "path",
    [
        "/", "", "//", "/api/v1", "/api/v1/token/", "/api/v1//token", "/API/V1/TOKEN",
        "/api/v1/rooms/audio_room/lobby/", "/api/v1/rooms/audio_room//seats",
        "/api/v1/../v1/token", "/api/v1/%74oken", "/admin/v1/apps", "/metrics", "/livez",
        "/" + "x" * 5000,
    ],
)  # fmt: skip
async def test_there_is_nothing_at_other_paths(path: str) -> None:
    async with EngineUnderTest.start() as engine:
        for method in ("GET", "POST", "PATCH"):
            answer = await engine.call(method, path, {}, bearer="secret")
            assert (answer.status, answer.code) == (404, "not_found")


# --- bodies as they come --------------------------------------------------------------------------


async def test_a_body_may_come_in_pieces_and_be_as_long_as_the_limit() -> None:
    async with EngineUnderTest.start() as engine:
        headers = [(b"x-app-id", engine.app_id.encode()), (b"x-app-key", engine.app_key.encode())]
        body = json.dumps(WISH).encode()
        body += b" " * (BODY_LIMIT - len(body))
        pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
        answer = await raw_call(
            engine.engine.public, "POST", TOKEN.encode(), headers=headers, body=[*pieces, b""]
        )
        assert answer.status == 200


async def test_too_large_a_body_is_refused_before_it_is_read() -> None:
    async with EngineUnderTest.start() as engine:
        read = 0

        sent: list[dict[str, Any]] = []

        async def counted() -> dict[str, Any]:
            nonlocal read
            read += 1000
            return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": TOKEN, "raw_path": TOKEN.encode(),
            "headers": [], "query_string": b"", "client": None,
        }  # fmt: skip
        await engine.engine.public(scope, counted, send)
        assert sent[0]["status"] == 413
        assert BODY_LIMIT < read <= BODY_LIMIT + 1000, "an endless body is not waited for"


async def test_half_a_body_is_no_request() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        headers = [(b"authorization", f"Bearer {ana.user_token}".encode())]
        answer = await raw_call(
            engine.engine.public, "POST", f"{ROOM}/seats/take".encode(),
            headers=headers, body=[b"{}", b""], breaks_off=True,
        )  # fmt: skip
        assert answer.code == "invalid_request"
        assert (await engine.room(engine.key(ana))).seq == 1


# --- headers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        b"", b"a\r\nx-evil: 1", b"a\x00b", b"\xff", "é".encode(), b"x" * 129, b"a\tb", b"a\x7fb",
    ],
)  # fmt: skip
async def test_a_request_id_that_is_not_sane_is_replaced(given: bytes) -> None:
    async with EngineUnderTest.start() as engine:
        for path in (ROOM, "/nothing"):
            answer = await raw_call(
                engine.engine.public, "GET", path.encode(), headers=[(b"x-request-id", given)]
            )
            assert answer.headers["x-request-id"].startswith("req_")
            assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_a_sane_request_id_comes_back_and_is_in_the_audit() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        headers = {"x-request-id": "my id: 7/é".replace("é", "e")}
        answer = await engine.call(
            "POST", ROOM + "/seats/mute", {"index": 0}, bearer=ana.user_token, headers=headers
        )
        assert answer.headers["x-request-id"] == "my id: 7/e"
        audit = await engine.call("GET", ROOM + "/audit", bearer=ana.user_token)
        assert audit.json()["items"][0]["request_id"] == "my id: 7/e"


@pytest.mark.parametrize("name", [b"authorization", b"x-app-id", b"x-app-key", b"x-act-as"])
@pytest.mark.parametrize("value", [b"\xff\xfe", "Bearer é".encode(), b"Bearer \x00", b"x" * 20_000])
async def test_headers_of_any_bytes_are_refused(name: bytes, value: bytes) -> None:
    async with EngineUnderTest.start() as engine:
        headers = [(name, value)]
        if name == b"x-act-as":
            headers.append((b"authorization", f"Bearer {engine.secret_key}".encode()))
        for path, method in ((ROOM, "GET"), (TOKEN, "POST"), ("/api/v1/rooms", "GET")):
            answer = await raw_call(engine.engine.public, method, path.encode(), headers=headers)
            fine = name == b"x-act-as" and value == "Bearer é".encode()
            assert answer.status in {400, 401, 403} | ({404, 200} if fine else set())


@pytest.mark.parametrize("key", [b"", b"x" * (IDEMPOTENCY_KEY_CHARS + 1)])
async def test_an_idempotency_key_has_a_length(key: bytes) -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        headers = [
            (b"authorization", f"Bearer {ana.user_token}".encode()),
            (b"idempotency-key", key),
        ]
        answer = await raw_call(
            engine.engine.public, "POST", f"{ROOM}/seats/take".encode(), headers=headers
        )
        assert field_of(answer) == "Idempotency-Key"


# --- acting for somebody --------------------------------------------------------------------------


async def test_a_user_acts_for_nobody_else() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("ana", role="host")
        bo = await engine.join("bo")
        for method, path in (("POST", "/end"), ("GET", ""), ("POST", "/rejoin")):
            answer = await engine.call(
                method, ROOM + path, bearer=bo.user_token, headers={"x-act-as": "ana"}
            )
            assert (answer.status, answer.code) == (403, "app_key_only")
        answer = await engine.call(
            "POST", TOKEN, {**WISH, "role": "audience"}, app_key=True, headers={"x-act-as": "zoe"}
        )
        assert answer.status == 200, "without the secret key the header means nothing"


async def test_the_backend_acts_for_a_user_with_their_rights() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("ana", role="host")
        await engine.join("bo")
        for who, status in (("ana", 200), ("bo", 403)):
            answer = await engine.call(
                "POST", ROOM + "/seats/mute", {"index": 0},
                bearer="secret", headers={"x-act-as": who},
            )  # fmt: skip
            assert answer.status == status
        answer = await engine.call("POST", ROOM + "/seats/take", {}, bearer="secret")
        assert field_of(answer) == "X-Act-As"
        for bad in ("a\nb", "", "x" * 257):
            answer = await engine.call("GET", ROOM, bearer="secret", headers={"x-act-as": bad})
            assert field_of(answer) == "X-Act-As"


async def test_the_backend_mints_for_the_user_it_acts_for_only() -> None:
    async with EngineUnderTest.start(mode="production") as engine:
        for act_as, identity, status in (("ana", "ana", 200), ("bo", "ana", 400)):
            answer = await engine.call(
                "POST", TOKEN, {**WISH, "identity": identity},
                bearer="secret", headers={"x-act-as": act_as},
            )  # fmt: skip
            assert answer.status == status, answer.body
