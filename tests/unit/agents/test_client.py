from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.agent_fakes import ROOM, eventually, jwt
from support.scripted_http import Asked, Said, ScriptedHTTP, answer, refusal, serving

from utd_stream import Banned, ClosedByUs, UTDConnectionState, UTDRoom, UTDStreamClient
from utd_stream.agents import E2EEOptions, SessionError, SessionOptions, TokenSourceError
from utd_stream.testing import FakeLiveKit, Grant


class AgentEngine:
    """An engine's agent endpoint, and the LiveKit that its tokens are for."""

    def __init__(self) -> None:
        self.livekit = FakeLiveKit(admit=lambda _: Grant(room=ROOM, identity="ana"))
        self.said: Said | None = None
        self.http: ScriptedHTTP | None = None

    async def handle(self, asked: Asked) -> Said:
        assert (asked.method, asked.path) == ("POST", "/api/v1/agents/token")
        token = jwt(sub="ana", roomConfig={"agents": [{"agentName": "helper"}]})
        given = {"server_url": self.livekit.url, "participant_token": token}
        return self.said or answer(given, status=201)


@asynccontextmanager
async def engine(
    identity_token: str | None = None,
) -> AsyncIterator[tuple[AgentEngine, UTDStreamClient]]:
    engine = AgentEngine()
    async with serving(engine.handle) as server:
        engine.http = server
        client = UTDStreamClient(
            app_id="app",
            app_key="pk_test",
            base_url=server.url,
            identity_token=identity_token,
            open_link=engine.livekit.open_link,
        )
        async with client:
            yield engine, client


async def test_a_session_of_the_client_asks_the_engine_by_the_standard_contract() -> None:
    async with engine() as (server, client):
        wanted = client.agent_session(
            agent_name="helper", identity="ana", name="Ana", agent_metadata="m"
        )
        async with wanted as session:
            assert session.connection_state is UTDConnectionState.CONNECTED
        assert server.http is not None
        [asked] = server.http.asked
        assert asked.body == {
            "participant_identity": "ana",
            "participant_name": "Ana",
            "room_config": {"agents": [{"agent_name": "helper", "metadata": "m"}]},
        }
        assert asked.headers["X-App-Id"] == "app"
        assert asked.headers["X-App-Key"] == "pk_test"
        assert asked.headers["Content-Type"] == "application/json"
        assert "Authorization" not in asked.headers


async def test_who_the_user_is_goes_along_as_bearer() -> None:
    async with engine("who-i-am") as (server, client):
        async with client.agent_session(agent_name="helper"):
            pass
        assert server.http is not None
        assert server.http.asked[0].headers["Authorization"] == "Bearer who-i-am"


async def test_an_engine_that_refuses_is_a_connection_error() -> None:
    async with engine() as (server, client):
        server.said = refusal("banned")
        session = client.agent_session(agent_name="helper")
        with pytest.raises(SessionError) as refused:
            async with session:
                pass
        assert isinstance(refused.value.cause, Banned)
        assert refused.value.is_banned
        server.said = answer(["no object"])
        broken = client.agent_session()
        await broken.start()
        assert broken.error is not None
        assert isinstance(broken.error.cause, TokenSourceError)


async def test_the_client_ends_its_agent_sessions_and_closes_their_rooms() -> None:
    async with engine() as (server, client):
        session = client.agent_session(agent_name="helper")
        await session.start()
        assert server.livekit.rooms[ROOM].members
    assert session.is_disposed
    assert not server.livekit.rooms[ROOM].members
    with pytest.raises(ClosedByUs):
        await session.room.connect(server.livekit.url, "token")
    with pytest.raises(ClosedByUs, match="make a new UTDStreamClient"):
        client.agent_session()


async def test_options_may_bring_encryption_or_a_room() -> None:
    async with engine() as (server, client):
        encryption = SessionOptions(encryption=E2EEOptions.shared_key("key"))
        async with client.agent_session(options=encryption) as session:
            session.set_encryption_enabled(True)
        async with UTDRoom(open_link=server.livekit.open_link) as room:
            async with client.agent_session(options=SessionOptions(room=room)) as session:
                assert session.room is room
            await eventually(lambda: not room.connected.value)
            await room.connect(server.livekit.url, "a room of one's own stays open")
