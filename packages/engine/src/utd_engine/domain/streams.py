"""Live streams: backstage, live, paused, ended (rules R21 to R23)."""

from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import Fact
from utd_engine.domain.turn import Turn
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.types import RoomState as Phase
from utd_protocol.types import Source


def go_live(turn: Turn, command: c.GoLive) -> list[Fact]:
    """Begin, or go on after a pause; already live, only a camera can still be added (rule R22)."""
    camera = _host_camera(turn, wanted=command.with_video)
    if turn.view.state is Phase.LIVE:
        return camera if command.with_video else []
    live = ev.StreamLive(at=turn.now, by=turn.by, with_video=command.with_video)
    return [*camera, live]


def pause(turn: Turn, command: c.PauseStream) -> list[Fact]:
    """Nobody publishes until it is resumed (rule R23)."""
    del command
    if turn.view.state is Phase.PAUSED:
        return []
    _refuse_unless_begun(turn)
    return [ev.StreamPaused(at=turn.now, by=turn.by)]


def resume(turn: Turn, command: c.ResumeStream) -> list[Fact]:
    """Go on as before the pause (rule R23)."""
    del command
    if turn.view.state is Phase.LIVE:
        return []
    _refuse_unless_begun(turn)
    return [ev.StreamResumed(at=turn.now, by=turn.by)]


def schedule(turn: Turn, command: c.ScheduleStream) -> list[Fact]:
    """A time that viewers see; nothing opens by itself (rule R21)."""
    if turn.view.scheduled_at == command.at:
        return []
    return [ev.StreamScheduled(at=turn.now, by=turn.by, scheduled_at=command.at)]


def _host_camera(turn: Turn, *, wanted: bool) -> list[Fact]:
    host = turn.view.stage_member(turn.view.host or "")
    if host is None or (Source.CAMERA in host.sources) is wanted:
        return []
    kept = {source for source in host.sources if source is not Source.CAMERA}
    sources = tuple(sorted(kept | {Source.CAMERA} if wanted else kept))
    return [
        ev.StageSourcesChanged(at=turn.now, by=turn.by, identity=host.identity, sources=sources)
    ]


def _refuse_unless_begun(turn: Turn) -> None:
    if turn.view.state is Phase.BACKSTAGE:
        raise Refused(
            "stream_not_live", "The stream has not begun.", rule="R23", hint="Go live first."
        )
