import asyncio

import pytest
from support.scripted_engine import scripted
from support.scripted_http import answer, refusal

from utd_protocol.policy import PolicyPatch
from utd_protocol.types import RoomType
from utd_stream._client import UTDStreamClient
from utd_stream._errors import (
    AuthRejected,
    Banned,
    ClosedByUs,
    NotAuthenticated,
    NotFound,
    Unreachable,
)
from utd_stream._models import UTDStreamType
from utd_stream._room.connection import UTDConnectionState


async def test_a_join_connects_and_catches_up() -> None:
    async with scripted() as (engine, client):
        room = await client.join_audio_room(identity="ana", room_name="lobby", as_host=True)

        assert room.connection.value is UTDConnectionState.CONNECTED
        assert room.type is UTDStreamType.AUDIO_ROOM
        assert (room.identity, room.room_name, client.identity) == ("ana", "lobby", "ana")
        assert room.is_host
        assert room.view.value == engine.view
        assert len(engine.asked("GET /events")) == 1
        assert client.sessions == (room,)


async def test_a_join_says_what_the_reference_says() -> None:
    async with scripted() as (engine, client):
        await client.join_audio_room(
            identity="ana",
            room_name="lobby",
            as_host=True,
            name="Ana",
            device_id="phone",
            seat_count=6,
            seat_mode="request",
            policy=PolicyPatch(seat_hold_s=5),
        )

        [asked] = engine.asked("POST /token")
        assert isinstance(asked.body, dict)
        assert {key: value for key, value in asked.body.items() if value} == {
            "type": "audio_room",
            "room_name": "lobby",
            "identity": "ana",
            "role": "host",
            "name": "Ana",
            "device_id": "phone",
            "seat_count": 6,
            "seat_mode": "request",
            "policy": {"seat_hold_s": 5},
        }


async def test_the_device_is_the_same_for_the_life_of_a_client() -> None:
    async with scripted() as (engine, client):
        for _ in range(2):
            room = await client.join_audio_room(identity="bo", room_name="lobby")
            await room.dispose()

        devices = {asked.body["device_id"] for asked in engine.asked("POST /token")}  # type: ignore[index]
        assert len(devices) == 1


async def test_a_session_is_an_async_context_manager() -> None:
    async with scripted() as (engine, client):
        async with await client.join_audio_room(identity="bo", room_name="lobby") as room:
            assert room.ended is None

        assert isinstance(room.ended, ClosedByUs)
        assert engine.livekit.joined is None
        assert client.sessions == ()
        assert len(engine.asked("POST /leave")) == 1


async def test_leaving_the_block_of_the_client_disposes_its_sessions() -> None:
    async with scripted() as (engine, client):
        room = await client.join_audio_room(identity="bo", room_name="lobby")
        await client.__aexit__(None, None, None)

        assert isinstance(room.ended, ClosedByUs)
        assert engine.livekit.joined is None
        assert len(engine.asked("POST /leave")) == 1


async def test_a_second_identity_needs_a_second_client() -> None:
    async with scripted() as (_, client):
        room = await client.join_audio_room(identity="bo", room_name="lobby")
        with pytest.raises(ValueError, match="second UTDStreamClient for 'cem'"):
            await client.join_audio_room(identity="cem", room_name="lobby")
        with pytest.raises(ValueError, match="'bo'"):
            await client.authenticate(identity="cem")
        await room.dispose()

        other = await client.join_audio_room(identity="cem", room_name="lobby")
        assert (other.identity, client.identity) == ("cem", "cem")


async def test_two_joins_at_once_are_of_one_identity() -> None:
    async with scripted() as (_, client):
        done = await asyncio.gather(
            client.join_audio_room(identity="bo", room_name="lobby"),
            client.join_audio_room(identity="cem", room_name="lobby"),
            return_exceptions=True,
        )

        assert sum(isinstance(each, ValueError) for each in done) == 1
        assert len(client.sessions) == 1


async def test_a_closed_client_refuses_everything() -> None:
    async with scripted() as (engine, client):
        room = await client.join_audio_room(identity="bo", room_name="lobby")
        await client.dispose()
        await client.dispose()

        with pytest.raises(ClosedByUs):
            await client.join_audio_room(identity="bo", room_name="lobby")
        with pytest.raises(ClosedByUs):
            await client.authenticate(identity="bo")
        with pytest.raises(ClosedByUs):
            await room.take_seat(0)
        with pytest.raises(ClosedByUs):
            await room.rejoin()
        await room.dispose()
        assert engine.livekit.joined is None


async def test_authenticate_gives_the_user_token() -> None:
    async with scripted() as (engine, client):
        said = {"user_token": "user-1", "ws_url": None, "expires_at": "2026-03-01T13:00:00Z"}
        engine.rules["POST /auth/session"] = lambda _: answer(said)

        assert client.identity is None
        assert await client.authenticate(identity="bo", name="Bo") == "user-1"
        assert client.identity == "bo"


async def test_a_refused_authenticate_changes_nothing() -> None:
    async with scripted() as (engine, client):
        engine.rules["POST /auth/session"] = lambda _: refusal("token_invalid")

        with pytest.raises(AuthRejected):
            await client.authenticate(identity="bo")
        assert client.identity is None


async def test_an_identity_token_is_fetched_for_every_mint() -> None:
    fetched: list[str] = []

    async def fetch() -> str:
        fetched.append(f"signed-{len(fetched)}")
        return fetched[-1]

    async with scripted() as (engine, client):
        client._identity_token = fetch
        room = await client.join_audio_room(identity="bo", room_name="lobby")
        await room.leave()
        await room.rejoin()

        sent = [asked.body["identity_token"] for asked in engine.asked("POST /token")]  # type: ignore[index]
        assert sent == fetched == ["signed-0", "signed-1"]


@pytest.mark.parametrize(("code", "kind"), [("banned", Banned), ("room_not_found", NotFound)])
async def test_a_refused_join_leaves_nothing_behind(code: str, kind: type[Exception]) -> None:
    async with scripted() as (engine, client):
        engine.rules["POST /token"] = lambda _: refusal(code)

        with pytest.raises(kind):
            await client.join_audio_room(identity="bo", room_name="lobby")
        assert client.sessions == ()
        assert client.identity is None


async def test_a_join_that_livekit_fails_leaves_nothing_behind() -> None:
    async with scripted() as (engine, client):
        engine.livekit.failures = [Unreachable("no media")]

        with pytest.raises(Unreachable, match="no media"):
            await client.join_audio_room(identity="bo", room_name="lobby")
        assert client.sessions == ()
        assert engine.livekit.joined is None


async def test_a_cancelled_join_leaves_nothing_behind() -> None:
    async with scripted() as (engine, client):
        blocked = asyncio.Event()
        engine.rules["GET /events"] = lambda _: (blocked.set(), refusal("unavailable"))[1]
        joining = asyncio.create_task(client.join_audio_room(identity="bo", room_name="lobby"))
        async with asyncio.timeout(5):
            await blocked.wait()
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining

        assert client.sessions == ()
        assert engine.livekit.joined is None


async def test_a_log_that_cannot_be_read_fails_the_join() -> None:
    async with scripted(timeout=0.2) as (engine, client):
        engine.rules["GET /events"] = lambda _: refusal("unavailable")

        with pytest.raises(Unreachable, match="cannot be read"):
            await client.join_audio_room(identity="bo", room_name="lobby")
        assert client.sessions == ()


async def test_bad_names_are_refused_before_any_call() -> None:
    async with scripted() as (engine, client):
        for identity, room_name in (("", "lobby"), ("bo", ".."), ("b\n", "lobby")):
            with pytest.raises(ValueError, match=r"identity|room_name"):
                await client.join_audio_room(identity=identity, room_name=room_name)

        assert engine.server is not None
        assert engine.server.asked == []


def test_the_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UTD_BASE_URL", "https://engine.example/")
    client = UTDStreamClient(app_id="app", app_key="pk")

    assert client._http._base == "https://engine.example"


async def test_a_live_stream_is_joined_as_the_reference_says() -> None:
    async with scripted(kind=RoomType.LIVE_STREAM, name="show") as (engine, client):
        room = await client.join_live_stream(
            identity="ana", room_name="show", as_host=True, name="Ana", device_id="phone"
        )

        assert (room.type, room.room_name) == (UTDStreamType.LIVE_STREAM, "show")
        [asked] = engine.asked("POST /token")
        assert isinstance(asked.body, dict)
        assert {key: value for key, value in asked.body.items() if value} == {
            "type": "live_stream",
            "room_name": "show",
            "identity": "ana",
            "role": "host",
            "name": "Ana",
            "device_id": "phone",
        }


async def test_a_join_signs_in_too() -> None:
    async with scripted() as (engine, client):
        with pytest.raises(NotAuthenticated):
            await client.calls()
        await client.join_audio_room(identity="bo", room_name="lobby")
        engine.rules["GET /calls"] = lambda _: answer({"items": [], "next_cursor": None})

        assert (await client.calls()).items == ()
        [asked] = engine.asked("GET /calls")
        assert asked.headers["Authorization"] == "Bearer user-bo-1"
