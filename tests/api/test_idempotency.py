"""The same Idempotency-Key again: one effect, the same bytes, and nothing kept of a refusal."""

import asyncio
from typing import Any

import pytest
from support.faulty_store import FaultyStore
from support.route_cases import CASES, ROOM, ROWS, Cast, Step, cast

from utd_engine.app.commits import IDEMPOTENCY_KEPT
from utd_engine.http.routes import Row
from utd_engine.testing import Answer, EngineUnderTest
from utd_protocol.answers import CommandAnswer

KEY = {"idempotency-key": "one-key"}
COMMANDS = [name for name in CASES if ROWS[name].answer is CommandAnswer]


async def send(
    play: Cast, who: str, row: Row, path: str, body: Any = None, headers: dict[str, str] = KEY
) -> Answer:
    """One request with a key, while the clock runs on."""
    bearer = "secret" if who == "secret" else play.people[who].user_token
    calling = asyncio.ensure_future(
        play.engine.call(row.method, path, body, bearer=bearer, headers=headers)
    )
    await play.engine.clock.settle()
    while not calling.done():
        await play.engine.clock.advance(0.05)
    return await calling


@pytest.mark.parametrize("name", COMMANDS)
async def test_twice_is_once(name: str) -> None:
    row, case = ROWS[name], CASES[name]
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        await play.prepare(case)
        key = play.key(case)
        first = await send(play, case.who, row, case.path, case.body)
        assert (first.status, first.headers.get("idempotent-replayed")) == (200, None)
        after = await engine.store.load(key)
        for _ in range(2):
            again = await send(play, case.who, row, case.path, case.body)
            assert (again.status, again.body) == (200, first.body)
            assert again.headers["idempotent-replayed"] == "true"
        assert await engine.store.load(key) == after


async def test_a_replay_is_the_first_answer_even_when_all_has_changed_since() -> None:
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        take = ROWS[
            f"POST {ROOM.replace('audio_room', '{type}').replace('lobby', '{name}')}/seats/take"
        ]
        first = await send(play, "bo", take, ROOM + "/seats/take", {"index": 0})
        await play.send(Step("ana", "POST", ROOM + "/seats/remove", {"identity": "bo"}))
        await play.send(Step("ana", "POST", ROOM + "/seats/lock", {"indices": "all"}))
        again = await send(play, "bo", take, ROOM + "/seats/take", {"index": 0})
        assert again.body == first.body
        view = (await engine.room(engine.key(play.people["ana"]))).state.view
        assert view.seat_of("bo") is None
        assert len(engine.sfu.rooms) == 1


@pytest.mark.parametrize(
    ("who", "path", "body"),
    [
        ("bo", "/seats/take", {"index": 1}),
        ("bo", "/seats/take", {"index": 0, "x": 1}),
        ("ana", "/seats/take", {"index": 0}),
        ("bo", "/seats/leave", {"index": 0}),
        ("bo", "/seats/take?room_id=x", {"index": 0}),
    ],
    ids=["another body", "an invalid body", "another actor", "another path", "another query"],
)
async def test_a_key_belongs_to_one_request(who: str, path: str, body: dict[str, int]) -> None:
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        bearer = play.people["bo"].user_token
        take = {"index": 0}
        first = await engine.call("POST", ROOM + "/seats/take", take, bearer=bearer, headers=KEY)
        path, _, query = path.partition("?")
        answer = await engine.call(
            "POST", ROOM + path, body, bearer=play.people[who].user_token, headers=KEY,
            query=dict([query.split("=")]) if query else None,
        )  # fmt: skip
        wrong = "x" in body or path == "/seats/leave"
        assert answer.code == ("invalid_request" if wrong else "idempotency_mismatch")
        assert answer.status == (400 if wrong else 409)
        again = await engine.call("POST", ROOM + "/seats/take", take, bearer=bearer, headers=KEY)
        assert again.body == first.body, "the first answer stays"


async def test_a_user_called_server_is_not_the_backend() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("ana", role="host")
        user = await engine.join("server")
        body = {"index": 3}
        take = ROOM + "/seats/mute"
        done = await engine.call("POST", take, body, bearer="secret", headers=KEY)
        assert done.status == 200
        answer = await engine.call("POST", take, body, bearer=user.user_token, headers=KEY)
        assert answer.code == "idempotency_mismatch"


async def test_a_refused_first_try_leaves_nothing() -> None:
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        take = {"index": 0}
        await play.send(Step("ana", "POST", ROOM + "/seats/take", take))
        bo = play.people["bo"].user_token
        for _ in range(2):
            answer = await engine.call("POST", ROOM + "/seats/take", take, bearer=bo, headers=KEY)
            assert answer.code == "seat_taken"
            assert "idempotent-replayed" not in answer.headers
        await play.send(Step("ana", "POST", ROOM + "/seats/leave"))
        answer = await engine.call("POST", ROOM + "/seats/take", take, bearer=bo, headers=KEY)
        assert (answer.status, "idempotent-replayed" in answer.headers) == (200, False)


async def test_a_key_whose_body_was_invalid_is_free() -> None:
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        bo = play.people["bo"].user_token
        for body, status in (({"index": -1}, 400), ({"index": 0}, 200)):
            answer = await engine.call("POST", ROOM + "/seats/take", body, bearer=bo, headers=KEY)
            assert answer.status == status


async def test_a_command_that_changes_nothing_is_kept_too() -> None:
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        bo = play.people["bo"].user_token
        first = await engine.call("POST", ROOM + "/seats/leave", bearer=bo, headers=KEY)
        assert "events" not in first.json()
        await play.send(Step("bo", "POST", ROOM + "/seats/take", {"index": 0}))
        again = await engine.call("POST", ROOM + "/seats/leave", bearer=bo, headers=KEY)
        assert again.body == first.body
        assert again.headers["idempotent-replayed"] == "true"


async def test_a_dry_run_is_not_kept() -> None:
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        bo, path, take = play.people["bo"].user_token, ROOM + "/seats/take", {"index": 0}
        dry = {"dry_run": "true"}
        await engine.call("POST", path, take, bearer=bo, headers=KEY, query=dry)
        done = await engine.call("POST", path, take, bearer=bo, headers=KEY)
        assert (done.status, "idempotent-replayed" in done.headers) == (200, False)


async def test_many_at_once_are_one() -> None:
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        bo, path = play.people["bo"].user_token, ROOM + "/requests"
        calls = [
            engine.call("POST", path, {"note": "hi"}, bearer=bo, headers=KEY) for _ in range(20)
        ]
        answers = await asyncio.gather(*calls)
        assert len({answer.body for answer in answers}) == 1
        assert sum("idempotent-replayed" in answer.headers for answer in answers) == 19
        state = (await engine.room(engine.key(play.people["ana"]))).state
        assert len(state.pending) == 1


async def test_two_different_requests_at_once_with_one_key_are_one_and_a_mismatch() -> None:
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        bo, path = play.people["bo"].user_token, ROOM + "/seats/take"
        calls = [
            engine.call("POST", path, {"index": index}, bearer=bo, headers=KEY) for index in (0, 1)
        ]
        answers = await asyncio.gather(*calls)
        assert sorted(answer.status for answer in answers) == [200, 409]
        codes = {answer.code for answer in answers}
        assert codes == {None, "idempotency_mismatch"}


async def test_a_key_is_free_after_a_day() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host", policy={"empty_after_last_leave_s": 10**6})
        mute = {"index": 0}
        first = await engine.call("POST", ROOM + "/seats/mute", mute, bearer="secret", headers=KEY)
        await engine.call("POST", ROOM + "/seats/unmute", mute, bearer="secret")
        engine.clock._elapsed += IDEMPOTENCY_KEPT.total_seconds() - 1
        answer = await engine.call("POST", ROOM + "/seats/mute", mute, bearer="secret", headers=KEY)
        assert answer.body == first.body
        engine.clock._elapsed += 1
        answer = await engine.call("POST", ROOM + "/seats/mute", mute, bearer="secret", headers=KEY)
        assert "idempotent-replayed" not in answer.headers
        assert (await engine.room(engine.key(ana))).state.view.seats[0].mic_locked


async def test_keys_of_two_apps_are_two_keys() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("ana", role="host")
        apps = engine.engine.services.apps
        _, _, other = await apps.create("other", "development", app_id="other")
        mine = await engine.call(
            "POST", ROOM + "/seats/mute", {"index": 0}, bearer="secret", headers=KEY
        )
        assert mine.status == 200
        await engine.call("PUT", ROOM, {"owner": "eve"}, bearer=other.key)
        theirs = await engine.call(
            "POST", ROOM + "/seats/mute", {"index": 1}, bearer=other.key, headers=KEY
        )
        assert (theirs.status, "idempotent-replayed" in theirs.headers) == (200, False)


async def test_media_that_was_slow_at_first_is_the_only_difference() -> None:
    async with EngineUnderTest.start() as engine:
        play = await cast(engine)
        await engine.clock.advance(1)
        engine.sfu.faults.latency_s = 5
        bo, path, take = play.people["bo"].user_token, ROOM + "/seats/take", {"index": 0}
        calling = asyncio.ensure_future(engine.call("POST", path, take, bearer=bo, headers=KEY))
        await engine.clock.advance(3)
        first = await calling
        assert first.json()["media"] == "pending"
        engine.sfu.faults.latency_s = 0
        again = await engine.call("POST", path, take, bearer=bo, headers=KEY)
        assert again.json() | {"media": "pending"} == first.json()


async def test_an_answer_that_cannot_be_looked_up_is_unavailable() -> None:
    store = FaultyStore()
    async with EngineUnderTest.start(store=store) as engine:
        play = await cast(engine)
        bo, path, take = play.people["bo"].user_token, ROOM + "/seats/take", {"index": 0}
        await engine.call("POST", path, take, bearer=bo, headers=KEY)
        store.failing.add("answered")
        answer = await engine.call("POST", path, take, bearer=bo, headers=KEY)
        assert answer.code == "unavailable"
        store.failing.clear()
        answer = await engine.call("POST", path, take, bearer=bo, headers=KEY)
        assert answer.headers["idempotent-replayed"] == "true"


async def test_secrets_are_never_kept() -> None:
    async with EngineUnderTest.start() as engine:
        await engine.join("ana", role="host")
        wish = {"type": "audio_room", "room_name": "lobby", "identity": "bo"}
        tokens = set()
        for _ in range(2):
            answer = await engine.call("POST", "/api/v1/token", wish, app_key=True, headers=KEY)
            assert "idempotent-replayed" not in answer.headers
            tokens.add(answer.json()["user_token"])
            await engine.clock.advance(1)
        assert len(tokens) == 2
        assert await engine.store.answered(engine.app_id, "one-key", engine.clock.now()) is None
