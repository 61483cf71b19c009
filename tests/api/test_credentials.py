"""No row opens to wrong credentials, and no refusal of a token tells why."""

from datetime import timedelta
from typing import Any

import jwt
import pytest
from support.forged import forged, identity_token, opened, signed
from support.route_cases import CASES, ROOM, ROWS, Cast, cast

from utd_engine.testing import Answer, EngineUnderTest

MISSING, INVALID = (401, "unauthenticated"), (401, "token_invalid")
EITHER: dict[str, tuple[int, str]] = {
    "none": MISSING,
    "basic": MISSING,
    "garbage bearer": INVALID,
    "expired bearer": (401, "token_expired"),
    "LiveKit token": INVALID,
    "identity token": INVALID,
    "publishable key as bearer": INVALID,
    "wrong publishable key": INVALID,
    "secret key as publishable": INVALID,
    "key without an app": MISSING,
    "wrong secret key": INVALID,
    "secret key of another app": INVALID,
    "revoked secret key": INVALID,
    "revoked publishable key": INVALID,
}
WRONG: dict[str, dict[str, tuple[int, str]]] = {
    "none": {
        "app_key": (401, "unauthenticated"),
        "bearer": (401, "unauthenticated"),
        "secret": (401, "unauthenticated"),
    },
    "basic": {
        "app_key": (401, "unauthenticated"),
        "bearer": (401, "unauthenticated"),
        "secret": (401, "unauthenticated"),
    },
    "garbage bearer": {
        "app_key": (401, "unauthenticated"),
        "bearer": (401, "token_invalid"),
        "secret": (403, "app_key_only"),
    },
    "user bearer": {"app_key": (401, "unauthenticated"), "secret": (403, "app_key_only")},
    "expired bearer": {
        "app_key": (401, "unauthenticated"),
        "bearer": (401, "token_expired"),
        "secret": (403, "app_key_only"),
    },
    "LiveKit token": {
        "app_key": (401, "unauthenticated"),
        "bearer": (401, "token_invalid"),
        "secret": (403, "app_key_only"),
    },
    "identity token": {
        "app_key": (401, "unauthenticated"),
        "bearer": (401, "token_invalid"),
        "secret": (403, "app_key_only"),
    },
    "publishable key": {"bearer": (401, "unauthenticated"), "secret": (403, "app_key_only")},
    "publishable key as bearer": {
        "app_key": (401, "unauthenticated"),
        "bearer": (401, "token_invalid"),
        "secret": (403, "app_key_only"),
    },
    "wrong publishable key": {
        "app_key": (401, "token_invalid"),
        "bearer": (401, "unauthenticated"),
        "secret": (403, "app_key_only"),
    },
    "secret key as publishable": {
        "app_key": (401, "token_invalid"),
        "bearer": (401, "unauthenticated"),
        "secret": (403, "app_key_only"),
    },
    "key without an app": {
        "app_key": (401, "unauthenticated"),
        "bearer": (401, "unauthenticated"),
        "secret": (403, "app_key_only"),
    },
    "wrong secret key": {
        "app_key": (401, "token_invalid"),
        "bearer": (401, "token_invalid"),
        "secret": (401, "token_invalid"),
    },
    "secret key of another app": {
        "app_key": (401, "token_invalid"),
        "bearer": (401, "token_invalid"),
        "secret": (401, "token_invalid"),
    },
    "revoked secret key": {
        "app_key": (401, "token_invalid"),
        "bearer": (401, "token_invalid"),
        "secret": (401, "token_invalid"),
    },
    "revoked publishable key": {
        "app_key": (401, "token_invalid"),
        "bearer": (401, "unauthenticated"),
        "secret": (403, "app_key_only"),
    },
}

for _what, _codes in WRONG.items():
    if "bearer" in _codes and _what != "expired bearer":  # who comes a little late is let in
        _codes["renewal"] = _codes["bearer"]
    if _what in EITHER:
        _codes["either"] = EITHER[_what]


async def wrong_headers(play: Cast) -> dict[str, dict[str, str]]:
    engine, ana = play.engine, play.people["ana"]
    apps = engine.engine.services.apps
    revoked: dict[str, str] = {}
    for kind in ("publishable", "secret"):
        key = await apps.add_key(engine.app_id, kind)
        assert await apps.revoke_key(engine.app_id, key.prefix)
        revoked[kind] = key.key
    app = {"x-app-id": engine.app_id}
    other = await apps.create("other", "development", app_id="other")
    identity = identity_token(engine, "ana")
    return {
        "none": {},
        "basic": {"authorization": "Basic YW5hOmFuYQ=="},
        "garbage bearer": {"authorization": "Bearer nonsense"},
        "user bearer": {"authorization": f"Bearer {ana.user_token}"},
        "expired bearer": {"authorization": f"Bearer {stale_token(engine)}"},
        "LiveKit token": {"authorization": f"Bearer {ana.answer.token}"},
        "identity token": {"authorization": f"Bearer {identity}"},
        "publishable key": app | {"x-app-key": engine.app_key},
        "publishable key as bearer": {"authorization": f"Bearer {engine.app_key}"},
        "wrong publishable key": app | {"x-app-key": engine.app_key + "x"},
        "secret key as publishable": app | {"x-app-key": engine.secret_key},
        "key without an app": {"x-app-key": engine.app_key},
        "wrong secret key": {"authorization": f"Bearer {engine.secret_key}x"},
        "secret key of another app": app | {"authorization": f"Bearer {other[2].key}"},
        "revoked secret key": {"authorization": f"Bearer {revoked['secret']}"},
        "revoked publishable key": app | {"x-app-key": revoked["publishable"]},
    }


def stale_token(engine: EngineUnderTest) -> str:
    """A token of the engine's own that expired yesterday."""
    mint = engine.engine.services.admission._tokens.mint
    header, claims = opened(mint(engine.app_id, "ana", "dev").token)
    day = int(timedelta(days=1).total_seconds())
    return signed(header, claims | {"nbf": claims["nbf"] - day, "exp": claims["exp"] - day})


@pytest.mark.parametrize("name", ROWS)
async def test_a_row_refuses_every_wrong_credential(name: str) -> None:
    row, case = ROWS[name], CASES[name]
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        key = engine.key(play.people["ana"])
        before = await engine.store.load(key)
        told: dict[str, tuple[int, str | None]] = {}
        for what, headers in (await wrong_headers(play)).items():
            if row.who in WRONG[what]:
                answer = await engine.call(row.method, case.path, case.body, headers=headers)
                told[what] = (answer.status, answer.code)
                assert answer.headers["content-type"] == "application/problem+json"
        assert told == {what: codes[row.who] for what, codes in WRONG.items() if row.who in codes}
        assert await engine.store.load(key) == before, "a refused request changed the room"


def tells(answer: Answer) -> dict[str, Any]:
    """All that a refusal says, without the id of the request."""
    body = answer.json()
    assert body.pop("request_id") == answer.headers["x-request-id"]
    headers = {name: text for name, text in answer.headers.items() if name != "x-request-id"}
    del headers["content-length"]  # of the id
    return {"status": answer.status, "headers": headers, **body}


async def test_every_forged_token_is_refused_alike() -> None:
    async with EngineUnderTest.start() as engine:
        good = (await engine.join("ana", role="host")).user_token
        attempts = forged(good)
        assert len(attempts) >= 60
        answers: dict[str, dict[str, Any]] = {}
        for what, token in attempts.items():
            bearer = token.encode().decode("latin-1")
            answers[what] = tells(await engine.call("GET", ROOM, bearer=bearer))
        assert (await engine.call("GET", ROOM, bearer=good)).status == 200
        one = answers["another key"]
        assert (one["status"], one["code"]) == (401, "token_invalid")
        different = {what: told for what, told in answers.items() if told != one}
        assert not different


async def test_a_token_of_exactly_the_longest_size_is_read() -> None:
    async with EngineUnderTest.start() as engine:
        good = (await engine.join("ana", role="host")).user_token
        header, claims = opened(good)
        told = set()
        for size in range(2600, 2900):
            token = signed(header, claims | {"name": "x" * size})
            told.add((len(token) <= 4096, (await engine.call("GET", ROOM, bearer=token)).status))
        assert told == {(True, 200), (False, 401)}


async def test_a_user_token_of_another_purpose_or_app_opens_nothing() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        apps = engine.engine.services.apps
        await apps.create("other", "development", app_id="other")
        stranger = engine.engine.services.admission._tokens.mint("other", "ana", "dev").token
        answer = await engine.call("GET", ROOM, bearer=stranger)
        assert (answer.status, answer.code) == (404, "room_not_found")
        mine = {"x-app-id": engine.app_id}
        answer = await engine.call("GET", ROOM, bearer=stranger, headers=mine)
        assert (answer.status, answer.code) == (401, "token_invalid")
        answer = await engine.call("GET", ROOM, bearer=ana.user_token, headers=mine)
        assert answer.status == 200


async def test_a_valid_bearer_in_any_case_of_the_scheme() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        for scheme in ("Bearer", "bearer", "BEARER"):
            headers = {"authorization": f"{scheme} {ana.user_token}"}
            assert (await engine.call("GET", ROOM, headers=headers)).status == 200


async def test_user_tokens_have_a_header_that_says_what_they_are() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        header = jwt.get_unverified_header(ana.user_token)
        assert (header["alg"], header["typ"]) == ("HS256", "utd-user+jwt")
