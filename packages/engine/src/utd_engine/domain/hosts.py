"""The host: exactly one, or none after the policy `host_gone` said so (rules R2, R4 and R7a)."""

from utd_engine.domain.refusal import Refused
from utd_engine.domain.seats import drop_pending
from utd_engine.domain.state import Fact
from utd_engine.domain.turn import Turn
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.types import HostGone, Identity, Role, Target


def transfer(turn: Turn, command: c.TransferHost) -> list[Fact]:
    """Hand the room over, explicitly (rule R4)."""
    identity = Identity(command.identity)
    if identity == turn.view.host:
        return []
    if turn.actor.kind == "user" and turn.actor.identity != turn.view.host:
        raise Refused("not_room_host", "Only the host hands the room over.", rule="R4")
    return to(turn, identity)


def to(turn: Turn, identity: Identity) -> list[Fact]:
    """Make somebody host. Who is not there must appear in time, or counts as gone (rule R7a)."""
    change = ev.HostTransferred(at=turn.now, by=turn.by, previous=turn.view.host, host=identity)
    return [change, *turn.watch(identity), *_moot(turn, identity)]


def gone(turn: Turn) -> list[Fact]:
    """The host's absence counts now: the room is told until when it waits (rule R7a)."""
    if turn.view.host is None or turn.view.host_gone_until is not None:
        return []
    until = turn.after(turn.view.policy.host_grace_s)
    return [ev.HostGone(at=turn.now, identity=turn.view.host, until=until)]


def back(turn: Turn, identity: Identity) -> list[Fact]:
    """The host returned before the policy acted."""
    if identity != turn.view.host or turn.view.host_gone_until is None:
        return []
    return [ev.HostBack(at=turn.now, identity=identity)]


def gone_for_good(turn: Turn) -> list[Fact]:
    """What the policy `host_gone` says: a present admin by seniority, an end, or nobody."""
    policy = turn.view.policy.host_gone
    heir = _heir(turn)
    if policy is not HostGone.END and heir is not None:
        change = ev.HostTransferred(at=turn.now, previous=turn.view.host, host=heir)
        return [change, *_moot(turn, heir)]
    if policy is HostGone.TRANSFER:
        return [ev.HostTransferred(at=turn.now, previous=turn.view.host, host=None)]
    return [ev.RoomEnded(at=turn.now, by=turn.by, reason="host_gone")]


def _moot(turn: Turn, host: Identity) -> list[Fact]:
    """A host leads the stage: what they asked for or were offered there is moot (rule R30)."""
    return drop_pending(turn, host, Target.STAGE)


def _heir(turn: Turn) -> Identity | None:
    for member in turn.view.members:
        known = turn.state.presence.get(member.identity)
        if member.role is Role.ADMIN and known is not None and known.present:
            return member.identity
    return None
