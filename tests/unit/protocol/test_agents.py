"""Events of agent rooms over a view, and what LiveKit's clients ask a token endpoint for."""

from datetime import UTC, datetime

import msgspec
import pytest

from utd_protocol import events as ev
from utd_protocol.answers import AgentTokenRequest
from utd_protocol.apply import apply, open_view
from utd_protocol.policy import default_policy
from utd_protocol.types import AgentStatus, Identity, RoomId, RoomName, RoomState, RoomType
from utd_protocol.views import AgentView, RoomView

AT = datetime(2026, 1, 1, tzinfo=UTC)
ANN = Identity("ann")


def view(*names: str) -> RoomView:
    return open_view(
        ev.RoomOpened(
            seq=1,
            at=AT,
            room_id=RoomId("rm_1"),
            room_type=RoomType.AGENT,
            name=RoomName("agent_1"),
            owner=ANN,
            host=ANN,
            state=RoomState.OPEN,
            policy=default_policy(RoomType.AGENT),
            agents=tuple(ev.AgentWish(agent_name=name, metadata="m") for name in names),
        )
    )


def request(text: str) -> AgentTokenRequest:
    return msgspec.json.decode(text, type=AgentTokenRequest)


def test_a_room_begins_with_the_agents_that_are_wanted() -> None:
    assert view().agents == ()
    assert view("echo", "scribe").agents == (
        AgentView(agent_name="echo"),
        AgentView(agent_name="scribe"),
    )


def test_an_agent_is_asked_for_and_comes() -> None:
    room = apply(view("echo"), ev.AgentDispatched(seq=2, at=AT, agent_name="echo", attempt=1))
    assert room.agent("echo") == AgentView(
        agent_name="echo", status=AgentStatus.DISPATCHED, attempts=1
    )
    room = apply(room, ev.AgentJoined(seq=3, at=AT, agent_name="echo", identity=Identity("AJ")))
    assert room.agent("echo") == AgentView(
        agent_name="echo",
        status=AgentStatus.JOINED,
        attempts=1,
        identity=Identity("AJ"),
        joined_at=AT,
    )


@pytest.mark.parametrize(
    ("event", "after"),
    [
        (
            ev.AgentLeft(seq=4, at=AT, agent_name="echo", reason="left", attempts=2),
            AgentView(agent_name="echo", attempts=2),
        ),
        (
            ev.AgentFailed(seq=4, at=AT, agent_name="echo", reason="never came"),
            AgentView(
                agent_name="echo", status=AgentStatus.FAILED, attempts=1, reason="never came"
            ),
        ),
    ],
)
def test_who_is_gone_has_neither_name_nor_time_there(event: ev.RoomEvent, after: AgentView) -> None:
    room = apply(view("echo"), ev.AgentDispatched(seq=2, at=AT, agent_name="echo", attempt=1))
    room = apply(room, ev.AgentJoined(seq=3, at=AT, agent_name="echo", identity=Identity("AJ")))
    assert apply(room, event).agent("echo") == after


def test_events_are_about_one_agent_and_of_strangers_nothing_is_known() -> None:
    room = view("echo", "scribe")
    one = apply(room, ev.AgentDispatched(seq=2, at=AT, agent_name="scribe", attempt=1))
    assert one.agent("echo") == room.agent("echo")
    stranger = ev.AgentDispatched(seq=2, at=AT, agent_name="nobody", attempt=1)
    assert apply(room, stranger).agents == room.agents
    assert room.agent("nobody") is None


@pytest.mark.parametrize("text", ["{}", '{"room_config":{}}', '{"room_config":{"agents":[{}]}}'])
def test_a_request_may_want_no_agent(text: str) -> None:
    assert request(text).agents == ()


def test_a_request_is_read_as_the_clients_write_it_and_more_is_ignored() -> None:
    read = request(
        """{"room_name": "r", "participant_name": "Ann", "participant_identity": "ann",
            "participant_metadata": "{}", "participant_attributes": {"a": "b"}, "future": 1,
            "room_config": {"egress": {"room": {}}, "max_participants": 3, "agents": [
                {"agent_name": "echo", "metadata": "m", "deployment": "blue", "future": []}]}}"""
    )
    assert (read.room_name, read.participant_identity, read.participant_name) == (
        "r", "ann", "Ann"
    )  # fmt: skip
    assert read.participant_attributes == {"a": "b"}
    assert [(one.agent_name, one.metadata) for one in read.agents] == [("echo", "m")]


def test_an_agent_is_asked_for_once_and_the_last_word_counts() -> None:
    agents = '[{"agent_name":"a","metadata":"1"},{"agent_name":"b"},{"agent_name":"a"}]'
    read = request(f'{{"room_config":{{"agents":{agents}}}}}')
    assert [(one.agent_name, one.metadata) for one in read.agents] == [("a", ""), ("b", "")]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"room_name": "a\\u0000b"}', "room_name"),
        ('{"participant_identity": "\\u0007"}', "participant_identity"),
        ('{"participant_attributes": {"a": 1}}', "participant_attributes"),
        ('{"room_config": []}', "room_config"),
        ('{"room_config": {"agents": {}}}', "room_config.agents"),
        ('{"room_config": {"agents": [{"agent_name": 7}]}}', "agents[0].agent_name"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused_by_the_field(text: str, path: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        request(text)
    assert path in str(refused.value)
