"""Logs by cursor: a room's for who is in it, the app's for its backend. Nothing lost or twice."""

import pytest
from support.route_cases import ROOM

from utd_engine.testing import EngineUnderTest, Joined

LOG = "/api/v1/events"


async def act(engine: EngineUnderTest, who: Joined, times: int) -> None:
    """Twice as many events."""
    for _ in range(times):
        for path in ("/seats/take", "/seats/leave"):
            answer = await engine.call("POST", who.path(path), {}, bearer=who.user_token)
            assert answer.status == 200


@pytest.mark.parametrize("limit", [1, 3, 500])
async def test_a_rooms_log_is_read_whole_in_pages(limit: int) -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        await act(engine, ana, 5)
        seqs: list[int] = []
        after = 0
        while True:
            query = {"after": after, "limit": limit}
            page = await engine.call("GET", ROOM + "/events", bearer=ana.user_token, query=query)
            body = page.json()
            assert body["head"] == 11
            if not body["events"]:
                break
            assert len(body["events"]) <= limit
            seqs += [event["seq"] for event in body["events"]]
            after = seqs[-1]
        assert seqs == list(range(1, 12))


async def test_at_the_head_there_is_nothing_and_beyond_it_neither() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        for after in (1, 2, 10**17):
            answer = await engine.call(
                "GET", ROOM + "/events", bearer=ana.user_token, query={"after": after}
            )
            assert answer.json() == {"events": [], "head": 1}


async def test_what_was_trimmed_needs_the_view_and_what_is_left_does_not() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        await act(engine, ana, 1)
        await engine.clock.advance(10)
        middle = engine.clock.now()
        await act(engine, ana, 1)
        await engine.store.trim(middle)

        async def read(after: int) -> tuple[int, object]:
            answer = await engine.call(
                "GET", ROOM + "/events", bearer=ana.user_token, query={"after": after}
            )
            body = answer.json()
            if answer.status == 200:
                return 200, [event["seq"] for event in body["events"]]
            assert answer.code == "snapshot_required"
            return answer.status, body["context"]

        assert await read(0) == (410, {"first": 4})
        assert await read(2) == (410, {"first": 4})
        assert await read(3) == (200, [4, 5])
        assert await read(5) == (200, [])
        await engine.store.trim(engine.clock.now().replace(year=2030))
        assert await read(3) == (410, {"first": 6})
        assert await read(5) == (200, [])
        view = await engine.call("GET", ROOM, bearer=ana.user_token)
        assert view.json()["seq"] == 5


@pytest.mark.parametrize("limit", [1, 4, 1000])
async def test_the_apps_log_has_every_event_of_every_room_once_in_order(limit: int) -> None:
    async with EngineUnderTest.start() as engine:
        hosts = [
            await engine.join(f"host {n}", role="host", room_name=f"room {n}") for n in range(3)
        ]
        for host in hosts * 2:
            await act(engine, host, 1)
        found: list[dict[str, object]] = []
        after = 0
        while True:
            query = {"after": after, "limit": limit}
            page = (await engine.call("GET", LOG, bearer="secret", query=query)).json()
            if not page["events"]:
                assert page["next_after"] == after
                break
            assert len(page["events"]) <= limit
            found += page["events"]
            after = page["next_after"]
            assert after == page["events"][-1]["pos"]
        positions = [entry["pos"] for entry in found]
        assert positions == sorted(set(positions))  # type: ignore[type-var]
        by_room: dict[object, list[int]] = {}
        for entry in found:
            event = entry["event"]
            assert isinstance(event, dict)
            by_room.setdefault(entry["room_name"], []).append(event["seq"])
            assert entry["room_type"] == "audio_room"
        assert by_room == {f"room {n}": [1, 2, 3, 4, 5] for n in range(3)}


async def test_the_apps_log_goes_on_where_it_was_and_keeps_what_has_ended() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        page = (await engine.call("GET", LOG, bearer="secret")).json()
        at = page["next_after"]
        await engine.clock.advance(1)
        await engine.call("POST", ana.path("/end"), {"reason": "done"}, bearer="secret")
        again = await engine.join("ana", role="host")
        page = (await engine.call("GET", LOG, bearer="secret", query={"after": at})).json()
        told = [(entry["event"]["type"], entry["room_id"]) for entry in page["events"]]
        assert told == [
            ("room.ended", ana.answer.room.room_id),
            ("room.opened", again.answer.room.room_id),
        ]


async def test_answers_carry_the_very_events_of_the_log() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        done = await engine.call("POST", ROOM + "/seats/take", {}, bearer=ana.user_token)
        log = await engine.call("GET", ROOM + "/events", bearer=ana.user_token, query={"after": 1})
        assert done.json()["events"] == log.json()["events"]
        assert log.json()["head"] == done.json()["seq"] == 2
