"""LiveKit's tokens: readable by other libraries, and silent about nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from utd_engine.adapters.livekit.tokens import (
    API_TOKENS_KEPT,
    ApiKey,
    ApiTokens,
    Signer,
    mint_join,
)
from utd_engine.domain.permissions import NOTHING, Permission
from utd_engine.ports.media import Join
from utd_protocol.types import Source

NOW = datetime(2026, 1, 1, 12, 0, 0, 999_000, tzinfo=UTC)
KEY = ApiKey("devkey", "a-secret-of-at-least-32-characters!")
SPEAKER = Permission(
    can_publish=True,
    sources=(Source.CAMERA, Source.MICROPHONE),
    can_subscribe=True,
    can_publish_data=True,
)
LISTENER = Permission(can_subscribe=True)


def read(token: str, key: ApiKey = KEY) -> dict[str, Any]:
    """What another library reads; the life is checked apart, because `NOW` is not now."""
    return jwt.decode(
        token,
        key.secret,
        algorithms=["HS256"],
        issuer=key.key,
        options={"verify_exp": False, "verify_nbf": False, "require": ["exp", "nbf", "iss"]},
    )


def minted(permission: Permission = LISTENER, ttl_s: int = 600, **fields: Any) -> dict[str, Any]:
    join = Join(room="ap1.audio_room.rm_1", identity="ana", permission=permission, **fields)
    return read(mint_join(join, Signer(KEY), now=NOW, ttl_s=ttl_s))


@pytest.mark.parametrize("name", ["Ana", "~~~???>>>", "安娜 🎤", "a" * 100])
def test_another_library_reads_what_was_signed(name: str) -> None:
    claims = {"iss": "devkey", "name": name, "exp": 4_000_000_000}
    token = Signer(KEY).sign(claims)
    assert jwt.decode(token, KEY.secret, algorithms=["HS256"]) == claims
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    assert not set("+/=") & set(token)


def test_a_listener_is_told_what_it_may_not() -> None:
    assert minted()["video"] == {
        "roomJoin": True,
        "room": "ap1.audio_room.rm_1",
        "canPublish": False,
        "canPublishSources": [],
        "canPublishData": False,
        "canSubscribe": True,
        "canUpdateOwnMetadata": False,
        "hidden": False,
        "recorder": False,
        "agent": False,
    }


def test_a_speaker_gets_its_sources_in_livekits_order() -> None:
    unordered = Permission(can_publish=True, sources=tuple(sorted(Source, reverse=True)))
    assert minted(unordered)["video"]["canPublishSources"] == [
        "camera",
        "microphone",
        "screen_share",
        "screen_share_audio",
    ]
    assert minted(SPEAKER)["video"]["canPublishSources"] == ["camera", "microphone"]


@pytest.mark.parametrize("permission", [NOTHING, LISTENER, SPEAKER])
def test_the_grants_are_the_permission(permission: Permission) -> None:
    video = minted(permission)["video"]
    assert video["canPublish"] == permission.can_publish
    assert video["canPublishSources"] == [str(source) for source in permission.sources]
    assert video["canSubscribe"] == permission.can_subscribe
    assert video["canPublishData"] == permission.can_publish_data


def test_a_hidden_member_stays_hidden() -> None:
    assert minted(Permission(hidden=True))["video"]["hidden"] is True


@pytest.mark.parametrize("permission", [NOTHING, SPEAKER])
@pytest.mark.parametrize("kind", ["standard", "agent"])
def test_no_join_token_governs_rooms(permission: Permission, kind: str) -> None:
    video = minted(permission, kind=kind)["video"]
    assert not {"roomCreate", "roomAdmin", "roomList", "roomRecord", "ingressAdmin"} & set(video)


def test_sources_without_the_right_are_not_granted() -> None:
    mixed = Permission(can_publish=False, sources=(Source.CAMERA,))
    assert minted(mixed)["video"]["canPublishSources"] == []


def test_a_publisher_without_sources_is_refused() -> None:
    with pytest.raises(ValueError, match="can_publish needs at least one source"):
        minted(Permission(can_publish=True))


def test_an_agent_may_tell_its_state() -> None:
    claims = minted(SPEAKER, kind="agent")
    assert claims["kind"] == "agent"
    assert (claims["video"]["agent"], claims["video"]["canUpdateOwnMetadata"]) == (True, True)


def test_who_it_is() -> None:
    claims = minted(name="Ana", attributes={"role": "host"})
    assert (claims["sub"], claims["name"]) == ("ana", "Ana")
    assert (claims["attributes"], claims["kind"]) == ({"role": "host"}, "standard")


def test_it_lives_from_now_for_ttl() -> None:
    claims = minted(ttl_s=600)
    assert claims["nbf"] == int(NOW.timestamp())
    assert claims["exp"] - claims["nbf"] == 600


def test_api_tokens_are_kept_until_near_their_end() -> None:
    kept = ApiTokens(Signer(KEY))
    first = kept.for_room("a", NOW)
    assert kept.for_room("a", NOW + timedelta(seconds=539)) == first
    assert kept.for_room("a", NOW + timedelta(seconds=540)) != first
    assert read(first)["exp"] == int(NOW.timestamp()) + 600


def test_api_tokens_are_of_one_room_or_of_rooms() -> None:
    kept = ApiTokens(Signer(KEY))
    assert read(kept.for_room("a", NOW))["video"] == {"roomAdmin": True, "room": "a"}
    assert read(kept.for_room("b", NOW))["video"] == {"roomAdmin": True, "room": "b"}
    assert read(kept.for_rooms(NOW))["video"] == {"roomCreate": True, "roomList": True}


def test_api_tokens_of_ended_rooms_do_not_pile_up() -> None:
    kept = ApiTokens(Signer(KEY))
    first = kept.for_room("a", NOW)
    kept.forget("a")
    assert kept.for_room("a", NOW + timedelta(seconds=1)) != first
    for number in range(API_TOKENS_KEPT + 10):
        kept.for_room(str(number), NOW)
    assert len(kept._kept) <= API_TOKENS_KEPT
