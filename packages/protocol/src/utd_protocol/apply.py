"""Fold one event over a view. Total: an event that cannot matter changes nothing.

The engine evolves its own state with this, and the SDK follows with the very same function,
so a client that saw only the events has the engine's public state.
"""

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from msgspec import structs

from utd_protocol import events as ev
from utd_protocol.agents import apply_agent, opened_agents
from utd_protocol.calls import apply_call, opened_call
from utd_protocol.stage import apply_stage, apply_stream, hand_over, opened_stage
from utd_protocol.types import (
    MAX_SEATS,
    Direction,
    Identity,
    RequestsVisible,
    Role,
    RoomState,
    SeatState,
    Source,
)
from utd_protocol.views import Member, Request, RoomView, Seat

AnyEvent: TypeAlias = ev.RoomEvent | ev.UnknownEvent
Folder: TypeAlias = Callable[[RoomView, AnyEvent], RoomView | None]


def open_view(event: ev.RoomOpened) -> RoomView:
    """The view that a log begins with; that of a call whose callee is busy ends there, too."""
    call = opened_call(event)
    over = call is not None and call.is_over
    return RoomView(
        room_id=event.room_id,
        type=event.room_type,
        name=event.name,
        state=RoomState.ENDED if over else event.state,
        owner=event.owner,
        host=event.host,
        opened_at=event.at,
        ended_reason=str(call.reason) if call is not None and over else None,
        metadata=event.metadata,
        policy=event.policy,
        seat_mode=event.seat_mode,
        mode_id=event.mode_id,
        seats=tuple(
            Seat(index=index, reserved_role=event.reserved.get(index))
            for index in range(min(event.seat_count, MAX_SEATS))
        ),
        stage=opened_stage(event),
        scheduled_at=event.scheduled_at,
        call=call,
        agents=opened_agents(event),
    )


def apply(view: RoomView, event: AnyEvent) -> RoomView:
    """The view after the event.

    Args:
        view: what was known before.
        event: the next event of the room's log.

    Returns:
        The same view when the event says nothing about it (an unknown type, a second opening).
    """
    for folder in _FOLDERS:
        after = folder(view, event)
        if after is not None:
            return after
    return view


def apply_all(view: RoomView, events: Iterable[AnyEvent]) -> RoomView:
    """Fold several events in order."""
    for event in events:
        view = apply(view, event)
    return view


def _apply_room(view: RoomView, event: AnyEvent) -> RoomView | None:
    match event:
        case ev.RoomSettingsChanged(metadata=metadata):
            return structs.replace(view, metadata=metadata)
        case ev.RoomPolicyChanged(policy=policy, version=version):
            view = structs.replace(view, policy=policy, policy_version=version)
            if policy.requests_visible is RequestsVisible.EVERYONE:
                return view
            return structs.replace(view, requests=tuple(map(_anonymous, view.requests)))
        case ev.RoomEnded(reason=reason):
            return structs.replace(
                view,
                state=RoomState.ENDED,
                ended_reason=reason,
                host_gone_until=None,
                requests=(),
                invites=(),
            )
        case _:
            return None


def _apply_seat(view: RoomView, event: AnyEvent) -> RoomView | None:
    match event:
        case (
            ev.SeatTaken(index=index, identity=identity)
            | ev.SeatResumed(index=index, identity=identity)
        ):
            return _seat(view, index, state=SeatState.TAKEN, identity=identity, held_until=None)
        case ev.SeatHeld(index=index, identity=identity, until=until):
            return _seat(view, index, state=SeatState.HELD, identity=identity, held_until=until)
        case ev.SeatLeft(index=index, identity=identity):
            view = _seat(view, index, state=SeatState.FREE, identity=None, held_until=None)
            return _forget_absence(view, identity)
        case ev.SeatMoved(source=source, target=target):
            return _swap(view, source, target)
        case ev.SeatsSwapped(a=a, b=b):
            return _swap(view, a, b)
        case _:
            return None


def _apply_grid(view: RoomView, event: AnyEvent) -> RoomView | None:
    match event:
        case ev.SeatsConfigured(count=count, mode=mode, mode_id=mode_id):
            count = max(0, min(count, MAX_SEATS))
            grown = tuple(Seat(index=index) for index in range(len(view.seats), count))
            seats = view.seats[:count] + grown
            return structs.replace(view, seats=seats, seat_mode=mode, mode_id=mode_id)
        case ev.SeatsLocked(indices=indices):
            return _seats(view, indices, SeatState.LOCKED)
        case ev.SeatsUnlocked(indices=indices):
            return _seats(view, indices, SeatState.FREE)
        case _:
            return None


def _apply_place(view: RoomView, event: AnyEvent) -> RoomView | None:
    match event:
        case ev.SeatMuted(index=index):
            return _seat(view, index, mic_locked=True)
        case ev.SeatUnmuted(index=index):
            return _seat(view, index, mic_locked=False)
        case ev.SeatReserved(index=index, identity=identity, role=role):
            return _seat(view, index, reserved_for=identity, reserved_role=role)
        case _:
            return None


def _apply_member(view: RoomView, event: AnyEvent) -> RoomView | None:
    match event:
        case ev.MemberAway(identity=identity):
            return _member(view, identity, away=True)
        case ev.MemberPresent(identity=identity):
            return _member(view, identity, away=False)
        case ev.MemberRoleChanged(identity=identity, role=role):
            return _forget_absence(_promote(view, identity, role), identity)
        case ev.MemberKicked(identity=identity) | ev.MemberBanned(identity=identity):
            return _member(view, identity, role=Role.AUDIENCE, away=False)
        case _:
            return None


def _apply_mute(view: RoomView, event: AnyEvent) -> RoomView | None:
    match event:
        case ev.MemberMuted(identity=identity, source=source):
            return _member(view, identity, muted=_with(view, identity, source))
        case ev.MemberUnmuted(identity=identity, source=source):
            muted = tuple(kept for kept in view.member(identity).muted if kept != source)
            return _member(view, identity, muted=muted)
        case _:
            return None


def _apply_host(view: RoomView, event: AnyEvent) -> RoomView | None:
    match event:
        case ev.HostGone(until=until):
            return structs.replace(view, host_gone_until=until)
        case ev.HostBack():
            return structs.replace(view, host_gone_until=None)
        case ev.HostTransferred(previous=previous, host=host):
            if host is not None:
                view = _member(view, host, role=Role.AUDIENCE)
            view = hand_over(structs.replace(view, host=host, host_gone_until=None), host)
            return view if previous is None else _forget_absence(view, previous)
        case _:
            return None


def _apply_stage(view: RoomView, event: AnyEvent) -> RoomView | None:
    after = apply_stage(view, event)
    if after is not None and isinstance(event, ev.StageLeft):
        return _forget_absence(after, event.identity)
    return after


def _apply_request(view: RoomView, event: AnyEvent) -> RoomView | None:
    match event:
        case ev.RequestCreated():
            pending = (*view.requests, _pending(event, Direction.REQUEST))
            return structs.replace(view, requests=pending)
        case ev.InviteCreated(sources=sources):
            invite = structs.replace(_pending(event, Direction.INVITE), sources=sources)
            return structs.replace(view, invites=(*view.invites, invite))
        case (
            ev.RequestApproved()
            | ev.RequestRejected()
            | ev.RequestCancelled()
            | ev.RequestExpired()
        ):
            return structs.replace(view, requests=_without(view.requests, event.id))
        case ev.InviteAccepted() | ev.InviteDeclined() | ev.InviteCancelled() | ev.InviteExpired():
            return structs.replace(view, invites=_without(view.invites, event.id))
        case _:
            return None


_FOLDERS: Final[tuple[Folder, ...]] = (
    _apply_seat, _apply_member, _apply_request, _apply_host,
    _apply_mute, _apply_place, _apply_grid, _apply_room, _apply_stage, apply_stream, apply_call,
    apply_agent,
)  # fmt: skip
"""Each knows some types of events and says None to all others."""


def _pending(event: ev.RequestCreated | ev.InviteCreated, direction: Direction) -> Request:
    return Request(
        id=event.id,
        direction=direction,
        target=event.target,
        created_at=event.at,
        identity=event.identity,
        index=event.index,
        note=event.note if isinstance(event, ev.RequestCreated) else "",
        expires_at=event.expires_at,
    )


def _anonymous(request: Request) -> Request:
    """What is left to see when the policy begins to hide who asks (rule R32)."""
    return structs.replace(request, identity=None, index=None, note="")


def _without(pending: tuple[Request, ...], settled: int) -> tuple[Request, ...]:
    return tuple(request for request in pending if request.id != settled)


def _seat(view: RoomView, index: int, **changes: object) -> RoomView:
    if not 0 <= index < len(view.seats):
        return view
    seat = view.seats[index]
    after = structs.replace(seat, version=seat.version + 1, **changes)
    return structs.replace(view, seats=(*view.seats[:index], after, *view.seats[index + 1 :]))


def _seats(view: RoomView, indices: Iterable[int], state: SeatState) -> RoomView:
    for index in indices:
        view = _seat(view, index, state=state, identity=None, held_until=None)
    return view


def _swap(view: RoomView, a: int, b: int) -> RoomView:
    if not (0 <= a < len(view.seats) and 0 <= b < len(view.seats)):
        return view
    first, second = view.seats[a], view.seats[b]
    view = _seat(
        view,
        a,
        state=second.state,
        identity=second.identity,
        held_until=second.held_until,
    )
    return _seat(view, b, state=first.state, identity=first.identity, held_until=first.held_until)


def _with(view: RoomView, identity: Identity, source: Source) -> tuple[Source, ...]:
    muted = view.member(identity).muted
    return muted if source in muted else (*muted, source)


def _forget_absence(view: RoomView, identity: Identity) -> RoomView:
    """An absence matters only while there is a place or a role to come back to."""
    placed = view.seat_of(identity) is not None or view.stage_member(identity) is not None
    if placed or view.role_of(identity) is not Role.AUDIENCE:
        return view
    return _member(view, identity, away=False)


def _promote(view: RoomView, identity: Identity, role: Role) -> RoomView:
    """Seniority is the order of the tuple: who is made admin now stands last."""
    kept = view.member(identity)
    rest = tuple(member for member in view.members if member.identity != identity)
    return _member(structs.replace(view, members=(*rest, kept)), identity, role=role)


def _member(view: RoomView, identity: Identity, **changes: object) -> RoomView:
    after = structs.replace(view.member(identity), **changes)
    nothing_kept = after == Member(identity=identity)
    known = any(member.identity == identity for member in view.members)
    if not known:
        return view if nothing_kept else structs.replace(view, members=(*view.members, after))
    members = tuple(after if member.identity == identity else member for member in view.members)
    if nothing_kept:
        members = tuple(member for member in members if member.identity != identity)
    return structs.replace(view, members=members)
