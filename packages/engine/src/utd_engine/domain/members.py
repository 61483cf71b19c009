"""Roles, mutes, kicks and bans (rules R4, R41 and R42)."""

from typing import Final

from utd_engine.domain import calls, hosts, seats, stage
from utd_engine.domain.refusal import Refused
from utd_engine.domain.roles import is_above, is_stale, outranks, steps_down
from utd_engine.domain.state import BanLifted, BanSet, Departed, Eviction, Fact
from utd_engine.domain.turn import Turn
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.types import BanScope, Identity, Role, Source

MAX_MEMBERS: Final = 1000


def set_role(turn: Turn, command: c.SetRole) -> list[Fact]:
    """Make somebody admin or audience; alone one may only step down (rule R4)."""
    identity = Identity(command.identity)
    if command.role is Role.HOST:
        raise Refused(
            "invalid_request", "A role cannot be 'host'.", hint="Transfer the host.", field="role"
        )
    if identity == turn.view.host:
        raise Refused(
            "not_allowed", f"{identity!r} is the host.", rule="R4", hint="Transfer the host first."
        )
    if not steps_down(turn, command):
        _refuse_self(turn, identity, hint="Ask the host.")
        outranks(turn, identity)
    if turn.view.role_of(identity) is command.role:
        return []
    _refuse_too_many(turn, identity)
    return [
        ev.MemberRoleChanged(at=turn.now, by=turn.by, identity=identity, role=command.role),
    ]


def kick(turn: Turn, command: c.Kick) -> list[Fact]:
    """Out of the room, everything freed; they may return (rule R42)."""
    identity = Identity(command.identity)
    _refuse_self(turn, identity)
    outranks(turn, identity)
    kicked = ev.MemberKicked(at=turn.now, by=turn.by, identity=identity, reason=command.reason)
    return _out(turn, identity, "kicked", kicked, why=command.reason)


def ban(turn: Turn, command: c.Ban) -> list[Fact]:
    """A kick, and a refusal at every door from now on (rules R6 and R42)."""
    identity = Identity(command.identity)
    _refuse_self(turn, identity)
    outranks(turn, identity)
    if command.scope is BanScope.APP and turn.actor.kind == "user":
        raise Refused(
            "not_allowed",
            "Only the app's backend bans from the whole app.",
            rule="R42",
            hint="Ban from this room, or let the backend do it with the secret key.",
        )
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
    return _out(turn, identity, "kicked", banned, kept, why=command.reason)


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
    _refuse_self(turn, identity)
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
    """Everybody with a place but the excepted, moderators, and who is not below the actor (R41)."""
    facts: list[Fact] = []
    placed = [seat.identity for seat in turn.view.seats if seat.identity is not None]
    for identity in (*placed, *(member.identity for member in turn.view.stage)):
        if identity in command.except_ or not is_above(turn, identity):
            continue
        if turn.view.role_of(identity) is Role.AUDIENCE:
            facts += _muted(turn, identity, command.source)
    return facts


def leave(turn: Turn, command: c.Leave) -> list[Fact]:
    """Go on purpose: everything is freed at once (rule R7)."""
    del command
    identity = turn.person()
    if is_stale(turn):
        return []
    if turn.view.call is not None:
        return calls.party_left(turn, identity)
    return _out(turn, identity, "left")


def _out(turn: Turn, identity: Identity, reason: str, *told: Fact, why: str = "") -> list[Fact]:
    """Everything they have is freed. A host's going comes last, since it may end the room."""
    facts = seats.vacate(turn, identity, reason) + stage.freed(turn, identity, reason)
    facts += seats.drop_pending(turn, identity)
    eviction = Eviction(identity=identity, at=turn.now, kicked=reason == "kicked", reason=why)
    facts += [*told, Departed(identity=identity), eviction]
    return facts + (hosts.gone_for_good(turn) if identity == turn.view.host else [])


def _muted(turn: Turn, identity: Identity, source: Source) -> list[Fact]:
    if source in turn.view.member(identity).muted:
        return []
    _refuse_too_many(turn, identity)
    return [ev.MemberMuted(at=turn.now, by=turn.by, identity=identity, source=source)]


def _refuse_self(turn: Turn, identity: str, hint: str = "Leave the room instead.") -> None:
    if turn.actor.kind == "user" and turn.actor.identity == identity:
        raise Refused("not_allowed", "Nobody moderates themselves.", rule="R4", hint=hint)


def _refuse_too_many(turn: Turn, identity: str) -> None:
    """A room's state stays small, whatever its moderators do."""
    members = turn.view.members
    if len(members) < MAX_MEMBERS or any(one.identity == identity for one in members):
        return
    raise Refused(
        "invalid_state",
        f"The room keeps a role or a mute of {MAX_MEMBERS} people already.",
        rule="R41",
        hint="Lift mutes of people who are gone.",
    )
