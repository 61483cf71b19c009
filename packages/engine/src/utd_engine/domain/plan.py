"""What must be done so that LiveKit agrees with the state. It compares, it never replays.

Property: when its actions are done, the plan is empty.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple, Protocol, TypeAlias

from utd_engine.domain.orders import PresenceChanged
from utd_engine.domain.permissions import Permission, desired_permission
from utd_engine.domain.state import Presence, RoomState, is_evicted, may_be_here, watched
from utd_protocol.types import Identity


class Push(NamedTuple):
    """Set the complete permission of somebody."""

    identity: str
    permission: Permission


class Remove(NamedTuple):
    """Disconnect somebody."""

    identity: str
    reason: str


Action: TypeAlias = Push | Remove


class Participant(Protocol):
    """What the plan needs to know of somebody whom LiveKit reports."""

    @property
    def identity(self) -> str:
        """Who."""
        ...

    @property
    def sid(self) -> str:
        """This very participation."""
        ...

    @property
    def joined_at(self) -> datetime:
        """Since when, by LiveKit's clock."""
        ...

    @property
    def agent(self) -> bool:
        """An agent: a full permission would take its agent right away."""
        ...

    @property
    def hidden(self) -> bool:
        """Unseen by others; never touched."""
        ...

    @property
    def permission(self) -> Permission:
        """What LiveKit grants now."""
        ...


def plan(
    state: RoomState, observed: Iterable[Participant], banned: Collection[str]
) -> list[Action]:
    """Pushes and removals that make LiveKit agree.

    Args:
        state: the room.
        observed: everybody whom LiveKit reports in the room's present incarnation.
        banned: identities that may not be there.
    """
    actions: list[Action] = []
    for one in observed:
        if one.agent or one.hidden:
            continue
        reason = must_go(state, one, banned)
        if reason is not None:
            actions.append(Remove(one.identity, reason))
            continue
        wish = desired_permission(state, one.identity)
        if one.permission != wish:
            actions.append(Push(one.identity, wish))
    return actions


def must_go(state: RoomState, one: Participant, banned: Collection[str]) -> str | None:
    """Why somebody may not be there; None when they may (rules R6, R33 and R42)."""
    if one.identity in banned:
        return "banned"
    if not may_be_here(state, one.identity):
        return "not_a_party"
    return "evicted" if is_evicted(state, one.identity) else None


def presence_reports(state: RoomState, observed: Iterable[Participant]) -> list[PresenceChanged]:
    """What a complete list of participants says that the state does not know yet (rule R48)."""
    here = {
        one.identity: one
        for one in observed
        if not one.hidden and not is_evicted(state, one.identity)
    }
    reports: list[PresenceChanged] = []
    for who in sorted(watched(state)):
        known = state.presence.get(who, Presence())
        one = here.get(who)
        if one is not None and not (known.present and known.sid == one.sid):
            reports.append(_report(who, one.sid, one.joined_at, present=True))
        if one is None and known.present and known.sid and known.joined_at:
            reports.append(_report(who, known.sid, known.joined_at, present=False))
    return reports


def _report(who: str, sid: str, joined_at: datetime, *, present: bool) -> PresenceChanged:
    return PresenceChanged(
        identity=Identity(who), sid=sid, joined_at=joined_at, present=present, listed=True
    )
