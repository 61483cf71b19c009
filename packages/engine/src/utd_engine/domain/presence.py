"""Who is there: a reducer over LiveKit's reports, and what an absence leads to (R18, R48 to R50).

Reports are keyed by the participant's sid and its time of joining, so late and repeated ones
change nothing; a complete list is believed in any case, so a wrong report lasts until the next
list. A full reconnect looks like leaving and joining within 50 ms, so an absence counts only
after `away_after`.
"""

from utd_engine.domain import calls, hosts, stage
from utd_engine.domain.orders import OccupancyChanged, PresenceChanged
from utd_engine.domain.seats import drop_pending, vacate
from utd_engine.domain.state import (
    Declared,
    Fact,
    Lost,
    OccupancyNoted,
    Presence,
    Seen,
    is_evicted,
    parties,
    watched,
)
from utd_engine.domain.turn import Turn
from utd_protocol import events as ev
from utd_protocol.policy import Policy
from utd_protocol.types import Identity, Role, SeatState
from utd_protocol.views import Seat

MANY = 2
"""Two people or two thousand make no difference to any deadline."""


def changed(turn: Turn, report: PresenceChanged) -> list[Fact]:
    """Fold one report of LiveKit (rule R48)."""
    if report.identity not in watched(turn.state):
        return []
    known = turn.state.presence.get(report.identity, Presence())
    return _arrived(turn, report, known) if report.present else _vanished(turn, report, known)


def declare_away(turn: Turn, identity: Identity) -> list[Fact]:
    """An absence counts now: hold the seat, tell the room, start the host's grace (rule R18)."""
    facts: list[Fact] = [Declared(identity=identity)]
    seat = turn.view.seat_of(identity)
    placed = seat is not None or turn.view.stage_member(identity) is not None
    matters = placed or turn.view.role_of(identity) is not Role.AUDIENCE
    matters = matters or identity in parties(turn.state)
    if matters and not turn.view.member(identity).away:
        facts.append(ev.MemberAway(at=turn.now, identity=identity))
    if seat is not None and seat.state is SeatState.TAKEN:
        facts += _unseated(turn, identity, seat)
    facts += stage.hold(turn, identity)
    return facts + (hosts.gone(turn) if identity == turn.view.host else [])


def _unseated(turn: Turn, identity: Identity, seat: Seat) -> list[Fact]:
    """A seat is held for who was there once; who never came had the time of a hold already."""
    if turn.state.presence[identity].awaited:
        return vacate(turn, identity, "timeout")
    until = turn.after(turn.view.policy.seat_hold_s)
    return [ev.SeatHeld(at=turn.now, index=seat.index, identity=identity, until=until)]


def give_up(turn: Turn, identity: Identity) -> list[Fact]:
    """Somebody stayed away for the time of a hold: what they asked for is moot (rule R30)."""
    return drop_pending(turn, identity)


def occupancy(turn: Turn, report: OccupancyChanged) -> list[Fact]:
    """Start and stop the deadlines of empty and lonely rooms."""
    count = max(0, min(report.count, MANY))
    before = turn.state.occupancy
    if count == before or (count == 0 and before is None):
        return []
    return [noted(turn, count, turn.view.policy)]


def noted(turn: Turn, count: int, policy: Policy) -> OccupancyNoted:
    """The deadlines of a room in which this many people are from now on."""
    empty_at = turn.after(policy.empty_after_last_leave_s) if count == 0 else None
    solo_at = turn.after(policy.solo_s) if count == 1 and policy.solo_s else None
    return OccupancyNoted(count=count, empty_at=empty_at, solo_at=solo_at)


def _arrived(turn: Turn, report: PresenceChanged, known: Presence) -> list[Fact]:
    if not _is_news(report, known) or is_evicted(turn.state, report.identity):
        return []
    identity = report.identity
    facts: list[Fact] = [Seen(identity=identity, sid=report.sid, joined_at=report.joined_at)]
    if turn.view.member(identity).away:
        facts.append(ev.MemberPresent(at=turn.now, identity=identity))
    seat = turn.view.seat_of(identity)
    if seat is not None and seat.state is SeatState.HELD:
        facts.append(ev.SeatResumed(at=turn.now, index=seat.index, identity=identity))
    facts += stage.resume(turn, identity) + calls.arrived(turn, identity)
    return facts + hosts.back(turn, identity)


def _vanished(turn: Turn, report: PresenceChanged, known: Presence) -> list[Fact]:
    if not known.present or known.sid != report.sid:
        return []
    away_at = turn.after(turn.view.policy.away_after_s)
    return [Lost(identity=report.identity, away_at=away_at)]


def _is_news(report: PresenceChanged, known: Presence) -> bool:
    if known.sid != report.sid:
        return report.listed or known.joined_at is None or report.joined_at >= known.joined_at
    return report.listed and not known.present
