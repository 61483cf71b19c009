"""What a room remembers, how facts move it, and that it stays small."""

from datetime import timedelta
from types import ModuleType

import msgspec
import pytest
from support.rooms import T0, Room

from utd_engine.domain.state import (
    EVICTED_KEPT,
    EVICTION_KEPT,
    BanLifted,
    Eviction,
    OccupancyNoted,
    Readmitted,
    RoomState,
    apply,
    apply_all,
    generation,
    is_evicted,
    is_public,
    pending_of,
    public_only,
    watched,
)
from utd_protocol import commands as c
from utd_protocol.apply import apply_all as fold
from utd_protocol.events import MemberKicked
from utd_protocol.types import BanScope, Identity, Role

ANA = Identity("ana")


def evicted(state: RoomState, who: str, *, after: timedelta = timedelta()) -> RoomState:
    """The state after somebody went."""
    return apply(state, Eviction(identity=Identity(who), at=T0 + after))


def test_private_facts_are_never_public() -> None:
    public, private = MemberKicked(at=T0, identity=ANA), OccupancyNoted(count=1)
    assert (is_public(public), is_public(private)) == (True, False)
    assert public_only([private, public]) == [public]


def test_private_facts_leave_the_view_alone() -> None:
    room = Room(admins=["adm"], seated={"ana": 0})
    before = room.state.view
    for act in (
        lambda: room.loses("ana"),
        lambda: room.counts(1),
        lambda: room.act("bob", c.Leave()),
        lambda: room.joins("bob"),
    ):
        act()
        assert room.state.view == before
        assert public_only(room.facts) == []


def test_the_view_is_the_fold_of_the_public_events() -> None:
    room = Room()
    view = room.state.view
    for who, command in (
        ("ana", c.CreateRequest(index=1)),
        ("host", c.ApproveRequest(id=1)),
        ("host", c.SetRole(identity="bob", role=Role.ADMIN)),
        ("bob", c.Kick(identity="ana")),
        ("host", c.Leave()),
    ):
        view = fold(view, public_only(room.act(who, command)))
        assert view == room.state.view


def test_only_people_with_a_place_a_role_or_a_wish_are_watched() -> None:
    room = Room(admins=["adm"], seated={"ana": 0})
    room.act("bob", c.CreateRequest())
    room.act("host", c.CreateInvite(identity="eve"))
    assert watched(room.state) == {"host", "adm", "ana", "bob", "eve"}
    room.act("host", c.RejectRequest(id=1))
    room.act("eve", c.DeclineInvite(id=2))
    room.act("ana", c.LeaveSeat())
    assert set(room.state.presence) == {"host", "adm"}
    assert pending_of(room.state, "bob") == []


def test_r42_a_past_is_forgotten_when_no_token_can_be_that_old() -> None:
    state = evicted(Room().state, "ana")
    state = evicted(state, "bob", after=EVICTION_KEPT)
    assert set(state.evicted) == {"bob"}
    assert (is_evicted(state, "ana"), generation(state, "ana")) == (False, 0)


def test_r42_a_generation_grows_even_after_a_past_was_forgotten() -> None:
    state = evicted(evicted(Room().state, "ana"), "ana")
    token = generation(state, "ana")
    state = evicted(state, "bob", after=2 * EVICTION_KEPT)
    state = evicted(state, "ana", after=2 * EVICTION_KEPT)
    assert generation(state, "ana") > token


def test_r42_however_many_leave_the_latest_are_remembered() -> None:
    state = Room().state
    for number in range(EVICTED_KEPT + 10):
        state = evicted(state, f"user-{number}")
    assert len(state.evicted) == EVICTED_KEPT
    assert is_evicted(state, f"user-{EVICTED_KEPT + 9}")
    assert not is_evicted(state, "user-9")


def test_readmitting_somebody_without_a_past_changes_nothing() -> None:
    state = Room().state
    assert apply(state, Readmitted(identity=ANA)) is state


def test_a_state_does_not_grow_with_its_audience() -> None:
    room = Room()
    size = len(msgspec.json.encode(room.state))
    for number in range(200):
        who = f"listener-{number}"
        room.joins(who)
        room.sees(who)
        room.loses(who)
    room.later(10)
    assert len(msgspec.json.encode(room.state)) == size


@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack])
def test_a_snapshot_comes_back_as_it_was(codec: ModuleType) -> None:
    room = Room(admins=["adm"], seated={"ana": 0})
    room.act("bob", c.CreateRequest(index=2, note="hi"))
    room.act("host", c.Kick(identity="ana", reason="noise"))
    room.loses("adm")
    again = codec.decode(codec.encode(room.state), type=RoomState)
    assert again == room.state
    assert apply_all(again, []) == room.state


def test_facts_about_bans_move_no_room() -> None:
    state = Room().state
    assert apply(state, BanLifted(identity=ANA, scope=BanScope.ROOM)) is state


def test_r30_an_ended_room_has_nothing_pending() -> None:
    room = Room()
    room.act("ana", c.CreateRequest())
    room.act("host", c.EndRoom())
    assert room.state.pending == {}


def test_r18_an_absence_that_counts_is_remembered() -> None:
    room = Room(admins=["adm"])
    room.loses("adm")
    assert not room.state.presence["adm"].declared
    room.later(2)
    assert room.state.presence["adm"].declared
