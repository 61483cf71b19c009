"""Requests and invites: one object in two directions (rules R19, R20 and R28 to R32)."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from msgspec import structs

from utd_engine.domain import seats, stage
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import Fact, RequestFiled, pending_of
from utd_engine.domain.turn import Turn
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.types import (
    Direction,
    Identity,
    RequestsVisible,
    RoomType,
    StageInvites,
    Target,
)
from utd_protocol.views import Request

MAX_PENDING: Final = 500
_TARGETS: Final = {RoomType.AUDIO_ROOM: Target.SEAT, RoomType.LIVE_STREAM: Target.STAGE}


def create(turn: Turn, command: c.CreateRequest) -> list[Fact]:
    """Ask for a place. Asking twice is one request; meeting an invite settles it at once (R28)."""
    identity = turn.person()
    _check_target(turn, command.target)
    _refuse_if_placed(turn, identity)
    if command.index is not None:
        seats.seat_at(turn, command.index)
    met = find(turn, identity, command.target, Direction.INVITE)
    if met is not None:
        return _accept(turn, met, command.index)
    if find(turn, identity, command.target, Direction.REQUEST) is not None:
        return []
    _refuse_too_many(turn)
    request = Request(
        id=turn.state.next_id,
        direction=Direction.REQUEST,
        target=command.target,
        created_at=turn.now,
        identity=identity,
        index=command.index,
        note=command.note,
        expires_at=_expiry(turn, turn.view.policy.request_ttl_s),
    )
    return [_created(turn, request), RequestFiled(request=request), *turn.watch(identity)]


def approve(turn: Turn, command: c.ApproveRequest) -> list[Fact]:
    """Seat the requester in one step: where they asked, else on the lowest free seat (R19)."""
    return _approve(turn, pending_request(turn, command.id))


def reject(turn: Turn, command: c.RejectRequest) -> list[Fact]:
    """Say no; a second handler learns who was first (R31)."""
    request = pending_request(turn, command.id)
    return [ev.RequestRejected(at=turn.now, by=turn.by, id=request.id)]


def cancel(turn: Turn, command: c.CancelRequest) -> list[Fact]:
    """Withdraw one's own request. Its author is named only where the request named them (R32)."""
    request = pending_request(turn, command.id)
    _refuse_unless_theirs(turn, request, "reject")
    by = turn.by if _is_open_to_all(turn) else None
    return [ev.RequestCancelled(at=turn.now, by=by, id=request.id)]


def invite(turn: Turn, command: c.CreateInvite) -> list[Fact]:
    """Offer a place; the invitee must accept. With an index the seat is kept meanwhile (R20)."""
    identity = Identity(command.identity)
    _check_target(turn, command.target)
    _refuse_if_placed(turn, identity)
    seat = seats.seat_at(turn, command.index) if command.index is not None else None
    met = find(turn, identity, command.target, Direction.REQUEST)
    if met is not None:
        return _approve(turn, met, command.index)
    if find(turn, identity, command.target, Direction.INVITE) is not None:
        return []
    if seat is not None:
        seats.refuse_unless_open(turn, seat, identity)
    _refuse_too_many(turn)
    offer = ev.InviteCreated(
        at=turn.now,
        by=turn.by,
        id=turn.state.next_id,
        target=command.target,
        identity=identity,
        index=command.index,
        sources=command.sources,
        expires_at=_expiry(turn, turn.view.policy.invite_ttl_s),
    )
    return [offer, *turn.watch(identity)]


def invite_to_stage(turn: Turn, command: c.InviteToStage) -> list[Fact]:
    """The right to publish at once, or an invite where the policy asks for consent (rule R24)."""
    identity = Identity(command.identity)
    stage.refuse_absent(turn, identity)
    if turn.view.stage_member(identity) is not None:
        return []
    met = find(turn, identity, Target.STAGE, Direction.REQUEST)
    if met is not None:
        return _approve(turn, structs.replace(met, sources=command.sources))
    if turn.view.policy.stage_invites is StageInvites.CONSENT:
        offer = c.CreateInvite(
            identity=command.identity, target=Target.STAGE, sources=command.sources
        )
        return invite(turn, offer)
    granted = stage.join(turn, identity, command.sources)
    return granted + seats.drop_pending(turn, identity, Target.STAGE)


def accept(turn: Turn, command: c.AcceptInvite) -> list[Fact]:
    """Take the place that was offered."""
    offer = pending_invite(turn, command.id)
    _refuse_unless_theirs(turn, offer, "cancel")
    return _accept(turn, offer)


def decline(turn: Turn, command: c.DeclineInvite) -> list[Fact]:
    """Refuse the place that was offered."""
    offer = pending_invite(turn, command.id)
    _refuse_unless_theirs(turn, offer, "cancel")
    return [ev.InviteDeclined(at=turn.now, by=turn.by, id=offer.id)]


def cancel_invite(turn: Turn, command: c.CancelInvite) -> list[Fact]:
    """Withdraw an offer."""
    offer = pending_invite(turn, command.id)
    return [ev.InviteCancelled(at=turn.now, by=turn.by, id=offer.id)]


def expire(turn: Turn, request: Request) -> list[Fact]:
    """Nobody answered in time (R29)."""
    if request.direction is Direction.REQUEST:
        return [ev.RequestExpired(at=turn.now, id=request.id)]
    return [ev.InviteExpired(at=turn.now, id=request.id)]


def find(turn: Turn, identity: str, target: Target, direction: Direction) -> Request | None:
    """The one pending object of this person, target and direction."""
    return next(
        (
            request
            for request in pending_of(turn.state, identity)
            if request.target is target and request.direction is direction
        ),
        None,
    )


def pending_request(turn: Turn, wanted: int) -> Request:
    """A pending request by its id.

    Raises:
        Refused: `already_handled` or `request_not_found`.
    """
    request = turn.state.pending.get(wanted)
    return request if request is not None else _missing(turn, wanted)


def pending_invite(turn: Turn, wanted: int) -> Request:
    """A pending invite by its id.

    Raises:
        Refused: `already_handled` or `request_not_found`.
    """
    offer = next((offer for offer in turn.view.invites if offer.id == wanted), None)
    return offer if offer is not None else _missing(turn, wanted)


def _approve(turn: Turn, request: Request, offered: int | None = None) -> list[Fact]:
    approved = ev.RequestApproved(at=turn.now, by=turn.by, id=request.id)
    return [approved, *_place(turn, request, (offered, request.index))]


def _accept(turn: Turn, offer: Request, asked: int | None = None) -> list[Fact]:
    accepted = ev.InviteAccepted(at=turn.now, by=turn.by, id=offer.id)
    return [accepted, *_place(turn, offer, (offer.index, asked))]


def _place(turn: Turn, request: Request, wanted: Iterable[int | None]) -> list[Fact]:
    """On the stage; or on the first wanted seat open to them, else the lowest free (R19, R26)."""
    identity = Identity(request.identity or "")
    if request.target is Target.STAGE:
        moot = seats.drop_pending(turn, identity, Target.STAGE, but=request.id)
        return stage.join(turn, identity, request.sources) + moot
    open_seats = (
        seat
        for index in wanted
        for seat in turn.view.seats
        if seat.index == index and seats.is_open(turn, seat, identity)
    )
    seat = next(open_seats, None)
    index = seat.index if seat is not None else seats.lowest_free(turn, identity)
    return seats.sit(turn, identity, index, settled=request.id)


def _created(turn: Turn, request: Request) -> ev.RequestCreated:
    """What the room may know of it (rule R32)."""
    open_to_all = _is_open_to_all(turn)
    return ev.RequestCreated(
        at=turn.now,
        by=turn.by if open_to_all else None,
        id=request.id,
        target=request.target,
        identity=request.identity if open_to_all else None,
        index=request.index if open_to_all else None,
        note=request.note if open_to_all else "",
        expires_at=request.expires_at,
    )


def _is_open_to_all(turn: Turn) -> bool:
    return turn.view.policy.requests_visible is RequestsVisible.EVERYONE


def _expiry(turn: Turn, ttl_s: float) -> datetime | None:
    return turn.after(ttl_s) if ttl_s else None


def _check_target(turn: Turn, target: Target) -> None:
    if _TARGETS.get(turn.view.type) is not target:
        raise Refused(
            "invalid_request",
            f"A room of type {turn.view.type} has no {target}.",
            rule="R28",
            field="target",
        )


def _refuse_if_placed(turn: Turn, identity: str) -> None:
    if turn.view.stage_member(identity) is not None:
        raise Refused("invalid_state", f"{identity!r} is on stage already.", rule="R30")
    seat = turn.view.seat_of(identity)
    if seat is not None:
        raise Refused(
            "already_seated", f"{identity!r} has seat {seat.index}.", rule="R30", index=seat.index
        )


def _refuse_too_many(turn: Turn) -> None:
    if len(turn.state.pending) + len(turn.view.invites) >= MAX_PENDING:
        raise Refused(
            "too_many_requests_pending",
            f"{MAX_PENDING} requests are pending.",
            rule="R31",
            hint="Try again when a moderator has handled some.",
            retry_after=30,
        )


def _refuse_unless_theirs(turn: Turn, request: Request, others: str) -> None:
    if turn.actor.kind == "user" and turn.actor.identity != request.identity:
        raise Refused(
            "not_allowed",
            f"{request.direction.title()} {request.id} is not yours.",
            rule="R28",
            hint=f"A moderator may {others} it.",
        )


def _missing(turn: Turn, wanted: int) -> Request:
    for past in turn.state.handled:
        if past.id == wanted:
            raise Refused(
                "already_handled",
                f"{wanted} is {past.outcome} already.",
                rule="R31",
                handled_by=past.by,
                outcome=past.outcome,
            )
    if wanted < turn.state.next_id and not _is_pending(turn, wanted):
        raise Refused("already_handled", f"{wanted} was handled long ago.", rule="R31")
    raise Refused("request_not_found", f"Nothing with id {wanted} is pending.", rule="R31")


def _is_pending(turn: Turn, wanted: int) -> bool:
    """Pending in either direction: an invite is no request, though it is not handled."""
    return wanted in turn.state.pending or any(one.id == wanted for one in turn.view.invites)
