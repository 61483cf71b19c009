"""Seats: who may sit where, and what happens to those who sit there (rules R11 to R18).

Start reading here. Every function takes a turn and a command and returns facts, or refuses;
nothing is changed in place. One seat per identity, one identity per seat, always.
"""

from collections.abc import Iterable

from utd_engine.domain.refusal import Refused
from utd_engine.domain.roles import may, outranks
from utd_engine.domain.state import Fact, pending_of
from utd_engine.domain.turn import Preset, Turn
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.types import Direction, Identity, SeatMode, SeatState, Target
from utd_protocol.views import Request, Seat

DEFAULT_SEATS = 8


def take(turn: Turn, command: c.TakeSeat) -> list[Fact]:
    """Sit down, or resume one's held seat (rule R13). On the seat of an invite it accepts that."""
    identity = turn.person()
    own = turn.view.seat_of(identity)
    index = command.index
    if own is not None and index in {None, own.index}:
        return resume(turn, identity, own)
    if index is None:
        _refuse_by_mode(turn)
        return sit(turn, identity, lowest_free(turn, identity))
    seat = seat_at(turn, index)
    if own is not None:
        raise Refused(
            "already_seated",
            f"You sit on seat {own.index}.",
            rule="R13",
            hint="Use move to change seats.",
            index=own.index,
        )
    refuse_unless_open(turn, seat, identity)
    offer = next((one for one in _invites_to(turn, seat) if one.identity == identity), None)
    if offer is None:
        _refuse_by_mode(turn)
        return sit(turn, identity, index)
    accepted = ev.InviteAccepted(at=turn.now, by=turn.by, id=offer.id)
    return [accepted, *sit(turn, identity, index, settled=offer.id)]


def leave(turn: Turn, command: c.LeaveSeat) -> list[Fact]:
    """Stand up; not seated is fine (rule R14)."""
    del command
    return vacate(turn, turn.person(), "left")


def move(turn: Turn, command: c.MoveSeat) -> list[Fact]:
    """Change to a free seat in one event, so that the right has no gap (rule R14)."""
    identity = turn.person()
    own = turn.view.seat_of(identity)
    target = seat_at(turn, command.index)
    if own is None or own.state is SeatState.HELD:
        raise Refused("invalid_state", "You do not sit.", rule="R14", hint="Take the seat instead.")
    if own.index == target.index:
        return []
    refuse_unless_open(turn, target, identity)
    return [
        ev.SeatMoved(
            at=turn.now, by=turn.by, identity=identity, source=own.index, target=target.index
        )
    ]


def swap(turn: Turn, command: c.SwapSeats) -> list[Fact]:
    """Exchange two occupants, or move one to the other, empty seat (rule R14)."""
    a, b = seat_at(turn, command.a), seat_at(turn, command.b)
    if a.index == b.index:
        return []
    for seat, other in ((a, b), (b, a)):
        if seat.state is SeatState.LOCKED:
            raise Refused("seat_locked", f"Seat {seat.index} is locked.", rule="R14")
        if seat.identity is not None:
            outranks(turn, seat.identity)
            _refuse_reserved(turn, other, seat.identity)
    if a.identity is not None and b.identity is not None:
        return [ev.SeatsSwapped(at=turn.now, by=turn.by, a=a.index, b=b.index)]
    source, target = (a, b) if a.identity is not None else (b, a)
    if source.identity is None:
        raise Refused("invalid_state", "Both seats are empty.", rule="R14")
    return [
        ev.SeatMoved(
            at=turn.now,
            by=turn.by,
            identity=source.identity,
            source=source.index,
            target=target.index,
        )
    ]


def configure(turn: Turn, command: c.ConfigureSeats) -> list[Fact]:
    """Change the grid; shrinking under somebody needs `evict` (rule R12)."""
    view = turn.view
    preset = preset_of(turn, command.mode_id)
    count = command.count or (preset.count if preset else len(view.seats))
    mode = command.mode or (preset.mode if preset else view.seat_mode)
    facts = _evict(turn, view.seats[count:], allowed=command.evict, rule="R12")
    mode_id = command.mode_id if command.mode_id is not None else view.mode_id
    if (count, mode, mode_id) != (len(view.seats), view.seat_mode, view.mode_id):
        facts.append(
            ev.SeatsConfigured(at=turn.now, by=turn.by, count=count, mode=mode, mode_id=mode_id)
        )
    return facts + (_reserve_as(turn, preset, count) if preset else [])


def _reserve_as(turn: Turn, preset: Preset, count: int) -> list[Fact]:
    """The reservations for roles become the preset's; those for persons stay where it has none."""
    facts: list[Fact] = []
    for index in range(count):
        kept = turn.view.seats[index].reserved_role if index < len(turn.view.seats) else None
        role = preset.reserved.get(index)
        if kept is not role:
            facts.append(ev.SeatReserved(at=turn.now, by=turn.by, index=index, role=role))
    return facts


def lock(turn: Turn, command: c.LockSeats) -> list[Fact]:
    """Close seats; an occupied one needs `evict` (rule R15)."""
    seats = [seat for seat in _chosen(turn, command.indices) if seat.state is not SeatState.LOCKED]
    facts = _evict(turn, seats, allowed=command.evict, rule="R15")
    if seats:
        indices = tuple(seat.index for seat in seats)
        facts.append(ev.SeatsLocked(at=turn.now, by=turn.by, indices=indices))
    return facts


def unlock(turn: Turn, command: c.UnlockSeats) -> list[Fact]:
    """Open locked seats; others are left alone (rule R15)."""
    locked = tuple(
        seat.index for seat in _chosen(turn, command.indices) if seat.state is SeatState.LOCKED
    )
    return [ev.SeatsUnlocked(at=turn.now, by=turn.by, indices=locked)] if locked else []


def mute(turn: Turn, command: c.MuteSeat) -> list[Fact]:
    """The seat's microphone is off, for the next occupant too (rule R16)."""
    seat = seat_at(turn, command.index)
    if seat.mic_locked:
        return []
    if seat.identity is not None:
        outranks(turn, seat.identity)
    return [ev.SeatMuted(at=turn.now, by=turn.by, index=seat.index)]


def unmute(turn: Turn, command: c.UnmuteSeat) -> list[Fact]:
    """The seat's microphone may be used again (rule R16)."""
    seat = seat_at(turn, command.index)
    if not seat.mic_locked:
        return []
    if seat.identity is not None:
        outranks(turn, seat.identity)
    return [ev.SeatUnmuted(at=turn.now, by=turn.by, index=seat.index)]


def remove(turn: Turn, command: c.RemoveFromSeat) -> list[Fact]:
    """Back to listener; an empty seat is fine (rule R17)."""
    if (command.index is None) == (command.identity is None):
        raise Refused(
            "invalid_request", "Give either 'index' or 'identity'.", rule="R17", field="index"
        )
    by_name = turn.view.seat_of(command.identity or "")
    seat = by_name if command.index is None else seat_at(turn, command.index)
    if seat is None or seat.identity is None:
        return []
    outranks(turn, seat.identity)
    return vacate(turn, seat.identity, "removed")


def assign(turn: Turn, command: c.AssignSeat) -> list[Fact]:
    """Seat somebody without asking them: the app's backend only (rule R17)."""
    identity = Identity(command.identity)
    own = turn.view.seat_of(identity)
    if own is not None and command.index in {None, own.index}:
        return resume(turn, identity, own)
    if own is not None:
        raise Refused(
            "already_seated", f"{identity!r} sits on seat {own.index}.", rule="R13", index=own.index
        )
    if command.index is None:
        return sit(turn, identity, lowest_free(turn, identity))
    refuse_unless_open(turn, seat_at(turn, command.index), identity)
    return sit(turn, identity, command.index)


def reserve(turn: Turn, command: c.ReserveSeat) -> list[Fact]:
    """Keep a seat for one person or one role, or for nobody again (rule R17)."""
    if command.identity is not None and command.role is not None:
        raise Refused(
            "invalid_request", "Give 'identity' or 'role', not both.", rule="R17", field="role"
        )
    seat = seat_at(turn, command.index)
    identity = Identity(command.identity) if command.identity is not None else None
    if (seat.reserved_for, seat.reserved_role) == (identity, command.role):
        return []
    return [
        ev.SeatReserved(
            at=turn.now, by=turn.by, index=seat.index, identity=identity, role=command.role
        )
    ]


# --- pieces that requests, members and presence use too -------------------------------------------


def sit(turn: Turn, identity: Identity, index: int, *, settled: int | None = None) -> list[Fact]:
    """Somebody gets a seat: what they asked for or were offered is moot (rules R13a and R30)."""
    taken = ev.SeatTaken(at=turn.now, by=turn.by, index=index, identity=identity)
    moot = drop_pending(turn, identity, Target.SEAT, but=settled)
    return [taken, *turn.watch(identity), *moot]


def resume(turn: Turn, identity: Identity, seat: Seat) -> list[Fact]:
    """A held seat is its holder's again when they act, and they must appear in time.

    They count as away until LiveKit reports them. A taken seat stays as it is.
    """
    if seat.state is not SeatState.HELD:
        return []
    resumed = ev.SeatResumed(at=turn.now, by=turn.by, index=seat.index, identity=identity)
    return [resumed, *turn.watch(identity)]


def vacate(turn: Turn, identity: str, reason: str) -> list[Fact]:
    """Free the seat of somebody; none is fine."""
    seat = turn.view.seat_of(identity)
    if seat is None or seat.identity is None:
        return []
    return [
        ev.SeatLeft(
            at=turn.now, by=turn.by, index=seat.index, identity=seat.identity, reason=reason
        )
    ]


def drop_pending(
    turn: Turn, identity: str, target: Target | None = None, *, but: int | None = None
) -> list[Fact]:
    """Cancel what somebody asked for or was offered, because it is moot (rule R30)."""
    facts: list[Fact] = []
    for request in pending_of(turn.state, identity):
        if request.id == but or target not in {None, request.target}:
            continue
        cancelled = (
            ev.RequestCancelled if request.direction is Direction.REQUEST else ev.InviteCancelled
        )
        facts.append(cancelled(at=turn.now, id=request.id))
    return facts


def seat_at(turn: Turn, index: int) -> Seat:
    """The seat with this index.

    Raises:
        Refused: `seat_not_found`.
    """
    if not 0 <= index < len(turn.view.seats):
        raise Refused(
            "seat_not_found",
            f"There is no seat {index}; this room has seats 0 to {len(turn.view.seats) - 1}.",
            rule="R13",
            seat_count=len(turn.view.seats),
        )
    return turn.view.seats[index]


def lowest_free(turn: Turn, identity: str) -> int:
    """The first free seat that is not kept for somebody else.

    Raises:
        Refused: `no_free_seat`.
    """
    for seat in turn.view.seats:
        if is_open(turn, seat, identity):
            return seat.index
    raise Refused("no_free_seat", f"No seat is free for {identity!r}.", rule="R13")


def is_open(turn: Turn, seat: Seat, identity: str) -> bool:
    """Whether somebody could sit there now, whatever the mode asks of them."""
    return seat.state is SeatState.FREE and _is_kept_for(turn, seat, identity)


def refuse_unless_open(turn: Turn, seat: Seat, identity: str) -> None:
    """Refuse a seat that is locked, taken, held or reserved, in this order (rule R13)."""
    if seat.state is SeatState.LOCKED:
        raise Refused(
            "seat_locked",
            f"Seat {seat.index} is locked.",
            rule="R13",
            hint="A moderator unlocks it.",
        )
    if seat.identity is not None:
        word = "held for" if seat.state is SeatState.HELD else "taken by"
        raise Refused(
            "seat_taken",
            f"Seat {seat.index} is {word} {seat.identity!r}.",
            rule="R13",
            identity=seat.identity,
            held_until=seat.held_until,
        )
    _refuse_reserved(turn, seat, identity)


def preset_of(turn: Turn, mode_id: str | None) -> Preset | None:
    """The app's preset of this name.

    Raises:
        Refused: `unknown_seat_mode`.
    """
    if mode_id is None:
        return None
    preset = turn.presets.get(mode_id)
    if preset is None:
        known = ", ".join(sorted(turn.presets)) or "none"
        raise Refused(
            "unknown_seat_mode",
            f"The app has no preset {mode_id!r}.",
            rule="R12",
            hint=f"Presets of this app: {known}.",
        )
    return preset


def _invites_to(turn: Turn, seat: Seat) -> Iterable[Request]:
    """Pending invites that keep this seat for their invitees (rule R20)."""
    return (invite for invite in turn.view.invites if invite.index == seat.index)


def _chosen(turn: Turn, indices: tuple[int, ...] | str) -> list[Seat]:
    if isinstance(indices, str):
        return list(turn.view.seats)
    return [seat_at(turn, index) for index in dict.fromkeys(indices)]


def _evict(turn: Turn, seats: Iterable[Seat], *, allowed: bool, rule: str) -> list[Fact]:
    facts: list[Fact] = []
    for seat in seats:
        if seat.identity is None:
            continue
        if not allowed:
            raise Refused(
                "seat_occupied",
                f"{seat.identity!r} has seat {seat.index}.",
                rule=rule,
                hint="Pass evict=true to put them back among the listeners.",
                index=seat.index,
            )
        outranks(turn, seat.identity)
        facts += vacate(turn, seat.identity, "removed")
    return facts


def _is_kept_for(turn: Turn, seat: Seat, identity: str) -> bool:
    """Kept for them, or for nobody: reservations and invites keep seats (rules R17 and R20)."""
    if any(invite.identity != identity for invite in _invites_to(turn, seat)):
        return False
    if seat.reserved_for is not None:
        return seat.reserved_for == identity
    if seat.reserved_role is not None:
        return turn.view.role_of(identity).rank >= seat.reserved_role.rank
    return True


def _refuse_reserved(turn: Turn, seat: Seat, identity: str) -> None:
    if not _is_kept_for(turn, seat, identity):
        raise Refused(
            "seat_reserved",
            f"Seat {seat.index} is reserved for somebody else.",
            rule="R13",
            hint="Take another seat, or let a moderator change the reservation.",
        )


def _refuse_by_mode(turn: Turn) -> None:
    mode = turn.view.seat_mode
    if mode is SeatMode.FREE or may(turn.view, turn.actor, "seats.manage"):
        return
    if mode is SeatMode.REQUEST:
        raise Refused(
            "request_required",
            "Seats of this room must be asked for.",
            rule="R13",
            hint="Create a request; a moderator approves it.",
        )
    raise Refused(
        "invite_required",
        "Seats of this room are by invitation.",
        rule="R13",
        hint="Wait for an invite and accept it.",
    )
