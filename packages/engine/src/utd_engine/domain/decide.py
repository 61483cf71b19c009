"""The one door to the rules: a state and a command in, facts out. Pure: it may be run again."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, get_args

from utd_engine.domain import (
    agents,
    calls,
    deadlines,
    hosts,
    members,
    orders,
    presence,
    requests,
    rooms,
    seats,
    stage,
    streams,
)
from utd_engine.domain.refusal import Refused
from utd_engine.domain.roles import authorize
from utd_engine.domain.state import Fact, RoomState
from utd_engine.domain.turn import Actor, Preset, Turn
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.apply import open_view
from utd_protocol.types import RoomState as Phase
from utd_protocol.types import RoomType

Rule = Callable[[Turn, Any], list[Fact]]
"""Each takes the command type that it is listed under; a test compares table and signatures."""

RULES: Final[dict[type[orders.Order], Rule]] = {
    c.ConfigureSeats: seats.configure,
    c.TakeSeat: seats.take,
    c.LeaveSeat: seats.leave,
    c.MoveSeat: seats.move,
    c.SwapSeats: seats.swap,
    c.LockSeats: seats.lock,
    c.UnlockSeats: seats.unlock,
    c.MuteSeat: seats.mute,
    c.UnmuteSeat: seats.unmute,
    c.RemoveFromSeat: seats.remove,
    c.AssignSeat: seats.assign,
    c.ReserveSeat: seats.reserve,
    c.CreateRequest: requests.create,
    c.ApproveRequest: requests.approve,
    c.RejectRequest: requests.reject,
    c.CancelRequest: requests.cancel,
    c.CreateInvite: requests.invite,
    c.AcceptInvite: requests.accept,
    c.DeclineInvite: requests.decline,
    c.CancelInvite: requests.cancel_invite,
    c.Leave: members.leave,
    c.EndRoom: rooms.end,
    c.ChangePolicy: rooms.change_policy,
    c.ChangeSettings: rooms.change_settings,
    c.SetRole: members.set_role,
    c.TransferHost: hosts.transfer,
    c.Kick: members.kick,
    c.AskMute: members.ask_mute,
    c.HardMute: members.hard_mute,
    c.LiftMute: members.lift_mute,
    c.MuteAll: members.mute_all,
    c.Ban: members.ban,
    c.Unban: members.unban,
    c.GoLive: streams.go_live,
    c.PauseStream: streams.pause,
    c.ResumeStream: streams.resume,
    c.ScheduleStream: streams.schedule,
    c.InviteToStage: requests.invite_to_stage,
    c.RemoveFromStage: stage.remove,
    c.LeaveStage: stage.leave,
    c.SetStageSources: stage.set_sources,
    c.CallRinging: calls.ringing,
    c.AcceptCall: calls.accept,
    c.RejectCall: calls.reject,
    c.IgnoreCall: calls.ignore,
    c.BusyCall: calls.busy,
    c.EndCall: calls.end,
    orders.AgentAsked: agents.asked,
    orders.AgentsListed: agents.listed,
    orders.Join: rooms.join,
    orders.PresenceChanged: presence.changed,
    orders.OccupancyChanged: presence.occupancy,
}
_SEATS_ONLY: Final = frozenset(
    {c.ConfigureSeats, c.TakeSeat, c.LeaveSeat, c.MoveSeat, c.SwapSeats, c.LockSeats, c.UnlockSeats,
     c.MuteSeat, c.UnmuteSeat, c.RemoveFromSeat, c.AssignSeat, c.ReserveSeat}
)  # fmt: skip
_STREAMS_ONLY: Final = frozenset(get_args(c.StreamCommand))
_CALLS_ONLY: Final = frozenset(get_args(c.CallCommand))
_NOT_IN_CALLS: Final = frozenset(
    {*_SEATS_ONLY, *_STREAMS_ONLY, *get_args(c.RequestCommand), *get_args(c.MemberCommand),
     c.EndRoom, c.ChangePolicy}
)  # fmt: skip
_TICK: Final = orders.Tick


def decide(
    state: RoomState,
    actor: Actor,
    command: orders.Order,
    now: datetime,
    presets: Mapping[str, Preset] | None = None,
    *,
    absent: frozenset[str] = frozenset(),
) -> list[Fact]:
    """What becomes true when this actor gives this command now.

    Args:
        state: the room as it is.
        actor: who gives the command.
        command: what they want.
        now: the time at which it happens.
        presets: seat grids that the app has named.
        absent: people named by the command whom LiveKit does not report.

    Returns:
        Facts in order; none when the wish is fulfilled already.

    Raises:
        Refused: the rules say no, and why.
    """
    turn = Turn(state=state, actor=actor, now=now, presets=presets or {}, absent=absent)
    if state.view.state is Phase.ENDED:
        return _after_the_end(turn, command)
    if isinstance(command, _TICK):
        return deadlines.tick(turn)
    authorize(turn, command)
    _refuse_foreign(state.view.type, type(command))
    return RULES[type(command)](turn, command)


def _refuse_foreign(room: RoomType, command: type[orders.Order]) -> None:
    """Seats are for audio rooms, the stage for live streams, ringing for calls."""
    for only, kind, noun in (
        (_SEATS_ONLY, RoomType.AUDIO_ROOM, "seats"),
        (_STREAMS_ONLY, RoomType.LIVE_STREAM, "stage"),
    ):
        if command in only and room is not kind:
            raise Refused("invalid_state", f"A room of type {room} has no {noun}.", rule="R11")
    if (command in _CALLS_ONLY) is not room.is_call and (
        command in _CALLS_ONLY or command in _NOT_IN_CALLS
    ):
        raise Refused("invalid_state", f"A room of type {room} has no such command.", rule="R33")


def decide_open(opening: ev.RoomOpened) -> tuple[RoomState, list[Fact]]:
    """The first state of a room, and the facts it begins with (rule R1).

    Raises:
        Refused: the room cannot begin so (rule R33).
    """
    calls.refuse_opening(opening)
    state = RoomState(view=open_view(opening), agents=agents.opened_jobs(opening))
    actor = Actor(kind="user", identity=opening.owner)
    return state, rooms.opened(Turn(state=state, actor=actor, now=opening.at))


def _after_the_end(turn: Turn, command: orders.Order) -> list[Fact]:
    """Reports about a room that is over change nothing; wishes are refused."""
    if turn.view.call is not None and isinstance(command, c.CallCommand):
        authorize(turn, command)
        return calls.after_the_end(turn, command)
    if isinstance(
        command,
        orders.PresenceChanged
        | orders.OccupancyChanged
        | orders.AgentAsked
        | orders.AgentsListed
        | orders.Tick
        | c.EndRoom
        | c.Leave,
    ):
        return []
    raise Refused(
        "room_ended",
        f"The room has ended ({turn.view.ended_reason}).",
        hint="Join again to open it anew.",
        reason=turn.view.ended_reason,
    )
