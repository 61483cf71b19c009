"""What a bearer is worth after a kick, a ban, a leave, an end, and in another room."""

import asyncio
from typing import Any

import pytest
from support.route_cases import CASES, IN_LOBBY, ROOM, ROWS, cast

from utd_engine.app.bans import TRUSTED_S
from utd_engine.testing import Answer, EngineUnderTest, Joined
from utd_protocol.answers import CommandAnswer

REFRESH = "/api/v1/auth/refresh"


async def session(engine: EngineUnderTest, identity: str) -> str:
    answer = await engine.call("POST", "/api/v1/auth/session", {"identity": identity}, app_key=True)
    return str(answer.json()["user_token"])


async def end(engine: EngineUnderTest, host: Joined) -> None:
    ending = asyncio.ensure_future(
        engine.call("POST", host.path("/end"), {"reason": "done"}, bearer=host.user_token)
    )
    await engine.clock.advance(1)
    assert (await ending).status == 200


async def mint(engine: EngineUnderTest, identity: str, room: str = "lobby", **wish: Any) -> Answer:
    body = {"type": "audio_room", "room_name": room, "identity": identity} | wish
    return await engine.call("POST", "/api/v1/token", body, app_key=True)


@pytest.mark.parametrize("name", IN_LOBBY)
async def test_a_kicked_persons_bearer_does_nothing(name: str) -> None:
    row, case = ROWS[name], CASES[name]
    if row.who == "secret":
        return
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        await engine.call(
            "PATCH", ROOM + "/members/bo", {"role": "admin"}, bearer=play.people["ana"].user_token
        )
        roomless = await session(engine, "bo")
        kick = {"reason": "noise"}
        await engine.call(
            "POST", ROOM + "/members/bo/kick", kick, bearer=play.people["ana"].user_token
        )
        key = engine.key(play.people["ana"])
        before = await engine.store.load(key)
        for bearer in (play.people["bo"].user_token, roomless):
            answer = await engine.call(
                row.method, case.path, case.body, bearer=bearer, query=case.query
            )
            if name.endswith("/leave") and row.path.endswith("{name}/leave"):
                assert answer.status == 200, "who is out already may say so"
            elif bearer == roomless and name.endswith("/rejoin"):
                assert answer.code == "invalid_request"
            else:
                assert (answer.status, answer.code) == (403, "kicked"), name
        assert await engine.store.load(key) == before


async def test_after_a_kick_a_new_join_is_a_listener_and_the_old_bearer_stays_dead() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        old = await engine.join("bo")
        await engine.call("PATCH", ROOM + "/members/bo", {"role": "admin"}, bearer=ana.user_token)
        await engine.call("POST", ROOM + "/members/bo/kick", {}, bearer=ana.user_token)
        assert old.participant is not None
        assert old.participant.disconnected == "PARTICIPANT_REMOVED"
        refreshed = await engine.call("POST", REFRESH, bearer=old.user_token)
        new = await engine.join("bo")
        assert new.answer.role == "audience"
        for bearer, status in (
            (new.user_token, 200),
            (old.user_token, 403),
            (refreshed.json()["user_token"], 403),
        ):
            answer = await engine.call("POST", ROOM + "/requests", {}, bearer=bearer)
            assert answer.status == status


async def test_a_room_bearer_is_for_its_room() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("ana", role="host")
        bo = await engine.join("bo", role="host", room_name="other", enter=False)
        for name, case in IN_LOBBY.items():
            if ROWS[name].who == "bearer":
                answer = await engine.call(
                    ROWS[name].method, case.path, case.body, bearer=bo.user_token
                )
                assert (answer.status, answer.code) == (403, "not_allowed")
        answer = await engine.call("GET", bo.path(), bearer=bo.user_token)
        assert answer.status == 200


@pytest.mark.parametrize("name", IN_LOBBY)
async def test_after_the_name_opened_anew_the_old_bearer_is_told_that_it_is_over(
    name: str,
) -> None:
    row, case = ROWS[name], CASES[name]
    if row.who == "secret":
        return
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        await end(engine, play.people["ana"])
        again = await engine.join("ana", role="host")
        key = engine.key(again)
        before = await engine.store.load(key)
        for who in ("ana", "bo"):
            bearer = play.people[who].user_token
            answer = await engine.call(row.method, case.path, case.body, bearer=bearer)
            assert (answer.status, answer.code) == (410, "room_ended")
            assert answer.json()["context"] == {"reason": "done"}
        assert await engine.store.load(key) == before


async def test_what_has_ended_can_be_read_until_the_name_is_open_again() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        await end(engine, ana)
        events = await engine.call("GET", ROOM + "/events", bearer=ana.user_token)
        assert events.json()["events"][-1]["type"] == "room.ended"
        view = await engine.call("GET", ROOM, bearer=ana.user_token)
        assert view.json()["view"]["state"] == "ended"
        assert (await engine.call("GET", ROOM, bearer="secret")).code == "room_not_found"
        room_id = {"room_id": ana.answer.room.room_id}
        for headers in ({}, {"x-act-as": "ana"}):
            old = await engine.call("GET", ROOM, bearer="secret", query=room_id, headers=headers)
            assert old.json()["view"]["state"] == "ended"
        other = "/api/v1/rooms/audio_room/elsewhere"
        answer = await engine.call("GET", other, bearer="secret", query=room_id)
        assert answer.code == "room_not_found"


async def test_a_ban_closes_every_door_at_once() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        bo = await engine.join("bo")
        roomless = await session(engine, "bo")
        ban = {"reason": "spam", "until": "2027-01-01T00:00:00Z"}
        await engine.call("PUT", ROOM + "/bans/bo", ban, bearer=ana.user_token)
        answers = [
            await mint(engine, "bo"),
            await engine.call("POST", REFRESH, bearer=bo.user_token),
            await engine.call("POST", ROOM + "/rejoin", bearer=bo.user_token),
            await engine.call("POST", ROOM + "/seats/take", {}, bearer=bo.user_token),
            await engine.call("GET", ROOM, bearer=bo.user_token),
            await engine.call("GET", ROOM + "/events", bearer=roomless),
            await engine.call("POST", ROOM + "/requests", {}, bearer=roomless),
        ]
        for answer in answers:
            assert (answer.status, answer.code) == (403, "banned")
            assert answer.json()["context"]["reason"] == "spam"
        assert (await engine.call("POST", REFRESH, bearer=roomless)).status == 200
        assert (await mint(engine, "bo", "elsewhere", role="host")).status == 200


async def test_a_ban_of_the_app_holds_in_rooms_where_nobody_kicked() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        bo = await engine.join("bo", role="host", room_name="elsewhere")
        app = {"scope": "app"}
        refused = await engine.call("PUT", ROOM + "/bans/bo", app, bearer=ana.user_token)
        assert refused.code == "not_allowed", "only the backend bans from the whole app"
        done = await engine.call("PUT", ROOM + "/bans/bo", app, bearer="secret")
        assert done.status == 200
        answers = [
            await mint(engine, "bo"),
            await mint(engine, "bo", "new", role="host"),
            await engine.call("POST", bo.path("/seats/take"), {}, bearer=bo.user_token),
            await engine.call("GET", bo.path(), bearer=bo.user_token),
            await engine.call("POST", bo.path("/rejoin"), bearer=bo.user_token),
            await engine.call("POST", REFRESH, bearer=bo.user_token),
            await engine.call("POST", "/api/v1/auth/session", {"identity": "bo"}, app_key=True),
        ]
        assert {answer.code for answer in answers} == {"banned"}
        await engine.clock.advance(6)
        assert bo.participant is not None
        assert bo.participant.disconnected == "PARTICIPANT_REMOVED"
        await engine.call("DELETE", ROOM + "/bans/bo", app, bearer="secret")
        assert (await mint(engine, "bo")).status == 200


async def test_a_ban_ends_by_itself() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        until = engine.clock.now().replace(second=30).isoformat()
        await engine.call("PUT", ROOM + "/bans/bo", {"until": until}, bearer=ana.user_token)
        await engine.clock.advance(29.9)
        assert (await mint(engine, "bo")).code == "banned"
        await engine.clock.advance(0.1)
        assert (await mint(engine, "bo")).status == 200


async def test_a_ban_that_comes_while_somebody_is_looked_up_counts() -> None:
    """The look found no ban, then the ban is committed, then the look is answered."""
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        bans = engine.engine.services.entrance._bans
        found = asyncio.Event()
        go_on = asyncio.Event()
        look = bans._store.bans_of

        async def slow(*args: Any) -> Any:
            rows = await look(*args)
            found.set()
            await go_on.wait()
            return rows

        bans._store.bans_of = slow  # type: ignore[method-assign]
        minting = asyncio.ensure_future(mint(engine, "bo"))
        await found.wait()
        del bans._store.bans_of  # type: ignore[attr-defined]
        await engine.call("PUT", ROOM + "/bans/bo", {}, bearer=ana.user_token)
        go_on.set()
        await minting
        assert (await mint(engine, "bo")).code == "banned"


async def test_who_was_found_free_is_looked_at_again_soon() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("ana", role="host")
        assert (await mint(engine, "bo")).status == 200
        bans = engine.engine.services.entrance._bans
        assert await bans.of(engine.app_id, "bo", "audio_room:lobby") is None
        await engine.clock.advance(TRUSTED_S)
        assert bans._free[engine.app_id, "bo"] <= engine.clock.monotonic()


async def test_who_left_goes_on_with_a_new_join_only() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("ana", role="host")
        bo = await engine.join("bo")
        assert (await engine.call("POST", ROOM + "/leave", bearer=bo.user_token)).status == 200
        answer = await engine.call("POST", ROOM + "/seats/take", {}, bearer=bo.user_token)
        assert answer.code == "kicked"
        assert "left" in answer.json()["detail"]
        again = await engine.join("bo")
        answer = await engine.call("POST", ROOM + "/seats/take", {}, bearer=again.user_token)
        assert answer.status == 200


async def test_a_rejoin_keeps_the_role_and_needs_no_claim() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host", name="Ana")
        answer = await engine.call("POST", ROOM + "/rejoin", bearer=ana.user_token)
        assert (answer.json()["role"], answer.json()["role_clamped"]) == ("host", False)
        member = await engine.sfu.join(answer.json()["token"])
        assert (member.name, member.identity) == ("Ana", "ana")
        without = await session(engine, "ana")
        answer = await engine.call("POST", ROOM + "/rejoin", bearer=without)
        assert answer.code == "invalid_request"


async def test_a_bearer_without_a_room_works_in_every_room() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        await engine.join("bo")
        bearer = await session(engine, "bo")
        answer = await engine.call("POST", ROOM + "/requests", {}, bearer=bearer)
        assert answer.status == 200
        assert (await engine.room(engine.key(ana))).state.pending[1].identity == "bo"


async def test_a_claim_to_host_is_clamped_and_told() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("ana", role="host")
        answer = await mint(engine, "bo", role="host")
        assert (answer.json()["role"], answer.json()["role_clamped"]) == ("audience", True)
        answer = await mint(engine, "ana")
        assert (answer.json()["role"], answer.json()["role_clamped"]) == ("host", False)


async def test_commands_commit_while_livekit_is_away_and_only_minting_waits() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        await engine.clock.advance(1)
        engine.sfu.faults.unavailable = True
        answer = await engine.call("POST", ROOM + "/seats/take", {}, bearer=ana.user_token)
        assert (answer.status, answer.json()["media"]) == (200, "pending")
        new = "/api/v1/rooms/audio_room/new"
        answer = await engine.call("PUT", new, {"owner": "zoe"}, bearer="secret")
        assert answer.status == 200, "opening needs no LiveKit"
        answer = await mint(engine, "zoe", "new")
        assert (answer.status, answer.code) == (503, "media_unavailable")
        engine.sfu.faults.unavailable = False
        assert (await mint(engine, "zoe", "new")).status == 200


def test_every_command_row_is_a_bearers() -> None:
    assert {row.who for row in ROWS.values() if row.answer is CommandAnswer} == {"bearer"}
