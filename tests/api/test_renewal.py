"""A user token that has expired may be renewed for a day, with the whole admission again."""

import asyncio

from utd_engine.testing import EngineUnderTest

HOUR = 3600.0


async def test_who_slept_past_the_end_of_a_token_comes_back() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("host", role="host", policy={"empty_after_last_leave_s": 10**6})
        ana = await engine.join("ana")
        await engine.clock.advance(2 * HOUR)
        late = await engine.call("GET", ana.path(), bearer=ana.user_token)
        assert late.code == "token_expired"
        renewed = await engine.call("POST", "/api/v1/auth/refresh", {}, bearer=ana.user_token)
        assert renewed.status == 200
        token = renewed.json()["user_token"]
        assert (await engine.call("GET", ana.path(), bearer=token)).status == 200
        back = await engine.call("POST", ana.path("/rejoin"), {}, bearer=ana.user_token)
        assert back.status == 200


async def test_after_a_day_only_a_new_join_helps() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        await engine.clock.advance(25 * HOUR + 11)
        for path in ("/api/v1/auth/refresh", ana.path("/rejoin")):
            refused = await engine.call("POST", path, {}, bearer=ana.user_token)
            assert refused.code == "token_expired"


async def test_who_was_banned_meanwhile_is_not_renewed() -> None:
    async with EngineUnderTest.start() as engine:
        host = await engine.join("host", role="host")
        ana = await engine.join("ana")
        path = host.path("/bans/ana")
        banned = await engine.call("PUT", path, {"reason": "spam"}, bearer=host.user_token)
        assert banned.status == 200
        await engine.clock.advance(2 * HOUR)
        refused = await engine.call("POST", "/api/v1/auth/refresh", {}, bearer=ana.user_token)
        assert (refused.code, refused.json()["context"]["reason"]) == ("banned", "spam")


async def test_rooms_that_are_over_leave_no_name_behind() -> None:
    async with EngineUnderTest.start() as engine:
        admission = engine.engine.services.admission
        for number in range(20):
            host = await engine.join("host", role="host", room_name=f"room {number}")
            await engine.join("ana", room_name=f"room {number}")
            ending = engine.call("POST", host.path("/end"), {}, bearer="secret")
            answer, _ = await asyncio.gather(ending, engine.clock.advance(1))
            assert answer.status == 200
        assert admission.remembered == 0
