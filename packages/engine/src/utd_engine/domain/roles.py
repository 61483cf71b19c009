"""Roles give capabilities; capabilities open commands. Deny by default (rules R3 and R4)."""

from typing import Final

from utd_engine.domain.orders import Order
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import generation
from utd_engine.domain.turn import Actor, Turn
from utd_protocol import commands as c
from utd_protocol.types import Role, RoomType
from utd_protocol.views import RoomView

AUDIENCE: Final = frozenset(
    {"seats.take", "seats.request", "stage.request", "chat.send", "signals.send"}
)
ADMIN: Final = AUDIENCE | {
    "seats.manage", "stage.manage", "members.mute", "members.kick", "members.ban",
    "chat.manage", "kv.write", "requests.read", "audit.read",
}  # fmt: skip
HOST: Final = ADMIN | {"room.end", "room.settings", "members.role", "stream.control"}
_DEFAULTS: Final = {Role.HOST: HOST, Role.ADMIN: ADMIN, Role.AUDIENCE: AUDIENCE}

OWN_ACT: Final = ""
"""Needs no capability: it touches the actor alone."""
SERVER_ONLY: Final = "server"

NEEDS: Final[dict[type[Order], str]] = {
    c.ConfigureSeats: "room.settings",
    c.TakeSeat: "seats.take",
    c.LeaveSeat: OWN_ACT,
    c.MoveSeat: "seats.take",
    c.SwapSeats: "seats.manage",
    c.LockSeats: "seats.manage",
    c.UnlockSeats: "seats.manage",
    c.MuteSeat: "seats.manage",
    c.UnmuteSeat: "seats.manage",
    c.RemoveFromSeat: "seats.manage",
    c.AssignSeat: SERVER_ONLY,
    c.ReserveSeat: "seats.manage",
    c.CreateRequest: "seats.request",
    c.ApproveRequest: "seats.manage",
    c.RejectRequest: "seats.manage",
    c.CancelRequest: OWN_ACT,
    c.CreateInvite: "seats.manage",
    c.AcceptInvite: OWN_ACT,
    c.DeclineInvite: OWN_ACT,
    c.CancelInvite: "seats.manage",
    c.GoLive: "stream.control",
    c.PauseStream: "stream.control",
    c.ResumeStream: "stream.control",
    c.ScheduleStream: "room.settings",
    c.InviteToStage: "stage.manage",
    c.RemoveFromStage: "stage.manage",
    c.LeaveStage: OWN_ACT,
    c.SetStageSources: "stage.manage",
    c.CallRinging: OWN_ACT,
    c.AcceptCall: OWN_ACT,
    c.RejectCall: OWN_ACT,
    c.IgnoreCall: OWN_ACT,
    c.BusyCall: OWN_ACT,
    c.EndCall: OWN_ACT,
    c.Leave: OWN_ACT,
    c.EndRoom: "room.end",
    c.ChangePolicy: "room.settings",
    c.ChangeSettings: "room.settings",
    c.SetRole: "members.role",
    c.TransferHost: "members.role",
    c.Kick: "members.kick",
    c.AskMute: "members.mute",
    c.HardMute: "members.mute",
    c.LiftMute: "members.mute",
    c.MuteAll: "members.mute",
    c.Ban: "members.ban",
    c.Unban: "members.ban",
}
_ON_STAGE: Final = {"seats.request": "stage.request", "seats.manage": "stage.manage"}
PRIVILEGED: Final = frozenset(
    {"seats.manage", "room.settings", "room.end", "members.role", "members.kick", "members.mute",
     "members.ban", "stage.manage", "stream.control", "chat.manage", SERVER_ONLY}
)  # fmt: skip
"""Acts under these are kept in the audit, done or refused (rule R46)."""


def capabilities(view: RoomView, role: Role) -> frozenset[str]:
    """What a role may do in this room. A policy may replace every role's but the host's."""
    replaced = view.policy.capabilities.get(role)
    if replaced is None or role is Role.HOST:
        return _DEFAULTS[role]
    return frozenset(replaced)


def may(view: RoomView, actor: Actor, capability: str) -> bool:
    """Whether the actor has the capability; the app's backend and the engine have all."""
    if actor.kind != "user":
        return True
    return actor.identity is not None and capability in capabilities(
        view, view.role_of(actor.identity)
    )


def authorize(turn: Turn, command: Order) -> None:
    """Let the command through, or say by which rule not.

    Raises:
        Refused: `kicked`, `not_room_host` or `not_allowed`.
    """
    if turn.actor.kind != "user":
        return
    if is_stale(turn):
        if isinstance(command, c.Leave):
            return
        raise Refused(
            "kicked", "You left this room or were put out of it.", rule="R42", hint="Join again."
        )
    needed = needs(turn.view, command)
    if (
        needed == OWN_ACT
        or steps_down(turn, command)
        or (needed != SERVER_ONLY and may(turn.view, turn.actor, needed))
    ):
        return
    _refuse(turn, needed)


def needs(view: RoomView, command: Order) -> str:
    """The capability that a command takes in this room: a live stream has a stage for seats."""
    needed = NEEDS.get(type(command), SERVER_ONLY)
    return _ON_STAGE.get(needed, needed) if view.type is RoomType.LIVE_STREAM else needed


def steps_down(turn: Turn, command: Order) -> bool:
    """Whether somebody gives up their own role, which needs no capability (rule R4)."""
    return (
        isinstance(command, c.SetRole)
        and command.role is Role.AUDIENCE
        and command.identity == turn.actor.identity
    )


def is_stale(turn: Turn) -> bool:
    """Whether the actor's token is from before they left or were put out."""
    known = turn.actor.generation
    return known is not None and known < generation(turn.state, turn.actor.identity or "")


def _refuse(turn: Turn, needed: str) -> None:
    if needed == SERVER_ONLY:
        raise Refused(
            "not_allowed",
            "Only the app's backend may do this.",
            rule="R17",
            hint="Call it with the secret key, or invite instead of assigning.",
        )
    having = [role for role in Role if needed in capabilities(turn.view, role)]
    code = "not_room_host" if having == [Role.HOST] else "not_allowed"
    raise Refused(
        code,
        f"This needs the capability {needed!r}.",
        rule="R3",
        hint=f"Roles that have it here: {', '.join(having) or 'none'}.",
        capability=needed,
    )


def outranks(turn: Turn, identity: str) -> None:
    """Nobody acts on a role equal to or above their own; on oneself one may (rule R4).

    Raises:
        Refused: `not_allowed`.
    """
    if is_above(turn, identity) or turn.actor.identity == identity:
        return
    raise Refused(
        "not_allowed",
        f"{identity!r} is {turn.view.role_of(identity)}: nobody acts on an equal or higher role.",
        rule="R4",
        hint="Ask the host.",
    )


def is_above(turn: Turn, identity: str) -> bool:
    """Whether the actor's role is above theirs; a backend's and the engine's always is."""
    if turn.actor.kind != "user":
        return True
    mine = turn.view.role_of(turn.actor.identity or "")
    return mine.rank > turn.view.role_of(identity).rank
