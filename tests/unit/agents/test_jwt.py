from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from livekit import api
from support.agent_fakes import jwt

from utd_stream.agents import RoomAgentDispatch, RoomConfiguration, TokenSourceResponse, VideoGrants
from utd_stream.agents._jwt import read_token

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def valid(tolerance_s: float = 60, **claims: Any) -> bool:
    token = jwt(**{key: each.timestamp() for key, each in claims.items()})
    response = TokenSourceResponse("wss://x", token)
    return response.has_valid_token(timedelta(seconds=tolerance_s), now=NOW)


def test_validity() -> None:
    hour, half_minute = timedelta(hours=1), timedelta(seconds=30)
    assert valid(exp=NOW + hour)
    assert not valid(exp=NOW - hour)
    assert not valid(exp=NOW + half_minute)
    assert valid(10, exp=NOW + half_minute)
    assert not valid(exp=NOW + timedelta(seconds=60))
    assert not valid(exp=NOW + hour, nbf=NOW + half_minute)
    assert valid(exp=NOW + hour, nbf=NOW)
    assert not valid(nbf=NOW), "no exp"


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "a.!!!.c", "eyJh.WzFd.x", "a.4pyT.c"])
def test_what_cannot_be_read_is_none_and_never_valid(token: str) -> None:
    assert read_token(token) is None
    assert not TokenSourceResponse("wss://x", token).has_valid_token()
    assert TokenSourceResponse("wss://x", token).is_expired


def test_every_accessor() -> None:
    payload = read_token(
        jwt(
            iss="key",
            sub="ana",
            name="Ana",
            metadata="m",
            attributes={"a": 1, "b": None, "c": "x"},
            exp=1_800_000_000,
            nbf="1700000000",
            iat=1_700_000_000.5,
        )
    )
    assert payload is not None
    assert payload.issuer == "key"
    assert payload.identity == "ana"
    assert payload.name == "Ana"
    assert payload.metadata == "m"
    assert payload.attributes == {"a": "1", "c": "x"}
    assert payload.expires_at == datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
    assert payload.not_before == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert payload.issued_at is not None
    assert payload.video is None
    assert payload.room_configuration is None
    with pytest.raises(TypeError):
        payload.claims["iss"] = "other"  # type: ignore[index]


def test_odd_claims_are_none() -> None:
    payload = read_token(jwt(identity="bo", sub=5, attributes=[], exp="soon", nbf=True, iat=1e30))
    assert payload is not None
    assert payload.identity == "bo"
    assert payload.attributes is None
    assert (payload.expires_at, payload.not_before, payload.issued_at) == (None, None, None)


GRANTS = {
    "room": "r",
    "room_create": True,
    "room_join": True,
    "room_list": False,
    "room_record": True,
    "room_admin": False,
    "can_publish": True,
    "can_subscribe": False,
    "can_publish_data": True,
    "can_publish_sources": ["microphone"],
    "hidden": False,
    "recorder": True,
}
CONFIGURATION = {
    "name": "n",
    "empty_timeout": 1.9,
    "departure_timeout": 2,
    "max_participants": 3,
    "metadata": "m",
    "min_playout_delay": 4,
    "max_playout_delay": 5,
    "sync_streams": True,
    "agents": [{"agent_name": "a", "metadata": "am", "deployment": "d"}, {}],
}


def camel(value: Any) -> Any:
    if isinstance(value, list):
        return [camel(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key.split("_")[0] + "".join(part.title() for part in key.split("_")[1:]): camel(each)
        for key, each in value.items()
    }


@pytest.mark.parametrize("spelled", [lambda each: each, camel])
def test_both_spellings_of_grants_and_room_configuration(spelled: Any) -> None:  # Q9
    claims = spelled({"video": GRANTS, "room_config": CONFIGURATION})
    payload = read_token(jwt(**claims))
    assert payload is not None
    assert payload.video == VideoGrants(**{**GRANTS, "can_publish_sources": ("microphone",)})
    agents = (RoomAgentDispatch(agent_name="a", metadata="am", deployment="d"), RoomAgentDispatch())
    assert payload.room_configuration == RoomConfiguration(
        **{**CONFIGURATION, "empty_timeout": 1, "agents": agents}
    )


def test_tokens_of_livekits_own_library_are_read() -> None:
    token = (
        api.AccessToken("key", "secret" * 8)
        .with_identity("ana")
        .with_grants(api.VideoGrants(room_join=True, room="r"))
        .with_room_config(
            api.RoomConfiguration(agents=[api.RoomAgentDispatch(agent_name="helper")])
        )
        .to_jwt()
    )
    response = TokenSourceResponse("wss://x", token)
    assert response.dispatches_agent()
    assert response.has_valid_token()
    assert response.payload is not None
    assert response.payload.identity == "ana"
    assert response.payload.video is not None
    assert (response.payload.video.room, response.payload.video.room_join) == ("r", True)
