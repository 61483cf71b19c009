"""In production the publishable key alone does nothing, whatever is claimed (S7)."""

from typing import Any

import pytest
from support.forged import identity_token
from support.route_cases import ROOM

from utd_engine.app.apps import AppSettings
from utd_engine.config import Limits
from utd_engine.testing import Answer, EngineUnderTest
from utd_protocol.policy import PolicyPatch
from utd_protocol.types import Opens

TOKEN, SESSION = "/api/v1/token", "/api/v1/auth/session"
WISH: dict[str, Any] = {"type": "audio_room", "room_name": "lobby", "identity": "ana"}
HOST = {"role": "host"}


async def mint(engine: EngineUnderTest, bearer: str | None = None, **changes: Any) -> Answer:
    return await engine.call("POST", TOKEN, WISH | changes, app_key=bearer is None, bearer=bearer)


async def lobby(engine: EngineUnderTest) -> None:
    answer = await engine.call("PUT", ROOM, {"owner": "zoe"}, bearer="secret")
    assert answer.status == 200


@pytest.mark.parametrize(
    "claim",
    [
        {},
        HOST,
        {"identity": "zoe"},
        {"identity": "zoe", **HOST},
        {"identity": "guest"},
        {"room_name": "new", **HOST},
        {"policy": {"opens": "anyone"}, **HOST},
        {"attributes": {"utd.role": "host"}},
        {"device_id": "zoe"},
    ],
)
@pytest.mark.parametrize("opens", list(Opens))
async def test_the_publishable_key_alone_is_nobody(claim: dict[str, Any], opens: Opens) -> None:
    settings = AppSettings(policy=PolicyPatch(opens=opens))
    async with EngineUnderTest.start(mode="production", settings=settings) as engine:
        await lobby(engine)
        answer = await mint(engine, **claim)
        assert (answer.status, answer.code) == (403, "app_key_only")
        assert "identity token" in answer.json()["hint"]
        answer = await engine.call(
            "POST", SESSION, {"identity": claim.get("identity", "ana")}, app_key=True
        )
        assert (answer.status, answer.code) == (403, "app_key_only")
        assert len(await engine.store.open_rooms()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "bo"},
        {"aud": "other"},
        {"exp": 1},
        {"exp": None},
        {"exp": 99_999_999_999},
    ],
)
async def test_an_identity_token_that_is_not_good_opens_nothing(changes: dict[str, Any]) -> None:
    async with EngineUnderTest.start(mode="production") as engine:
        await lobby(engine)
        answer = await mint(engine, identity_token=identity_token(engine, "ana", **changes))
        assert answer.status == 401
        assert answer.code == ("token_expired" if changes == {"exp": 1} else "token_invalid")


async def test_with_an_identity_token_one_listens() -> None:
    async with EngineUnderTest.start(mode="production") as engine:
        await lobby(engine)
        token = identity_token(engine, "ana", name="Ana of the backend")
        answer = await mint(engine, identity_token=token, name="somebody else")
        assert (answer.status, answer.json()["role"]) == (200, "audience")
        member = await engine.sfu.join(answer.json()["token"])
        assert (member.name, member.permission.can_publish) == ("Ana of the backend", False)


async def test_who_hosts_is_the_backends_word() -> None:
    async with EngineUnderTest.start(mode="production") as engine:
        cases = [([], 403), (["audio_room:other"], 403), (["lobby"], 403), (["*"], 403),
                 (["live_stream:lobby"], 403), (["audio_room:lobby"], 200)]  # fmt: skip
        for hosts, status in cases:
            token = identity_token(engine, "ana", hosts=hosts)
            answer = await mint(engine, identity_token=token, **HOST)
            assert answer.status == status, hosts
            if status == 403:
                assert answer.code == "not_allowed"
                assert '"audio_room:lobby"' in answer.json()["hint"]
        assert answer.json()["role"] == "host"


async def test_the_right_to_open_makes_no_host_of_an_open_room() -> None:
    async with EngineUnderTest.start(mode="production") as engine:
        await lobby(engine)
        token = identity_token(engine, "ana", hosts=["audio_room:lobby"])
        answer = await mint(engine, identity_token=token, **HOST)
        assert (answer.json()["role"], answer.json()["role_clamped"]) == ("audience", True)
        owner = await mint(engine, identity="zoe", identity_token=identity_token(engine, "zoe"))
        assert owner.json()["role"] == "host", "the recorded owner"


async def test_anyone_opens_where_the_app_says_anyone() -> None:
    settings = AppSettings(policy=PolicyPatch(opens=Opens.ANYONE))
    async with EngineUnderTest.start(mode="production", settings=settings) as engine:
        answer = await mint(engine, identity_token=identity_token(engine, "ana"))
        assert (answer.status, answer.json()["role"]) == (200, "host")


async def test_the_secret_key_mints_for_anybody() -> None:
    async with EngineUnderTest.start(mode="production") as engine:
        answer = await mint(engine, "secret", **HOST)
        assert (answer.status, answer.json()["role"]) == (200, "host")


async def test_what_development_gave_away_ends_with_it() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        token = identity_token(engine, "bo")
        proven = (await mint(engine, identity="bo", identity_token=token)).json()["user_token"]
        await engine.engine.services.apps.update(engine.app_id, mode="production")
        for path in ("/api/v1/auth/refresh", ROOM + "/rejoin"):
            answer = await engine.call("POST", path, bearer=ana.user_token)
            assert (answer.status, answer.code) == (403, "app_key_only")
            answer = await engine.call("POST", path, bearer=proven)
            assert answer.status == 200
            again = await engine.call("POST", path, bearer=answer.json()["user_token"])
            assert again.status == 200, "what was proven stays proven"
        assert (await mint(engine, identity="ana")).code == "app_key_only"


async def test_a_refreshed_token_of_development_is_still_one_of_development() -> None:
    async with EngineUnderTest.start() as engine:
        session = await engine.call("POST", SESSION, {"identity": "ana"}, app_key=True)
        refreshed = await engine.call(
            "POST", "/api/v1/auth/refresh", bearer=session.json()["user_token"]
        )
        await engine.engine.services.apps.update(engine.app_id, mode="production")
        answer = await engine.call(
            "POST", "/api/v1/auth/refresh", bearer=refreshed.json()["user_token"]
        )
        assert answer.code == "app_key_only"


async def test_nobody_uses_up_the_tokens_of_somebody_else() -> None:
    limits = Limits(mints_per_second=1, mints_burst=2)
    async with EngineUnderTest.start(mode="production", limits=limits) as engine:
        await lobby(engine)
        for _ in range(20):
            assert (await mint(engine)).status == 403
            assert (await mint(engine, identity_token="x.y.z")).status in {401, 429}
        answer = await mint(engine, identity_token=identity_token(engine, "ana"))
        assert answer.status == 200


async def test_development_has_a_cap_of_identities_a_minute() -> None:
    settings = AppSettings(development_identities=3)
    async with EngineUnderTest.start(settings=settings) as engine:

        async def session(identity: str, bearer: str | None = None) -> Answer:
            return await engine.call(
                "POST", SESSION, {"identity": identity}, app_key=bearer is None, bearer=bearer
            )

        for identity in ("a", "b", "c", "a", "b", "c"):
            assert (await session(identity)).status == 200
        await engine.clock.advance(15)
        refused = await session("d")
        assert (refused.code, refused.json()["retry_after"]) == ("rate_limited", 45)
        assert (await session("d", "secret")).status == 200, "the backend has no cap"
        await engine.clock.advance(44.9)
        assert (await session("d")).code == "rate_limited"
        assert (await session("a")).status == 200
        await engine.clock.advance(0.1)
        assert (await session("d")).status == 200
        assert (await session("e")).status == 200
        assert (await session("f")).code == "rate_limited"
