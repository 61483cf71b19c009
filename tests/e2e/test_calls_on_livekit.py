"""With a real livekit-server and real clients: calls of two and streams of many.

After each step LiveKit's own list is compared with `desired_permission`.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from livekit import rtc
from support.livekit_server import LiveKitFactory
from support.rtc_participant import RtcParticipant
from support.served_engine import Answer, ServedEngine, config

from utd_cli.media_server.process import LiveKitServer
from utd_engine.adapters.livekit.gateway import LiveKitGateway
from utd_engine.adapters.livekit.tokens import ApiKey
from utd_engine.app.naming import sfu_name
from utd_engine.config import LiveKit
from utd_engine.domain.permissions import Permission, desired_permission
from utd_engine.ports.media import Join
from utd_engine.ports.rooms import Key
from utd_engine.system import SystemClock
from utd_protocol.types import RoomType, Source

pytestmark = pytest.mark.e2e
CALLS = "/api/v1/calls"
STREAM = "/api/v1/rooms/live_stream/show"
ALL_RIGHTS = Permission(
    can_publish=True, sources=(Source.MICROPHONE,), can_subscribe=True, can_publish_data=True
)


class House:
    """One engine, one LiveKit, and whoever is connected."""

    def __init__(
        self, served: ServedEngine, server: LiveKitServer, gateway: LiveKitGateway
    ) -> None:
        self.served = served
        self.server = server
        self.gateway = gateway
        self.bearers: dict[str, str] = {}
        self.clients: list[RtcParticipant] = []
        self.key = Key("", "room", "")
        self.type = RoomType.AUDIO_CALL

    @property
    def room(self) -> str:
        return sfu_name(self.key, self.type)

    async def enter(self, token: str) -> RtcParticipant:
        client = await RtcParticipant.join(self.server.url, token)
        self.clients.append(client)
        return client

    async def session(self, who: str) -> None:
        answer = await self.served.call("POST", "/api/v1/auth/session", {"identity": who})
        self.bearers[who] = answer.body["user_token"]

    async def do(self, who: str, path: str, body: object = None) -> Answer:
        answer = await self.served.call("POST", path, body, bearer=self.bearers[who])
        assert answer.status == 200, (who, path, answer)
        assert answer.body.get("media", "applied") == "applied"
        return answer

    async def ring(self, caller: str, callee: str, kind: RoomType) -> Answer:
        begun = await self.do(caller, CALLS, {"callee_identity": callee, "type": kind})
        self.key, self.type = Key(self.served.app_id, "room", begun.body["call_id"]), kind
        return begun

    async def present(self) -> set[str]:
        """Everybody there has exactly what the rules say; who they are."""
        snapshot = await self.served.engine.services.rooms.peek(self.key)
        assert snapshot is not None
        members = (await self.gateway.list_members(self.room)).members
        for one in members:
            assert one.permission == desired_permission(snapshot.state, one.identity), one
        return {one.identity for one in members}

    async def call(self) -> Any:
        snapshot = await self.served.engine.services.rooms.peek(self.key)
        assert snapshot is not None
        return snapshot.state.view.call

    async def until(
        self, client: RtcParticipant, condition: Callable[[RtcParticipant], bool]
    ) -> None:
        async with asyncio.timeout(10):
            await client.wait_until(condition)

    def stolen(self, who: str) -> str:
        """What nobody but a holder of LiveKit's own secret could make."""
        join = Join(room=self.room, identity=who, permission=ALL_RIGHTS)
        return self.gateway.mint_token(join, now=SystemClock().now(), ttl_s=600)


@pytest.fixture
async def house(livekit_factory: LiveKitFactory, tmp_path: Path) -> AsyncIterator[House]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    server = await livekit_factory(webhook_url=f"http://127.0.0.1:{port}/hooks/livekit")
    livekit = LiveKit(url=server.url, api_key=server.key, api_secret=server.secret)
    gateway = LiveKitGateway(server.url, ApiKey(server.key, server.secret), SystemClock())
    async with ServedEngine.start(config(tmp_path / "utd.db", livekit, port)) as served:
        house = House(served, server, gateway)
        yield house
        for client in house.clients:
            await client.leave()
    await gateway.aclose()


async def test_two_talk_and_no_third_is_ever_with_them(house: House) -> None:
    for who in ("ana", "bo"):
        await house.session(who)
    begun = await house.ring("ana", "bo", RoomType.VIDEO_CALL)
    path = f"{CALLS}/{begun.body['call_id']}"
    ana = await house.enter(begun.body["token"])
    assert await house.present() == {"ana"}
    eve = await house.enter(house.stolen("eve"))  # LiveKit lets her in: there is room for one
    await house.until(eve, lambda eve: eve.disconnected == "PARTICIPANT_REMOVED")
    await house.do("bo", path + "/ringing")
    accepted = await house.do("bo", path + "/accept")
    bo = await house.enter(accepted.body["token"])
    assert await house.present() == {"ana", "bo"}
    async with asyncio.timeout(5):
        while (await house.call()).connected_at is None:
            await asyncio.sleep(0.02)
    for one in (ana, bo):
        await house.until(one, lambda one: Source.CAMERA in one.permission.sources)
    with pytest.raises(rtc.ConnectError):
        await house.enter(house.stolen("eve"))  # two is all that it holds
    assert await house.present() == {"ana", "bo"}
    again = await house.served.call(
        "POST",
        f"/api/v1/rooms/video_call/{begun.body['call_id']}/rejoin",
        bearer=accepted.body["user_token"],
    )
    await bo.leave()
    bo = await house.enter(again.body["token"])
    assert await house.present() == {"ana", "bo"}
    ended = await house.do("bo", path + "/end")
    assert (ended.body["status"], ended.body["reason"]) == ("ended", "hangup")
    for one in (ana, bo):
        await house.until(one, lambda one: one.disconnected == "ROOM_DELETED")
    for token in (begun.body["token"], again.body["token"], house.stolen("eve")):
        with pytest.raises(rtc.ConnectError):
            await house.enter(token)
    assert (await house.gateway.list_members(house.room)).sid is None


async def test_a_call_that_is_left_is_over(house: House) -> None:
    for who in ("ana", "bo"):
        await house.session(who)
    begun = await house.ring("ana", "bo", RoomType.AUDIO_CALL)
    ana = await house.enter(begun.body["token"])
    accepted = await house.do("bo", f"{CALLS}/{begun.body['call_id']}/accept")
    bo = await house.enter(accepted.body["token"])
    assert await house.present() == {"ana", "bo"}
    assert {str(one) for one in ana.permission.sources} == {"microphone"}
    leave = f"/api/v1/rooms/audio_call/{begun.body['call_id']}/leave"
    left = await house.served.call("POST", leave, {}, bearer=begun.body["user_token"])
    assert left.status == 200
    await house.until(bo, lambda bo: bo.disconnected == "ROOM_DELETED")
    assert (await house.call()).reason == "hangup"
    assert (await house.ring("bo", "ana", RoomType.AUDIO_CALL)).body["status"] == "initiating"


async def test_a_streams_stage_has_what_the_rules_say_at_each_step(house: House) -> None:
    house.type = RoomType.LIVE_STREAM
    clients: dict[str, RtcParticipant] = {}
    for who in ("host", "ana", "bo"):
        role = "host" if who == "host" else "audience"
        wish = {"type": "live_stream", "room_name": "show", "identity": who, "role": role}
        joined = (await house.served.call("POST", "/api/v1/token", wish)).body
        house.bearers[who] = joined["user_token"]
        house.key = Key(house.served.app_id, "room", joined["room"]["room_id"])
        clients[who] = await house.enter(joined["token"])
    async with asyncio.timeout(5):
        while await house.served.engine.services.store.count(house.key) < 3:
            await asyncio.sleep(0.02)
    steps: list[tuple[str, str, object, set[str]]] = [
        ("host", "/stage/invite", {"identity": "ana"}, set()),
        ("host", "/live", {"with_video": False}, {"host", "ana"}),
        ("host", "/live", {"with_video": True}, {"host", "ana"}),
        ("host", "/pause", {}, set()),
        ("host", "/stage/invite", {"identity": "bo", "sources": ["microphone"]}, set()),
        ("host", "/resume", {}, {"host", "ana", "bo"}),
        ("host", "/stage/sources", {"identity": "ana", "sources": ["screen_share"]},
         {"host", "ana", "bo"}),
        ("ana", "/stage/leave", {}, {"host", "bo"}),
        ("host", "/members/bo/hard-mute", {}, {"host"}),
        ("host", "/members/bo/lift-mute", {}, {"host", "bo"}),
        ("host", "/stage/remove", {"identity": "bo"}, {"host"}),
    ]  # fmt: skip
    for who, path, body, on_air in steps:
        await house.do(who, STREAM + path, body)
        assert await house.present() == set(clients), path
        members = (await house.gateway.list_members(house.room)).members
        assert {one.identity for one in members if one.permission.can_publish} == on_air, path
        for name, client in clients.items():
            speaks = name in on_air
            await house.until(client, lambda one, on=speaks: one.permission.can_publish is on)
    await house.do("host", STREAM + "/end", {})
    for client in clients.values():
        await house.until(client, lambda one: one.disconnected == "ROOM_DELETED")
