"""Rules R5, R9 and R10: one function says who may publish what."""

import pytest
from msgspec import structs
from support.calls import CALLEE, CALLER, Call
from support.rooms import Room, stream

from utd_engine.domain.permissions import (
    NOTHING,
    Permission,
    concerned,
    desired_permission,
    listeners_differ,
    permission_changes,
)
from utd_protocol import commands as c
from utd_protocol.policy import Policy, PolicyPatch
from utd_protocol.types import DataPolicy, RoomType, Source

LISTENS = Permission(can_subscribe=True, can_publish_data=True)
SPEAKS = Permission(
    can_publish=True,
    sources=(Source.MICROPHONE,),
    can_subscribe=True,
    can_publish_data=True,
)


@pytest.fixture
def room() -> Room:
    """Ana sits, adm moderates, the host does neither."""
    return Room(admins=["adm"], seated={"ana": 0})


def test_r5_sitting_is_what_lets_speak_and_no_role_does(room: Room) -> None:
    wishes = {who: desired_permission(room.state, who) for who in ("ana", "adm", "host", "anybody")}
    assert wishes == {"ana": SPEAKS, "adm": LISTENS, "host": LISTENS, "anybody": LISTENS}


@pytest.mark.parametrize(
    ("off", "on"),
    [
        (c.MuteSeat(index=0), c.UnmuteSeat(index=0)),
        (c.HardMute(identity="ana"), c.LiftMute(identity="ana")),
    ],
)
def test_r9_a_muted_speaker_has_no_right_and_no_source(
    room: Room, off: c.RoomCommand, on: c.RoomCommand
) -> None:
    room.act("host", off)
    assert desired_permission(room.state, "ana") == LISTENS
    room.act("host", on)
    assert desired_permission(room.state, "ana") == SPEAKS


def test_r41_a_mute_of_another_source_leaves_the_microphone(room: Room) -> None:
    room.act("host", c.HardMute(identity="ana", source=Source.CAMERA))
    assert desired_permission(room.state, "ana") == SPEAKS


def test_r18_a_held_seat_gives_no_right(room: Room) -> None:
    room.loses("ana")
    assert desired_permission(room.state, "ana") == SPEAKS
    room.later(2)
    assert desired_permission(room.state, "ana") == LISTENS


def test_an_ended_room_grants_nothing(room: Room) -> None:
    room.act("host", c.EndRoom())
    assert desired_permission(room.state, "ana") == NOTHING


@pytest.mark.parametrize(
    ("policy", "speaker", "listener"),
    [
        (DataPolicy.EVERYONE, True, True),
        (DataPolicy.SPEAKERS, True, False),
        (DataPolicy.NOBODY, False, False),
    ],
)
def test_who_may_send_data(
    *, room: Room, policy: DataPolicy, speaker: bool, listener: bool
) -> None:
    before = room.state
    room.act("host", c.ChangePolicy(policy=PolicyPatch(data=policy)))
    assert desired_permission(room.state, "ana").can_publish_data is speaker
    assert desired_permission(room.state, "bob").can_publish_data is listener
    assert listeners_differ(before, room.state) is not listener


def test_a_muted_speaker_still_sends_data_as_a_speaker() -> None:
    room = Room(policy=Policy(data=DataPolicy.SPEAKERS), seated={"ana": 0})
    room.act("host", c.MuteSeat(index=0))
    assert desired_permission(room.state, "ana").can_publish_data


def test_r9_a_mute_on_stage_takes_one_source_and_the_last_takes_the_right() -> None:
    room = stream()
    room.act("host", c.InviteToStage(identity="ana"))
    room.act("host", c.HardMute(identity="ana", source=Source.CAMERA))
    assert desired_permission(room.state, "ana") == SPEAKS
    room.act("host", c.HardMute(identity="ana"))
    assert desired_permission(room.state, "ana") == LISTENS


def test_r22_who_publishes_in_a_stream_depends_on_its_state() -> None:
    room = stream(live=False)
    room.act("host", c.InviteToStage(identity="ana", sources=(Source.MICROPHONE,)))
    assert desired_permission(room.state, "ana") == LISTENS
    room.act("host", c.GoLive())
    assert desired_permission(room.state, "ana") == SPEAKS
    assert desired_permission(room.state, "eve") == LISTENS
    before = room.state
    room.act("host", c.PauseStream())
    people = concerned(before, room.state)
    assert permission_changes(before, room.state, people) == {"host": LISTENS, "ana": LISTENS}
    assert not listeners_differ(before, room.state)


def test_who_is_on_stage_sends_data_as_a_speaker_in_any_state() -> None:
    room = stream(live=False, policy=Policy(data=DataPolicy.SPEAKERS))
    room.act("host", c.InviteToStage(identity="ana"))
    room.sees("ana")
    data = {who: desired_permission(room.state, who).can_publish_data for who in ("ana", "eve")}
    assert data == {"ana": True, "eve": False}
    room.loses("ana")
    room.later(2)
    assert not desired_permission(room.state, "ana").can_publish_data


@pytest.mark.parametrize(
    ("kind", "sources"),
    [
        (RoomType.AUDIO_CALL, (Source.MICROPHONE,)),
        (RoomType.VIDEO_CALL, (Source.CAMERA, Source.MICROPHONE)),
    ],
)
def test_r33_the_parties_of_a_call_publish_until_it_is_over_and_nobody_else_does(
    kind: RoomType, sources: tuple[Source, ...]
) -> None:
    call = Call(kind)
    speaks = structs.replace(SPEAKS, sources=sources)
    for command in (c.CallRinging(), c.AcceptCall(), c.EndCall()):
        wishes = [desired_permission(call.state, who) for who in (CALLER, CALLEE, "eve", "")]
        assert wishes == [speaks, speaks, NOTHING, NOTHING]
        before = call.state
        call.act(CALLEE, command)
    assert permission_changes(before, call.state, concerned(before, call.state)) == {
        CALLER: NOTHING,
        CALLEE: NOTHING,
    }


def test_r33_a_call_without_parties_grants_nothing() -> None:
    call = Call()
    empty = structs.replace(call.state, view=structs.replace(call.state.view, call=None))
    assert desired_permission(empty, CALLER) == NOTHING


def test_the_changes_of_an_act_are_the_difference_of_before_and_after(room: Room) -> None:
    before = room.state
    room.act("ana", c.LeaveSeat())
    room.act("bob", c.TakeSeat(index=1))
    people = concerned(before, room.state)
    assert people >= {"ana", "bob", "adm"}
    changes = permission_changes(before, room.state, people)
    assert changes == {"ana": LISTENS, "bob": SPEAKS}
    assert not listeners_differ(before, room.state)
