"""Roles, mutes, kicks and bans (rules R4, R41 and R42)."""

from utd_engine.domain import hosts, seats
from utd_engine.domain.refusal import Refused
from utd_engine.domain.roles import is_stale, may, outranks
from utd_engine.domain.state import BanLifted, BanSet, Departed, Eviction, Fact
from utd_engine.domain.turn import Turn
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.types import Identity, Role, Source


def set_role(turn: Turn, command: c.SetRole) -> list[Fact]:
    """Make somebody admin or audience; alone one may only step down (rule R4)."""
    identity = Identity(command.identity)
    if command.role is Role.HOST:
        raise Refused(
            "invalid_request", "A role cannot be 'host'.", hint="Transfer the host.", field="role"
        )
    steps_down = identity == turn.actor.identity and command.role is Role.AUDIENCE
    if turn.actor.kind == "user" and not steps_down:
        _refuse_unless_role_giver(turn, identity)
    if identity == turn.view.host:
        raise Refused(
            "not_allowed", f"{identity!r} is the host.", rule="R4", hint="Transfer the host first."
        )
    if turn.view.role_of(identity) is command.role:
        return []
    return [
        ev.MemberRoleChanged(at=turn.now, by=turn.by, identity=identity, role=command.role),
    ]


def kick(turn: Turn, command: c.Kick) -> list[Fact]:
    """Out of the room, everything freed; they may return (rule R42)."""
    identity = Identity(command.identity)
    _refuse_self(turn, identity)
    outranks(turn, identity)
    kicked = ev.MemberKicked(at=turn.now, by=turn.by, identity=identity, reason=command.reason)
    return _out(turn, identity, "kicked", kicked)


def ban(turn: Turn, command: c.Ban) -> list[Fact]:
    """A kick, and a refusal at every door from now on (rules R6 and R42)."""
    identity = Identity(command.identity)
    _refuse_self(turn, identity)
    outranks(turn, identity)
    if command.until is not None and command.until <= turn.now:
        raise Refused(
            "invalid_request", "'until' lies in the past.", hint="Leave it out.", field="until"
        )
    banned = ev.MemberBanned(
        at=turn.now, by=turn.by, identity=identity, scope=command.scope, until=command.until
    )
    kept = BanSet(
        identity=identity,
        scope=command.scope,
        at=turn.now,
        until=command.until,
        by=turn.by,
        reason=command.reason,
    )
    return _out(turn, identity, "kicked", banned, kept)


def unban(turn: Turn, command: c.Unban) -> list[Fact]:
    """Let somebody come back; nobody banned is fine."""
    identity = Identity(command.identity)
    return [
        ev.MemberUnbanned(at=turn.now, by=turn.by, identity=identity, scope=command.scope),
        BanLifted(identity=identity, scope=command.scope),
    ]


def ask_mute(turn: Turn, command: c.AskMute) -> list[Fact]:
    """A request that is shown to them; nothing is enforced (rule R41)."""
    identity = Identity(command.identity)
    outranks(turn, identity)
    return [ev.MemberMuteAsked(at=turn.now, by=turn.by, identity=identity, source=command.source)]


def hard_mute(turn: Turn, command: c.HardMute) -> list[Fact]:
    """The source leaves the permission until it is lifted (rule R41)."""
    identity = Identity(command.identity)
    _refuse_self(turn, identity)
    outranks(turn, identity)
    return _muted(turn, identity, command.source)


def lift_mute(turn: Turn, command: c.LiftMute) -> list[Fact]:
    """The source may be published again; nothing opens it for them."""
    identity = Identity(command.identity)
    _refuse_self(turn, identity)
    outranks(turn, identity)
    if command.source not in turn.view.member(identity).muted:
        return []
    return [ev.MemberUnmuted(at=turn.now, by=turn.by, identity=identity, source=command.source)]


def mute_all(turn: Turn, command: c.MuteAll) -> list[Fact]:
    """Everybody who may publish, but moderators and the excepted (rule R41)."""
    facts: list[Fact] = []
    for seat in turn.view.seats:
        identity = seat.identity
        if identity is None or identity in command.except_:
            continue
        if turn.view.role_of(identity) is Role.AUDIENCE:
            facts += _muted(turn, identity, command.source)
    return facts


def leave(turn: Turn, command: c.Leave) -> list[Fact]:
    """Go on purpose: everything is freed at once (rule R7)."""
    del command
    identity = turn.actor.identity
    if identity is None or is_stale(turn):
        return []
    return _out(turn, identity, "left")


def _out(turn: Turn, identity: Identity, reason: str, *told: Fact) -> list[Fact]:
    """Everything they have is freed. A host's going comes last, since it may end the room."""
    facts = seats.vacate(turn, identity, reason) + seats.drop_pending(turn, identity)
    facts += [*told, Departed(identity=identity), Eviction(identity=identity, at=turn.now)]
    return facts + (hosts.gone_for_good(turn) if identity == turn.view.host else [])


def _muted(turn: Turn, identity: Identity, source: Source) -> list[Fact]:
    if source in turn.view.member(identity).muted:
        return []
    return [ev.MemberMuted(at=turn.now, by=turn.by, identity=identity, source=source)]


def _refuse_self(turn: Turn, identity: str) -> None:
    if turn.actor.kind == "user" and turn.actor.identity == identity:
        raise Refused(
            "not_allowed", "Nobody moderates themselves.", rule="R4", hint="Leave the room instead."
        )


def _refuse_unless_role_giver(turn: Turn, identity: str) -> None:
    if identity == turn.actor.identity:
        raise Refused(
            "not_allowed", "Nobody changes their own role.", rule="R4", hint="Ask the host."
        )
    if not may(turn.view, turn.actor, "members.role"):
        raise Refused(
            "not_room_host", "Only the host makes admins.", rule="R3", capability="members.role"
        )
    outranks(turn, identity)
