"""With a real livekit-server and real clients: who may publish is what the rules say, all the time.

After each step LiveKit's own list is compared with `desired_permission`. Repair times are printed.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.livekit_server import LiveKitFactory
from support.rtc_participant import RtcParticipant
from support.served_engine import ROOM, ServedEngine, config

from utd_cli.media_server.process import LiveKitServer
from utd_engine.adapters.livekit.gateway import LiveKitGateway
from utd_engine.adapters.livekit.tokens import ApiKey
from utd_engine.app.naming import sfu_name
from utd_engine.config import LiveKit
from utd_engine.domain.permissions import desired_permission
from utd_engine.domain.state import is_evicted
from utd_engine.ports.rooms import Key
from utd_engine.system import SystemClock
from utd_protocol.codec import decode_window
from utd_protocol.types import RoomType, SeatState

pytestmark = pytest.mark.e2e
PERIOD_S = 5.0
SLACK_S = 2.5
"""For a machine with two busy cores, beside the bounds themselves."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Stage:
    """One engine, one LiveKit, one room and its people."""

    def __init__(
        self, served: ServedEngine, server: LiveKitServer, gateway: LiveKitGateway
    ) -> None:
        self.served = served
        self.server = server
        self.gateway = gateway
        self.joined: dict[str, dict[str, Any]] = {}
        self.clients: dict[str, RtcParticipant] = {}

    @property
    def key(self) -> Key:
        return Key(self.served.app_id, "room", self.joined["host"]["room"]["room_id"])

    async def enter(self, who: str, role: str = "audience", token: str | None = None) -> None:
        if token is None:
            self.joined[who] = await self.served.join(who, role)
            token = self.joined[who]["token"]
        self.clients[who] = await RtcParticipant.join(self.server.url, token)

    async def do(self, who: str, method: str, path: str, body: object = None) -> dict[str, Any]:
        bearer = self.joined[who]["user_token"]
        answer = await self.served.call(method, ROOM + path, body, bearer=bearer)
        assert answer.status == 200, (who, path, answer)
        assert answer.body.get("media", "applied") == "applied"
        done: dict[str, Any] = answer.body
        return done

    async def wrong(self) -> list[str]:
        """What LiveKit grants and the rules do not, or the other way round."""
        snapshot = await self.served.engine.services.rooms.peek(self.key)
        assert snapshot is not None
        found = await self.gateway.list_members(sfu_name(self.key, RoomType.AUDIO_ROOM))
        if found.sid is None:
            return ["the room is missing"]
        return [
            f"{one.identity}: {one.permission}"
            for one in found.members
            if is_evicted(snapshot.state, one.identity)
            or one.permission != desired_permission(snapshot.state, one.identity)
        ]

    async def right_at_once(self) -> None:
        """A command is answered when LiveKit has it: nothing is left to wait for."""
        assert await self.wrong() == []

    async def repaired(self, what: str, within_s: float) -> None:
        began = time.monotonic()
        async with asyncio.timeout(within_s + SLACK_S):
            while await self.wrong():  # another process is watched
                await asyncio.sleep(0.02)
        print(f"  {what}: right after {time.monotonic() - began:.2f} s (bound {within_s:.0f} s)")

    async def until(self, who: str, condition: Callable[[RtcParticipant], bool]) -> None:
        async with asyncio.timeout(10):
            await self.clients[who].wait_until(condition)

    async def seat(self, index: int) -> Any:
        snapshot = await self.served.engine.services.rooms.peek(self.key)
        assert snapshot is not None
        return snapshot.state.view.seats[index]

    async def aclose(self) -> None:
        for client in self.clients.values():
            await client.leave()
        await self.gateway.aclose()


@asynccontextmanager
async def engine(server: LiveKitServer, path: Path, port: int) -> AsyncIterator[Stage]:
    livekit = LiveKit(url=server.url, api_key=server.key, api_secret=server.secret)
    gateway = LiveKitGateway(server.url, ApiKey(server.key, server.secret), SystemClock())
    async with ServedEngine.start(config(path, livekit, port)) as served, AsyncExitStack() as stack:
        stage = Stage(served, server, gateway)
        stack.push_async_callback(stage.aclose)
        yield stage


@pytest.fixture
async def stage(livekit_factory: LiveKitFactory, tmp_path: Path) -> AsyncIterator[Stage]:
    port = free_port()
    server = await livekit_factory(webhook_url=f"http://127.0.0.1:{port}/hooks/livekit")
    async with engine(server, tmp_path / "utd.db", port) as stage:
        yield stage


@pytest.fixture
async def deaf_stage(livekit_factory: LiveKitFactory, tmp_path: Path) -> AsyncIterator[Stage]:
    """LiveKit's webhooks go nowhere."""
    server = await livekit_factory(webhook_url=f"http://127.0.0.1:{free_port()}/hooks/livekit")
    async with engine(server, tmp_path / "utd.db", free_port()) as stage:
        yield stage


async def test_a_long_evening(stage: Stage) -> None:
    await stage.enter("host", "host")
    for who in ("ana", "bo", "cy"):
        await stage.enter(who)
    steps: list[tuple[str, str, str, object]] = [
        ("host", "POST", "/seats/take", {"index": 0}),
        ("ana", "POST", "/seats/take", {"index": 1}),
        ("bo", "POST", "/seats/take", {}),
        ("ana", "POST", "/seats/move", {"index": 5}),
        ("host", "POST", "/seats/swap", {"a": 5, "b": 2}),
        ("bo", "POST", "/seats/leave", {}),
        ("host", "POST", "/seats/lock", {"indices": [2], "evict": True}),
        ("host", "POST", "/seats/unlock", {"indices": "all"}),
        ("ana", "POST", "/seats/take", {"index": 3}),
        ("host", "POST", "/seats/mute", {"index": 3}),
        ("host", "POST", "/seats/unmute", {"index": 3}),
        ("host", "POST", "/members/ana/hard-mute", {}),
        ("host", "POST", "/members/ana/lift-mute", {}),
        ("host", "PATCH", "/policy", {"policy": {"data": "speakers"}}),
        ("host", "PATCH", "/policy", {"policy": {"data": "nobody"}}),
        ("host", "PATCH", "/policy", {"policy": {"data": "everyone"}}),
        ("host", "PUT", "/seats", {"mode": "request"}),
    ]
    for who, method, path, body in steps:
        await stage.do(who, method, path, body)
        await stage.right_at_once()
    asked = await stage.do("cy", "POST", "/requests", {"index": 4})
    await stage.do("host", "POST", f"/requests/{asked['request']['id']}/approve")
    await stage.right_at_once()
    invited = await stage.do("host", "POST", "/invites", {"identity": "bo", "index": 6})
    await stage.do("bo", "POST", f"/invites/{invited['request']['id']}/accept")
    await stage.right_at_once()
    await stage.until("bo", lambda bo: bo.permission.can_publish)
    await stage.do("host", "POST", "/members/bo/kick", {"reason": "enough"})
    await stage.right_at_once()
    await stage.until("bo", lambda bo: bo.disconnected == "PARTICIPANT_REMOVED")
    await stage.enter("bo")  # kicked, not banned
    await stage.right_at_once()
    await stage.do("host", "PUT", "/bans/cy", {"reason": "spam"})
    await stage.right_at_once()
    await stage.until("cy", lambda cy: cy.disconnected == "PARTICIPANT_REMOVED")
    refused = await stage.served.call(
        "POST",
        "/api/v1/token",
        {"type": "audio_room", "room_name": "lobby", "identity": "cy"},
    )
    assert refused.code == "banned"
    await stage.enter("cy", token=stage.joined["cy"]["token"])  # LiveKit lets an old token in
    await stage.until("cy", lambda cy: cy.disconnected == "PARTICIPANT_REMOVED")


async def test_old_and_kept_tokens(stage: Stage) -> None:
    await stage.enter("host", "host")
    await stage.enter("ana")
    listener = stage.joined["ana"]["token"]
    await stage.do("ana", "POST", "/seats/take", {"index": 0})
    elevated = (
        await stage.served.call("POST", f"{ROOM}/rejoin", bearer=stage.joined["ana"]["user_token"])
    ).body["token"]
    await stage.clients["ana"].leave()
    await stage.enter("ana", token=listener)  # LiveKit makes a listener of them, the state does not
    await stage.repaired("seated, back with a listener's token", PERIOD_S)
    await stage.until("ana", lambda ana: ana.permission.can_publish)
    await stage.do("ana", "POST", "/seats/leave")
    await stage.clients["ana"].leave()
    await stage.enter("ana", token=elevated)
    await stage.repaired("no seat, back with a kept token that says canPublish", PERIOD_S)
    await stage.until("ana", lambda ana: not ana.permission.can_publish)


async def test_without_any_webhook(deaf_stage: Stage) -> None:
    stage = deaf_stage
    await stage.enter("host", "host")
    await stage.enter("eve")
    await stage.do("eve", "POST", "/seats/take", {"index": 0})
    await stage.right_at_once()
    kept = (
        await stage.served.call("POST", f"{ROOM}/rejoin", bearer=stage.joined["eve"]["user_token"])
    ).body["token"]
    await stage.do("eve", "POST", "/seats/leave")
    await stage.right_at_once()
    await stage.clients["eve"].leave()
    await stage.enter("eve", token=kept)
    await stage.repaired("no webhooks: a kept token that says canPublish", PERIOD_S)
    await stage.do("host", "PUT", "/bans/eve")
    await stage.until("eve", lambda eve: bool(eve.disconnected))
    await stage.enter("eve", token=kept)
    began = time.monotonic()
    async with asyncio.timeout(PERIOD_S + SLACK_S):
        await stage.clients["eve"].wait_until(lambda eve: bool(eve.disconnected))
    print(f"  no webhooks: banned and back with a kept token: out after "
          f"{time.monotonic() - began:.2f} s (bound {PERIOD_S:.0f} s)")  # fmt: skip


async def test_an_engine_that_starts_again_goes_on(
    livekit_factory: LiveKitFactory, tmp_path: Path
) -> None:
    port = free_port()
    server = await livekit_factory(webhook_url=f"http://127.0.0.1:{port}/hooks/livekit")
    path = tmp_path / "utd.db"
    async with engine(server, path, port) as first:
        await first.enter("host", "host")
        await first.enter("ana")
        await first.do("ana", "POST", "/seats/take", {"index": 0})
        clients, joined = dict(first.clients), dict(first.joined)
        first.clients.clear()  # they stay
        name = sfu_name(first.key, RoomType.AUDIO_ROOM)
    gateway = LiveKitGateway(server.url, ApiKey(server.key, server.secret), SystemClock())
    ana = next(one for one in (await gateway.list_members(name)).members if one.identity == "ana")
    await gateway.push_member(name, "ana", ana.permission.__class__(can_subscribe=True))
    await gateway.aclose()
    async with engine(server, path, port) as second:
        second.clients, second.joined = clients, joined
        await second.repaired("an engine that starts over a wrong right", PERIOD_S)
        assert (await second.seat(0)).state is SeatState.TAKEN
        await second.do("ana", "POST", "/seats/move", {"index": 3})
        await second.right_at_once()


async def test_livekits_crash(stage: Stage) -> None:
    await stage.enter("host", "host")
    await stage.enter("ana")
    await stage.do("ana", "POST", "/seats/take", {"index": 2})
    await stage.do("host", "POST", "/seats/take", {"index": 0})
    head = (await stage.do("host", "POST", "/seats/mute", {"index": 0}))["seq"]
    stage.server.kill()
    answer = await stage.served.call(
        "POST", f"{ROOM}/seats/unmute", {"index": 0}, bearer=stage.joined["host"]["user_token"]
    )
    assert (answer.status, answer.body["media"]) == (200, "pending")
    answer = await stage.served.call(
        "POST", f"{ROOM}/seats/move", {"index": 4}, bearer=stage.joined["ana"]["user_token"]
    )
    assert (answer.status, answer.body["media"]) == (200, "applied")  # her right is the same
    await stage.server.launch()
    began = time.monotonic()
    await stage.repaired("LiveKit back after a crash: room and rights", PERIOD_S)
    seat = await stage.seat(4)
    assert seat.identity == "ana"
    async with asyncio.timeout(25):
        while len((await stage.gateway.list_members(name(stage))).members) < 2:
            await asyncio.sleep(0.05)
    print(f"  … both clients are back after {time.monotonic() - began:.2f} s")
    await stage.repaired("… and may publish again", PERIOD_S)
    await stage.until("ana", lambda ana: ana.permission.can_publish)
    await stage.until("ana", lambda ana: head_of(ana) >= head + 2)
    async with asyncio.timeout(5):
        while (await stage.seat(4)).state is not SeatState.TAKEN:
            await asyncio.sleep(0.05)


def head_of(client: RtcParticipant) -> int:
    window = decode_window(client.room_metadata)
    return window.head if window is not None else 0


def name(stage: Stage) -> str:
    return sfu_name(stage.key, RoomType.AUDIO_ROOM)
