"""The inbox: letters of a change come with it, once each, over every door and every restart."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from support.faulty_store import FaultyStore
from support.inbox_client import PATH, connected
from support.served_engine import ServedEngine, config, plain_http

from utd_engine.adapters.livekit.webhooks import make_reader
from utd_engine.adapters.memory.media import MEMORY_KEY, MemoryGateway
from utd_engine.adapters.memory.store import MemoryStore
from utd_engine.adapters.sqlite.store import SqliteStore
from utd_engine.config import Limits
from utd_engine.http import inbox
from utd_engine.main import Adapters
from utd_engine.metrics import Metrics
from utd_engine.system import SystemClock, SystemIds
from utd_engine.testing import Answer, EngineUnderTest, FakeClock

SESSION = "/api/v1/auth/session"
CALLS = "/api/v1/calls"


async def session(engine: EngineUnderTest, who: str, device: str = "phone") -> str:
    body = {"identity": who, "device_id": device}
    return str((await engine.call("POST", SESSION, body, app_key=True)).json()["user_token"])


async def ring(engine: EngineUnderTest, caller: str, callee: str) -> str:
    """Begin a call; its id."""
    body = {"callee_identity": callee, "type": "audio_call"}
    answer = await engine.call("POST", CALLS, body, bearer=await session(engine, caller))
    assert answer.status == 200, answer
    await engine.clock.settle()
    return str(answer.json()["call_id"])


async def say(engine: EngineUnderTest, call_id: str, word: str, bearer: str) -> Answer:
    saying = asyncio.ensure_future(
        engine.call("POST", f"{CALLS}/{call_id}/{word}", {}, bearer=bearer)
    )
    await engine.clock.settle()
    while not saying.done():
        await engine.clock.advance(0.05)
    return await saying


async def read(engine: EngineUnderTest, bearer: str, **query: int) -> Answer:
    return await engine.call("GET", "/api/v1/inbox", bearer=bearer, query=query)


# --- a connection -----------------------------------------------------------------------------


async def test_a_letter_comes_at_once_and_to_every_device() -> None:
    async with EngineUnderTest.start() as engine:
        phone, tablet = await session(engine, "bo"), await session(engine, "bo", "tablet")
        async with connected(engine, phone) as one, connected(engine, tablet) as two:
            assert one.subprotocol == "utd.v1"
            assert one.got == [{"type": "ready", "head": 0, "after": 0}]
            call_id = await ring(engine, "ana", "bo")
            for client in (one, two):
                assert [one["seq"] for one in client.letters] == [1]
                assert client.letters[0]["call_id"] == call_id
            await say(engine, call_id, "accept", phone)
            assert two.types == ["call.incoming", "call.answered"]
            assert two.letters[-1]["device"] == "phone"
        assert engine.engine.inbox.count == 0


async def test_somebody_elses_letters_never_come() -> None:
    async with (
        EngineUnderTest.start() as engine,
        connected(engine, await session(engine, "cy"), 0) as client,
    ):
        await ring(engine, "ana", "bo")
        assert client.types == []


@pytest.mark.parametrize(
    "message",
    [
        "",
        "nonsense",
        "{}",
        '{"token": 1}',
        '{"token": "x"}',
        '{"token": "x", "after": "y"}',
        '["token"]',
        "x" * (inbox.MESSAGE_CHARS + 1),
    ],
)
async def test_a_first_message_that_is_not_one_is_refused(message: str) -> None:
    async with EngineUnderTest.start() as engine, connected(engine) as client:
        client.say(message)
        await engine.clock.settle()
        assert client.closed == inbox.REFUSED


async def test_bytes_are_no_first_message() -> None:
    async with EngineUnderTest.start() as engine, connected(engine) as client:
        client.to_engine.put_nowait({"type": "websocket.receive", "bytes": b"{}"})
        await engine.clock.settle()
        assert client.closed == inbox.REFUSED


async def test_silence_ends_the_connection_after_five_seconds() -> None:
    async with EngineUnderTest.start() as engine, connected(engine) as client:
        await engine.clock.advance(4.9)
        assert client.closed is None
        await engine.clock.advance(0.2)
        assert client.closed == inbox.SILENT


async def test_who_hangs_up_before_the_first_message_is_forgotten() -> None:
    async with EngineUnderTest.start() as engine, connected(engine) as client:
        client.hang_up()
        await engine.clock.settle()
        assert (client.closed, engine.engine.inbox.count) == (None, 0)


async def test_refused_tokens_say_nothing_about_why() -> None:
    async with EngineUnderTest.start() as engine:
        old = await session(engine, "bo")
        await engine.clock.advance(3700)
        secret = await engine.join("ana", role="host")
        for token in (old, engine.secret_key, engine.app_key, secret.answer.token):
            async with connected(engine, token) as client:
                assert client.closed == inbox.REFUSED


async def test_nobody_tries_many_tokens() -> None:
    limits = Limits(
        writes_per_second=0, mints_per_second=0, failures_per_second=1, failures_burst=3
    )
    async with EngineUnderTest.start(limits=limits) as engine:
        codes = []
        for _ in range(4):
            async with connected(engine, "guess") as client:
                codes.append(client.closed)
        assert codes == [inbox.REFUSED] * 3 + [inbox.TOO_MANY]


async def test_a_foreign_page_is_kept_out_where_origins_are_listed() -> None:
    async with EngineUnderTest.start() as engine:
        token = await session(engine, "bo")
        async with connected(engine, token, origin="https://evil.example") as client:
            assert client.accepted, "every origin is welcome by default"
        engine.engine.inbox._origins = {b"https://good.example"}
        async with connected(engine, token, origin="https://evil.example") as client:
            assert (client.accepted, client.closed) == (False, inbox.BANNED)
        for origin in ("https://good.example", None):
            async with connected(engine, token, origin=origin) as client:
                assert client.got[0]["type"] == "ready"


# --- cursors ----------------------------------------------------------------------------------


async def test_a_cursor_goes_on_where_it_was() -> None:
    async with EngineUnderTest.start() as engine:
        bo = await session(engine, "bo")
        for _ in range(3):
            await say(engine, await ring(engine, "ana", "bo"), "reject", bo)
        async with connected(engine, bo, 0) as client:
            assert client.got[0] == {"type": "ready", "head": 6, "after": 0}
            assert [one["seq"] for one in client.letters] == [1, 2, 3, 4, 5, 6]
            whole = client.letters
        async with connected(engine, bo, 4) as client:
            assert client.letters == whole[4:]
        async with connected(engine, bo) as client:
            assert client.letters == [], "without a cursor only what is new"
        for beyond in (99, -1):
            async with connected(engine, bo, beyond) as client:
                assert len(client.letters) == (0 if beyond > 0 else 6)
        assert (await read(engine, bo, after=4)).json() == {"events": whole[4:], "head": 6}
        first = await read(engine, bo, after=0, limit=2)
        assert first.json() == {"events": whole[:2], "head": 6}
        assert (await read(engine, bo, after=5, limit=0)).json()["events"] == whole[5:]
        assert (await read(engine, bo, after=99)).json() == {"events": [], "head": 6}


async def test_more_than_a_page_comes_whole_and_in_order() -> None:
    async with EngineUnderTest.start() as engine:
        bo = await session(engine, "bo")
        for _ in range(inbox.PAGE // 2 + 5):
            await say(engine, await ring(engine, "ana", "bo"), "busy", bo)
        async with connected(engine, bo, 0) as client:
            assert [one["seq"] for one in client.letters] == list(range(1, inbox.PAGE + 11))


async def test_what_is_no_longer_kept_is_said() -> None:
    async with EngineUnderTest.start() as engine:
        bo = await session(engine, "bo")
        await say(engine, await ring(engine, "ana", "bo"), "reject", bo)
        await engine.clock.advance(60)
        await engine.store.trim(engine.clock.now())
        async with connected(engine, bo, 0) as client:
            assert client.closed == inbox.SNAPSHOT_REQUIRED
        gone = await read(engine, bo, after=0)
        assert (gone.code, gone.json()["context"]) == ("snapshot_required", {"first": 3})
        async with connected(engine, bo, 2) as client:
            assert client.got == [{"type": "ready", "head": 2, "after": 2}]
            await ring(engine, "ana", "bo")
            assert [one["seq"] for one in client.letters] == [3]


async def test_no_letter_is_lost_or_doubled_over_a_restart() -> None:
    store, clock = MemoryStore(), FakeClock()
    async with EngineUnderTest.start(store=store, clock=clock) as engine:
        bo = await session(engine, "bo")
        async with connected(engine, bo, 0) as client:
            first = await ring(engine, "ana", "bo")
            seen = client.letters
    async with EngineUnderTest.start(store=store, clock=clock) as engine:
        await say(engine, first, "ringing", bo)
        async with connected(engine, bo, seen[-1]["seq"]) as client:
            await engine.clock.advance(46)
            seen += client.letters
        assert [(one["seq"], one["type"]) for one in seen] == [
            (1, "call.incoming"),
            (2, "call.missed"),
        ]


# --- ends -------------------------------------------------------------------------------------


async def test_the_same_device_replaces_itself_and_misses_nothing() -> None:
    async with EngineUnderTest.start() as engine:
        bo = await session(engine, "bo")
        async with connected(engine, bo, 0) as old, connected(engine, bo, 0) as new:
            assert (old.closed, new.closed) == (inbox.REPLACED, None)
            assert engine.engine.inbox.count == 1
            await ring(engine, "ana", "bo")
            assert (old.types, new.types) == ([], ["call.incoming"])


async def test_at_most_ten_devices_listen() -> None:
    async with EngineUnderTest.start() as engine, AsyncExitStack() as stack:
        for number in range(inbox.DEVICES_OF_ONE):
            token = await session(engine, "bo", f"d{number}")
            client = await stack.enter_async_context(connected(engine, token))
            assert client.closed is None
        async with connected(engine, await session(engine, "bo", "one more")) as client:
            assert client.closed == inbox.TOO_MANY
        async with connected(engine, await session(engine, "bo", "d3")) as client:
            assert client.closed is None, "who is there already may come again"
        async with connected(engine, await session(engine, "cy")) as client:
            assert client.closed is None


async def test_who_reads_nothing_is_sent_away_with_the_cursor() -> None:
    async with EngineUnderTest.start() as engine:
        bo = await session(engine, "bo")
        async with connected(engine, bo, 0) as client:
            client.reads.clear()
            call_id = await ring(engine, "ana", "bo")
            await engine.clock.advance(inbox.SEND_WITHIN_S - 0.1)
            assert engine.engine.inbox.count == 1
            await engine.clock.advance(0.2)
            assert engine.engine.inbox.count == 0
            client.reads.set()
            await engine.clock.settle()
            assert client.closed == inbox.SLOW
        async with connected(engine, bo, 0) as client:
            assert client.letters[0]["call_id"] == call_id


async def test_who_never_reads_again_costs_nothing_for_ever() -> None:
    async with (
        EngineUnderTest.start() as engine,
        connected(engine, await session(engine, "bo"), 0) as client,
    ):
        client.reads.clear()
        await ring(engine, "ana", "bo")
        await engine.clock.advance(inbox.SEND_WITHIN_S + inbox.CLOSE_WITHIN_S + 0.1)
        assert (client.closed, engine.engine.inbox.count) == (None, 0)


async def test_a_quiet_connection_gets_a_ping_every_twenty_seconds() -> None:
    async with (
        EngineUnderTest.start() as engine,
        connected(engine, await session(engine, "bo")) as client,
    ):
        client.say({"ack": 0})
        await engine.clock.advance(19.9)
        assert len(client.got) == 1
        await engine.clock.advance(40.2)
        assert client.got[1:] == [{"type": "ping"}] * 3


async def test_a_ban_of_the_app_is_told_and_ends_it() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        bo = await session(engine, "bo")
        async with connected(engine, bo, 0) as client:
            body = {"scope": "room", "reason": "noise"}
            await engine.call("PUT", ana.path("/bans/bo"), body, bearer=ana.user_token)
            await engine.clock.settle()
            assert (client.types, client.closed) == (["banned"], None), "one room is not the app"
            body = {"scope": "app", "reason": "spam"}
            await engine.call("PUT", ana.path("/bans/bo"), body, bearer="secret")
            await engine.clock.settle()
            assert client.letters[-1]["scope"] == "app"
            assert client.closed == inbox.BANNED
        async with connected(engine, bo, 0) as client:
            assert (client.got, client.closed) == ([], inbox.BANNED)


async def test_a_stopping_engine_sends_everybody_to_the_next_one() -> None:
    async with EngineUnderTest.start() as engine:
        async with (
            connected(engine, await session(engine, "bo")) as one,
            connected(engine, await session(engine, "cy")) as two,
        ):
            engine.engine.inbox.stop()
            await engine.clock.settle()
            assert (one.closed, two.closed) == (inbox.RESTART, inbox.RESTART)
            assert engine.engine.inbox.count == 0
        async with connected(engine, await session(engine, "bo")) as late:
            assert late.closed == inbox.RESTART


async def test_a_store_in_trouble_is_no_silence() -> None:
    store = FaultyStore()
    async with EngineUnderTest.start(store=store) as engine:
        async with connected(engine, await session(engine, "bo")) as client:
            store.failing.add("events")
            await engine.clock.advance(inbox.POLL_S + 0.1)
            assert client.closed == inbox.UNAVAILABLE
        store.failing.clear()


async def test_a_lost_wake_up_costs_a_poll_and_no_letter() -> None:
    async with (
        EngineUnderTest.start() as engine,
        connected(engine, await session(engine, "bo")) as client,
    ):
        for waiting in engine.engine.inbox._waiters._waiting.values():
            waiting.clear()  # as if another engine wrote it
        await ring(engine, "ana", "bo")
        assert client.types == []
        await engine.clock.advance(inbox.POLL_S)
        assert client.types == ["call.incoming"]


# --- over a socket ----------------------------------------------------------------------------


async def world(path: Path) -> Adapters:
    clock = SystemClock()
    reader = make_reader({MEMORY_KEY.key: MEMORY_KEY.secret}, clock)
    store = await SqliteStore.open(path)
    return Adapters(store, MemoryGateway(clock), reader, clock, SystemIds(), Metrics())


async def test_over_a_socket_a_letter_comes_at_once_and_a_stop_says_come_back(
    tmp_path: Path,
) -> None:
    adapters = await world(tmp_path / "utd.db")
    async with plain_http() as http, asyncio.timeout(20):
        async with ServedEngine.start(config(tmp_path / "utd.db"), adapters) as served:
            bearers = [await served_session(served, who) for who in ("ana", "bo")]
            url = served.base_url + PATH
            socket = await http.ws_connect(url, protocols=("utd.v1",), max_msg_size=0)
            assert socket.protocol == "utd.v1"
            await socket.send_json({"token": bearers[1]})
            assert await socket.receive_json() == {"type": "ready", "head": 0, "after": 0}
            waits = []
            for number in range(10):
                body = {"callee_identity": "bo", "type": "audio_call"}
                ringing = asyncio.create_task(served.call("POST", CALLS, body, bearer=bearers[0]))
                letter = await socket.receive_json()
                came = time.perf_counter()
                call_id = (await ringing).body["call_id"]
                waits.append(came - time.perf_counter())
                assert (letter["seq"], letter["call_id"]) == (2 * number + 1, call_id)
                await served.call("POST", f"{CALLS}/{call_id}/end", {}, bearer=bearers[0])
                assert (await socket.receive_json())["type"] == "call.ended"
            assert sorted(waits)[5] < 0.1, "the letter is there about when the caller's answer is"
            silent = await http.ws_connect(url)
            assert served.engine.inbox.count == 1
        closing = await socket.receive()
        assert (closing.type, closing.data) == (aiohttp.WSMsgType.CLOSE, inbox.RESTART)
        assert (await silent.receive()).type in {
            aiohttp.WSMsgType.CLOSE,
            aiohttp.WSMsgType.CLOSED,
        }
    await adapters.store.aclose()


async def test_two_hundred_sockets_come_and_go_and_nothing_is_left(tmp_path: Path) -> None:
    adapters = await world(tmp_path / "utd.db")
    async with (
        plain_http() as http,
        ServedEngine.start(config(tmp_path / "utd.db"), adapters) as served,
        asyncio.timeout(30),
    ):
        before = len(asyncio.all_tasks())

        async def come(number: int) -> aiohttp.ClientWebSocketResponse:
            token = await served_session(served, f"p{number}")
            socket = await http.ws_connect(served.base_url + PATH)
            await socket.send_json({"token": token})
            assert (await socket.receive_json())["type"] == "ready"
            return socket

        sockets = await asyncio.gather(*map(come, range(200)))
        assert served.engine.inbox.count == 200
        for number, socket in enumerate(sockets):
            if number % 2:
                await socket.close()
            else:
                assert socket._response.connection is not None
                socket._response.connection.transport.abort()  # type: ignore[union-attr]
        while served.engine.inbox.count or len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0.02)
        assert not served.engine.inbox._waiters._waiting
        assert not served.engine.inbox._devices
    await adapters.store.aclose()


async def served_session(served: ServedEngine, who: str) -> str:
    body = {"identity": who, "device_id": "phone"}
    return str((await served.call("POST", SESSION, body)).body["user_token"])
