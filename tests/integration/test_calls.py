"""Calls through every layer: two parties, one winner, one end, whatever comes between."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from support.faulty_store import FaultyStore
from support.served_engine import ServedEngine, config

from utd_engine.adapters.livekit.webhooks import make_reader
from utd_engine.adapters.memory.media import MEMORY_KEY, MemoryGateway
from utd_engine.adapters.memory.media_rooms import JoinRefused, MemoryParticipant
from utd_engine.adapters.memory.store import MemoryStore
from utd_engine.adapters.sqlite.store import SqliteStore
from utd_engine.app.calls import user_name
from utd_engine.app.naming import sfu_name
from utd_engine.domain.permissions import Permission
from utd_engine.main import Adapters
from utd_engine.metrics import Metrics
from utd_engine.ports.media import Join
from utd_engine.ports.rooms import Append, Appended, Conflict, Key
from utd_engine.ports.store import StoreUnavailable
from utd_engine.system import SystemClock, SystemIds
from utd_engine.testing import Answer, EngineUnderTest, FakeClock, FakeIds
from utd_protocol.types import RoomType

CALLS = "/api/v1/calls"
KEY = {"idempotency-key": "one ring"}


class Line:
    """An engine, and what its people say on the phone."""

    def __init__(self, engine: EngineUnderTest) -> None:
        self.engine = engine
        self._bearers: dict[str, str] = {}

    async def bearer(self, who: str) -> str:
        """The bearer of `identity` or `identity/device`."""
        identity, _, device = who.partition("/")
        if who not in self._bearers:
            body = {"identity": identity, "device_id": device or "phone"}
            answer = await self.engine.call("POST", "/api/v1/auth/session", body, app_key=True)
            self._bearers[who] = answer.json()["user_token"]
        return self._bearers[who]

    async def ask(self, who: str, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """One request; somebody must let the clock run on."""
        bearer = "secret" if who == "secret" else await self.bearer(who)
        return await self.engine.call(method, path, body, bearer=bearer, **more)

    async def send(self, who: str, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """One request, while the clock runs on."""
        (answer,) = await self.together(self.ask(who, method, path, body, **more))
        return answer

    async def together(self, *requests: Coroutine[Any, Any, Answer]) -> list[Answer]:
        """Several requests at once, while the clock runs on."""
        sending = asyncio.gather(*requests)
        await self.engine.clock.settle()
        while not sending.done():
            await self.engine.clock.advance(0.05)
        return await sending

    def begin(self, caller: str, callee: str, **more: Any) -> Coroutine[Any, Any, Answer]:
        body = {"callee_identity": callee, "type": "video_call", **more.pop("wish", {})}
        return self.ask(caller, "POST", CALLS, body, **more)

    async def ring(self, caller: str, callee: str, **more: Any) -> Answer:
        (answer,) = await self.together(self.begin(caller, callee, **more))
        return answer

    async def say(self, who: str, call_id: str, word: str, **more: Any) -> Answer:
        return await self.send(who, "POST", f"{CALLS}/{call_id}/{word}", {}, **more)

    async def call(self, who: str, call_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.send(who, "GET", f"{CALLS}/{call_id}")).json()
        return answer

    async def outcome(self, who: str, call_id: str) -> tuple[str, str | None]:
        call = await self.call(who, call_id)
        return call["status"], call.get("reason")

    async def enter(self, answer: Answer) -> MemoryParticipant:
        participant = await self.engine.sfu.join(answer.json()["token"])
        await self.engine.clock.settle()
        return participant

    async def connected(self) -> tuple[str, MemoryParticipant, MemoryParticipant]:
        """Ana and bo talk."""
        begun = await self.ring("ana", "bo")
        call_id = str(begun.json()["call_id"])
        ana = await self.enter(begun)
        bo = await self.enter(await self.say("bo", call_id, "accept"))
        return call_id, ana, bo

    async def holder(self, who: str) -> str | None:
        """The call that holds somebody's name."""
        key = await self.engine.store.resolve(self.engine.app_id, user_name(who))
        return None if key is None else key.id

    async def letters(self, who: str) -> list[str]:
        answer = await self.send(who, "GET", "/api/v1/inbox")
        return [one["type"] for one in answer.json()["events"]]

    def tokens(self, answer: Answer) -> set[str]:
        return {"token", "user_token", "url", "room"} & set(answer.json())


# --- who may ------------------------------------------------------------------------------------


async def test_a_call_from_the_ring_to_the_record() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        begun = await line.ring("ana", "bo", wish={"metadata": {"about": "lunch"}})
        call_id = begun.json()["call_id"]
        assert begun.json()["status"] == "initiating"
        ana = await line.enter(begun)
        assert await line.letters("bo") == ["call.incoming"]
        ringing = await line.say("bo", call_id, "ringing")
        assert (ringing.json()["status"], line.tokens(ringing)) == ("ringing", set())
        accepted = await line.say("bo", call_id, "accept")
        assert len(line.tokens(accepted)) == 4
        assert accepted.headers["cache-control"] == "no-store"
        bo = await line.enter(accepted)
        assert (await line.call("ana", call_id))["connected_at"]
        for party in (ana, bo):
            assert [str(one) for one in party.permission.sources] == ["camera", "microphone"]
        await engine.clock.advance(10)
        ended = await line.say("ana", call_id, "end")
        assert (ended.json()["status"], ended.json()["reason"]) == ("ended", "hangup")
        assert ended.json()["duration_s"] == pytest.approx(10, abs=0.1)
        assert (ana.disconnected, bo.disconnected) == ("ROOM_DELETED", "ROOM_DELETED")
        for answer in (begun, accepted):
            with pytest.raises(JoinRefused):
                await engine.sfu.join(answer.json()["token"])
        assert await line.letters("ana") == ["call.ringing", "call.answered", "call.ended"]
        assert await line.letters("bo") == ["call.incoming", "call.answered", "call.ended"]
        assert (await line.holder("ana"), await line.holder("bo")) == (None, None)
        page = (await line.send("bo", "GET", CALLS)).json()
        assert [one["metadata"] for one in page["items"]] == [{"about": "lunch"}]


async def test_to_a_stranger_a_call_is_not_there() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        call_id, *_ = await line.connected()
        for over in (False, True):
            if over:
                await line.say("ana", call_id, "end")
            assert (await line.send("eve", "GET", f"{CALLS}/{call_id}")).code == "call_not_found"
            for word in ("ringing", "accept", "reject", "ignore", "busy", "end"):
                refused = await line.say("eve", call_id, word)
                assert (refused.status, refused.code) == (404, "call_not_found"), word
            room = f"/api/v1/rooms/video_call/{call_id}"
            gets = ("", "/events", "/members", "/requests", "/audit", "/seats", "/stage")
            rows = [("GET", rest) for rest in gets] + [("POST", "/leave"), ("POST", "/end")]
            for method, rest in rows:
                refused = await line.send(
                    "eve", method, room + rest, {} if method == "POST" else None
                )
                nowhere = await line.send("eve", method, room + "x" + rest, {})
                assert (refused.status, refused.code) == (404, "room_not_found"), rest
                assert nowhere.code == "room_not_found"
            assert (await line.send("eve", "GET", CALLS)).json()["items"] == []
        wish = {"type": "video_call", "room_name": call_id, "identity": "eve"}
        joined = await engine.call("POST", "/api/v1/token", wish, app_key=True)
        assert joined.code == "invalid_request"


async def test_a_room_is_no_call() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        ana = await engine.join("ana", role="host")
        room_id = ana.answer.room.room_id
        assert (await line.say("ana", room_id, "end")).code == "call_not_found"
        assert (await line.say("secret", room_id, "end")).code == "call_not_found"
        assert (await line.send("ana", "GET", f"{CALLS}/{room_id}")).code == "call_not_found"


async def test_the_bearer_of_a_call_is_good_for_its_room() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        begun = await line.ring("ana", "bo")
        call_id = begun.json()["call_id"]
        bearer, room = begun.json()["user_token"], f"/api/v1/rooms/video_call/{call_id}"
        await line.enter(begun)
        seen = await engine.call("GET", room, bearer=bearer)
        assert seen.json()["view"]["call"]["callee"] == "bo"
        log = await engine.call("GET", room + "/events", bearer=bearer)
        assert [one["type"] for one in log.json()["events"]] == ["room.opened"]
        again = await engine.call("POST", room + "/rejoin", bearer=bearer)
        assert again.status == 200
        await engine.sfu.join(again.json()["token"])
        for path, body in (("/end", {}), ("/seats/take", {}), ("/live", {}), ("/stage/leave", {})):
            refused = await engine.call("POST", room + path, body, bearer=bearer)
            assert refused.code in {"not_allowed", "not_room_host", "invalid_state"}, path
        leaving = asyncio.ensure_future(engine.call("POST", room + "/leave", {}, bearer=bearer))
        await engine.clock.advance(1)
        assert (await leaving).status == 200
        assert await line.outcome("bo", call_id) == ("ended", "cancelled")
        over = await engine.call("POST", room + "/rejoin", bearer=bearer)
        assert over.code == "room_ended"


async def test_another_device_of_the_callee_gets_into_nothing() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        begun = await line.ring("ana", "bo")
        call_id = begun.json()["call_id"]
        won = await line.say("bo/phone", call_id, "accept")
        assert (await line.say("bo/phone", call_id, "accept")).status == 200, "a retry is safe"
        for word in ("accept", "reject", "busy"):
            late = await line.say("bo/tablet", call_id, word)
            assert (late.status, late.code) == (409, "answered_elsewhere")
        room = f"/api/v1/rooms/video_call/{call_id}"
        await line.send("bo/tablet", "POST", room + "/leave", {})
        assert (await line.call("ana", call_id))["status"] == "active"
        await line.enter(won)
        rejoined = await engine.call("POST", room + "/rejoin", bearer=won.json()["user_token"])
        assert rejoined.status == 200
        assert (await line.say("ana", call_id, "accept")).code == "not_allowed"


async def test_the_backend_acts_for_the_callee_and_ends_calls() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        act = {"x-act-as": "ana"}
        begun = await line.ring("secret", "bo", headers=act)
        call_id = begun.json()["call_id"]
        assert begun.json()["caller_identity"] == "ana"
        assert (await line.ring("secret", "bo")).code == "invalid_request"
        accepted = await line.say("secret", call_id, "accept", headers={"x-act-as": "bo"})
        assert accepted.status == 200
        ended = await line.say("secret", call_id, "end")
        assert ended.json()["reason"] == "ended_by_server"


async def test_the_third_is_put_out_with_and_without_a_webhook() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        begun = await line.ring("ana", "bo")
        call_id = begun.json()["call_id"]
        ana = await line.enter(begun)
        key = Key(engine.app_id, "room", call_id)
        name = sfu_name(key, RoomType.VIDEO_CALL)
        assert engine.sfu.rooms[name].max_participants == 2
        stolen = Join(room=name, identity="eve", permission=Permission(can_subscribe=True))
        token = engine.sfu.mint_token(stolen, now=engine.clock.now(), ttl_s=600)
        for drop in (False, True):
            engine.sfu.faults.drop_webhooks = drop
            eve = await engine.sfu.join(token)
            await engine.clock.advance(5.2 if drop else 0.0)
            assert eve.disconnected == "PARTICIPANT_REMOVED"
        engine.sfu.faults.drop_webhooks = False
        await line.enter(await line.say("bo", call_id, "accept"))
        with pytest.raises(JoinRefused, match="full"):
            await engine.sfu.join(token)
        assert not ana.disconnected
        assert (await line.call("ana", call_id))["status"] == "active"


async def test_whom_the_app_bans_has_no_call() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        cy = await engine.join("cy", role="host")
        call_id, _, bo = await line.connected()
        ban = {"scope": "app", "reason": "spam"}
        await engine.call("PUT", cy.path("/bans/bo"), ban, bearer="secret")
        await engine.clock.advance(6)
        assert bo.disconnected
        assert await line.outcome("ana", call_id) == ("ended", "ended_by_server")
        assert (await line.ring("bo", "ana")).code == "banned"
        rung = (await line.ring("ana", "bo")).json()["call_id"]
        assert (await line.say("bo", rung, "accept")).code == "banned"
        assert (await line.say("bo", rung, "ringing")).code == "banned"


# --- busy, crossing -------------------------------------------------------------------------------


async def test_a_busy_callee_makes_a_record_and_no_ring() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        live = (await line.ring("ana", "bo")).json()["call_id"]
        for target in ("ana", "bo"):
            busy = await line.ring("zoe", target)
            assert (busy.status, line.tokens(busy)) == (200, set())
            assert (busy.json()["status"], busy.json()["reason"]) == ("busy", "busy")
            assert await line.outcome("zoe", busy.json()["call_id"]) == ("busy", "busy")
        assert await line.letters("bo") == ["call.incoming"]
        assert await line.letters("ana") == []
        assert await line.holder("zoe") is None
        for callee in ("zoe", "bo"):
            refused = await line.ring("ana", callee)
            assert (refused.code, refused.json()["context"]) == ("caller_busy", {"call_id": live})
        items = (await line.send("zoe", "GET", CALLS)).json()["items"]
        assert [one["status"] for one in items] == ["busy", "busy"]


@pytest.mark.parametrize("first", ["ana", "bo"])
async def test_of_two_crossing_calls_one_stays(first: str) -> None:
    second = {"ana": "bo", "bo": "ana"}[first]
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        live = await line.ring(first, second)
        crossed = await line.ring(second, first)
        assert (crossed.status, crossed.json()["status"]) == (200, "busy")
        call_id = live.json()["call_id"]
        assert (await line.holder("ana"), await line.holder("bo")) == (call_id, call_id)
        assert (await line.say(second, call_id, "accept")).status == 200
        assert (await line.ring(second, first)).code == "caller_busy", "that is no crossing"
        assert (await line.ring(second, "cy")).code == "caller_busy"
        await line.say(second, call_id, "end")
        assert (await line.holder("ana"), await line.holder("bo")) == (None, None)
        assert (await line.ring(second, first)).json()["status"] == "initiating"


async def test_who_is_called_may_call_nobody_else_meanwhile() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        await line.ring("ana", "bo")
        assert (await line.ring("bo", "cy")).code == "caller_busy"


class SlowToTell(MemoryStore):
    """Something happens between a conflict and its caller's hearing of it."""

    meanwhile: Callable[[], Awaitable[Answer]] | None = None

    async def append(self, append: Append) -> Appended | Conflict:
        done = await super().append(append)
        if isinstance(done, Conflict) and self.meanwhile is not None:
            await self.meanwhile()
        return done


async def test_a_caller_whose_own_call_has_just_ended_is_not_told_that_the_callee_is_busy() -> None:
    store = SlowToTell()
    async with EngineUnderTest.start(store=store) as engine:
        line = Line(engine)
        old = (await line.ring("ana", "cy")).json()["call_id"]
        store.meanwhile = lambda: line.ask("ana", "POST", f"{CALLS}/{old}/end", {})
        begun = await line.ring("ana", "bo")
        assert begun.json()["status"] == "initiating"
        assert await line.letters("bo") == ["call.incoming"]


# --- trouble --------------------------------------------------------------------------------------


async def test_without_livekit_nothing_is_left_ringing() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        engine.sfu.faults.unavailable = True
        failed = await line.ring("ana", "bo")
        assert (failed.status, failed.code) == (503, "media_unavailable")
        assert (await line.holder("ana"), await line.holder("bo")) == (None, None)
        (item,) = (await line.send("bo", "GET", CALLS)).json()["items"]
        assert (item["status"], item["reason"]) == ("ended", "failed")
        assert await line.letters("bo") == ["call.incoming", "call.ended"]
        engine.sfu.faults.unavailable = False
        assert (await line.ring("ana", "bo")).json()["status"] == "initiating"


async def test_accepting_without_livekit_may_be_repeated() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        begun = await line.ring("ana", "bo")
        call_id = begun.json()["call_id"]
        await line.enter(begun)
        engine.engine.services.admission.forget_all_media()
        engine.sfu.faults.unavailable = True
        assert (await line.say("bo", call_id, "accept")).code == "media_unavailable"
        engine.sfu.faults.unavailable = False
        assert (await line.say("bo/tablet", call_id, "accept")).code == "answered_elsewhere"
        await line.enter(await line.say("bo", call_id, "accept"))
        assert (await line.call("ana", call_id))["connected_at"]


async def test_a_repeated_start_rings_once() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        first = await line.ring("ana", "bo", headers=KEY)
        assert "idempotent-replayed" not in first.headers
        call_id = first.json()["call_id"]
        again = await line.ring("ana", "bo", headers=KEY)
        assert (again.status, again.headers["idempotent-replayed"]) == (200, "true")
        assert again.json()["call_id"] == call_id
        await line.enter(again)
        assert await line.letters("bo") == ["call.incoming"]
        other = await line.ring("ana", "cy", headers=KEY)
        assert (other.status, other.code) == (409, "idempotency_mismatch")
        assert (await line.ring("zoe", "bo", headers=KEY)).code == "idempotency_mismatch"
        await line.say("bo", call_id, "reject")
        late = await line.ring("ana", "bo", headers=KEY)
        assert (late.json()["call_id"], late.json()["status"]) == (call_id, "rejected")
        assert line.tokens(late) == set()
        assert await line.letters("bo") == ["call.incoming", "call.rejected"]
        kept = await engine.store.answered(engine.app_id, "one ring", engine.clock.now())
        assert kept is not None
        assert kept.body == f'{{"call_id":"{call_id}"}}'.encode(), "no token is ever stored"


async def test_a_repeated_busy_start_is_the_same_record() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        await line.ring("ana", "bo")
        first = await line.ring("zoe", "bo", headers=KEY)
        again = await line.ring("zoe", "bo", headers=KEY)
        assert first.json() == again.json()
        assert len((await line.send("zoe", "GET", CALLS)).json()["items"]) == 1


async def test_twenty_starts_with_one_key_at_once_ring_once() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        await line.bearer("ana")
        starts = (line.begin("ana", "bo", headers=KEY) for _ in range(20))
        answers = await line.together(*starts)
        assert {answer.status for answer in answers} == {200}
        assert len({answer.json()["call_id"] for answer in answers}) == 1
        assert sum("idempotent-replayed" in answer.headers for answer in answers) == 19
        assert await line.letters("bo") == ["call.incoming"]


async def test_a_start_whose_commit_went_unheard_is_found_by_its_key() -> None:
    class Deaf(MemoryStore):
        deaf = False

        async def append(self, append: Append) -> Appended | Conflict:
            done = await super().append(append)
            if self.deaf and append.history:
                raise StoreUnavailable("The answer was lost.")
            return done

    store = Deaf()
    async with EngineUnderTest.start(store=store) as engine:
        line = Line(engine)
        await line.bearer("ana")
        store.deaf = True
        assert (await line.ring("ana", "bo", headers=KEY)).status == 503
        store.deaf = False
        again = await line.ring("ana", "bo", headers=KEY)
        assert (again.json()["status"], len(line.tokens(again))) == ("initiating", 4)
        assert await line.letters("bo") == ["call.incoming"]


async def test_a_restart_loses_no_call_and_no_timer() -> None:
    store, clock, ids = MemoryStore(), FakeClock(), FakeIds()
    sfu = MemoryGateway(clock)
    async with EngineUnderTest.start(store=store, clock=clock, sfu=sfu, ids=ids) as engine:
        line = Line(engine)
        rung = (await line.ring("ana", "bo")).json()["call_id"]
        begun = await line.ring("cy", "di")
        talking = begun.json()["call_id"]
        await line.enter(begun)
        di = await line.enter(await line.say("di", talking, "accept"))
    await sfu.leave(di)
    async with EngineUnderTest.start(store=store, clock=clock, sfu=sfu, ids=ids) as engine:
        line = Line(engine)
        assert (await line.ring("ana", "cy")).code == "caller_busy"
        await clock.advance(44)
        assert await line.outcome("cy", talking) == ("ended", "connection_lost")
        assert await line.outcome("ana", rung) == ("initiating", None)
        await clock.advance(2)
        assert await line.outcome("bo", rung) == ("missed", "offline")
        assert await line.letters("bo") == ["call.incoming", "call.missed"]


async def test_a_lost_party_is_waited_for() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        call_id, ana, bo = await line.connected()
        async with engine.sfu.full_reconnect(bo):
            pass
        await engine.clock.advance(30)
        assert (await line.call("ana", call_id))["status"] == "active"
        await engine.sfu.leave(bo)
        await engine.clock.advance(21)
        assert (await line.call("ana", call_id))["status"] == "active"
        await engine.clock.advance(2)
        assert await line.outcome("ana", call_id) == ("ended", "connection_lost")
        assert ana.disconnected == "ROOM_DELETED"


async def test_an_end_that_meets_the_token_is_an_end() -> None:
    """The callee rejects while the caller's token is being made: an answer, not an error."""
    store = FaultyStore()
    async with EngineUnderTest.start(store=store) as engine:
        line = Line(engine)
        for who in ("ana", "bo"):
            await line.bearer(who)
        engine.sfu.faults.latency_s = 0.2
        ringing = asyncio.ensure_future(line.begin("ana", "bo"))
        await engine.clock.settle()
        call_id = await line.holder("bo")
        assert call_id is not None
        rejected = await line.say("bo", call_id, "reject")
        begun = await ringing
        assert rejected.json()["status"] == "rejected"
        assert (begun.status, begun.json()["status"]) == (200, "rejected")
        assert line.tokens(begun) == set()


# --- the record -----------------------------------------------------------------------------------


async def test_history_goes_on_by_cursor_and_is_ones_own() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        ids = []
        for number in range(5):
            begun = (await line.ring("ana", "bo", wish={"metadata": {"n": number}})).json()
            await line.say("bo", begun["call_id"], "busy")
            ids.append(begun["call_id"])
            await engine.clock.advance(0 if number % 2 else 1)
        for who in ("ana", "bo"):
            found, cursor = [], ""
            while cursor is not None:
                query = {"limit": 2, "cursor": cursor}
                page = (await line.send(who, "GET", CALLS, query=query)).json()
                assert len(page["items"]) <= 2
                found += [one["call_id"] for one in page["items"]]
                cursor = page["next_cursor"]
            assert found == ids[::-1]
        assert (await line.send("cy", "GET", CALLS)).json()["items"] == []
        for wrong in ("x", "~", "1e9~a", "99999999999999999999~a", "-99999999999999999999~a"):
            refused = await line.send("ana", "GET", CALLS, query={"cursor": wrong})
            assert (refused.code, refused.json()["errors"][0]["path"]) == (
                "invalid_request",
                "cursor",
            )


@pytest.mark.parametrize(
    ("wish", "path"),
    [
        ({"type": "audio_room"}, "type"),
        ({"metadata": {"x": "y" * 4096}}, "metadata"),
        ({"ring_timeout_s": 4}, "ring_timeout_s"),
        ({"ring_timeout_s": 121}, "ring_timeout_s"),
        ({"callee_identity": "x" * 257}, "callee_identity"),
        ({"callee_identity": ""}, "callee_identity"),
        ({"extra": 1}, "extra"),
    ],
)
async def test_a_wrong_start_names_its_field(wish: dict[str, Any], path: str) -> None:
    async with EngineUnderTest.start() as engine:
        refused = await Line(engine).ring("ana", "bo", wish=wish)
        assert (refused.code, refused.json()["errors"][0]["path"]) == ("invalid_request", path)


async def test_the_caller_chooses_how_long_it_rings() -> None:
    async with EngineUnderTest.start() as engine:
        line = Line(engine)
        call_id = (await line.ring("ana", "bo", wish={"ring_timeout_s": 5})).json()["call_id"]
        await line.say("bo", call_id, "ringing")
        await engine.clock.advance(4.9)
        assert (await line.call("ana", call_id))["status"] == "ringing"
        await engine.clock.advance(0.2)
        assert await line.outcome("ana", call_id) == ("missed", "no_answer")


# --- over HTTP and SQLite -------------------------------------------------------------------------


async def world(path: Path) -> Adapters:
    clock = SystemClock()
    reader = make_reader({MEMORY_KEY.key: MEMORY_KEY.secret}, clock)
    store = await SqliteStore.open(path)
    return Adapters(store, MemoryGateway(clock), reader, clock, SystemIds(), Metrics())


async def served_session(served: ServedEngine, who: str, device: str) -> str:
    body = {"identity": who, "device_id": device}
    return str((await served.call("POST", "/api/v1/auth/session", body)).body["user_token"])


async def test_fifty_devices_answer_at_once_and_one_has_the_call(tmp_path: Path) -> None:
    adapters = await world(tmp_path / "utd.db")
    async with ServedEngine.start(config(tmp_path / "utd.db"), adapters) as served:
        ana = await served_session(served, "ana", "d")
        devices = [await served_session(served, "bo", f"d{number}") for number in range(50)]
        body = {"callee_identity": "bo", "type": "audio_call"}
        begun = await served.call("POST", CALLS, body, bearer=ana)
        path = f"{CALLS}/{begun.body['call_id']}/accept"
        answers = await asyncio.gather(
            *(served.call("POST", path, {}, bearer=device) for device in devices)
        )
        won = [answer for answer in answers if answer.status == 200]
        assert len(won) == 1
        assert won[0].body["token"]
        assert {(one.status, one.code) for one in answers if one.status != 200} == {
            (409, "answered_elsewhere")
        }
        winner = devices[answers.index(won[0])]
        assert (await served.call("POST", path, {}, bearer=winner)).body["token"]
    await adapters.store.aclose()


async def test_crossing_calls_at_once_leave_one(tmp_path: Path) -> None:
    adapters = await world(tmp_path / "utd.db")
    async with ServedEngine.start(config(tmp_path / "utd.db"), adapters) as served:
        bearers = {who: await served_session(served, who, "d") for who in ("ana", "bo")}
        for _ in range(20):
            answers = await asyncio.gather(
                *(
                    served.call(
                        "POST",
                        CALLS,
                        {"callee_identity": callee, "type": "audio_call"},
                        bearer=bearers[caller],
                    )
                    for caller, callee in (("ana", "bo"), ("bo", "ana"))
                )
            )
            assert {answer.status for answer in answers} == {200}
            statuses = sorted(answer.body["status"] for answer in answers)
            assert statuses == ["busy", "initiating"]
            (live,) = [one.body for one in answers if one.body["status"] == "initiating"]
            holders = {
                await adapters.store.resolve(served.app_id, user_name(who)) for who in bearers
            }
            assert holders == {Key(served.app_id, "room", live["call_id"])}
            path = f"{CALLS}/{live['call_id']}/end"
            ends = await asyncio.gather(
                *(served.call("POST", path, {}, bearer=bearer) for bearer in bearers.values())
            )
            assert {answer.status for answer in ends} == {200}
    await adapters.store.aclose()
