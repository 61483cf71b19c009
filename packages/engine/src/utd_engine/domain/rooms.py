"""A room's life: opening, joining, settings, end (rules R1, R2, R6 and R8)."""

from utd_engine.domain import calls, hosts, presence
from utd_engine.domain.orders import Join
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import Fact, OccupancyNoted, Readmitted, is_evicted
from utd_engine.domain.turn import Turn
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.policy import patched


def join(turn: Turn, order: Join) -> list[Fact]:
    """Somebody was admitted. A claim gives no role; the owner of a hostless room has it (R2)."""
    if turn.view.call is not None:
        calls.refuse_entry(turn, order)
        return []
    facts: list[Fact] = []
    identity = order.identity
    if is_evicted(turn.state, identity):
        facts.append(Readmitted(identity=identity))
    if turn.view.host is None and identity == turn.view.owner:
        facts += hosts.to(turn, identity)
    return facts


def end(turn: Turn, command: c.EndRoom) -> list[Fact]:
    """Final: all are disconnected and every token is worthless."""
    return [ev.RoomEnded(at=turn.now, by=turn.by, reason=command.reason or "ended")]


def change_policy(turn: Turn, command: c.ChangePolicy) -> list[Fact]:
    """Replace the fields that are named. Running deadlines stay, but a lonely person's begins."""
    view = turn.view
    if command.if_version is not None and command.if_version != view.policy_version:
        raise Refused(
            "version_conflict",
            f"The policy is at version {view.policy_version}.",
            hint="Read it again.",
            version=view.policy_version,
        )
    policy = patched(view.policy, command.policy)
    if policy == view.policy:
        return []
    version = view.policy_version + 1
    facts: list[Fact] = [
        ev.RoomPolicyChanged(at=turn.now, by=turn.by, policy=policy, version=version)
    ]
    if policy.solo_s != view.policy.solo_s and turn.state.occupancy == 1:
        facts.append(presence.noted(turn, 1, policy))
    return facts


def change_settings(turn: Turn, command: c.ChangeSettings) -> list[Fact]:
    """Change the room's own text."""
    if command.metadata == turn.view.metadata:
        return []
    return [ev.RoomSettingsChanged(at=turn.now, by=turn.by, metadata=command.metadata)]


def opened(turn: Turn) -> list[Fact]:
    """What begins with a room: the wait for its host and its first guest. A call rings already."""
    view = turn.view
    if view.call is not None:
        return []
    facts: list[Fact] = [
        OccupancyNoted(count=None, empty_at=turn.after(view.policy.empty_before_first_join_s))
    ]
    if view.host is not None:
        facts += turn.watch(view.host)
    return facts


def over(turn: Turn, reason: str) -> list[Fact]:
    """A deadline of the room itself has passed."""
    return [ev.RoomEnded(at=turn.now, reason=reason)]
