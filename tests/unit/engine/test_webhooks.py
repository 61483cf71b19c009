"""Webhooks are believed only when LiveKit signed these very bytes, now, for this purpose."""

import hashlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import orjson
import pytest

from utd_engine.adapters.livekit.tokens import ApiKey, ApiTokens, Signer, mint_join
from utd_engine.adapters.livekit.webhooks import make_reader
from utd_engine.domain.permissions import Permission
from utd_engine.ports.media import Join, Observed
from utd_protocol.types import Source

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
T = int(NOW.timestamp())
KEY = ApiKey("devkey", "a-secret-of-at-least-32-characters!")
NEXT = ApiKey("nextkey", "another-secret-of-32-characters-or-more")
OTHER = ApiKey("otherkey", "a-secret-that-only-somebody-else-has")
MICROPHONE = Permission(can_publish=True, sources=(Source.MICROPHONE,), can_subscribe=True)

EVENT: dict[str, Any] = {
    "event": "participant_joined",
    "id": "EV_1",
    "createdAt": str(T),
    "room": {"sid": "RM_1", "name": "ap1.audio_room.rm_1", "turnPassword": "hush"},
    "participant": {
        "sid": "PA_1",
        "identity": "ana",
        "state": "ACTIVE",
        "joinedAt": str(T - 1),
        "joinedAtMs": str(T * 1000 - 250),
        "permission": {
            "canSubscribe": True,
            "canPublish": True,
            "canPublishSources": ["MICROPHONE"],
        },
    },
}
BODY = orjson.dumps(EVENT)


class Clock:
    def now(self) -> datetime:
        return NOW


read = make_reader({KEY.key: KEY.secret, NEXT.key: NEXT.secret}, Clock())  # type: ignore[arg-type]


def digest(body: bytes) -> str:
    return b64encode(hashlib.sha256(body).digest()).decode()


def claims(body: bytes = BODY, **changes: Any) -> dict[str, Any]:
    complete = {"iss": KEY.key, "nbf": T, "exp": T + 300, "sha256": digest(body)} | changes
    return {name: value for name, value in complete.items() if value is not None}


def signed(body: bytes = BODY, key: ApiKey = KEY, **changes: Any) -> str:
    return Signer(key).sign(claims(body, **{"iss": key.key} | changes))


def event(**changes: Any) -> bytes:
    return orjson.dumps({k: v for k, v in (EVENT | changes).items() if v is not None})


def about(**changes: Any) -> bytes:
    who = {k: v for k, v in (EVENT["participant"] | changes).items() if v is not None}
    return event(participant=who)


# --- what is read ---------------------------------------------------------------------------------


def test_a_join() -> None:
    seen = read(BODY, signed())
    assert (seen.id, seen.event) == ("EV_1", "participant_joined")
    assert (seen.room, seen.room_sid) == ("ap1.audio_room.rm_1", "RM_1")
    assert (seen.disconnect_reason, seen.created_at) == ("", NOW)
    assert seen.participant == Observed(
        identity="ana",
        sid="PA_1",
        joined_at=NOW - timedelta(milliseconds=250),
        active=True,
        agent=False,
        hidden=False,
        permission=MICROPHONE,
    )


def test_a_leave() -> None:
    body = about(state="DISCONNECTED", disconnectReason="DUPLICATE_IDENTITY")
    seen = read(body, signed(body))
    assert seen.participant is not None
    assert (seen.participant.active, seen.disconnect_reason) == (False, "DUPLICATE_IDENTITY")


def test_a_join_in_whole_seconds() -> None:
    body = about(joinedAtMs=None)
    participant = read(body, signed(body)).participant
    assert participant is not None
    assert participant.joined_at == NOW - timedelta(seconds=1)


def test_an_agent_and_a_hidden_member() -> None:
    body = about(kind="AGENT", permission={"hidden": True})
    participant = read(body, signed(body)).participant
    assert participant is not None
    assert (participant.agent, participant.hidden) == (True, True)
    assert participant.permission == Permission(hidden=True)


def test_a_publisher_without_sources_may_publish_all() -> None:
    body = about(permission={"canPublish": True})
    participant = read(body, signed(body)).participant
    assert participant is not None
    assert participant.permission.sources == tuple(sorted(Source))


def test_a_room_event_names_nobody() -> None:
    body = event(event="room_started", participant=None)
    assert read(body, signed(body)).participant is None


def test_a_track_event_names_only_a_sid() -> None:
    body = event(event="track_published", participant={"sid": "PA_1", "identity": "ana"})
    assert read(body, signed(body)).participant is None


def test_an_event_that_we_do_not_know_is_read() -> None:
    body = event(event="agent_job_started", room=None, participant=None, createdAt=None)
    seen = read(body, signed(body))
    assert (seen.event, seen.room) == ("agent_job_started", "")


def test_both_keys_are_trusted_while_they_are_rotated() -> None:
    assert read(BODY, signed(key=NEXT)).id == "EV_1"


@pytest.mark.parametrize("changes", [{"nbf": T + 59}, {"exp": T - 59}, {"nbf": None}])
def test_clocks_may_differ_a_little(changes: dict[str, Any]) -> None:
    assert read(BODY, signed(**changes)).id == "EV_1"


# --- what is refused ------------------------------------------------------------------------------


def encoded(value: object) -> str:
    return urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def unsigned(algorithm: str) -> str:
    return f"{encoded({'alg': algorithm, 'typ': 'JWT'})}.{encoded(claims())}."


def signed_as(algorithm: str) -> str:
    return jwt.encode(claims(), KEY.secret + "x" * 64, algorithm=algorithm)


def flipped(position: int) -> str:
    token = signed()
    changed = "A" if token[position] != "A" else "B"
    return token[:position] + changed + token[position + 1 :]


def join_token() -> str:
    join = Join(room="r", identity="ana", permission=MICROPHONE)
    return mint_join(join, Signer(KEY), now=NOW, ttl_s=300)


MALFORMED = "is no JWT of LiveKit"
UNKNOWN = "signed by no API key of ours"
MIXED = "names another API key"
EXPIRED = "has expired"
ENDLESS = "must say when it ends"
FUTURE = "from the future"
PURPOSE = "not for a webhook"
BODY_CHANGED = "The body is not the one that LiveKit signed"
NO_OBJECT = "payload of the JWT is no JSON object"
NO_JSON = "payload of the JWT is no JSON: "
LONG = "longer than 4096 bytes"

TOKENS: dict[str, tuple[str, Callable[[], str]]] = {
    "nothing": (MALFORMED, lambda: ""),
    "no token": (MALFORMED, lambda: "hello"),
    "two parts": (MALFORMED, lambda: signed().rpartition(".")[0]),
    "four parts": (MALFORMED, lambda: signed() + ".x"),
    "with Bearer": (MALFORMED, lambda: "Bearer " + signed()),
    "not base64": (MALFORMED, lambda: "ä.ö.ü"),
    "alg none": (MALFORMED, lambda: unsigned("none")),
    "alg None": (MALFORMED, lambda: unsigned("None")),
    "alg missing": (MALFORMED, lambda: f"{encoded({'typ': 'JWT'})}.{encoded(claims())}.AA"),
    "alg HS256 without signature": (UNKNOWN, lambda: unsigned("HS256")),
    "HS384": (MALFORMED, lambda: signed_as("HS384")),
    "HS512": (MALFORMED, lambda: signed_as("HS512")),
    "RS256 named": (MALFORMED, lambda: unsigned("RS256") + "AAAA"),
    "another's key": (UNKNOWN, lambda: signed(key=OTHER)),
    "another's key with our name": (UNKNOWN, lambda: signed(key=OTHER, iss=KEY.key)),
    "our keys mixed up": (MIXED, lambda: signed(key=NEXT, iss=KEY.key)),
    "no iss": (MIXED, lambda: signed(iss=None)),
    "iss of another": (MIXED, lambda: signed(iss=OTHER.key)),
    "expired": (EXPIRED, lambda: signed(exp=T - 60)),
    "no exp": (ENDLESS, lambda: signed(exp=None)),
    "exp as text": (ENDLESS, lambda: signed(exp=str(T + 300))),
    "exp as truth": (ENDLESS, lambda: signed(exp=True)),
    "exp a list": (ENDLESS, lambda: signed(exp=[T + 300])),
    "lives too long": (FUTURE, lambda: signed(exp=T + 361)),
    "not yet": (FUTURE, lambda: signed(nbf=T + 61)),
    "no sha256": (PURPOSE, lambda: signed(sha256=None)),
    "empty sha256": (PURPOSE, lambda: signed(sha256="")),
    "sha256 a number": (BODY_CHANGED, lambda: signed(sha256=7)),
    "sha256 in hex": (BODY_CHANGED, lambda: signed(sha256=hashlib.sha256(BODY).hexdigest())),
    "sha256 of another body": (BODY_CHANGED, lambda: signed(sha256=digest(BODY + b" "))),
    "a join token": (PURPOSE, join_token),
    "an API token": (FUTURE, lambda: ApiTokens(Signer(KEY)).for_rooms(NOW)),
    "header changed": (MALFORMED, lambda: flipped(4)),
    "payload changed": (UNKNOWN, lambda: flipped(60)),
    "signature changed": (UNKNOWN, lambda: flipped(-10)),
    "payload no object": (
        NO_OBJECT,
        lambda: jwt.PyJWS().encode(b"[1]", KEY.secret, algorithm="HS256"),
    ),
    "payload no JSON": (NO_JSON, lambda: jwt.PyJWS().encode(b"{", KEY.secret, algorithm="HS256")),
    "too long": (LONG, lambda: signed(extra="x" * 4096)),
}


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_that_proves_nothing_is_refused(name: str) -> None:
    reason, make = TOKENS[name]
    token = make()
    with pytest.raises(ValueError, match=reason) as refused:
        read(BODY, token)
    assert KEY.secret not in str(refused.value)
    assert not token or token not in str(refused.value)


BODIES = {
    "changed": BODY + b"\n",
    "re-encoded": orjson.dumps(EVENT, option=orjson.OPT_INDENT_2),
    "empty": b"",
    "shorter": BODY[:-1],
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_was_not_signed_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=BODY_CHANGED):
        read(BODIES[name], signed())


STRANGE = {
    "no JSON": b"{",
    "a list": b"[]",
    "no id": event(id=None),
    "no event": event(event=None),
    "id a number": event(id=5),
    "room a text": event(room="lobby"),
    "participant a list": event(participant=[]),
    "no identity": about(identity=None),
    "identity a number": about(identity=1),
    "no sid": about(sid=None),
    "joinedAt a word": about(joinedAt="soon", joinedAtMs=None),
    "createdAt a word": event(createdAt="now"),
    "createdAt beyond time": event(createdAt=str(10**15)),
    "permission a list": about(permission=[]),
    "reason a number": about(disconnectReason=3),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_signed_body_that_is_no_webhook_is_refused(name: str) -> None:
    body = STRANGE[name]
    with pytest.raises(ValueError, match="The body is no"):
        read(body, signed(body))
