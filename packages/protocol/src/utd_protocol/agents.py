"""Folds events of agent rooms over a view."""

from msgspec import structs

from utd_protocol import events as ev
from utd_protocol.types import AgentStatus
from utd_protocol.views import AgentView, RoomView


def opened_agents(event: ev.RoomOpened) -> tuple[AgentView, ...]:
    """The agents that were asked for when the room was opened."""
    return tuple(AgentView(agent_name=wish.agent_name) for wish in event.agents)


def apply_agent(view: RoomView, event: ev.RoomEvent | ev.UnknownEvent) -> RoomView | None:
    """The view after an event about an agent; None for any other."""
    match event:
        case ev.AgentDispatched(agent_name=name, attempt=attempt):
            return _changed(view, name, status=AgentStatus.DISPATCHED, attempts=attempt)
        case ev.AgentJoined(agent_name=name, identity=identity, at=at):
            return _changed(view, name, status=AgentStatus.JOINED, identity=identity, joined_at=at)
        case ev.AgentLeft(agent_name=name, attempts=attempts):
            return _gone(view, name, status=AgentStatus.WANTED, attempts=attempts)
        case ev.AgentFailed(agent_name=name, reason=reason):
            return _gone(view, name, status=AgentStatus.FAILED, reason=reason)
        case _:
            return None


def _gone(view: RoomView, name: str, **changes: object) -> RoomView:
    return _changed(view, name, identity=None, joined_at=None, **changes)


def _changed(view: RoomView, name: str, **changes: object) -> RoomView:
    agents = tuple(
        structs.replace(one, **changes) if one.agent_name == name else one for one in view.agents
    )
    return structs.replace(view, agents=agents)
