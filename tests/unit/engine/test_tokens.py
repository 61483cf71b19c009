"""User tokens and identity tokens: what they prove, for how long, with which secrets."""

from datetime import timedelta
from typing import Any

import jwt
import pytest
from support.forged import forged, opened

from utd_engine.app.tokens import (
    LEEWAY_S,
    SEEN_TOKENS,
    IdentityTokens,
    Place,
    UserTokens,
    derive,
)
from utd_engine.domain.refusal import Refused
from utd_engine.testing import FakeClock
from utd_engine.testing._engine import MASTER

OLD, NEW = MASTER.encode(), b"a newer master secret, of which nobody knows"
PLACE = Place(id="rm_1", type="audio_room", name="lobby", generation=3)


def code_of(refused: pytest.ExceptionInfo[Refused]) -> str:
    return refused.value.code


async def test_a_token_says_who_where_and_on_which_device() -> None:
    clock = FakeClock()
    users = UserTokens([OLD], clock)
    bearer = users.mint("app1", "ana", "phone", name="Ana", room=PLACE, unproven=True)
    claims = users.read(bearer.token)
    assert (claims.aud, claims.sub, claims.device, claims.name) == ("app1", "ana", "phone", "Ana")
    assert (claims.room, claims.unproven, claims.place) == (PLACE, True, "audio_room:lobby")
    assert bearer.expires_at == clock.now() + timedelta(hours=1)
    assert claims.exp - claims.nbf == 3600
    plain = users.read(users.mint("app1", "ana", "phone").token)
    assert (plain.room, plain.unproven, plain.place) == (None, False, "")


async def test_another_library_reads_it_with_the_derived_key_alone() -> None:
    token = UserTokens([OLD], FakeClock()).mint("app1", "ana", "phone").token
    claims = jwt.decode(
        token,
        derive(OLD, "user-token"),
        algorithms=["HS256"],
        audience="app1",
        issuer="utd",
        options={"verify_exp": False, "verify_nbf": False},
    )
    assert claims["sub"] == "ana"


async def test_it_lives_an_hour_and_the_leeway() -> None:
    clock = FakeClock()
    users = UserTokens([OLD], clock)
    token = users.mint("app1", "ana", "phone").token
    assert users.read(token).sub == "ana"
    await clock.advance(3600 + LEEWAY_S - 0.001)
    assert users.read(token).sub == "ana"
    await clock.advance(0.001)
    for reader in (users, UserTokens([OLD], clock)):
        with pytest.raises(Refused) as refused:
            reader.read(token)
        assert code_of(refused) == "token_expired"


async def test_the_newest_secret_signs_and_all_verify() -> None:
    clock = FakeClock()
    of_old = UserTokens([OLD], clock).mint("app1", "ana", "phone").token
    both = UserTokens([NEW, OLD], clock)
    of_both = both.mint("app1", "ana", "phone").token
    assert {both.read(token).sub for token in (of_old, of_both)} == {"ana"}
    only_new = UserTokens([NEW], clock)
    assert only_new.read(of_both).sub == "ana"
    with pytest.raises(Refused) as refused:
        only_new.read(of_old)
    assert code_of(refused) == "token_invalid"
    with pytest.raises(Refused):
        UserTokens([OLD], clock).read(of_both)


async def test_every_forgery_is_refused_in_the_same_words() -> None:
    users = UserTokens([OLD], FakeClock())
    good = users.mint("app1", "ana", "phone", room=PLACE).token
    told: dict[str, tuple[str, str, str | None]] = {}
    for what, token in forged(good).items():
        if what in {"aud unknown", "aud empty"}:  # good here: who looks the app up refuses it
            continue
        with pytest.raises(Refused) as refused:
            users.read(token)
        told[what] = (refused.value.code, refused.value.detail, refused.value.hint)
    assert len(told) >= 60
    assert set(told.values()) == {
        ("token_invalid", "The token was refused.", "Get a new token and try again.")
    }


async def test_what_was_read_is_remembered_but_not_for_ever() -> None:
    clock = FakeClock()
    users = UserTokens([OLD], clock)
    tokens = [users.mint("app1", f"user {n}", "phone").token for n in range(3)]
    for token in tokens:
        users.read(token)
        users.read(token)
    assert len(users._seen) == 3
    await clock.advance(4000)
    with pytest.raises(Refused):
        users.read(tokens[0])
    assert len(users._seen) == 2, "an expired one is forgotten"
    claims = users.read(users.mint("app1", "ana", "phone").token)
    users._seen.update((str(n).encode(), claims) for n in range(SEEN_TOKENS - len(users._seen)))
    users.read(users.mint("app1", "bo", "phone").token)
    assert len(users._seen) == SEEN_TOKENS


def test_keys_of_purposes_apps_and_secrets_all_differ() -> None:
    keys = {
        derive(master, purpose, *parts)
        for master in (OLD, NEW)
        for purpose in ("user-token", "identity-token", "webhook")
        for parts in ((), ("a",), ("a", "1"), ("a1",), ("b", "1"))
    }
    assert len(keys) == 2 * 3 * 5
    assert all(len(key) == 32 for key in keys)


# --- identity tokens ------------------------------------------------------------------------------


def identity(clock: FakeClock, masters: list[bytes] | None = None, **changes: Any) -> str:
    now = int(clock.now().timestamp())
    claims = {"sub": "ana", "aud": "app1", "iat": now, "exp": now + 3600} | changes
    secret = IdentityTokens(masters or [OLD], clock).secret("app1")
    return jwt.encode({key: one for key, one in claims.items() if one is not None}, secret)


async def test_an_identity_token_says_who_and_what_they_host() -> None:
    clock = FakeClock()
    token = identity(clock, name="Ana", hosts=["audio_room:lobby"], jti="x", extra={"a": 1})
    claims = IdentityTokens([OLD], clock).read("app1", token)
    assert (claims.sub, claims.name, claims.hosts) == ("ana", "Ana", ("audio_room:lobby",))
    plain = IdentityTokens([OLD], clock).read("app1", identity(clock))
    assert (plain.name, plain.hosts) == (None, ())


async def test_an_identity_token_survives_the_rotation_of_the_master_secret() -> None:
    clock = FakeClock()
    of_old, of_new = identity(clock), identity(clock, [NEW])
    both = IdentityTokens([NEW, OLD], clock)
    assert [both.read("app1", token).sub for token in (of_old, of_new)] == ["ana", "ana"]
    for masters, token in (([NEW], of_old), ([OLD], of_new)):
        with pytest.raises(Refused) as refused:
            IdentityTokens(masters, clock).read("app1", token)
        assert code_of(refused) == "token_invalid"


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("of another app", {"aud": "app2"}),
        ("for nobody", {"aud": None}),
        ("without an end", {"exp": None}),
        ("without a person", {"sub": None}),
        ("a person of another kind", {"sub": 7}),
        ("an end of another kind", {"exp": "soon"}),
        ("true for an end", {"exp": True}),
        ("lives more than an hour", {"exp": 1_767_268_800 + 3600 + 11}),
        ("an end beyond all numbers", {"exp": 10**400}),
        ("lived more than an hour", {"iat": 1_767_268_800 - 3600, "exp": 1_767_268_800 + 3600}),
        ("began long ago", {"nbf": 1_767_268_800 - 3600, "exp": 1_767_268_800 + 3600}),
        ("not yet", {"nbf": 1_767_268_800 + 60}),
        ("made in the future", {"iat": 1_767_268_800 + 60}),
        ("hosts of another kind", {"hosts": "audio_room:lobby"}),
        ("hosts of numbers", {"hosts": [1]}),
        ("a name of another kind", {"name": 7}),
        ("a long name", {"name": "x" * 257}),
        ("too long", {"extra": "x" * 4096}),
    ],
)
async def test_an_identity_token_is_refused(what: str, changes: dict[str, Any]) -> None:
    clock = FakeClock()
    assert clock.now().timestamp() == 1_767_268_800
    with pytest.raises(Refused) as refused:
        IdentityTokens([OLD], clock).read("app1", identity(clock, **changes))
    assert code_of(refused) == "token_invalid", what


async def test_an_identity_token_expires() -> None:
    clock = FakeClock()
    token = identity(clock, exp=int(clock.now().timestamp()) + 60)
    reader = IdentityTokens([NEW, OLD], clock)
    await clock.advance(60 + LEEWAY_S - 1)
    assert reader.read("app1", token).sub == "ana"
    await clock.advance(1)
    with pytest.raises(Refused) as refused:
        reader.read("app1", token)
    assert code_of(refused) == "token_expired"


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "none"])
async def test_an_identity_token_has_one_algorithm(algorithm: str) -> None:
    clock = FakeClock()
    secret = IdentityTokens([OLD], clock).secret("app1")
    _, claims = opened(identity(clock))
    key = None if algorithm == "none" else secret
    token = jwt.encode(claims, key, algorithm=algorithm)  # type: ignore[arg-type]
    with pytest.raises(Refused) as refused:
        IdentityTokens([OLD], clock).read("app1", token)
    assert code_of(refused) == "token_invalid"


async def test_a_user_token_is_no_identity_token_and_the_reverse() -> None:
    clock = FakeClock()
    users, identities = UserTokens([OLD], clock), IdentityTokens([OLD], clock)
    with pytest.raises(Refused):
        identities.read("app1", users.mint("app1", "ana", "phone").token)
    with pytest.raises(Refused):
        users.read(identity(clock))


def test_identity_secrets_are_long_and_one_a_app() -> None:
    identities = IdentityTokens([OLD], FakeClock())
    assert identities.secret("app1") != identities.secret("app2")
    assert identities.secret("app1").startswith("idt_")
    assert len(identities.secret("app1")) == 4 + 64
