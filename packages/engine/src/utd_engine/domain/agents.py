"""Agents: which one should be in a room is state; coming and staying away are facts (rule R51).

LiveKit dispatches once, when a room is made, and tells nobody when no worker was free. So the
engine asks for the agent when it sees the user, and asks again when the agent is gone or never
came, at most `agent_attempts` times in a row.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from utd_engine.domain.orders import AgentAsked, AgentsListed
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import AgentJob, AgentNoted, Fact, RoomState
from utd_engine.domain.turn import Turn
from utd_protocol import events as ev
from utd_protocol.types import AgentStatus, Identity
from utd_protocol.views import AgentView

STAYED: Final = timedelta(seconds=60)
"""An agent that was there for so long has worked: its tries count from the beginning again."""
COMES_WITHIN: Final = timedelta(seconds=10)
"""An agent whose worker is free is there within a second."""


class Ask(NamedTuple):
    """A dispatch to make, after withdrawing the one before."""

    agent_name: str
    metadata: str
    withdraw: str | None


def to_ask(state: RoomState) -> tuple[Ask, ...]:
    """The agents that must be asked for now: wanted, and the user is there."""
    view = state.view
    if not view.agents or not _user_is_here(state):
        return ()
    return tuple(
        Ask(one.agent_name, job.metadata, job.dispatch_id)
        for one in view.agents
        if one.status is AgentStatus.WANTED and (job := state.agents.get(one.agent_name))
    )


def asked(turn: Turn, order: AgentAsked) -> list[Fact]:
    """LiveKit took the dispatch: the agent has `COMES_WITHIN` to appear.

    It may have been seen before its dispatch was noted; then only the dispatch is remembered, to
    be withdrawn when the agent is gone.
    """
    agent = turn.view.agent(order.agent_name)
    if agent is not None and agent.status is AgentStatus.JOINED:
        return [AgentNoted(agent_name=order.agent_name, dispatch_id=order.dispatch_id)]
    if agent is None or agent.status is not AgentStatus.WANTED:
        raise Refused("invalid_state", f"{order.agent_name!r} is not wanted now.", rule="R51")
    dispatched = ev.AgentDispatched(
        at=turn.now, agent_name=order.agent_name, attempt=agent.attempts + 1
    )
    note = AgentNoted(
        agent_name=order.agent_name,
        dispatch_id=order.dispatch_id,
        comes_until=turn.now + COMES_WITHIN,
    )
    return [dispatched, note]


def listed(turn: Turn, order: AgentsListed) -> list[Fact]:
    """What a complete list of participants says about the agents that should be there."""
    facts: list[Fact] = []
    here = _matched(turn.view.agents, order.agents)
    for agent in turn.view.agents:
        identity = here.get(agent.agent_name)
        if identity is not None and agent.status is not AgentStatus.JOINED:
            facts.append(
                ev.AgentJoined(
                    at=turn.now, agent_name=agent.agent_name, identity=Identity(identity)
                )
            )
            facts.append(AgentNoted(agent_name=agent.agent_name))
        elif identity is None and agent.status is AgentStatus.JOINED:
            facts += _lost(turn, agent.agent_name, "left")
    return facts


def overdue(turn: Turn, agent_name: str) -> list[Fact]:
    """The agent did not come in time."""
    return _lost(turn, agent_name, "never came")


def deadlines(state: RoomState) -> Iterator[tuple[datetime, str]]:
    """When each dispatched agent counts as not coming."""
    for agent in state.view.agents:
        job = state.agents.get(agent.agent_name)
        waiting = agent.status is AgentStatus.DISPATCHED and job is not None
        if waiting and job is not None and job.comes_until is not None:
            yield job.comes_until, agent.agent_name


def opened_jobs(opening: ev.RoomOpened) -> dict[str, AgentJob]:
    """What only the engine knows of the agents that a room begins with."""
    return {wish.agent_name: AgentJob(metadata=wish.metadata) for wish in opening.agents}


def _lost(turn: Turn, agent_name: str, reason: str) -> list[Fact]:
    """Ask again, or give up. Tries before it stayed a while do not count (rule R51)."""
    agent = turn.view.agent(agent_name)
    if agent is None:
        return []
    stayed = agent.joined_at is not None and turn.now - agent.joined_at >= STAYED
    attempts = 0 if stayed else agent.attempts
    note = AgentNoted(agent_name=agent_name)
    if attempts >= turn.view.policy.agent_attempts:
        tries = "1 dispatch" if attempts == 1 else f"{attempts} dispatches"
        text = f"{agent_name!r} {reason}, after {tries}"
        return [ev.AgentFailed(at=turn.now, agent_name=agent_name, reason=text), note]
    left = ev.AgentLeft(at=turn.now, agent_name=agent_name, reason=reason, attempts=attempts)
    return [left, note]


def _matched(
    agents: Iterable[AgentView], listed_agents: Iterable[tuple[str, str]]
) -> dict[str, str]:
    """Who is who: an agent that has not told its name yet is the first one that is missing."""
    here = {name: identity for name, identity in listed_agents if name}
    unnamed = [identity for name, identity in listed_agents if not name]
    for agent in agents:
        if unnamed and agent.agent_name not in here:
            here[agent.agent_name] = unnamed.pop(0)
    return here


def _user_is_here(state: RoomState) -> bool:
    known = state.presence.get(state.view.owner)
    return known is not None and known.present
