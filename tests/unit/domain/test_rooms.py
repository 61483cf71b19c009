"""Rules R1, R2 and R47's base: a room's life, and the one door `decide`."""

import typing

import pytest
from support.rooms import SERVER_API, T0, Room, opening, told

from utd_engine.domain import orders, roles
from utd_engine.domain.decide import RULES, decide_open
from utd_engine.domain.refusal import Refused
from utd_engine.domain.turn import ENGINE, Actor
from utd_protocol import commands as c
from utd_protocol.policy import Policy, PolicyPatch
from utd_protocol.types import Identity, Role, RoomType, SeatMode
from utd_protocol.types import RoomState as Phase


def test_r1_a_room_opens_with_its_host_and_grid() -> None:
    state, facts = decide_open(opening(seats=3, reserved={1: Role.ADMIN}, mode=SeatMode.INVITE))
    view = state.view
    assert (view.owner, view.host, view.state, view.opened_at) == ("host", "host", Phase.OPEN, T0)
    assert (len(view.seats), view.seats[1].reserved_role) == (3, Role.ADMIN)
    assert view.seat_mode is SeatMode.INVITE
    assert told(facts) == []


def test_r1_a_backend_opens_a_room_without_a_host() -> None:
    hostless = opening()
    hostless = type(hostless)(**{**_fields(hostless), "host": None})
    state, facts = decide_open(hostless)
    assert state.view.host is None
    assert len(facts) == 1


def _fields(event: typing.Any) -> dict[str, typing.Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def test_r47_every_order_has_a_rule_that_takes_it() -> None:
    """The table of rules, the union of orders and the signatures say the same."""
    known = set(typing.get_args(orders.Order))
    assert set(RULES) == known - {orders.Tick}
    for order, rule in RULES.items():
        (_, taken, *rest) = typing.get_type_hints(rule).items()
        assert taken[1] is order, rule
        assert [name for name, _ in rest] == ["return"]


def test_r3_every_room_command_names_its_capability() -> None:
    assert set(roles.NEEDS) == set(typing.get_args(c.RoomCommand))


def test_deciding_changes_nothing() -> None:
    room = Room(seated={"ana": 0})
    before, text = room.state, repr(room.state)
    room.act("ana", c.MoveSeat(index=1))
    assert repr(before) == text


@pytest.mark.parametrize("who", ["host", SERVER_API])
def test_the_end_is_final(who: str) -> None:
    room = Room()
    assert told(room.act(who, c.EndRoom(reason="done"))) == ["room.ended"]
    assert room.state.view.ended_reason == "done"
    for quiet in (c.EndRoom(), c.Leave(), orders.Tick(), orders.OccupancyChanged(count=0)):
        assert room.act(who, quiet) == []
    assert room.loses("host") == []
    refusal = room.refused(who, c.TakeSeat())
    assert (refusal.code, refusal.context["reason"]) == ("room_ended", "done")
    with pytest.raises(Refused, match="ended"):
        room.joins("host")


def test_an_end_without_a_reason_still_has_one() -> None:
    room = Room()
    room.act("host", c.EndRoom(reason=""))
    assert room.state.view.ended_reason == "ended"


def test_a_policy_changes_field_by_field_and_counts_its_versions() -> None:
    room = Room(policy=Policy(seat_hold_s=5))
    facts = room.act("host", c.ChangePolicy(policy=PolicyPatch(away_after_s=9), if_version=0))
    assert told(facts) == ["room.policy_changed"]
    view = room.state.view
    assert (view.policy.seat_hold_s, view.policy.away_after_s, view.policy_version) == (5, 9, 1)
    assert room.act("host", c.ChangePolicy(policy=PolicyPatch(away_after_s=9))) == []
    refusal = room.refused("host", c.ChangePolicy(policy=PolicyPatch(solo_s=1), if_version=0))
    assert (refusal.code, refusal.context["version"]) == ("version_conflict", 1)


def test_the_rooms_own_text() -> None:
    room = Room()
    assert told(room.act("host", c.ChangeSettings(metadata="x"))) == ["room.settings_changed"]
    assert room.act("host", c.ChangeSettings(metadata="x")) == []
    assert room.refused("ana", c.ChangeSettings(metadata="y")).code == "not_room_host"


def test_r8_joining_again_is_no_news() -> None:
    room = Room(seated={"ana": 0})
    assert room.joins("ana") == []
    room.act("ana", c.Leave())
    assert [type(fact).__name__ for fact in room.joins("ana")] == ["Readmitted"]
    assert room.joins("ana") == []


def test_actors_have_names_for_records() -> None:
    assert (ENGINE.label, Actor(kind="user", identity=Identity("ana")).label) == ("engine", "ana")


def test_r2_the_owner_of_a_hostless_room_has_it_again() -> None:
    room = Room()
    room.act("host", c.Leave())
    assert room.host is None
    assert told(room.joins("host")) == ["host.transferred"]
    assert room.host == "host"


def test_r11_a_call_has_no_seats() -> None:
    room = Room(room_type=RoomType.VIDEO_CALL, seats=0, here=())
    assert room.refused(SERVER_API, c.LockSeats(indices="all")).code == "invalid_state"


def test_a_rooms_own_deadline_ends_it() -> None:
    room = Room(policy=Policy(empty_after_last_leave_s=5))
    room.counts(0)
    assert told(room.later(5)) == ["room.ended"]


def test_a_lonely_person_under_a_new_policy() -> None:
    room = Room(people=1)
    room.act("host", c.ChangePolicy(policy=PolicyPatch(solo_s=3)))
    assert room.due_in == 3


def test_a_command_about_oneself_needs_a_self_and_a_fresh_loss_keeps_its_clock() -> None:
    room = Room(seated={"ana": 0})
    assert room.refused(SERVER_API, c.LeaveSeat()).hint == "Act for a user with X-Act-As."
    room.loses("ana")
    assert room.turn().watch(Identity("ana")) == []
    assert room.due_in == 2
