"""Time lives in state: what is due when, and what happens then. A restart loses no timer."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from utd_engine.domain import agents, calls, hosts, presence, requests, rooms, seats, stage
from utd_engine.domain.state import Fact, RoomState, apply_all, pending_of
from utd_engine.domain.turn import ENGINE, Turn, hold_s
from utd_protocol.types import Identity
from utd_protocol.types import RoomState as Phase


class Deadline(NamedTuple):
    """One thing that will happen at a moment, unless the state changes before."""

    at: datetime
    act: Callable[[Turn], list[Fact]]


def next_deadline(state: RoomState) -> datetime | None:
    """When the room must be ticked next; None when nothing can happen by itself."""
    return min((deadline.at for deadline in deadlines(state)), default=None)


def tick(turn: Turn) -> list[Fact]:
    """Everything that is due, in order of time; each sees what the one before it did."""
    state, facts = turn.state, list[Fact]()
    while True:
        due = min(
            (one for one in deadlines(state) if one.at <= turn.now),
            key=lambda one: one.at,
            default=None,
        )
        if due is None:
            return facts
        step = due.act(Turn(state=state, actor=ENGINE, now=turn.now, presets=turn.presets))
        state = apply_all(state, step)
        facts += step


def deadlines(state: RoomState) -> Iterator[Deadline]:
    """All that is waiting in a state."""
    if state.view.state is Phase.ENDED:
        return
    yield from _of_people(state)
    yield from _of_places(state)
    yield from _of_room(state)


def _of_people(state: RoomState) -> Iterator[Deadline]:
    hold = timedelta(seconds=hold_s(state.view))
    for who, known in state.presence.items():
        identity = Identity(who)
        if known.present or known.away_at is None:
            continue
        if not known.declared:
            yield Deadline(known.away_at, partial(presence.declare_away, identity=identity))
        elif pending_of(state, identity):
            yield Deadline(known.away_at + hold, partial(presence.give_up, identity=identity))


def _of_places(state: RoomState) -> Iterator[Deadline]:
    for seat in state.view.seats:
        if seat.held_until is not None and seat.identity is not None:
            act = partial(seats.vacate, identity=seat.identity, reason="timeout")
            yield Deadline(seat.held_until, act)
    for member in state.view.stage:
        if member.held_until is not None:
            act = partial(stage.off, member=member, reason="timeout")
            yield Deadline(member.held_until, act)
    for request in (*state.pending.values(), *state.view.invites):
        if request.expires_at is not None:
            yield Deadline(request.expires_at, partial(requests.expire, request=request))


def _of_room(state: RoomState) -> Iterator[Deadline]:
    view = state.view
    if view.call is not None:
        for end in calls.deadlines(state):
            yield Deadline(end.at, partial(calls.expire, deadline=end))
        return
    for at, agent_name in agents.deadlines(state):
        yield Deadline(at, partial(agents.overdue, agent_name=agent_name))
    if view.host_gone_until is not None:
        yield Deadline(view.host_gone_until, hosts.gone_for_good)
    if state.empty_at is not None:
        yield Deadline(state.empty_at, partial(rooms.over, reason="empty"))
    if state.solo_at is not None:
        yield Deadline(state.solo_at, partial(rooms.over, reason="alone"))
    if view.policy.max_duration_s:
        longest = view.opened_at + timedelta(seconds=view.policy.max_duration_s)
        yield Deadline(longest, partial(rooms.over, reason="max_duration"))
