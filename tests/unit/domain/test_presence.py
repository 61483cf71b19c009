"""Rules R18 and R48 to R50: the reducer of presence, and what an absence leads to."""

from datetime import timedelta

import pytest
from msgspec import structs
from support.calls import Call
from support.rooms import T0, Room, stream, told

from utd_engine.domain.orders import PresenceChanged
from utd_engine.domain.turn import ENGINE
from utd_protocol import commands as c
from utd_protocol.events import SeatLeft
from utd_protocol.policy import Policy, PolicyPatch
from utd_protocol.types import Identity, SeatState


def report(room: Room, sid: str, joined_s: float, *, present: bool, listed: bool = False) -> None:
    """One report about ana's participation `sid`, which began at `joined_s`."""
    order = PresenceChanged(
        identity=Identity("ana"),
        sid=sid,
        joined_at=room.now + timedelta(seconds=joined_s),
        present=present,
        listed=listed,
    )
    room.give(ENGINE, order)


def known(room: Room) -> tuple[str | None, bool]:
    """What the state knows of ana."""
    presence = room.state.presence["ana"]
    return presence.sid, presence.present


@pytest.fixture
def room() -> Room:
    """Ana sits on seat 0 and is there by participation A."""
    made = Room()
    made.act("ana", c.TakeSeat(index=0))
    report(made, "A", 0, present=True)
    return made


def test_r18_a_lost_seat_is_held_then_freed(room: Room) -> None:
    report(room, "A", 0, present=False)
    assert room.later(1.9) == []
    assert told(room.later(0.1)) == ["member.away", "seat.held"]
    assert room.seat(0).held_until == room.now + timedelta(seconds=30)
    assert room.later(29.9) == []
    facts = room.later(0.1)
    assert told(facts) == ["seat.left"]
    assert [fact.reason for fact in facts if isinstance(fact, SeatLeft)] == ["timeout"]
    assert room.state.view.members == ()
    assert "ana" not in room.state.presence


def test_r18_the_return_resumes_the_seat(room: Room) -> None:
    report(room, "A", 0, present=False)
    room.later(2)
    report(room, "B", 1, present=True)
    assert told(room.facts) == ["member.present", "seat.resumed"]
    assert room.seat(0).state is SeatState.TAKEN
    assert room.due_in is None


@pytest.mark.parametrize("left_first", [True, False])
def test_r18_a_full_reconnect_changes_nothing(*, room: Room, left_first: bool) -> None:
    before = room.state.view
    for step in (0, 1) if left_first else (1, 0):
        if step == 0:
            report(room, "A", 0, present=False)
        else:
            report(room, "B", 0.05, present=True)
    assert known(room) == ("B", True)
    assert told(room.later(60)) == []
    assert room.state.view == before


def test_r18_without_a_hold_the_seat_is_free_at_once(room: Room) -> None:
    room.act("host", c.ChangePolicy(policy=PolicyPatch(seat_hold_s=0)))
    report(room, "A", 0, present=False)
    assert told(room.later(2)) == ["member.away", "seat.held", "seat.left"]


def test_r18_a_shorter_hold_leaves_a_running_one_alone(room: Room) -> None:
    report(room, "A", 0, present=False)
    room.later(2)
    room.act("host", c.ChangePolicy(policy=PolicyPatch(seat_hold_s=1)))
    assert room.later(29) == []
    assert told(room.later(1)) == ["seat.left"]


@pytest.mark.parametrize(
    ("sid", "joined_s", "present"),
    [("A", 0, True), ("Z", 0, False), ("Z", -1, True)],
    ids=["repeated", "the end of another", "an older beginning"],
)
def test_r48_late_and_repeated_reports_change_nothing(
    *, room: Room, sid: str, joined_s: float, present: bool
) -> None:
    before = room.state
    report(room, sid, joined_s, present=present)
    assert room.state == before


def test_r48_a_beginning_repeated_after_its_end_changes_nothing(room: Room) -> None:
    report(room, "A", 0, present=False)
    lost = room.state
    report(room, "A", 0, present=True)
    report(room, "A", 0, present=False)
    assert room.state == lost


def test_r48_a_complete_list_is_believed_in_any_case(room: Room) -> None:
    report(room, "A", 0, present=False)
    report(room, "A", 0, present=True, listed=True)
    assert known(room) == ("A", True)
    report(room, "Z", -5, present=True, listed=True)
    assert known(room) == ("Z", True)
    before = room.state
    report(room, "Z", -5, present=True, listed=True)
    assert room.state == before


def test_r48_plain_audience_is_no_member(room: Room) -> None:
    room.sees("bob")
    room.loses("bob")
    assert set(room.state.presence) == {"host", "ana"}


def test_r48_who_was_put_out_is_not_there_until_admitted_again() -> None:
    room = Room(admins=["adm"])
    room.act("adm", c.Leave())
    room.sees("adm")
    assert "adm" not in room.state.presence
    room.joins("adm")
    room.sees("adm")
    assert room.state.presence["adm"].present


def test_an_away_admin_is_told_once() -> None:
    room = Room(admins=["adm"])
    room.loses("adm")
    assert told(room.later(2)) == ["member.away"]
    room.act("adm", c.TakeSeat())
    assert told(room.later(30)) == ["seat.left"]
    assert room.member("adm").away


def test_r50_an_empty_room_ends_after_its_time() -> None:
    room = Room(policy=Policy(empty_after_last_leave_s=60))
    room.counts(0)
    assert room.due_in == 60
    room.later(59)
    room.counts(1)
    assert room.due_in is None
    room.counts(0)
    assert told(room.later(60)) == ["room.ended"]
    assert room.state.view.ended_reason == "empty"


def test_r50_before_the_first_join_nobody_is_no_news() -> None:
    room = Room(people=None, here=())
    room.counts(0)
    assert room.state.occupancy is None
    assert told(room.later(300)) == ["member.away", "host.gone", "room.ended"]


@pytest.mark.parametrize("people", [-3, 2, 5000])
def test_r50_a_room_counts_to_two(people: int) -> None:
    room = Room(people=1)
    room.counts(people)
    assert room.state.occupancy == max(0, min(people, 2))
    assert room.counts(people) == []


def test_one_person_left_alone_ends_a_room_that_wants_it() -> None:
    room = Room(policy=Policy(solo_s=20))
    room.counts(1)
    assert room.due_in == 20
    room.counts(2)
    assert room.due_in is None
    room.counts(1)
    assert told(room.later(20)) == ["room.ended"]
    assert room.state.view.ended_reason == "alone"


def test_a_policy_that_begins_to_mind_loneliness_starts_its_clock() -> None:
    room = Room(people=1)
    room.act("host", c.ChangePolicy(policy=PolicyPatch(solo_s=20)))
    assert room.due_in == 20
    room.act("host", c.ChangePolicy(policy=PolicyPatch(solo_s=0)))
    assert room.due_in is None


def test_r30_who_asked_and_stays_away_for_the_time_of_a_hold_is_waited_for_no_longer() -> None:
    room = Room()
    room.act("ana", c.CreateRequest())
    room.sees("ana")
    room.loses("ana")
    assert told(room.later(2)) == []
    assert told(room.later(30)) == ["request.cancelled"]


def test_r48_late_reports_about_a_party_change_nothing() -> None:
    call = Call()
    call.arrives("ana")
    call.loses("ana")
    call.later(2)
    call.arrives("ana")
    old = PresenceChanged(identity=Identity("ana"), sid="PA_1", joined_at=T0, present=False)
    before = call.state
    for present in (False, True):
        call.give(ENGINE, structs.replace(old, present=present))
        assert call.state == before


def test_r48_strangers_in_a_call_are_not_watched() -> None:
    call = Call()
    call.arrives("eve")
    assert call.state.presence == {}


def test_r27_the_return_before_it_counts_is_no_news() -> None:
    room = stream()
    room.act("host", c.InviteToStage(identity="ana"))
    room.sees("ana")
    room.loses("ana")
    room.later(1.9)
    assert told(room.sees("ana")) == []


def test_r27_losing_the_place_again_holds_it_anew() -> None:
    room = stream()
    room.act("host", c.InviteToStage(identity="ana"))
    for _ in range(2):
        room.sees("ana")
        room.loses("ana")
        assert told(room.later(2)) == ["member.away", "stage.held"]
        assert room.due_in == 30
