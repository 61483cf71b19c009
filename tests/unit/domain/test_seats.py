"""Rules R11 to R18: seats."""

import pytest
from support.rooms import SERVER_API, Room, told

from utd_engine.domain.turn import SERVER, Actor, Preset
from utd_protocol import commands as c
from utd_protocol.events import SeatLeft
from utd_protocol.types import Identity, Role, RoomType, SeatMode, SeatState

FREE, REQUEST, INVITE = SeatMode.FREE, SeatMode.REQUEST, SeatMode.INVITE


# --- take (R13) ---------------------------------------------------------------------------------


def test_r13_without_an_index_the_lowest_open_seat_is_taken() -> None:
    room = Room(seated={"ana": 0}, here=("host", "bob"))
    room.act("host", c.LockSeats(indices=(1,)))
    room.act("host", c.ReserveSeat(index=2, identity="eve"))

    room.act("bob", c.TakeSeat())

    assert room.seats == ["ana", None, None, "bob"]


def test_r13_no_free_seat() -> None:
    assert Room(seats=1, seated={"ana": 0}).refused("bob", c.TakeSeat()).code == "no_free_seat"


@pytest.mark.parametrize("index", [None, 1])
def test_r13_the_same_seat_again_does_nothing(index: int | None) -> None:
    assert Room(seated={"ana": 1}).act("ana", c.TakeSeat(index=index)) == []


def test_r13_refusals_come_in_the_written_order() -> None:
    """Each step removes the first reason, and the next one shows."""
    room = Room(seats=3, mode=REQUEST, seated={"ana": 0, "bob": 1})
    room.act("host", c.ReserveSeat(index=1, role=Role.HOST))

    assert room.refused("ana", c.TakeSeat(index=3)).code == "seat_not_found"
    assert room.refused("ana", c.TakeSeat(index=1)).code == "already_seated"
    room.act("ana", c.LeaveSeat())
    room.act("host", c.LockSeats(indices=(1,), evict=True))
    assert room.refused("ana", c.TakeSeat(index=1)).code == "seat_locked"
    room.act("host", c.UnlockSeats(indices=(1,)))
    room.act(SERVER_API, c.ReserveSeat(index=1))
    room.act(SERVER_API, c.AssignSeat(identity="bob", index=1))
    room.act("host", c.ReserveSeat(index=1, role=Role.HOST))
    assert room.refused("ana", c.TakeSeat(index=1)).code == "seat_taken"
    room.act("bob", c.LeaveSeat())
    assert room.refused("ana", c.TakeSeat(index=1)).code == "seat_reserved"
    room.act("host", c.ReserveSeat(index=1))
    assert room.refused("ana", c.TakeSeat(index=1)).code == "request_required"
    room.act("host", c.ConfigureSeats(mode=INVITE))
    assert room.refused("ana", c.TakeSeat(index=1)).code == "invite_required"
    room.act("host", c.ConfigureSeats(mode=FREE))
    assert told(room.act("ana", c.TakeSeat(index=1))) == ["seat.taken"]


def test_r13_a_held_seat_is_taken_for_all_but_its_holder() -> None:
    room = Room(seated={"ana": 0})
    room.loses("ana")
    room.later(2)

    refusal = room.refused("bob", c.TakeSeat(index=0))

    assert (refusal.code, refusal.context["identity"]) == ("seat_taken", "ana")
    assert refusal.context["held_until"] == room.seat(0).held_until
    assert room.refused("ana", c.TakeSeat(index=1)).code == "already_seated"
    assert told(room.act("ana", c.TakeSeat())) == ["seat.resumed"]
    assert room.seat(0).state is SeatState.TAKEN


@pytest.mark.parametrize("mode", [REQUEST, INVITE])
@pytest.mark.parametrize("index", [None, 2])
def test_r13_a_manager_needs_no_request(mode: SeatMode, index: int | None) -> None:
    room = Room(mode=mode, admins=["adm"])
    assert room.refused("bob", c.TakeSeat(index=index)).code == f"{mode}_required"
    assert told(room.act("adm", c.TakeSeat(index=index))) == ["seat.taken"]


@pytest.mark.parametrize(
    ("who", "allowed"), [("host", True), ("adm", True), ("ana", True), ("bob", False)]
)
def test_r13_a_seat_reserved_for_a_role_is_open_from_that_role_up(
    *, who: str, allowed: bool
) -> None:
    room = Room(admins=["adm"])
    room.act("host", c.ReserveSeat(index=0, role=Role.ADMIN))
    room.act("host", c.ReserveSeat(index=1, identity="ana"))
    index = 1 if who == "ana" else 0
    if allowed:
        assert told(room.act(who, c.TakeSeat(index=index))) == ["seat.taken"]
    else:
        assert room.refused(who, c.TakeSeat(index=index)).code == "seat_reserved"


def test_r13a_who_never_appears_loses_the_seat_after_the_time_of_a_hold() -> None:
    room = Room()
    room.act("ana", c.TakeSeat(index=0))
    assert room.due_in == 30

    facts = room.later(30)

    assert told(facts) == ["member.away", "seat.left"]
    assert [fact.reason for fact in facts if isinstance(fact, SeatLeft)] == ["timeout"]
    assert room.state.view.members == ()


def test_r13a_the_clock_runs_from_the_take_and_not_from_an_earlier_request() -> None:
    room = Room()
    room.act("ana", c.CreateRequest())
    room.later(29)
    room.act("host", c.ApproveRequest(id=1))
    assert room.later(2) == []
    assert told(room.later(28)) == ["member.away", "seat.left"]


def test_r13a_somebody_long_absent_who_gets_a_seat_must_appear_too() -> None:
    room = Room(here=("host", "ana"))
    room.act("ana", c.CreateRequest())
    room.later(31)
    room.act("host", c.ApproveRequest(id=1))
    assert room.due_in == 30
    room.sees("ana")
    assert room.due_in is None


def test_r13a_a_resumed_seat_is_lost_again_without_presence() -> None:
    room = Room(seated={"ana": 0})
    room.loses("ana")
    room.later(2)
    room.act("ana", c.TakeSeat(index=0))
    assert room.member("ana").away
    assert told(room.later(30)) == ["seat.left"]


# --- leave, move, swap (R14) --------------------------------------------------------------------


def test_r14_leaving_without_a_seat_does_nothing() -> None:
    room = Room(seated={"ana": 0})
    assert told(room.act("ana", c.LeaveSeat())) == ["seat.left"]
    assert room.act("ana", c.LeaveSeat()) == []


def test_r14_a_move_is_one_event() -> None:
    room = Room(seated={"ana": 0, "bob": 1})
    assert told(room.act("ana", c.MoveSeat(index=3))) == ["seat.moved"]
    assert room.seats == [None, "bob", None, "ana"]
    assert room.act("ana", c.MoveSeat(index=3)) == []


@pytest.mark.parametrize(
    ("who", "index", "code"),
    [
        ("ana", 9, "seat_not_found"),
        ("ana", 1, "seat_taken"),
        ("ana", 2, "seat_locked"),
        ("ana", 3, "seat_reserved"),
        ("eve", 0, "invalid_state"),
    ],
)
def test_r14_a_move_is_refused_like_a_take(who: str, index: int, code: str) -> None:
    room = Room(seated={"ana": 0, "bob": 1})
    room.act("host", c.LockSeats(indices=(2,)))
    room.act("host", c.ReserveSeat(index=3, identity="eve"))
    assert room.refused(who, c.MoveSeat(index=index)).code == code


def test_r14_who_is_held_cannot_move() -> None:
    room = Room(seated={"ana": 0})
    room.loses("ana")
    room.later(2)
    assert room.refused("ana", c.MoveSeat(index=1)).code == "invalid_state"


def test_r14_swap_exchanges_two_or_moves_one() -> None:
    room = Room(seated={"ana": 0, "bob": 1})
    assert told(room.act("host", c.SwapSeats(a=0, b=1))) == ["seats.swapped"]
    assert room.seats == ["bob", "ana", None, None]
    assert told(room.act("host", c.SwapSeats(a=3, b=0))) == ["seat.moved"]
    assert told(room.act("host", c.SwapSeats(a=1, b=2))) == ["seat.moved"]
    assert room.seats == [None, None, "ana", "bob"]
    assert room.act("host", c.SwapSeats(a=2, b=2)) == []


def test_r14_a_swap_takes_the_hold_along_and_leaves_the_microphone_lock() -> None:
    room = Room(seated={"ana": 0, "bob": 1})
    room.act("host", c.MuteSeat(index=0))
    room.loses("ana")
    room.later(2)
    room.act("host", c.SwapSeats(a=0, b=1))
    assert (room.seat(1).state, room.seat(0).state) == (SeatState.HELD, SeatState.TAKEN)
    assert room.seat(1).held_until is not None
    assert (room.seat(0).mic_locked, room.seat(1).mic_locked) == (True, False)


@pytest.mark.parametrize(
    ("a", "b", "code"),
    [
        (0, 3, "seat_locked"),
        (0, 2, "seat_reserved"),
        (1, 4, "invalid_state"),
        (0, 9, "seat_not_found"),
    ],
)
def test_r14_swaps_refused(a: int, b: int, code: str) -> None:
    room = Room(seats=5, seated={"ana": 0})
    room.act("host", c.ReserveSeat(index=2, identity="eve"))
    room.act("host", c.LockSeats(indices=(3,)))
    assert room.refused("host", c.SwapSeats(a=a, b=b)).code == code


# --- the grid (R12, R15, R16) -------------------------------------------------------------------


def test_r12_growing_adds_free_seats_and_shrinking_takes_empty_ones() -> None:
    room = Room(seats=2, seated={"ana": 0})
    assert told(room.act("host", c.ConfigureSeats(count=6))) == ["seats.configured"]
    assert room.seats == ["ana", None, None, None, None, None]
    room.act("host", c.ConfigureSeats(count=1))
    assert room.seats == ["ana"]
    assert room.act("host", c.ConfigureSeats(count=1)) == []


@pytest.mark.parametrize("held", [False, True])
def test_r12_shrinking_under_somebody_needs_evict(*, held: bool) -> None:
    room = Room(seated={"ana": 3})
    if held:
        room.loses("ana")
        room.later(2)
    refusal = room.refused("host", c.ConfigureSeats(count=3))
    assert (refusal.code, refusal.rule) == ("seat_occupied", "R12")

    facts = room.act("host", c.ConfigureSeats(count=3, evict=True))

    assert told(facts) == ["seat.left", "seats.configured"]
    assert [fact.reason for fact in facts if isinstance(fact, SeatLeft)] == ["removed"]


def test_r12_a_preset_sets_count_mode_and_the_reservations_for_roles() -> None:
    presets = {
        "panel": Preset(count=3, mode=INVITE, reserved={0: Role.HOST, 1: Role.ADMIN}),
        "open": Preset(count=4, reserved={1: Role.ADMIN}),
    }
    room = Room(seats=2, presets=presets)
    room.act("host", c.ConfigureSeats(mode_id="panel"))
    view = room.state.view
    assert (len(view.seats), view.seat_mode, view.mode_id) == (3, INVITE, "panel")
    assert [seat.reserved_role for seat in view.seats] == [Role.HOST, Role.ADMIN, None]

    room.act("host", c.ReserveSeat(index=2, identity="ana"))
    facts = room.act("host", c.ConfigureSeats(mode_id="open"))

    assert told(facts) == ["seats.configured", "seat.reserved"]
    assert [seat.reserved_role for seat in room.state.view.seats] == [None, Role.ADMIN, None, None]
    assert room.seat(2).reserved_for == "ana"


def test_r12_what_is_said_beside_a_preset_wins() -> None:
    room = Room(presets={"panel": Preset(count=3, mode=INVITE)})
    room.act("host", c.ConfigureSeats(mode_id="panel", count=5, mode=REQUEST))
    assert (len(room.seats), room.state.view.seat_mode) == (5, REQUEST)


@pytest.mark.parametrize(("presets", "known"), [({}, "none"), ({"a": Preset(count=1)}, "a")])
def test_r12_unknown_preset(presets: dict[str, Preset], known: str) -> None:
    refusal = Room(presets=presets).refused("host", c.ConfigureSeats(mode_id="x"))
    assert refusal.code == "unknown_seat_mode"
    assert refusal.hint == f"Presets of this app: {known}."


def test_r12_a_change_to_free_leaves_requests_standing() -> None:
    room = Room(mode=REQUEST)
    room.act("ana", c.CreateRequest())
    room.act("host", c.ConfigureSeats(mode=FREE))
    assert list(room.state.pending) == [1]


def test_r15_locking_an_occupied_seat_needs_evict_and_is_one_event() -> None:
    room = Room(seated={"ana": 1})
    refusal = room.refused("host", c.LockSeats(indices="all"))
    assert (refusal.code, refusal.rule) == ("seat_occupied", "R15")

    facts = room.act("host", c.LockSeats(indices=(1, 2, 1), evict=True))

    assert told(facts) == ["seat.left", "seats.locked"]
    assert [seat.state for seat in room.state.view.seats].count(SeatState.LOCKED) == 2
    assert room.seats == [None] * 4
    assert room.act("host", c.LockSeats(indices=(1, 2))) == []
    assert told(room.act("host", c.UnlockSeats(indices="all"))) == ["seats.unlocked"]
    assert room.act("host", c.UnlockSeats(indices=(0, 1))) == []


def test_r15_locking_leaves_the_seat_of_somebody_above_alone() -> None:
    room = Room(admins=["adm"], seated={"host": 0})
    refusal = room.refused("adm", c.LockSeats(indices="all", evict=True))
    assert (refusal.code, refusal.rule) == ("not_allowed", "R4")


def test_r16_the_microphone_lock_stays_for_the_next_occupant() -> None:
    room = Room(seated={"ana": 0})
    assert told(room.act("host", c.MuteSeat(index=0))) == ["seat.muted"]
    assert room.act("host", c.MuteSeat(index=0)) == []
    room.act("ana", c.LeaveSeat())
    room.act("bob", c.TakeSeat(index=0))
    assert room.seat(0).mic_locked
    assert room.refused("bob", c.UnmuteSeat(index=0)).code == "not_allowed"
    assert told(room.act("host", c.UnmuteSeat(index=0))) == ["seat.unmuted"]
    assert room.act("host", c.UnmuteSeat(index=1)) == []


def test_r16_an_empty_seat_is_muted_and_unmuted_too() -> None:
    room = Room(admins=["adm"])
    room.act("adm", c.MuteSeat(index=2))
    assert told(room.act("adm", c.UnmuteSeat(index=2))) == ["seat.unmuted"]


def test_r16_a_muted_seat_of_the_host_is_not_an_admins_business() -> None:
    room = Room(admins=["adm"], seated={"host": 0})
    assert room.refused("adm", c.MuteSeat(index=0)).rule == "R4"
    room.act("host", c.MuteSeat(index=0))
    assert room.refused("adm", c.UnmuteSeat(index=0)).rule == "R4"


# --- remove, assign, reserve (R17) --------------------------------------------------------------


def test_r17_remove_by_index_or_by_name() -> None:
    room = Room(seated={"ana": 0, "bob": 1})
    assert told(room.act("host", c.RemoveFromSeat(index=0))) == ["seat.left"]
    assert told(room.act("host", c.RemoveFromSeat(identity="bob"))) == ["seat.left"]
    assert room.act("host", c.RemoveFromSeat(index=0)) == []
    assert room.act("host", c.RemoveFromSeat(identity="bob")) == []
    assert room.refused("host", c.RemoveFromSeat(index=7)).code == "seat_not_found"


@pytest.mark.parametrize("command", [c.RemoveFromSeat(), c.RemoveFromSeat(index=0, identity="ana")])
def test_r17_remove_wants_exactly_one_name(command: c.RemoveFromSeat) -> None:
    assert Room().refused("host", command).code == "invalid_request"


def test_r17_assigning_is_for_the_server_alone() -> None:
    room = Room(mode=INVITE)
    assert room.refused("host", c.AssignSeat(identity="ana")).code == "not_allowed"
    assert told(room.act(SERVER_API, c.AssignSeat(identity="ana"))) == ["seat.taken"]
    assert told(room.act(SERVER_API, c.AssignSeat(identity="bob", index=2))) == ["seat.taken"]
    assert room.act(SERVER_API, c.AssignSeat(identity="ana", index=0)) == []
    again = room.refused(SERVER_API, c.AssignSeat(identity="ana", index=1))
    assert (again.code, again.context["index"]) == ("already_seated", 0)
    assert room.refused(SERVER_API, c.AssignSeat(identity="eve", index=2)).code == "seat_taken"


def test_r17_assigning_a_held_seat_to_its_holder_resumes_it() -> None:
    room = Room(seated={"ana": 0})
    room.loses("ana")
    room.later(2)
    assert told(room.act(SERVER_API, c.AssignSeat(identity="ana"))) == ["seat.resumed"]


def test_r17_a_reservation_is_for_a_person_or_a_role_or_nobody() -> None:
    room = Room()
    assert room.refused("host", c.ReserveSeat(index=0, identity="ana", role=Role.ADMIN)).code == (
        "invalid_request"
    )
    assert told(room.act("host", c.ReserveSeat(index=0, identity="ana"))) == ["seat.reserved"]
    assert room.act("host", c.ReserveSeat(index=0, identity="ana")) == []
    room.act("host", c.ReserveSeat(index=0))
    assert (room.seat(0).reserved_for, room.seat(0).reserved_role) == (None, None)


# --- who, and where -----------------------------------------------------------------------------


@pytest.mark.parametrize("command", [c.TakeSeat(), c.LeaveSeat(), c.MoveSeat(index=0)])
def test_a_backend_sits_nowhere_itself(command: c.SeatCommand) -> None:
    refusal = Room().refused(SERVER_API, command)
    assert (refusal.code, refusal.context["field"]) == ("invalid_request", "X-Act-As")


def test_a_backend_acts_for_a_user_by_name() -> None:
    room = Room(mode=INVITE)
    acting = Actor(kind="server", identity=Identity("ana"))
    assert told(room.give(acting, c.TakeSeat(index=1))) == ["seat.taken"]
    assert room.seats[1] == "ana"
    assert SERVER.label == "server"


@pytest.mark.parametrize("room_type", [RoomType.LIVE_STREAM, RoomType.AGENT])
def test_r11_only_audio_rooms_have_seats(room_type: RoomType) -> None:
    room = Room(room_type=room_type, seats=0)
    assert room.refused("host", c.TakeSeat()).code == "invalid_state"


def test_r11_a_version_grows_with_every_change_of_a_seat() -> None:
    room = Room(seats=2)
    for who, command in (
        ("ana", c.TakeSeat(index=0)),
        ("host", c.MuteSeat(index=0)),
        ("ana", c.MoveSeat(index=1)),
        ("host", c.LockSeats(indices=(0,))),
        ("host", c.UnlockSeats(indices=(0,))),
        ("host", c.ReserveSeat(index=0, identity="eve")),
    ):
        before = room.seat(0).version
        room.act(who, command)
        assert room.seat(0).version == before + 1


def test_r20_sitting_down_where_one_is_invited_accepts_and_elsewhere_drops_the_invite() -> None:
    room = Room()
    for index, told_so in (
        (1, ["invite.accepted", "seat.taken"]),
        (0, ["seat.taken", "invite.cancelled"]),
    ):
        room.act("host", c.CreateInvite(identity="ana", index=1))
        assert room.refused("bob", c.TakeSeat(index=1)).code == "seat_reserved"
        assert told(room.act("ana", c.TakeSeat(index=index))) == told_so
        room.act("ana", c.LeaveSeat())
