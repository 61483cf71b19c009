"""What must be done so that LiveKit agrees (rules R6, R10, R42 and R48)."""

from datetime import datetime, timedelta
from typing import NamedTuple

import pytest
from msgspec import structs
from support.calls import CALLEE, CALLER, Call
from support.rooms import T0, Room, stream

from utd_engine.domain.orders import PresenceChanged
from utd_engine.domain.permissions import NOTHING, Permission, desired_permission
from utd_engine.domain.plan import Push, Remove, plan, presence_reports
from utd_engine.domain.turn import ENGINE
from utd_protocol import commands as c
from utd_protocol.types import Identity


class Seen(NamedTuple):
    """Somebody whom LiveKit reports."""

    identity: str
    sid: str = "S"
    joined_at: datetime = T0 + timedelta(days=1)
    agent: bool = False
    hidden: bool = False
    permission: Permission = NOTHING


@pytest.fixture
def room() -> Room:
    """Ana sits, adm moderates."""
    return Room(admins=["adm"], seated={"ana": 0})


def test_r10_whoever_has_another_permission_gets_the_whole_right_one(room: Room) -> None:
    ana = desired_permission(room.state, "ana")
    fine = Seen("bob", permission=desired_permission(room.state, "bob"))
    assert plan(room.state, [Seen("ana"), fine], ()) == [Push("ana", ana)]


@pytest.mark.parametrize("special", [Seen("x", agent=True), Seen("x", hidden=True)])
def test_agents_and_hidden_members_are_left_alone(room: Room, special: Seen) -> None:
    assert plan(room.state, [special], {"x"}) == []


def test_r6_r42_the_banned_and_the_put_out_are_removed(room: Room) -> None:
    room.act("host", c.Kick(identity="ana"))
    actions = plan(room.state, [Seen("ana"), Seen("bob")], {"bob"})
    assert actions == [Remove("ana", "evicted"), Remove("bob", "banned")]
    room.joins("ana")
    assert plan(room.state, [Seen("ana")], ()) == [
        Push("ana", desired_permission(room.state, "ana"))
    ]


def test_r48_a_list_says_who_came_who_went_and_who_was_replaced(room: Room) -> None:
    reports = presence_reports(
        room.state, [Seen("adm", sid="new"), Seen("somebody"), Seen("host", hidden=True)]
    )
    assert [(one.identity, one.sid, one.present) for one in reports] == [
        ("adm", "new", True),
        ("ana", room.state.presence["ana"].sid, False),
        ("host", room.state.presence["host"].sid, False),
    ]
    for one in reports:
        room.give(ENGINE, one)
    assert presence_reports(room.state, [Seen("adm", sid="new")]) == []


def test_r48_a_list_finds_a_new_admin_who_was_there_all_along() -> None:
    room = Room()
    room.act("host", c.SetRole(identity="ana", role=c.Role.ADMIN))
    here = [Seen("ana"), Seen("host", sid=room.state.presence["host"].sid or "")]
    [one] = presence_reports(room.state, here)
    room.give(ENGINE, one)
    room.act("host", c.Leave())
    assert room.host == "ana"


def test_r48_a_list_read_too_early_is_corrected_by_the_next(room: Room) -> None:
    adm = room.state.presence["adm"]
    listed = Seen("adm", sid=adm.sid or "", joined_at=adm.joined_at or T0)
    for one in presence_reports(room.state, []):
        room.give(ENGINE, one)
    assert not room.state.presence["adm"].present
    late = PresenceChanged(
        identity=Identity("adm"), sid=listed.sid, joined_at=listed.joined_at, present=True
    )
    assert room.give(ENGINE, late) == []
    for one in presence_reports(room.state, [listed]):
        room.give(ENGINE, one)
    assert room.state.presence["adm"].present


def test_r48_a_list_does_not_bring_back_who_was_put_out(room: Room) -> None:
    room.act("adm", c.Leave())
    assert [one.identity for one in presence_reports(room.state, [Seen("adm")])] == ["ana", "host"]


def test_r33_a_call_is_for_two() -> None:
    call = Call()
    wish = desired_permission(call.state, CALLER)
    here = [Seen(CALLER, permission=wish), Seen(CALLEE, permission=wish), Seen("eve")]
    assert plan(call.state, here, ()) == [Remove("eve", "not_a_party")]
    assert plan(call.state, [Seen("eve", hidden=True)], ()) == []


def test_r33_in_a_call_without_parties_nobody_stays() -> None:
    call = Call()
    empty = structs.replace(call.state, view=structs.replace(call.state.view, call=None))
    assert plan(empty, [Seen(CALLER)], ()) == [Remove(CALLER, "not_a_party")]


def test_r48_a_list_says_which_parties_and_which_co_hosts_are_there() -> None:
    call = Call()
    [caller] = presence_reports(call.state, [Seen(CALLER), Seen("eve")])
    assert (caller.identity, caller.present) == (CALLER, True)
    room = stream()
    room.act("host", c.InviteToStage(identity="ana"))
    reports = presence_reports(room.state, [Seen("ana"), Seen("eve")])
    assert [(one.identity, one.present) for one in reports] == [("ana", True), ("host", False)]


def test_r23_a_pause_takes_every_right_on_stage_away() -> None:
    room = stream()
    wish = desired_permission(room.state, "host")
    room.act("host", c.PauseStream())
    [push] = plan(room.state, [Seen("host", permission=wish)], ())
    assert isinstance(push, Push)
    assert not push.permission.can_publish
