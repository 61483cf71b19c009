"""Rules R3 and R4: capabilities open commands, and the table of all of them."""

import pytest
from support.rooms import SERVER_API, Room, told

from utd_engine.domain.orders import Join
from utd_engine.domain.refusal import Refused
from utd_engine.domain.roles import (
    ADMIN,
    AUDIENCE,
    HOST,
    NEEDS,
    OWN_ACT,
    SERVER_ONLY,
    may,
    steps_down,
)
from utd_engine.domain.turn import ENGINE, SERVER, Actor
from utd_protocol import commands as c
from utd_protocol.policy import PolicyPatch
from utd_protocol.types import Capability, Identity, Role

ALL = frozenset(Capability.__args__)


def test_r3_the_roles_are_nested_and_cover_the_list() -> None:
    assert AUDIENCE < ADMIN < HOST
    assert HOST == ALL
    own = {"room.end", "members.role", "room.settings", "stream.control"}
    assert own == HOST - ADMIN
    assert {
        "seats.take",
        "seats.request",
        "stage.request",
        "chat.send",
        "signals.send",
    } == AUDIENCE


def test_r3_every_command_needs_something_that_exists() -> None:
    assert set(NEEDS.values()) <= ALL | {OWN_ACT, SERVER_ONLY}


def test_r3_a_policy_replaces_what_a_role_may_do_but_not_the_hosts() -> None:
    room = Room()
    assert room.refused("ana", c.MuteSeat(index=0)).code == "not_allowed"
    patch = PolicyPatch(
        capabilities={Role.AUDIENCE: ("seats.manage",), Role.HOST: (), Role.ADMIN: ()}
    )
    room.act("host", c.ChangePolicy(policy=patch))
    assert told(room.act("ana", c.MuteSeat(index=0))) == ["seat.muted"]
    assert room.refused("ana", c.TakeSeat()).context["capability"] == "seats.take"
    assert told(room.act("host", c.EndRoom())) == ["room.ended"]


def test_r3_a_refusal_says_which_roles_have_it() -> None:
    room = Room()
    assert room.refused("ana", c.EndRoom()).code == "not_room_host"
    refusal = room.refused("ana", c.Kick(identity="bob"))
    assert (refusal.code, refusal.rule) == ("not_allowed", "R3")
    assert refusal.hint == "Roles that have it here: host, admin."


def test_r3_a_user_without_a_name_may_nothing() -> None:
    view = Room().state.view
    assert not may(view, Actor(kind="user"), "seats.take")
    assert may(view, SERVER, "room.end")
    assert may(view, ENGINE, "room.end")


def test_r3_the_engines_own_orders_are_no_users_business() -> None:
    refusal = Room().refused("host", Join(identity=Identity("ana")))
    assert (refusal.code, refusal.rule) == ("not_allowed", "R17")


@pytest.mark.parametrize("who", ["host", SERVER_API])
def test_r4_the_host_and_the_backend_act_on_anybody(who: str) -> None:
    room = Room(admins=["adm"])
    for target in ("adm", "ana"):
        assert told(room.act(who, c.HardMute(identity=target))) == ["member.muted"]


@pytest.mark.parametrize("target", ["host", "bea"])
def test_r4_an_admin_acts_on_nobody_equal_or_above(target: str) -> None:
    room = Room(admins=["adm", "bea"])
    refusal = room.refused("adm", c.HardMute(identity=target))
    assert (refusal.code, refusal.rule, refusal.hint) == ("not_allowed", "R4", "Ask the host.")


def test_r42_a_token_from_before_a_kick_opens_nothing_but_leaving_again() -> None:
    room = Room()
    old = Actor(kind="user", identity=Identity("ana"), generation=0)
    room.act("host", c.Kick(identity="ana"))
    with pytest.raises(Refused, match="put out of it"):
        room.give(old, c.TakeSeat())
    assert room.give(old, c.Leave()) == []


def test_r4_stepping_down_needs_no_capability() -> None:
    room = Room(admins=["adm"])
    step = c.SetRole(identity="adm", role=Role.AUDIENCE)
    assert steps_down(room.turn("adm"), step)
    assert not steps_down(room.turn("host"), step)
    assert not steps_down(room.turn("adm"), c.SetRole(identity="adm", role=Role.ADMIN))
