"""Agent rooms in the engine: the token endpoint, and agents asked for until they come (R51)."""

from typing import Any

import jwt
import pytest
from support.faulty_store import FaultyStore
from support.forged import identity_token

from utd_engine.adapters.memory.media import MEMORY_KEY
from utd_engine.adapters.memory.media_rooms import JoinRefused, MemoryParticipant, MemoryRoom
from utd_engine.domain.permissions import Permission
from utd_engine.ports.media import Join
from utd_engine.ports.rooms import Key
from utd_engine.ports.store import StoreUnavailable
from utd_engine.testing import Answer, EngineUnderTest
from utd_protocol.types import AgentStatus, RoomState, RoomType, Source
from utd_protocol.views import AgentView, RoomView

PATH = "/api/v1/agents/token"
ECHO: dict[str, Any] = {"room_config": {"agents": [{"agent_name": "echo", "metadata": "m"}]}}
ANN = ECHO | {"participant_identity": "ann"}
NEVER_COMES_S = 10.1


class AgentWorld:
    """An engine whose agents come only when a test lets them."""

    def __init__(self, engine: EngineUnderTest) -> None:
        self.engine = engine

    async def ask(self, body: object = ANN, **more: Any) -> Answer:
        """One request for a token."""
        answer = await self.engine.call("POST", PATH, body, app_key=not more, **more)
        await self.engine.clock.settle()
        return answer

    async def token(self, body: object = ANN, **more: Any) -> str:
        """The token of an answer that must be one."""
        answer = await self.ask(body, **more)
        assert answer.status == 200, answer.body
        assert set(answer.json()) == {"server_url", "participant_token"}
        token: str = answer.json()["participant_token"]
        return token

    async def enters(self, token: str) -> MemoryParticipant:
        """Come into LiveKit; the engine has heard of it afterwards."""
        person = await self.engine.sfu.join(token)
        await self.engine.clock.advance(0.2)
        return person

    async def comes(self, room: MemoryRoom, name: str = "echo") -> MemoryParticipant:
        """A worker's job joins, as LiveKit lets it: with a token of LiveKit's own."""
        sfu = self.engine.sfu
        join = Join(
            room=room.name,
            identity=f"agent-{name}-{sfu.calls['dispatch_agent']}",
            kind="agent",
            permission=Permission(
                can_publish=True,
                sources=(Source.MICROPHONE,),
                can_subscribe=True,
                can_publish_data=True,
            ),
            attributes={"lk.agent.name": name},
        )
        now = self.engine.clock.now()
        return await self.enters(sfu.mint_token(join, now=now, ttl_s=60))

    async def view(self, name: str) -> RoomView:
        """A room by LiveKit's name for it."""
        key = Key(self.engine.app_id, "room", name.rpartition(".")[2])
        return (await self.engine.room(key)).state.view

    async def agent(self, room: MemoryRoom) -> AgentView:
        """The one agent of a room."""
        [agent] = (await self.view(room.name)).agents
        return agent

    async def room(self, token: str) -> MemoryRoom:
        """The room that a token is for."""
        return self.engine.sfu.rooms[claims(token)["video"]["room"]]

    async def started(self) -> tuple[MemoryParticipant, MemoryRoom]:
        """Ann is in a room of hers, and echo has been asked for."""
        token = await self.token()
        return await self.enters(token), await self.room(token)


def claims(token: str) -> dict[str, Any]:
    read: dict[str, Any] = jwt.decode(
        token, MEMORY_KEY.secret, algorithms=["HS256"],
        options={"verify_exp": False, "verify_nbf": False},
    )  # fmt: skip
    return read


@pytest.fixture
async def world() -> Any:
    async with EngineUnderTest.start() as engine:
        yield AgentWorld(engine)


def dispatched(room: MemoryRoom) -> list[tuple[str, str]]:
    return [(one.agent_name, one.metadata) for one in room.dispatches.values()]


# --- the endpoint ---------------------------------------------------------------------------------


async def test_a_token_says_who_comes_and_which_agent_will(world: AgentWorld) -> None:
    body = ANN | {
        "participant_name": "Ann",
        "participant_metadata": "about ann",
        "participant_attributes": {"lang": "en"},
    }
    read = claims(await world.token(body))
    assert (read["sub"], read["name"], read["metadata"]) == ("ann", "Ann", "about ann")
    assert read["attributes"]["lang"] == "en"
    assert read["roomConfig"] == {"agents": [{"agentName": "echo", "metadata": "m"}]}
    assert read["video"]["canPublishSources"] == ["microphone"]
    assert read["video"].get("agent") in {None, False}


async def test_every_call_opens_a_new_room(world: AgentWorld) -> None:
    rooms = {claims(await world.token())["video"]["room"] for _ in range(3)}
    assert len(rooms) == 3


async def test_an_answer_is_never_cached(world: AgentWorld) -> None:
    assert (await world.ask()).headers["cache-control"] == "no-store"


async def test_without_a_name_the_user_is_given_one(world: AgentWorld) -> None:
    first, second = claims(await world.token({})), claims(await world.token({}))
    assert first["sub"] != second["sub"]
    assert first["sub"].startswith("user_")
    assert "roomConfig" not in first


async def test_a_live_room_of_ones_own_may_be_named(world: AgentWorld) -> None:
    named = ANN | {"room_name": "talk"}
    first = await world.token(named)
    await world.enters(first)
    again = claims(await world.token(named))
    assert again["video"]["room"] == claims(first)["video"]["room"]


async def test_the_room_of_another_is_refused(world: AgentWorld) -> None:
    await world.token(ANN | {"room_name": "talk"})
    answer = await world.ask(ECHO | {"participant_identity": "bob", "room_name": "talk"})
    assert (answer.status, answer.code) == (403, "not_allowed")
    assert answer.json()["rule"] == "R51"


async def test_nobody_else_can_be_there(world: AgentWorld) -> None:
    _, room = await world.started()
    name = (await world.view(room.name)).name
    body = {"type": RoomType.AGENT, "room_name": name, "identity": "bob", "role": "audience"}
    answer = await world.engine.call("POST", "/api/v1/token", body, app_key=True)
    assert answer.status in {400, 403}, answer.body


async def test_unknown_fields_are_ignored_and_never_used(world: AgentWorld) -> None:
    config = ECHO["room_config"] | {"name": "mine", "egress": {"room": {}}, "max_participants": 9}
    read = claims(await world.token(ANN | {"room_config": config, "from_the_future": [1]}))
    assert set(read["roomConfig"]) == {"agents"}
    assert read["video"]["room"] != "mine"


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"participant_identity": 7}', b'"x"'])
async def test_what_is_no_request_is_refused(world: AgentWorld, body: bytes) -> None:
    answer = await world.ask(body)
    assert (answer.status, answer.code) == (400, "invalid_request")


async def test_who_is_banned_from_the_app_gets_no_agent(world: AgentWorld) -> None:
    host = await world.engine.join("host", role="host")
    await world.engine.call(
        "PUT", host.path("/bans/ann"), {"scope": "app"}, bearer="secret"
    )  # fmt: skip
    answer = await world.ask()
    assert (answer.status, answer.code) == (403, "banned")


# --- who asks -------------------------------------------------------------------------------------


async def test_a_user_bearer_says_who_asks(world: AgentWorld) -> None:
    ann = await world.engine.join("ann", role="host")
    assert claims(await world.token(ECHO, bearer=ann.user_token))["sub"] == "ann"
    other = await world.ask(ECHO | {"participant_identity": "bob"}, bearer=ann.user_token)
    assert (other.status, other.code) == (403, "not_allowed")


async def test_the_backend_is_believed(world: AgentWorld) -> None:
    assert claims(await world.token(ANN, bearer="secret"))["sub"] == "ann"


async def test_an_identity_token_beside_the_key_says_who_asks(world: AgentWorld) -> None:
    engine = world.engine
    headers = {"x-app-id": engine.app_id, "x-app-key": engine.app_key,
               "authorization": f"Bearer {identity_token(engine, 'ann')}"}  # fmt: skip
    assert claims(await world.token(ECHO, headers=headers))["sub"] == "ann"
    other = await world.ask(ECHO | {"participant_identity": "bob"}, headers=headers)
    assert (other.status, other.code) == (401, "token_invalid")


async def test_in_production_the_key_alone_proves_nobody() -> None:
    async with EngineUnderTest.start(mode="production") as engine:
        world = AgentWorld(engine)
        answer = await world.ask()
        assert (answer.status, answer.code) == (403, "app_key_only")
        headers = {"x-app-id": engine.app_id, "x-app-key": engine.app_key,
                   "authorization": f"Bearer {identity_token(engine, 'ann')}"}  # fmt: skip
        assert claims(await world.token(ECHO, headers=headers))["sub"] == "ann"


async def test_a_refusal_holds_no_secret(world: AgentWorld) -> None:
    engine = world.engine
    ann = await engine.join("ann", role="host")
    identity = identity_token(engine, "ann")
    keys = {"x-app-id": engine.app_id, "x-app-key": engine.app_key}
    answers = [
        await world.ask(ECHO | {"participant_identity": "bob"}, bearer=ann.user_token),
        await world.ask(ECHO, headers={**keys, "authorization": f"Bearer {identity}x"}),
        await world.ask(ECHO, headers={**keys, "x-app-key": engine.app_key + "x"}),
        await world.ask(b"{", headers={**keys, "authorization": f"Bearer {identity}"}),
        await world.ask({"room_name": [identity]}, bearer="secret"),
    ]
    secrets = (ann.user_token, identity, engine.app_key, engine.secret_key, MEMORY_KEY.secret)
    for answer in answers:
        assert answer.status >= 400
        assert not [secret for secret in secrets if secret in answer.body.decode()]


async def test_a_page_may_send_every_header_that_it_needs(world: AgentWorld) -> None:
    wanted = {"content-type", "authorization", "x-app-id", "x-app-key"}
    answer = await world.engine.call(
        "OPTIONS", PATH,
        headers={
            "origin": "https://page.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": ",".join(sorted(wanted)),
        },
    )  # fmt: skip
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert wanted <= {name.strip() for name in allowed.split(",")}


async def test_livekit_out_of_reach_mints_nothing(world: AgentWorld) -> None:
    world.engine.sfu.faults.unavailable = True
    answer = await world.ask()
    assert (answer.status, answer.code) == (503, "media_unavailable")


# --- who comes ------------------------------------------------------------------------------------


async def test_an_agent_is_asked_for_when_its_user_is_there(world: AgentWorld) -> None:
    token = await world.token()
    room = await world.room(token)
    await world.engine.clock.advance(6)
    assert dispatched(room) == []
    person = await world.enters(token)
    assert person.permission.can_publish
    assert dispatched(room) == [("echo", "m")]
    assert (await world.agent(room)).status is AgentStatus.DISPATCHED


async def test_an_agent_that_comes_is_not_asked_for_again(world: AgentWorld) -> None:
    _, room = await world.started()
    agent = await world.comes(room)
    told = await world.agent(room)
    assert (told.status, told.identity) == (AgentStatus.JOINED, agent.identity)
    await world.engine.clock.advance(60)
    assert world.engine.sfu.calls["dispatch_agent"] == 1
    assert agent.disconnected == "", "an agent is nobody's stranger"


async def test_an_agent_that_goes_is_asked_for_again_in_place_of_the_old_one(
    world: AgentWorld,
) -> None:
    _, room = await world.started()
    agent = await world.comes(room)
    [first] = room.dispatches
    await world.engine.sfu.leave(agent)
    await world.engine.clock.advance(0.3)
    assert dispatched(room) == [("echo", "m")]
    assert first not in room.dispatches
    await world.comes(room)
    assert (await world.agent(room)).status is AgentStatus.JOINED


async def test_an_agent_that_dies_is_asked_for_again_once_livekit_knows(
    world: AgentWorld,
) -> None:
    _, room = await world.started()
    agent = await world.comes(room)
    await world.engine.sfu.leave(agent, crash=True)
    await world.engine.clock.advance(15)
    assert world.engine.sfu.calls["dispatch_agent"] == 1
    await world.engine.clock.advance(11)
    assert world.engine.sfu.calls["dispatch_agent"] == 2


async def test_an_agent_that_never_comes_fails_after_three_tries(world: AgentWorld) -> None:
    _, room = await world.started()
    for tries in (1, 2, 3):
        assert world.engine.sfu.calls["dispatch_agent"] == tries
        assert len(room.dispatches) == 1, "each takes the place of the one before"
        await world.engine.clock.advance(NEVER_COMES_S)
    agent = await world.agent(room)
    assert agent.status is AgentStatus.FAILED
    assert "never came" in agent.reason
    await world.engine.clock.advance(60)
    assert world.engine.sfu.calls["dispatch_agent"] == 3
    key = Key(world.engine.app_id, "room", (await world.view(room.name)).room_id)
    kinds = [event.type for event in await world.engine.store.events(key, 0, 99)]
    told = [kind for kind in kinds if kind.startswith("agent.")]
    assert told == ["agent.dispatched", "agent.left"] * 2 + ["agent.dispatched", "agent.failed"]


async def test_a_worker_that_starts_late_is_still_reached(world: AgentWorld) -> None:
    _, room = await world.started()
    await world.engine.clock.advance(NEVER_COMES_S)
    await world.comes(room)
    agent = await world.agent(room)
    assert (agent.status, agent.attempts) == (AgentStatus.JOINED, 2)


async def test_what_livekit_could_not_take_is_asked_later(world: AgentWorld) -> None:
    token = await world.token()
    room = await world.room(token)
    sfu = world.engine.sfu
    await sfu.join(token)
    sfu.faults.unavailable = True
    await world.engine.clock.advance(7)
    assert dispatched(room) == []
    sfu.faults.unavailable = False
    await world.engine.clock.advance(6)
    assert dispatched(room) == [("echo", "m")]
    assert (await world.agent(room)).attempts == 1


async def test_a_lost_webhook_costs_one_round_of_the_sweep(world: AgentWorld) -> None:
    token = await world.token()
    room = await world.room(token)
    world.engine.sfu.faults.drop_webhooks = True
    await world.engine.sfu.join(token)
    await world.engine.clock.advance(6)
    assert dispatched(room) == [("echo", "m")]


async def test_a_livekit_that_forgot_everything_is_asked_again(world: AgentWorld) -> None:
    token = await world.token()
    await world.enters(token)
    await world.comes(await world.room(token))
    world.engine.sfu.restart()
    await world.engine.clock.advance(6)
    room = await world.room(token)
    await world.enters(token)
    await world.engine.clock.advance(6)
    assert dispatched(room) == [("echo", "m")]


async def test_a_dispatch_that_could_not_be_noted_is_withdrawn() -> None:
    store = FaultyStore()
    async with EngineUnderTest.start(store=store) as engine:
        world = AgentWorld(engine)
        token = await world.token()
        room = await world.room(token)

        def fail_after_dispatch(method: str) -> None:
            if method == "append" and room.dispatches:
                raise StoreUnavailable("the disk is full")

        store.before = fail_after_dispatch
        await world.enters(token)
        assert engine.sfu.calls["dispatch_agent"] >= 1
        assert dispatched(room) == []
        store.before = lambda _method: None
        await engine.clock.advance(6)
        assert dispatched(room) == [("echo", "m")]
        assert (await world.agent(room)).status is AgentStatus.DISPATCHED


async def test_an_engine_that_starts_anew_neither_forgets_nor_doubles(world: AgentWorld) -> None:
    engine = world.engine
    _, room = await world.started()
    await world.comes(room)
    again = EngineUnderTest.start(store=engine.store, clock=engine.clock, sfu=engine.sfu)
    async with again as second:
        await second.clock.advance(12)
        assert engine.sfu.calls["dispatch_agent"] == 1


# --- the end --------------------------------------------------------------------------------------


async def test_an_unused_room_ends_after_a_minute(world: AgentWorld) -> None:
    token = await world.token()
    name = claims(token)["video"]["room"]
    await world.engine.clock.advance(59)
    assert (await world.view(name)).state is RoomState.OPEN
    await world.engine.clock.advance(7)
    assert (await world.view(name)).state is RoomState.ENDED
    assert name not in world.engine.sfu.rooms
    with pytest.raises(JoinRefused):
        await world.engine.sfu.join(token)


async def test_a_room_ends_with_its_user_and_the_agent_is_sent_away(world: AgentWorld) -> None:
    person, room = await world.started()
    agent = await world.comes(room)
    await world.engine.sfu.leave(person)
    await world.engine.clock.advance(30)
    assert (await world.view(room.name)).state is RoomState.ENDED
    assert agent.disconnected == "ROOM_DELETED"
    assert world.engine.sfu.calls["dispatch_agent"] == 1
