"""LiveKit's webhooks over HTTP: verified, taken once, always answered, and never a way in."""

import hashlib
from base64 import b64encode
from typing import Any

import jwt
import orjson
import pytest
from structlog.testing import capture_logs
from support.asgi import raw_call
from support.faulty_store import FaultyStore

from utd_engine.adapters.memory.media import MEMORY_KEY
from utd_engine.hooks.livekit import BODY_LIMIT, SEEN
from utd_engine.testing import Answer, EngineUnderTest, Joined

HOOK = b"/hooks/livekit"


def authorization(engine: EngineUnderTest, body: bytes, secret: str = MEMORY_KEY.secret) -> bytes:
    now = int(engine.clock.now().timestamp())
    claims = {
        "iss": MEMORY_KEY.key, "nbf": now, "exp": now + 300,
        "sha256": b64encode(hashlib.sha256(body).digest()).decode(),
    }  # fmt: skip
    return jwt.encode(claims, secret).encode()


async def post(
    engine: EngineUnderTest, event: dict[str, Any] | bytes, token: bytes | None = None
) -> Answer:
    body = event if isinstance(event, bytes) else orjson.dumps(event)
    token = authorization(engine, body) if token is None else token
    answer = await raw_call(
        engine.engine.public, "POST", HOOK, body=body, headers=[(b"authorization", token)]
    )
    await engine.clock.settle()
    return answer


def joined(engine: EngineUnderTest, who: Joined, number: str = "EV_x1") -> dict[str, Any]:
    """What LiveKit reports of somebody who came in, as it is in the room now."""
    assert who.participant is not None
    member = who.participant
    room = engine.sfu.rooms[member.room]
    return {
        "event": "participant_joined",
        "id": number,
        "createdAt": str(int(engine.clock.now().timestamp())),
        "room": {"sid": room.sid, "name": room.name},
        "participant": {
            "sid": member.sid, "identity": member.identity, "state": "ACTIVE",
            "joinedAt": str(int(member.joined_at.timestamp())),
            "joinedAtMs": str(int(member.joined_at.timestamp() * 1000)),
            "permission": {"canSubscribe": True},
        },
    }  # fmt: skip


def counted(engine: EngineUnderTest, event: str, result: str) -> float:
    labels = {"event": event, "result": result}
    registry = engine.engine.metrics.registry
    return registry.get_sample_value("engine_webhook_events_total", labels) or 0.0


async def quiet(engine: EngineUnderTest) -> Joined:
    """Ana hosts the lobby; no webhook but those of the test arrives from here on."""
    ana = await engine.join("ana", role="host")
    await engine.clock.advance(1)
    engine.sfu.on_webhook = lambda _event: None
    return ana


async def test_a_join_is_taken_once_and_rights_are_asserted() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await quiet(engine)
        pushes = engine.sfu.calls["push_member"]
        before = counted(engine, "participant_joined", "applied")
        for _ in range(3):
            answer = await post(engine, joined(engine, ana))
            assert (answer.status, answer.body) == (200, b"")
        assert counted(engine, "participant_joined", "applied") == before + 1
        assert counted(engine, "participant_joined", "duplicate") == 2
        assert engine.sfu.calls["push_member"] == pushes + 1


@pytest.mark.parametrize(
    "what", ["another secret", "another body", "none", "a user token", "a join token", "garbage"]
)
async def test_what_livekit_did_not_sign_is_refused_and_counted(what: str) -> None:
    async with EngineUnderTest.start() as engine:
        ana = await quiet(engine)
        body = orjson.dumps(joined(engine, ana))
        tokens = {
            "another secret": authorization(engine, body, "x" * 32),
            "another body": authorization(engine, body + b" "),
            "none": b"",
            "a user token": ana.user_token.encode(),
            "a join token": ana.answer.token.encode(),
            "garbage": b"\xff",
        }
        pushes = engine.sfu.calls["push_member"]
        with capture_logs() as lines:
            answer = await post(engine, body, tokens[what])
        assert (answer.status, answer.body) == (401, b"")
        assert counted(engine, "unknown", "invalid") == 1
        assert engine.sfu.calls["push_member"] == pushes
        (line,) = [line for line in lines if line["event"] == "webhook.refused"]
        assert ana.user_token not in str(line)


async def test_events_of_other_rooms_and_unknown_kinds_are_counted_and_answered() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await quiet(engine)
        for number, room in enumerate(
            ["somebody-elses", "a.b.c", "app.party.x", "app.audio_room."]
        ):
            event = joined(engine, ana, f"EV_f{number}") | {"room": {"name": room, "sid": "RM"}}
            assert (await post(engine, event)).status == 200
        assert counted(engine, "participant_joined", "foreign") == 4
        event = joined(engine, ana, "EV_u") | {"event": "something_new"}
        assert (await post(engine, event)).status == 200
        assert counted(engine, "something_new", "applied") == 1
        missing = joined(engine, ana, "EV_m")
        missing["room"] = {"name": f"{engine.app_id}.audio_room.rm_nothing", "sid": "RM_1"}
        assert (await post(engine, missing)).status == 200


async def test_a_body_that_is_too_large_is_refused_without_being_kept() -> None:
    async with EngineUnderTest.start() as engine:
        pieces = [b" " * 65_536] * (BODY_LIMIT // 65_536 + 20)
        token = authorization(engine, b"".join(pieces))
        answer = await raw_call(
            engine.engine.public, "POST", HOOK, body=pieces, headers=[(b"authorization", token)]
        )
        assert answer.status == 401


async def test_while_the_store_is_away_livekit_is_answered_and_the_sweep_makes_up() -> None:
    store = FaultyStore()
    async with EngineUnderTest.start(store=store) as engine:
        ana = await quiet(engine)
        engine.engine.services.locator._snapshots._cells.clear()
        store.failing = {"load"}
        with capture_logs() as lines:
            assert (await post(engine, joined(engine, ana))).status == 200
        assert "webhook.store_unavailable" in [line["event"] for line in lines]
        store.failing = set()
        await engine.clock.advance(6)
        assert (await engine.room(engine.key(ana))).state.presence["ana"].present


async def test_a_failure_inside_is_logged_and_livekit_is_answered() -> None:
    store = FaultyStore()
    async with EngineUnderTest.start(store=store) as engine:
        ana = await quiet(engine)
        engine.engine.services.locator._snapshots._cells.clear()

        def explode(method: str) -> None:
            if method == "load":
                store.before = lambda _method: None
                raise ZeroDivisionError

        store.before = explode
        with capture_logs() as lines:
            assert (await post(engine, joined(engine, ana))).status == 200
        assert "webhook.failed" in [line["event"] for line in lines]


async def test_what_is_remembered_of_webhooks_is_bounded() -> None:
    async with EngineUnderTest.start() as engine:
        ana = await quiet(engine)
        hooks = engine.engine.hooks
        room = SEEN - len(hooks._seen)
        hooks._seen.update((f"EV_{number}", None) for number in range(room))
        await post(engine, joined(engine, ana, "EV_new"))
        assert len(hooks._seen) == SEEN
        assert "EV_new" in hooks._seen


async def test_the_hook_is_a_post_and_nothing_else() -> None:
    async with EngineUnderTest.start() as engine:
        for method in ("GET", "PUT", "DELETE"):
            assert (await engine.call(method, HOOK.decode())).code == "not_found"
