"""Everything a room remembers: the public view, and what only the engine knows beside it.

Facts move it. Public facts are the events of the room's log; private ones are folded into the
snapshot and never logged. `apply` is total and pure.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from msgspec import Struct, structs

from utd_protocol import events as ev
from utd_protocol.apply import apply as apply_view
from utd_protocol.types import BanScope, Identity, Role, RoomType
from utd_protocol.views import Request, RoomView

HANDLED_KEPT: Final = 100
EVICTION_KEPT: Final = timedelta(minutes=61)
"""A little longer than a user token lives: no token from before a kick outlives its memory."""
EVICTED_KEPT: Final = 500
"""However many leave within that time, the state stays small; the latest are remembered."""


class Presence(Struct, frozen=True, kw_only=True):
    """What is known of the whereabouts of somebody with a place or a role."""

    sid: str | None = None
    """LiveKit's id of this very participation."""
    joined_at: datetime | None = None
    present: bool = False
    away_at: datetime | None = None
    """When an absence counts (not present only)."""
    awaited: bool = False
    """Never seen yet: the clock runs from the moment the place was given."""
    declared: bool = False
    """The absence has been told to the room."""


class Handled(Struct, frozen=True, kw_only=True):
    """A request or invite that is over: who comes second learns who was first."""

    id: int
    outcome: str
    by: Identity | None


class AgentJob(Struct, frozen=True, kw_only=True):
    """What only the engine knows of an agent that should be here."""

    metadata: str = ""
    dispatch_id: str | None = None
    comes_until: datetime | None = None
    """When a dispatched agent counts as not coming."""


class Evicted(Struct, frozen=True, kw_only=True):
    """Somebody who left or had to go. Who is there under the name is put out, until readmitted."""

    at: datetime
    count: int = 1
    """Which eviction of the room it was. A token knows the count it was made at, so an older one
    is worth nothing; counting the room's keeps it growing when a person's past is forgotten."""
    readmitted: bool = False
    """They joined again in the meantime, with a new token."""
    kicked: bool = False
    """Put out by somebody, not gone by their own will."""
    reason: str = ""


class RoomState(Struct, frozen=True, kw_only=True):
    """A room, whole."""

    view: RoomView
    pending: dict[int, Request] = {}
    """Requests with everything in them, whatever the policy shows."""
    handled: tuple[Handled, ...] = ()
    next_id: int = 1
    presence: dict[str, Presence] = {}
    evicted: dict[str, Evicted] = {}
    """The latest last."""
    evictions: int = 0
    occupancy: int | None = None
    """People present, as far as it matters: 0, 1 or 2 (= more); None before the first join."""
    empty_at: datetime | None = None
    solo_at: datetime | None = None
    agents: dict[str, AgentJob] = {}
    answered_by: str | None = None
    """The device that won a call."""


class _Private(Struct, frozen=True, kw_only=True, tag_field="type"):
    """A fact for the snapshot alone."""


class Watched(_Private, frozen=True, kw_only=True, tag="watched"):
    """A place was given to somebody not yet seen: they have until `away_at` to appear."""

    identity: Identity
    away_at: datetime


class Seen(_Private, frozen=True, kw_only=True, tag="seen"):
    """LiveKit reports them."""

    identity: Identity
    sid: str
    joined_at: datetime


class Lost(_Private, frozen=True, kw_only=True, tag="lost"):
    """LiveKit no longer reports them; it counts at `away_at`."""

    identity: Identity
    away_at: datetime


class Declared(_Private, frozen=True, kw_only=True, tag="declared"):
    """The absence counts now."""

    identity: Identity


class Departed(_Private, frozen=True, kw_only=True, tag="departed"):
    """Went on purpose, or was put out: nothing is waited for."""

    identity: Identity


class Eviction(_Private, frozen=True, kw_only=True, tag="eviction"):
    """Whoever is there under this identity must go, and their tokens are worth nothing."""

    identity: Identity
    at: datetime
    kicked: bool = False
    reason: str = ""


class Readmitted(_Private, frozen=True, kw_only=True, tag="readmitted"):
    """They were let in again after an eviction."""

    identity: Identity


class RequestFiled(_Private, frozen=True, kw_only=True, tag="request_filed"):
    """All of a request, for moderators."""

    request: Request


class OccupancyNoted(_Private, frozen=True, kw_only=True, tag="occupancy"):
    """How many people are present (0, 1, 2 = more), and the deadlines that follow."""

    count: int | None
    empty_at: datetime | None = None
    solo_at: datetime | None = None


class BanSet(_Private, frozen=True, kw_only=True, tag="ban_set"):
    """A ban to keep. The table of bans outlives the room, so the state holds none."""

    identity: Identity
    scope: BanScope
    at: datetime
    until: datetime | None = None
    by: Identity | None = None
    reason: str = ""


class BanLifted(_Private, frozen=True, kw_only=True, tag="ban_lifted"):
    """A ban to drop."""

    identity: Identity
    scope: BanScope


class DeviceWon(_Private, frozen=True, kw_only=True, tag="device_won"):
    """Which device of the callee has the call."""

    device: str


class AgentNoted(_Private, frozen=True, kw_only=True, tag="agent_noted"):
    """The dispatch of an agent, and until when it must have come."""

    agent_name: str
    dispatch_id: str | None = None
    """None: as before."""
    comes_until: datetime | None = None


PrivateFact: TypeAlias = (
    Watched | Seen | Lost | Declared | Departed | Eviction | Readmitted
    | RequestFiled | OccupancyNoted | BanSet | BanLifted | DeviceWon | AgentNoted
)  # fmt: skip
Fact: TypeAlias = ev.RoomEvent | PrivateFact
_PRIVATE: Final = (
    Watched, Seen, Lost, Declared, Departed, Eviction, Readmitted,
    RequestFiled, OccupancyNoted, BanSet, BanLifted, DeviceWon,
    AgentNoted,
)  # fmt: skip


def is_public(fact: Fact) -> bool:
    """Whether the fact belongs into the room's log."""
    return not isinstance(fact, _PRIVATE)


def public_only(facts: Iterable[Fact]) -> list[ev.RoomEvent]:
    """The events among the facts, in order."""
    return [fact for fact in facts if not isinstance(fact, _PRIVATE)]


def apply(state: RoomState, fact: Fact) -> RoomState:
    """The state after one fact."""
    match fact:
        case Watched() | Seen() | Lost() | Declared() | Departed():
            return _apply_presence(state, fact)
        case Eviction() | Readmitted():
            return _apply_eviction(state, fact)
        case RequestFiled() | OccupancyNoted() | DeviceWon() | AgentNoted():
            return _apply_note(state, fact)
        case BanSet() | BanLifted():
            return state
        case _:
            return _apply_event(state, fact)


def apply_all(state: RoomState, facts: Iterable[Fact]) -> RoomState:
    """The state after several facts, with nobody remembered who has nothing to come back to."""
    for fact in facts:
        state = apply(state, fact)
    keep = watched(state)
    if all(identity in keep for identity in state.presence):
        return state
    presence = {who: known for who, known in state.presence.items() if who in keep}
    return structs.replace(state, presence=presence)


def generation(state: RoomState, identity: str) -> int:
    """The last time this identity left or was put out; a token carries the number of its day."""
    past = state.evicted.get(identity)
    return past.count if past is not None else 0


def is_evicted(state: RoomState, identity: str) -> bool:
    """Whether somebody left or was put out, and has not joined again."""
    past = state.evicted.get(identity)
    return past is not None and not past.readmitted


def watched(state: RoomState) -> frozenset[str]:
    """Everybody whose coming and going matters to the rules."""
    view = state.view
    people = {seat.identity for seat in view.seats if seat.identity is not None}
    people.update(member.identity for member in view.members if member.role is Role.ADMIN)
    people.update(request.identity for request in state.pending.values() if request.identity)
    people.update(invite.identity for invite in view.invites if invite.identity)
    people.update(member.identity for member in view.stage)
    if view.host is not None:
        people.add(view.host)
    return parties(state).union(people)


def parties(state: RoomState) -> frozenset[Identity]:
    """The two people of a call; nobody in any other room."""
    call = state.view.call
    return frozenset() if call is None else frozenset({call.caller, call.callee})


def may_be_here(state: RoomState, identity: str) -> bool:
    """A call is for its parties, an agent's room for its user, every other room for all."""
    view = state.view
    if view.type.is_call:
        return identity in parties(state)
    return view.type is not RoomType.AGENT or identity == view.owner


def is_stranger(state: RoomState, identity: str) -> bool:
    """Whether the room is a call of others."""
    return state.view.call is not None and identity not in parties(state)


def pending_of(state: RoomState, identity: str) -> list[Request]:
    """Pending requests and invites of one person."""
    mine = [request for request in state.pending.values() if request.identity == identity]
    return mine + [invite for invite in state.view.invites if invite.identity == identity]


def _apply_note(
    state: RoomState, fact: RequestFiled | OccupancyNoted | DeviceWon | AgentNoted
) -> RoomState:
    match fact:
        case RequestFiled(request=request):
            return structs.replace(state, pending={**state.pending, request.id: request})
        case OccupancyNoted(count=count, empty_at=empty_at, solo_at=solo_at):
            return structs.replace(state, occupancy=count, empty_at=empty_at, solo_at=solo_at)
        case DeviceWon(device=device):
            return structs.replace(state, answered_by=device)
        case AgentNoted(agent_name=name, dispatch_id=dispatch_id, comes_until=comes_until):
            known = state.agents.get(name, AgentJob())
            job = structs.replace(
                known, dispatch_id=dispatch_id or known.dispatch_id, comes_until=comes_until
            )
            return structs.replace(state, agents={**state.agents, name: job})


def _apply_presence(
    state: RoomState, fact: Watched | Seen | Lost | Declared | Departed
) -> RoomState:
    known = state.presence.get(fact.identity, Presence())
    match fact:
        case Watched(away_at=away_at):
            after = structs.replace(
                known, present=False, away_at=away_at, awaited=True, declared=False
            )
        case Seen(sid=sid, joined_at=joined_at):
            after = Presence(sid=sid, joined_at=joined_at, present=True)
        case Lost(away_at=away_at):
            after = structs.replace(known, present=False, away_at=away_at)
        case Declared():
            after = structs.replace(known, declared=True)
        case Departed():
            rest = {who: one for who, one in state.presence.items() if who != fact.identity}
            return structs.replace(state, presence=rest)
    return structs.replace(state, presence={**state.presence, fact.identity: after})


def _apply_eviction(state: RoomState, fact: Eviction | Readmitted) -> RoomState:
    match fact:
        case Eviction(identity=identity, at=at, kicked=kicked, reason=reason):
            count = state.evictions + 1
            kept = {
                who: past
                for who, past in state.evicted.items()
                if who != identity
                and past.at > at - EVICTION_KEPT
                and past.count > count - EVICTED_KEPT
            }
            again = Evicted(at=at, count=count, kicked=kicked, reason=reason)
            return structs.replace(state, evicted={**kept, identity: again}, evictions=count)
        case Readmitted(identity=identity):
            past = state.evicted.get(identity)
            if past is None:
                return state
            back = structs.replace(past, readmitted=True)
            return structs.replace(state, evicted={**state.evicted, identity: back})


def _apply_event(state: RoomState, event: ev.RoomEvent) -> RoomState:
    state = structs.replace(state, view=apply_view(state.view, event))
    if isinstance(event, ev.RoomEnded):
        return structs.replace(state, pending={})
    if isinstance(event, ev.RequestCreated | ev.InviteCreated):
        return structs.replace(state, next_id=max(state.next_id, event.id + 1))
    if isinstance(event, ev.REQUEST_SETTLED + ev.INVITE_SETTLED):
        pending = {one: kept for one, kept in state.pending.items() if one != event.id}
        outcome = type(event).__name__.removeprefix("Request").removeprefix("Invite").lower()
        past = Handled(id=event.id, outcome=outcome, by=event.by)
        handled = (*state.handled, past)[-HANDLED_KEPT:]
        return structs.replace(state, pending=pending, handled=handled)
    return state
