"""Probes and metrics: what an orchestrator is told when something is down."""

import asyncio
import sqlite3
from pathlib import Path

from support.faulty_store import FaultyStore
from support.route_cases import ROOM

from utd_engine.adapters.livekit.webhooks import make_reader
from utd_engine.adapters.memory.media import MEMORY_KEY, MemoryGateway
from utd_engine.adapters.sqlite.connect import writing
from utd_engine.adapters.sqlite.store import SqliteStore
from utd_engine.config import Config, Security
from utd_engine.http.admin import READY_WITHIN_S
from utd_engine.main import Adapters, build
from utd_engine.metrics import Metrics
from utd_engine.system import SystemClock, SystemIds
from utd_engine.testing import EngineUnderTest
from utd_engine.testing._engine import MASTER, asgi_call


async def probe(engine: EngineUnderTest, path: str = "/readyz") -> tuple[int, dict[str, object]]:
    answer = await engine.operate("GET", path, token=None)
    assert answer.headers["content-type"] == "application/json"
    return answer.status, answer.json()


async def test_all_is_well() -> None:
    async with EngineUnderTest.start() as engine:
        ok = {"status": "ok", "media": None, "detail": None}
        assert await probe(engine, "/livez") == (200, ok)
        assert await probe(engine, "/startupz") == (200, ok)
        assert await probe(engine) == (200, ok | {"media": "ok"})


async def test_a_store_that_takes_no_writes_makes_it_unready_but_it_lives() -> None:
    store = FaultyStore()
    async with EngineUnderTest.start(store=store) as engine:
        store.failing.add("ping")
        status, told = await probe(engine)
        assert (status, told["status"]) == (503, "unavailable")
        assert (await probe(engine, "/livez"))[0] == 200
        store.failing.clear()
        assert (await probe(engine))[0] == 503, "what was found holds for a second"
        await engine.clock.advance(1)
        assert (await probe(engine))[0] == 200


async def test_the_store_is_asked_once_a_second_however_many_ask() -> None:
    store = FaultyStore()
    async with EngineUnderTest.start(store=store) as engine:
        for _ in range(50):
            await probe(engine)
        assert store.calls["ping"] == 1
        await engine.clock.advance(1)
        await probe(engine)
        assert store.calls["ping"] == 2


async def test_a_store_that_hangs_makes_it_unready() -> None:
    store = FaultyStore()
    async with EngineUnderTest.start(store=store) as engine:

        async def hang() -> None:
            await asyncio.Event().wait()

        store.ping = hang  # type: ignore[attr-defined]
        asking = asyncio.ensure_future(probe(engine))
        await engine.clock.advance(READY_WITHIN_S)
        status, told = await asking
        assert (status, "within 2 s" in str(told["detail"])) == (503, True)


async def test_a_locked_database_is_unready_and_a_free_one_ready_again(tmp_path: Path) -> None:
    path = tmp_path / "utd.db"
    store = await SqliteStore.open(path, connect=lambda file: writing(file, busy_timeout_ms=0))
    clock = SystemClock()
    sfu = MemoryGateway(clock)
    reader = make_reader({MEMORY_KEY.key: MEMORY_KEY.secret}, clock)
    world = Adapters(store, sfu, reader, clock, SystemIds(), Metrics())
    config = Config(security=Security(master_secrets=(MASTER,)))
    async with build(config, world) as engine:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        answer = await asgi_call(engine.admin, "GET", "/readyz", b"", {})
        assert (answer.status, answer.json()["status"]) == (503, "unavailable")
        assert "locked" in answer.json()["detail"]
        other.execute("ROLLBACK")
        other.close()
        engine.probes._checked = (-1.0, "")
        answer = await asgi_call(engine.admin, "GET", "/readyz", b"", {})
        assert answer.status == 200
    await store.aclose()


async def test_livekit_down_is_degraded_never_unready() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        engine.sfu.faults.unavailable = True
        await engine.clock.advance(6)
        status, told = await probe(engine)
        assert (status, told["status"], told["media"]) == (200, "degraded", "unavailable")
        answer = await engine.call("POST", ROOM + "/seats/take", {}, bearer=ana.user_token)
        assert answer.status == 200
        engine.sfu.faults.unavailable = False
        await engine.clock.advance(6)
        assert (await probe(engine))[1]["status"] == "ok"


async def test_while_it_starts_or_drains_it_is_not_ready() -> None:
    async with EngineUnderTest.start() as engine:
        probes = engine.engine.probes
        probes.is_started = False
        assert (await probe(engine, "/startupz"))[0] == 503
        assert (await probe(engine))[1]["detail"] == "starting"
        probes.is_started = True
        probes.is_draining = True
        assert (await probe(engine))[1]["detail"] == "draining"
        assert (await probe(engine))[0] == 503
        assert (await probe(engine, "/livez"))[0] == 200
        probes.is_draining = False


async def test_metrics_name_routes_never_rooms_or_people() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana-canary", role="host", room_name="canary-room")
        await engine.call("POST", ana.path("/seats/take"), {}, bearer=ana.user_token)
        await engine.call("GET", "/api/v1/rooms", bearer="nonsense")
        text = (await engine.operate("GET", "/metrics", token=None)).body.decode()
        assert "canary" not in text
        assert engine.app_id not in text
        route = "/api/v1/rooms/{type}/{name}/seats/take"
        labels = f'http_request_method="POST",http_response_status_code="200",http_route="{route}"'
        assert f"http_server_request_duration_seconds_count{{{labels}}} 1.0" in text
        for name in (
            "engine_sfu_requests_total", "engine_sfu_request_duration_seconds",
            "engine_db_commit_duration_seconds", "engine_db_group_size",
            "engine_webhook_events_total", "engine_reconcile_runs_total", "engine_events_total",
            "engine_rate_limited_total", "engine_sfu_up", "engine_build_info",
        ):  # fmt: skip
            assert f"# HELP {name} " in text
        assert 'engine_events_total{type="seat.taken"} 1.0' in text
