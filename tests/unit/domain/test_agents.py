"""Rule R51: who should be in an agent's room, and how often they are asked for."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs
from support.rooms import Room, opening, told

from utd_engine.domain.agents import COMES_WITHIN, STAYED, Ask, to_ask
from utd_engine.domain.decide import decide_open
from utd_engine.domain.orders import AgentAsked, AgentsListed
from utd_engine.domain.permissions import desired_permission
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import Fact, apply_all, may_be_here, public_only
from utd_engine.domain.turn import ENGINE
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.policy import PolicyPatch, default_policy, patched
from utd_protocol.types import AgentStatus, RoomType, Source
from utd_protocol.views import AgentView

WAIT_S = COMES_WITHIN.total_seconds()
STAY_S = STAYED.total_seconds()


class AgentRoom(Room):
    """A room of `host` and the agents of these names; the host is there unless told otherwise."""

    def __init__(self, *names: str, here: tuple[str, ...] = ("host",), **policy: Any) -> None:
        super().__init__(room_type=RoomType.AGENT, seats=0, here=(), people=None)
        agents = tuple(ev.AgentWish(agent_name=name, metadata=f"for {name}") for name in names)
        rules = patched(default_policy(RoomType.AGENT), PolicyPatch(**policy))
        first = opening(room_type=RoomType.AGENT, seats=0, policy=rules)
        self.state, facts = decide_open(structs.replace(first, agents=agents))
        self.state = apply_all(self.state, facts)
        for who in here:
            self.sees(who)
        self.counts(len(here))

    def asks(self, dispatch: str = "AD_1", name: str = "echo") -> list[Fact]:
        """LiveKit took a dispatch."""
        return self.give(ENGINE, AgentAsked(agent_name=name, dispatch_id=dispatch))

    def lists(self, *agents: tuple[str, str]) -> list[Fact]:
        """LiveKit tells which agents are there: name and identity."""
        return self.give(ENGINE, AgentsListed(agents=agents))

    def comes(self) -> list[Fact]:
        """The agent is asked for and is there."""
        self.asks()
        return self.lists(("echo", "AJ_1"))

    def agent(self, name: str = "echo") -> AgentView:
        """What everybody sees of one."""
        found = self.state.view.agent(name)
        assert found is not None
        return found


def test_r51_an_agent_is_wanted_once_its_user_is_there() -> None:
    room = AgentRoom("echo", "scribe", here=())
    assert to_ask(room.state) == ()
    room.sees("host")
    assert to_ask(room.state) == (
        Ask("echo", "for echo", None),
        Ask("scribe", "for scribe", None),
    )
    room.loses("host")
    assert to_ask(room.state) == ()


def test_r51_nobody_is_asked_for_without_a_wish() -> None:
    room = AgentRoom()
    assert to_ask(room.state) == ()
    assert room.lists(("echo", "AJ_1")) == []


def test_r51_who_was_asked_for_is_waited_for_and_comes() -> None:
    room = AgentRoom("echo")
    assert told(room.asks()) == ["agent.dispatched"]
    assert (room.agent().status, room.agent().attempts) == (AgentStatus.DISPATCHED, 1)
    assert to_ask(room.state) == ()
    assert room.due_in == WAIT_S
    assert room.lists() == []
    room.now += timedelta(seconds=1)
    assert told(room.lists(("echo", "AJ_1"))) == ["agent.joined"]
    assert room.agent() == AgentView(
        agent_name="echo",
        status=AgentStatus.JOINED,
        attempts=1,
        identity=room.agent().identity,
        joined_at=room.now,
    )
    assert room.agent().identity == "AJ_1"
    assert room.due_in is None
    assert room.lists(("echo", "AJ_1")) == []


def test_r51_who_never_comes_is_asked_for_again_and_given_up_after_three() -> None:
    room = AgentRoom("echo")
    for attempt in (1, 2):
        room.asks(f"AD_{attempt}")
        assert room.later(WAIT_S - 0.1) == []
        [left] = public_only(room.later(0.1))
        assert left == ev.AgentLeft(
            at=room.now, agent_name="echo", reason="never came", attempts=attempt
        )
        assert to_ask(room.state) == (Ask("echo", "for echo", f"AD_{attempt}"),)
    room.asks("AD_3")
    [failed] = public_only(room.later(WAIT_S))
    assert failed == ev.AgentFailed(
        at=room.now, agent_name="echo", reason="'echo' never came, after 3 dispatches"
    )
    assert (room.agent().status, room.agent().reason) == (AgentStatus.FAILED, failed.reason)
    assert to_ask(room.state) == ()
    assert room.due_in is None


def test_r51_who_comes_in_spite_of_all_is_welcome() -> None:
    room = AgentRoom("echo", agent_attempts=1)
    room.asks()
    assert told(room.later(WAIT_S)) == ["agent.failed"]
    assert told(room.lists(("echo", "AJ_1"))) == ["agent.joined"]
    assert room.agent().status is AgentStatus.JOINED


@pytest.mark.parametrize(("stayed_s", "counted"), [(STAY_S - 1, 1), (STAY_S, 0)])
def test_r51_who_is_gone_is_asked_for_again_and_a_good_while_is_forgiven(
    stayed_s: float, counted: int
) -> None:
    room = AgentRoom("echo")
    room.comes()
    room.now += timedelta(seconds=stayed_s)
    [left] = public_only(room.lists())
    assert left == ev.AgentLeft(at=room.now, agent_name="echo", reason="left", attempts=counted)
    assert to_ask(room.state) == (Ask("echo", "for echo", "AD_1"),)


def test_r51_one_that_leaves_at_once_again_and_again_is_given_up() -> None:
    room = AgentRoom("echo")
    for _ in range(2):
        room.comes()
        assert told(room.lists()) == ["agent.left"]
    room.comes()
    assert told(room.lists()) == ["agent.failed"]
    assert room.agent().reason == "'echo' left, after 3 dispatches"


def test_r51_one_that_is_seen_before_its_dispatch_is_noted_is_withdrawn_later() -> None:
    room = AgentRoom("echo")
    room.lists(("echo", "AJ_1"))
    assert told(room.asks("AD_7")) == []
    assert room.agent().status is AgentStatus.JOINED
    room.lists()
    assert to_ask(room.state) == (Ask("echo", "for echo", "AD_7"),)


@pytest.mark.parametrize("name", ["echo", "nobody"])
def test_r51_a_dispatch_too_many_is_refused_so_that_it_is_withdrawn(name: str) -> None:
    room = AgentRoom("echo")
    room.asks()
    with pytest.raises(Refused) as refused:
        room.asks("AD_2", name)
    assert refused.value.code == "invalid_state"


def test_r51_several_agents_are_told_apart() -> None:
    room = AgentRoom("echo", "scribe")
    room.asks("AD_1", "echo")
    room.asks("AD_2", "scribe")
    room.lists(("scribe", "AJ_2"))
    assert [room.agent(name).status for name in ("echo", "scribe")] == [
        AgentStatus.DISPATCHED,
        AgentStatus.JOINED,
    ]
    room.lists(("", "AJ_9"), ("scribe", "AJ_2"))
    assert room.agent("echo").identity == "AJ_9", "who says no name is the one that is missing"
    assert room.lists(("echo", "AJ_9"), ("scribe", "AJ_2"), ("other", "AJ_3")) == []


def test_r51_after_the_end_nothing_is_said_of_agents() -> None:
    room = AgentRoom("echo")
    room.asks()
    room.act("host", c.EndRoom())
    assert room.lists(("echo", "AJ_1")) == []
    assert room.asks("AD_2") == []
    assert room.later(WAIT_S) == []


def test_r51_the_room_is_for_its_user_alone() -> None:
    room = AgentRoom("echo")
    assert may_be_here(room.state, "host")
    assert not may_be_here(room.state, "bob")


@pytest.mark.parametrize("sources", [(Source.MICROPHONE,), (Source.MICROPHONE, Source.CAMERA)])
def test_the_user_publishes_what_the_policy_says(sources: tuple[Source, ...]) -> None:
    wish = desired_permission(AgentRoom("echo", agent_sources=sources).state, "host")
    assert wish.can_publish
    assert set(wish.sources) == set(sources)
    assert wish.can_publish_data


def test_r51_an_unused_room_ends_after_a_minute() -> None:
    room = AgentRoom("echo", here=())
    while room.due_in is not None:
        ended = room.later(room.due_in)
    assert told(ended)[-1] == "room.ended"
    assert room.now - room.state.view.opened_at == timedelta(seconds=60)


def test_r51_a_room_ends_soon_after_its_user() -> None:
    room = AgentRoom("echo")
    room.comes()
    room.loses("host")
    room.counts(0)
    while room.due_in is not None:
        ended = room.later(room.due_in)
    assert told(ended)[-1] == "room.ended"
    assert room.now - room.state.view.opened_at == timedelta(seconds=20)
