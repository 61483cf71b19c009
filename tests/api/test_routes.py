"""Every row of the route table is served, answers what it says, and does what it is for."""

import msgspec
import pytest
from support.route_cases import CASES, ROOM, ROWS, cast, row_name

from utd_engine.http.routes import ROUTES
from utd_engine.testing import EngineUnderTest
from utd_protocol.answers import CommandAnswer, RequestsAnswer


def test_every_row_has_a_case() -> None:
    assert set(CASES) == set(ROWS)
    assert len(ROWS) == len(ROUTES), "two rows share a method and a path"


@pytest.mark.parametrize("name", CASES)
async def test_a_row_answers_what_it_declares(name: str) -> None:
    row, case = ROWS[name], CASES[name]
    async with EngineUnderTest.start() as engine:
        answer = await (await cast(engine)).run(row, case)
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.headers["x-content-type-options"] == "nosniff"
        body = msgspec.json.decode(answer.body, type=row.answer, strict=True)
        if isinstance(body, CommandAnswer):
            assert body.events, "the case must change something"
            assert body.media == "applied"
            assert body.seq >= len(body.events)
        assert (answer.headers.get("cache-control") == "no-store") == row.secret_answer


@pytest.mark.parametrize("name", [name for name in CASES if ROWS[name].answer is CommandAnswer])
async def test_a_dry_run_decides_and_saves_nothing(name: str) -> None:
    row, case = ROWS[name], CASES[name]
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        await play.prepare(case)
        key = play.key(case)
        before = await engine.store.load(key)
        answer = await play.run(row, case._replace(query={"dry_run": "true"}, before=()))
        assert answer.status == 200
        assert answer.json()["events"]
        assert await engine.store.load(key) == before


async def test_requests_show_everything_to_moderators_only() -> None:
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        cy = await engine.join("cy")
        for person in ("bo", "cy"):
            who = play.people.get(person, cy)
            body = {"note": f"canary of {person}", "index": 3}
            await engine.call("POST", ROOM + "/requests", body, bearer=who.user_token)

        async def seen(bearer: str) -> list[tuple[object, ...]]:
            answer = await engine.call("GET", ROOM + "/requests", bearer=bearer)
            items = msgspec.json.decode(answer.body, type=RequestsAnswer).items
            return [(item.id, item.identity, item.note, item.index) for item in items]

        of_bo, of_cy = (1, "bo", "canary of bo", 3), (2, "cy", "canary of cy", 3)
        assert await seen(play.people["ana"].user_token) == [of_bo, of_cy]
        assert await seen("secret") == [of_bo, of_cy]
        assert await seen(play.people["bo"].user_token) == [of_bo, (2, None, "", None)]
        assert await seen(cy.user_token) == [(1, None, "", None), of_cy]
        for path in ("", "/events", "/seats", "/invites", "/members"):
            answer = await engine.call("GET", ROOM + path, bearer=cy.user_token)
            assert b"canary of bo" not in answer.body
        assert "canary" not in (cy.participant.room_metadata if cy.participant else "canary")


async def test_requests_are_whole_for_all_where_the_policy_says_so() -> None:
    async with EngineUnderTest.start() as engine:
        policy = {"requests_visible": "everyone"}
        await engine.join("ana", role="host", policy=policy)
        bo, cy = await engine.join("bo"), await engine.join("cy")
        await engine.call("POST", ROOM + "/requests", {"note": "hi"}, bearer=bo.user_token)
        answer = await engine.call("GET", ROOM + "/requests", bearer=cy.user_token)
        assert [(item["identity"], item["note"]) for item in answer.json()["items"]] == [
            ("bo", "hi")
        ]


@pytest.mark.parametrize("name", ROWS)
async def test_a_path_is_unknown_with_another_method(name: str) -> None:
    row, case = ROWS[name], CASES[name]
    served = {one.method for one in ROUTES if one.path == row.path}
    async with EngineUnderTest.start() as engine:
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - served:
            answer = await engine.call(method, case.path, bearer="secret")
            assert (answer.status, answer.code) == (404, "not_found"), row_name(row)
            assert answer.headers["content-type"] == "application/problem+json"


async def test_the_list_of_rooms_goes_on_by_cursor() -> None:
    async with EngineUnderTest.start() as engine:
        for number in range(5):
            await engine.join("ana", role="host", room_name=f"room {number}", enter=False)
        names, cursor = [], ""
        while cursor is not None:
            query = {"limit": 2, "cursor": cursor}
            page = (await engine.call("GET", "/api/v1/rooms", bearer="secret", query=query)).json()
            assert len(page["items"]) <= 2
            names += [item["name"] for item in page["items"]]
            cursor = page["next_cursor"]
        assert sorted(names) == [f"room {number}" for number in range(5)]


async def test_members_and_bans_go_on_by_cursor() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        for name in ("bo", "cy", "di"):
            await engine.join(name)
        for path in ("/members", "/bans"):
            if path == "/bans":
                for name in ("bo", "cy", "di"):
                    await engine.call("PUT", ana.path(f"/bans/{name}"), bearer=ana.user_token)
            else:
                await engine.clock.advance(6)
            found, cursor = [], ""
            while cursor is not None:
                page = await engine.call(
                    "GET", ana.path(path), bearer=ana.user_token,
                    query={"limit": 1, "cursor": cursor},
                )  # fmt: skip
                found += [item["identity"] for item in page.json()["items"]]
                cursor = page.json()["next_cursor"]
            assert found == (["bo", "cy", "di"] if path == "/bans" else ["ana", "bo", "cy", "di"])
