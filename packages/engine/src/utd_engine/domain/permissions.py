"""Who may publish what: one pure function, and nothing else may say so (rules R5, R9 and R10)."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from utd_engine.domain.state import RoomState, may_be_here, parties
from utd_protocol.types import DataPolicy, RoomType, SeatState, Source
from utd_protocol.types import RoomState as Phase


class Permission(Struct, frozen=True, kw_only=True):
    """A complete LiveKit permission. It is always pushed whole (rule R9).

    `sources` is sorted and never empty while `can_publish` is true: LiveKit reads empty as all.
    """

    can_publish: bool = False
    sources: tuple[Source, ...] = ()
    can_subscribe: bool = False
    can_publish_data: bool = False
    hidden: bool = False


NOTHING: Final = Permission()


def desired_permission(state: RoomState, identity: str) -> Permission:
    """What LiveKit must grant this identity now.

    Args:
        state: the room.
        identity: anybody, in the room or not; a stranger gets what a listener gets.
    """
    view = state.view
    if view.state is Phase.ENDED or not may_be_here(state, identity):
        return NOTHING
    sources = _sources(state, identity)
    open_sources = tuple(sorted(set(sources) - set(view.member(identity).muted)))
    return Permission(
        can_publish=bool(open_sources),
        sources=open_sources,
        can_subscribe=True,
        can_publish_data=_may_send_data(state, identity),
    )


def permission_changes(
    before: RoomState, after: RoomState, people: Iterable[str]
) -> dict[str, Permission]:
    """The new permission of everybody whose permission the change touched."""
    wishes = {identity: desired_permission(after, identity) for identity in people}
    return {
        identity: wish
        for identity, wish in wishes.items()
        if wish != desired_permission(before, identity)
    }


def concerned(before: RoomState, after: RoomState) -> set[str]:
    """Everybody whose permission could differ from a plain listener's, before or after."""
    people = set[str]()
    for state in (before, after):
        people.update(seat.identity for seat in state.view.seats if seat.identity is not None)
        people.update(member.identity for member in state.view.members)
        people.update(member.identity for member in state.view.stage)
        people.update(parties(state))
    return people


def listeners_differ(before: RoomState, after: RoomState) -> bool:
    """Whether what every plain listener may do has changed (then all present are concerned)."""
    return desired_permission(before, "") != desired_permission(after, "")


def _sources(state: RoomState, identity: str) -> tuple[Source, ...]:
    view = state.view
    match view.type:
        case RoomType.AUDIO_ROOM:
            seat = view.seat_of(identity)
            speaks = seat is not None and seat.state is SeatState.TAKEN and not seat.mic_locked
            return (Source.MICROPHONE,) if speaks else ()
        case RoomType.LIVE_STREAM:
            member = view.stage_member(identity)
            on_air = view.state is Phase.LIVE and member is not None
            return member.sources if on_air and member and member.held_until is None else ()
        case RoomType.AUDIO_CALL:
            return (Source.MICROPHONE,)
        case RoomType.VIDEO_CALL:
            return (Source.CAMERA, Source.MICROPHONE)
        case RoomType.AGENT:
            return view.policy.agent_sources


def _may_send_data(state: RoomState, identity: str) -> bool:
    view = state.view
    if view.call is not None or view.policy.data is DataPolicy.EVERYONE:
        return True
    seat, member = view.seat_of(identity), view.stage_member(identity)
    speaks = seat is not None and seat.state is SeatState.TAKEN
    speaks = speaks or (member is not None and member.held_until is None)
    return view.policy.data is DataPolicy.SPEAKERS and speaks
