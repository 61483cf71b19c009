"""The stage: who may publish in a live stream beside its host (rules R24 to R27).

A place on it is a right, not an open camera: devices open only by their owner's own act.
"""

from typing import Final

from utd_engine.domain.refusal import Refused
from utd_engine.domain.roles import outranks
from utd_engine.domain.state import Fact, is_evicted
from utd_engine.domain.turn import Turn
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.types import Identity, Source, StageRole
from utd_protocol.views import StageMember

DEFAULT_SOURCES: Final = (Source.CAMERA, Source.MICROPHONE)


def join(turn: Turn, identity: Identity, sources: tuple[Source, ...]) -> list[Fact]:
    """Give somebody a place; what they have already stays as it is (rule R24)."""
    if turn.view.stage_member(identity) is not None:
        return []
    granted = tuple(sorted(set(sources or DEFAULT_SOURCES)))
    joined = ev.StageJoined(at=turn.now, by=turn.by, identity=identity, sources=granted)
    return [joined, *turn.watch(identity)]


def refuse_absent(turn: Turn, identity: str) -> None:
    """A place on the stage is for who is there (rule R24).

    Raises:
        Refused: `not_in_room`.
    """
    if identity in turn.absent or is_evicted(turn.state, identity):
        raise Refused(
            "not_in_room", f"{identity!r} is not in the room.", rule="R24", hint="They join first."
        )


def remove(turn: Turn, command: c.RemoveFromStage) -> list[Fact]:
    """Back to viewer; who is not on stage stays so (rule R25)."""
    outranks(turn, command.identity)
    return vacate(turn, command.identity, "removed")


def leave(turn: Turn, command: c.LeaveStage) -> list[Fact]:
    """Step down; who is not on stage stays so (rule R25)."""
    del command
    return vacate(turn, turn.person(), "left")


def set_sources(turn: Turn, command: c.SetStageSources) -> list[Fact]:
    """What somebody on stage may publish (rule R24)."""
    identity = Identity(command.identity)
    member = turn.view.stage_member(identity)
    if member is None:
        raise Refused(
            "not_in_room", f"{identity!r} is not on stage.", rule="R24", hint="Invite them first."
        )
    sources = tuple(sorted(set(command.sources)))
    if identity != turn.actor.identity:
        outranks(turn, identity)
    if sources == member.sources:
        return []
    return [ev.StageSourcesChanged(at=turn.now, by=turn.by, identity=identity, sources=sources)]


def vacate(turn: Turn, identity: str, reason: str) -> list[Fact]:
    """Off the stage, for whatever reason; the host cannot be (rule R25)."""
    member = turn.view.stage_member(identity)
    if member is None:
        return []
    if member.role is StageRole.HOST:
        raise Refused(
            "not_allowed",
            "The host stays on the stage.",
            rule="R25",
            hint="Pause or end the stream, or transfer the host.",
        )
    return off(turn, member, reason)


def off(turn: Turn, member: StageMember, reason: str) -> list[Fact]:
    """The fact that somebody's place is gone."""
    return [ev.StageLeft(at=turn.now, by=turn.by, identity=member.identity, reason=reason)]


def freed(turn: Turn, identity: str, reason: str) -> list[Fact]:
    """Somebody is out of the room: a co-host's place is gone, the host's goes with the role."""
    member = turn.view.stage_member(identity)
    if member is None or member.role is StageRole.HOST:
        return []
    return off(turn, member, reason)


def hold(turn: Turn, identity: Identity) -> list[Fact]:
    """A co-host is lost: nobody publishes in their name, and the place waits (rule R27).

    Who never came had the time of a hold already.
    """
    member = turn.view.stage_member(identity)
    if member is None or member.role is StageRole.HOST:
        return []
    if turn.state.presence[identity].awaited:
        return off(turn, member, "timeout")
    until = turn.after(turn.view.policy.stage_hold_s)
    return [ev.StageHeld(at=turn.now, identity=identity, until=until)]


def resume(turn: Turn, identity: Identity) -> list[Fact]:
    """A co-host is back in time."""
    member = turn.view.stage_member(identity)
    if member is None or member.held_until is None:
        return []
    return [ev.StageResumed(at=turn.now, identity=identity)]
