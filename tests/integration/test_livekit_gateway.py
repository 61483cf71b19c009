"""The gateway against a LiveKit that misbehaves: what is repeated, what is not, what is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from livekit.protocol.models import ParticipantInfo, Room, TrackSource
from livekit.protocol.room import (
    CreateRoomRequest,
    ListParticipantsResponse,
    ListRoomsResponse,
    UpdateParticipantRequest,
)
from support.livekit_server import LiveKitFactory

from utd_engine.adapters.livekit.gateway import LiveKitGateway
from utd_engine.adapters.livekit.tokens import ApiKey
from utd_engine.domain.permissions import NOTHING, Permission
from utd_engine.ports.media import Join, MediaUnavailable
from utd_engine.system import SystemClock
from utd_protocol.types import Source

KEY = ApiKey("devkey", "a-secret-of-at-least-32-characters!")
LISTENER = Permission(can_subscribe=True)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class StrangeServer:
    """Answers each call with the next of its answers, and the last of them for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, bytes, str]] = []
        self.observed: list[tuple[str, str]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        method = request.path.rpartition("/")[2]
        self.requests.append((method, body, request.headers.get("Authorization", "")))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)

    @property
    def methods(self) -> list[str]:
        return [method for method, _, _ in self.requests]


def ok(message: Any) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=message.SerializeToString(), content_type="application/protobuf")

    return answer


def refuse(status: int, code: str, text: str = "no") -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"code": code, "msg": text}, status=status)

    return answer


def raw(status: int, body: bytes) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body)

    return answer


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def silence(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


UNAVAILABLE = refuse(503, "unavailable")
NOT_FOUND = refuse(404, "not_found")


@pytest.fixture
def server() -> StrangeServer:
    return StrangeServer()


@pytest.fixture
async def gateway(server: StrangeServer) -> AsyncIterator[LiveKitGateway]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    gateway = LiveKitGateway(
        f"ws://127.0.0.1:{runner.addresses[0][1]}/",
        KEY,
        SystemClock(),
        call_within_s=0.3,
        observe=lambda method, code, _: server.observed.append((method, code)),
    )
    yield gateway
    await gateway.aclose()
    await runner.cleanup()


# --- what is sent ---------------------------------------------------------------------------------


async def test_a_room_is_made_with_timeouts_beyond_any_policy(
    server: StrangeServer, gateway: LiveKitGateway
) -> None:
    server.answers = [ok(Room(sid="RM_1"))]
    assert await gateway.ensure_room("r", metadata="m", max_participants=9) == "RM_1"
    ((_, body, _),) = server.requests
    assert CreateRoomRequest.FromString(body) == CreateRoomRequest(
        name="r", empty_timeout=86_400, departure_timeout=3_600, metadata="m", max_participants=9
    )


async def test_a_permission_is_sent_whole_and_in_livekits_order(
    server: StrangeServer, gateway: LiveKitGateway
) -> None:
    server.answers = [ok(ParticipantInfo())]
    sources = (Source.SCREEN_SHARE, Source.MICROPHONE, Source.CAMERA)
    await gateway.push_member("r", "ana", Permission(can_publish=True, sources=sources))
    await gateway.push_member("r", "ana", Permission(can_publish=False, sources=sources))
    first, second = (UpdateParticipantRequest.FromString(body) for _, body, _ in server.requests)
    assert list(first.permission.can_publish_sources) == [
        TrackSource.CAMERA,
        TrackSource.MICROPHONE,
        TrackSource.SCREEN_SHARE,
    ]
    assert (second.permission.can_publish, list(second.permission.can_publish_sources)) == (
        False,
        [],
    )
    assert second.HasField("permission")


async def test_a_token_is_used_again_for_its_room_only(
    server: StrangeServer, gateway: LiveKitGateway
) -> None:
    server.answers = [ok(ParticipantInfo())]
    for room in ("a", "a", "b"):
        await gateway.push_member(room, "ana", NOTHING)
    first, again, other = (token for _, _, token in server.requests)
    assert first == again != other
    assert first.startswith("Bearer eyJ")


# --- what is understood ---------------------------------------------------------------------------


async def test_a_publisher_without_sources_is_seen_as_allowed_all(
    server: StrangeServer, gateway: LiveKitGateway
) -> None:
    who = ParticipantInfo(identity="ana", state=ParticipantInfo.State.JOINED, joined_at=7)
    who.permission.can_publish = True
    gone = ParticipantInfo(identity="bob", state=ParticipantInfo.State.DISCONNECTED)
    server.answers = [
        ok(ListParticipantsResponse(participants=[who, gone])),
        ok(ListRoomsResponse(rooms=[Room(sid="RM_1")])),
    ]
    incarnation = await gateway.list_members("r")
    (ana,) = incarnation.members
    assert incarnation.sid == "RM_1"
    assert (ana.identity, ana.active, ana.joined_at.timestamp()) == ("ana", False, 7)
    assert ana.permission.sources == tuple(sorted(Source))


async def test_what_is_missing_is_told_without_an_error(
    server: StrangeServer, gateway: LiveKitGateway
) -> None:
    server.answers = [NOT_FOUND]
    assert not await gateway.push_member("r", "ana", NOTHING)
    assert not await gateway.remove_member("r", "ana")
    assert not await gateway.publish_events("r", "{}")
    await gateway.remove_room("r")
    assert len(server.requests) == 4


# --- what fails -----------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [UNAVAILABLE, cut])
async def test_a_refused_or_cut_call_is_made_once_more(
    server: StrangeServer, gateway: LiveKitGateway, failure: Answer
) -> None:
    server.answers = [failure, ok(ParticipantInfo())]
    assert await gateway.push_member("r", "ana", NOTHING)
    assert server.methods == ["UpdateParticipant"] * 2
    code = "connection" if failure is cut else "unavailable"
    assert server.observed == [("UpdateParticipant", code), ("UpdateParticipant", "ok")]


@pytest.mark.parametrize(("failure", "code"), [(UNAVAILABLE, "unavailable"), (cut, "connection")])
async def test_a_call_is_made_twice_at_most(
    server: StrangeServer, gateway: LiveKitGateway, failure: Answer, code: str
) -> None:
    server.answers = [failure]
    with pytest.raises(MediaUnavailable) as raised:
        await gateway.publish_events("r", "{}")
    assert raised.value.code == code
    assert len(server.requests) == 2


async def test_a_dispatch_is_never_repeated(server: StrangeServer, gateway: LiveKitGateway) -> None:
    server.answers = [ok(ListRoomsResponse(rooms=[Room(sid="RM_1")])), UNAVAILABLE]
    with pytest.raises(MediaUnavailable):
        await gateway.dispatch_agent("r", "echo", "{}")
    assert server.methods == ["ListRooms", "CreateDispatch"]


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (refuse(401, "unauthenticated"), "unauthenticated"),
        (refuse(400, "invalid_argument"), "invalid_argument"),
        (refuse(500, "internal"), "internal"),
        (raw(502, b"<html>bad gateway"), "unknown"),
        (raw(500, b"[]"), "unknown"),
        (raw(500, b"null"), "unknown"),
        (raw(200, b"\xff\xff"), "malformed"),
    ],
)
async def test_other_failures_are_told_at_once(
    server: StrangeServer, gateway: LiveKitGateway, failure: Answer, code: str
) -> None:
    server.answers = [failure]
    with pytest.raises(MediaUnavailable) as raised:
        await gateway.ensure_room("r")
    assert raised.value.code == code
    assert server.methods == ["CreateRoom"]


async def test_a_silent_server_ends_at_the_deadline(
    server: StrangeServer, gateway: LiveKitGateway
) -> None:
    server.answers = [silence]
    with pytest.raises(MediaUnavailable, match=r"did not answer UpdateParticipant within 0\.3 s"):
        await gateway.push_member("r", "ana", NOTHING)
    assert server.methods == ["UpdateParticipant"]
    assert server.observed == [("UpdateParticipant", "timeout")]
    assert not await gateway.healthy()


async def test_no_error_repeats_a_token(server: StrangeServer, gateway: LiveKitGateway) -> None:
    token = gateway.mint_token(
        Join(room="r", identity="ana", permission=LISTENER), now=SystemClock().now(), ttl_s=60
    )
    server.answers = [refuse(401, "unauthenticated", f"invalid token: {token}")]
    with pytest.raises(MediaUnavailable) as raised:
        await gateway.ensure_room("r")
    assert "[token]" in str(raised.value)
    assert token.partition(".")[0] not in str(raised.value)


@pytest.mark.parametrize("status", [200, 406, 503])
async def test_health_is_the_status_of_the_root(
    server: StrangeServer, gateway: LiveKitGateway, status: int
) -> None:
    server.answers = [raw(status, b"OK")]
    assert await gateway.healthy() is (status == 200)


# --- the real one ---------------------------------------------------------------------------------


@pytest.mark.e2e
async def test_a_server_that_dies_and_comes_back(livekit_factory: LiveKitFactory) -> None:
    server = await livekit_factory()
    gateway = LiveKitGateway(server.url, ApiKey(server.key, server.secret), SystemClock())
    first = await gateway.ensure_room("r")
    server.kill()
    assert not await gateway.healthy()
    with pytest.raises(MediaUnavailable) as raised:
        await gateway.list_members("r")
    assert raised.value.code == "connection"
    await server.launch()
    assert await gateway.healthy()
    assert (await gateway.list_members("r")).sid is None
    assert await gateway.ensure_room("r") != first
    await gateway.aclose()


@pytest.mark.e2e
async def test_a_wrong_secret_is_told_as_such(livekit_factory: LiveKitFactory) -> None:
    server = await livekit_factory()
    gateway = LiveKitGateway(server.url, ApiKey(server.key, "x" * 32), SystemClock())
    with pytest.raises(MediaUnavailable, match="status 401"):
        await gateway.ensure_room("r")
    await gateway.aclose()
