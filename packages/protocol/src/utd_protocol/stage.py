"""Folds events of live streams over a view: the stage and the state of the stream."""

from msgspec import structs

from utd_protocol import events as ev
from utd_protocol.types import Identity, RoomState, RoomType, Source, StageRole
from utd_protocol.views import RoomView, StageMember

DEFAULT_SOURCES = (Source.CAMERA, Source.MICROPHONE)


def opened_stage(event: ev.RoomOpened) -> tuple[StageMember, ...]:
    """The host stands on the stage of a live stream from its first moment."""
    if event.room_type is not RoomType.LIVE_STREAM or event.host is None:
        return ()
    return (StageMember(identity=event.host, role=StageRole.HOST),)


def apply_stream(view: RoomView, event: ev.RoomEvent | ev.UnknownEvent) -> RoomView | None:
    """The view after an event of the stream itself; None for any other."""
    match event:
        case ev.StreamScheduled(scheduled_at=at):
            return structs.replace(view, scheduled_at=at)
        case ev.StreamLive() | ev.StreamResumed():
            return structs.replace(view, state=RoomState.LIVE)
        case ev.StreamPaused():
            return structs.replace(view, state=RoomState.PAUSED)
        case _:
            return None


def apply_stage(view: RoomView, event: ev.RoomEvent | ev.UnknownEvent) -> RoomView | None:
    """The view after an event of the stage; None for any other."""
    match event:
        case ev.StageJoined(identity=identity, sources=sources):
            return _with(view, StageMember(identity=identity, sources=sources))
        case ev.StageLeft(identity=identity):
            return _without(view, identity)
        case ev.StageHeld(identity=identity, until=until):
            return _change(view, identity, held_until=until)
        case ev.StageResumed(identity=identity):
            return _change(view, identity, held_until=None)
        case ev.StageSourcesChanged(identity=identity, sources=sources):
            return _change(view, identity, sources=sources)
        case _:
            return None


def hand_over(view: RoomView, host: Identity | None) -> RoomView:
    """The stage after the host role moved: the new host leads it, the old one is off it."""
    if view.type is not RoomType.LIVE_STREAM:
        return view
    rest = tuple(
        one for one in view.stage if one.role is not StageRole.HOST and one.identity != host
    )
    if host is None:
        return structs.replace(view, stage=rest)
    kept = view.stage_member(host) or StageMember(identity=host)
    leader = structs.replace(kept, role=StageRole.HOST, held_until=None)
    return structs.replace(view, stage=(leader, *rest))


def _with(view: RoomView, member: StageMember) -> RoomView:
    if view.stage_member(member.identity) is not None:
        return view
    return structs.replace(view, stage=(*view.stage, member))


def _without(view: RoomView, identity: str) -> RoomView:
    stage = tuple(one for one in view.stage if one.identity != identity)
    return structs.replace(view, stage=stage)


def _change(view: RoomView, identity: str, **changes: object) -> RoomView:
    stage = tuple(
        structs.replace(one, **changes) if one.identity == identity else one for one in view.stage
    )
    return structs.replace(view, stage=stage)
