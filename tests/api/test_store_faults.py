"""The database fails at any one call of any request: 503 with Retry-After, and nothing changed."""

import pytest
from structlog.testing import capture_logs
from support.faulty_store import REASON, FaultyStore
from support.route_cases import CASES, ROOM, ROWS, Cast, Step, cast

from utd_engine.ports.store import StoreUnavailable
from utd_engine.testing import EngineUnderTest

ASIDE = {"next_wake", "due", "trim", "occupied", "present", "events", "seen", "gone", "banned"}
"""Asked by loops beside the request: relay, timers and sweep try again by themselves."""


def forget(play: Cast) -> None:
    """What the engine remembers goes, so that a request asks the store for everything."""
    services = play.engine.engine.services
    services.apps._forget()
    services.entrance._bans._free.clear()
    services.admission._names.clear()
    services.admission.forget_all_media()
    services.locator._snapshots._cells.clear()


async def calls_of(name: str) -> list[str]:
    """The store's methods that a row uses from a cold start."""
    store = FaultyStore()
    async with EngineUnderTest.start(store=store) as engine:
        play = await cast(engine)
        await play.prepare(CASES[name])
        await engine.clock.advance(1)
        forget(play)
        store.calls.clear()
        answer = await play.run(ROWS[name], CASES[name]._replace(before=()))
        assert answer.status == 200
        return sorted(store.calls)


@pytest.mark.parametrize("name", CASES)
async def test_a_failure_of_any_call_is_told_and_changes_nothing(name: str) -> None:
    row, case = ROWS[name], CASES[name]
    methods = await calls_of(name)
    assert methods, "every request asks the store for something from a cold start"
    for method in methods:
        store = FaultyStore()
        async with EngineUnderTest.start(store=store) as engine:
            play = await cast(engine)
            await play.prepare(case)
            await engine.clock.advance(1)
            forget(play)
            key = engine.key(play.people["ana"])
            before = await store.inner.load(key)
            rooms = await store.inner.open_rooms()
            with capture_logs() as lines:
                store.failing = {method}
                step = Step(case.who, row.method, case.path, case.body)
                answer = await play.send(step, case.query)
                store.failing = set()
            if answer.status == 200:
                assert method in ASIDE, f"{method} failed unseen"
                assert row.method != "GET", f"{method} failed unseen by a reader"
                continue
            assert (answer.status, answer.code) == (503, "unavailable"), method
            assert answer.headers["retry-after"] == "1"
            assert REASON not in answer.body.decode()
            assert answer.json()["retry_after"] == 1
            told = [line["reason"] for line in lines if line["event"] == "store.unavailable"]
            assert told == [REASON]
            assert await store.inner.load(key) == before, method
            assert await store.inner.open_rooms() == rooms
            forget(play)
            again = await play.send(step, case.query)
            assert again.status == 200, "the same request succeeds when the database is back"


async def test_a_room_whose_opening_failed_is_not_open() -> None:
    store = FaultyStore()
    async with EngineUnderTest.start(store=store) as engine:
        store.failing = {"append"}
        wish = {"type": "audio_room", "room_name": "new", "identity": "ana", "role": "host"}
        answer = await engine.call("POST", "/api/v1/token", wish, app_key=True)
        assert answer.code == "unavailable"
        assert not engine.sfu.rooms
        store.failing = set()
        assert (await engine.call("POST", "/api/v1/token", wish, app_key=True)).status == 200


async def test_a_refusal_that_must_be_in_the_audit_waits_for_the_audit() -> None:
    store = FaultyStore()
    async with EngineUnderTest.start(store=store) as engine:
        play = await cast(engine)
        store.failing = {"add_audit"}
        step = Step("bo", "POST", ROOM + "/seats/mute", {"index": 0})
        assert (await play.send(step)).code == "unavailable"
        store.failing = set()
        assert (await play.send(step)).code == "not_allowed"
        audit = await store.inner.audit(engine.app_id, "")
        assert [(row.actor, row.action, row.outcome) for row in audit] == [
            ("bo", "MuteSeat", "not_allowed")
        ]


async def test_after_the_commit_the_database_may_go_and_the_answer_is_still_right() -> None:
    """Closing data packets for listeners asks who is there, when the change is durable already."""
    store = FaultyStore()
    async with EngineUnderTest.start(store=store) as engine:
        play = await cast(engine)
        await engine.clock.advance(6)
        store.failing = {"present"}
        body = {"policy": {"data": "nobody"}}
        answer = await play.send(Step("ana", "PATCH", ROOM + "/policy", body))
        assert (answer.status, answer.json()["media"]) == (200, "pending")
        store.failing = set()
        await engine.clock.advance(6)
        listener = play.people["bo"].participant
        assert listener is not None
        assert not listener.permission.can_publish_data, "the sweep has made up for it"


async def test_the_stand_in_fails_like_the_real_ones() -> None:
    store = FaultyStore()
    store.failing = {"ping"}
    with pytest.raises(StoreUnavailable):
        await store.ping()
