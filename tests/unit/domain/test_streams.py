"""Rules R21 to R23: backstage, live, paused, ended."""

from datetime import timedelta

import pytest
from support.rooms import SERVER_API, Room, stream, told

from utd_engine.domain.permissions import desired_permission
from utd_protocol import commands as c
from utd_protocol.policy import PolicyPatch
from utd_protocol.types import HostGone, Role, RoomType, Source, StageRole
from utd_protocol.types import RoomState as Phase

CAMERA, MICROPHONE = Source.CAMERA, Source.MICROPHONE
BOTH = (CAMERA, MICROPHONE)


def host_sources(room: Room) -> tuple[Source, ...]:
    """What the host may publish once it is live."""
    host = room.state.view.stage_member("host")
    return host.sources if host is not None else ()


def on_air(room: Room, who: str) -> tuple[Source, ...]:
    """What somebody may publish now."""
    return desired_permission(room.state, who).sources


def test_r21_a_stream_opens_backstage_with_its_host_on_stage() -> None:
    room = stream(live=False)
    view = room.state.view
    assert view.state is Phase.BACKSTAGE
    assert [(one.identity, one.role, one.sources) for one in view.stage] == [
        ("host", StageRole.HOST, BOTH)
    ]
    assert view.policy.host_gone is HostGone.TRANSFER_OR_END


def test_r21_nothing_leaks_from_backstage() -> None:
    room = stream(live=False)
    room.act("host", c.InviteToStage(identity="ana"))
    assert [on_air(room, who) for who in ("host", "ana", "eve")] == [(), (), ()]
    assert all(desired_permission(room.state, who).can_subscribe for who in ("host", "eve"))


def test_r21_a_time_that_viewers_see_opens_nothing_by_itself() -> None:
    room = stream(live=False)
    at = room.now + timedelta(hours=1)
    assert told(room.act("host", c.ScheduleStream(at=at))) == ["stream.scheduled"]
    assert room.state.view.scheduled_at == at
    assert room.act("host", c.ScheduleStream(at=at)) == []
    assert told(room.later(7200)) == []
    assert room.state.view.state is Phase.BACKSTAGE
    assert told(room.act("host", c.ScheduleStream())) == ["stream.scheduled"]
    assert room.state.view.scheduled_at is None


def test_r22_going_live_opens_the_stage() -> None:
    room = stream(live=False)
    assert told(room.act("host", c.GoLive())) == ["stream.live"]
    assert room.state.view.state is Phase.LIVE
    assert on_air(room, "host") == BOTH
    assert on_air(room, "eve") == ()


@pytest.mark.parametrize("with_video", [True, False])
def test_r22_going_live_twice_does_nothing(*, with_video: bool) -> None:
    room = stream()
    assert room.act("host", c.GoLive(with_video=with_video)) == []
    assert host_sources(room) == BOTH


def test_r22_without_video_the_camera_is_left_out_until_it_is_asked_for() -> None:
    room = stream(live=False)
    assert told(room.act("host", c.GoLive(with_video=False))) == [
        "stage.sources_changed",
        "stream.live",
    ]
    assert on_air(room, "host") == (MICROPHONE,)
    room.act("host", c.PauseStream())
    room.act("host", c.ResumeStream())
    assert on_air(room, "host") == (MICROPHONE,)
    assert told(room.act("host", c.GoLive(with_video=True))) == ["stage.sources_changed"]
    assert on_air(room, "host") == BOTH


def test_r22_without_video_the_camera_comes_back_by_set_sources_too() -> None:
    room = stream(live=False)
    room.act("host", c.GoLive(with_video=False))
    room.act("host", c.SetStageSources(identity="host", sources=BOTH))
    assert on_air(room, "host") == BOTH


def test_r22_without_video_the_other_sources_of_the_host_stay() -> None:
    room = stream(live=False)
    wide = (CAMERA, MICROPHONE, Source.SCREEN_SHARE)
    room.act("host", c.SetStageSources(identity="host", sources=wide))
    room.act("host", c.InviteToStage(identity="ana"))
    room.act("host", c.GoLive(with_video=False))
    assert host_sources(room) == (MICROPHONE, Source.SCREEN_SHARE)
    assert on_air(room, "ana") == BOTH


@pytest.mark.parametrize("back", [c.GoLive(), c.ResumeStream()])
def test_r22_r23_a_pause_silences_all_and_both_ways_lead_back(back: c.StreamCommand) -> None:
    room = stream()
    room.act("host", c.InviteToStage(identity="ana"))
    assert told(room.act("host", c.PauseStream())) == ["stream.paused"]
    assert room.state.view.state is Phase.PAUSED
    assert [on_air(room, who) for who in ("host", "ana")] == [(), ()]
    assert room.act("host", c.PauseStream()) == []
    room.act("host", back)
    assert room.state.view.state is Phase.LIVE
    assert [on_air(room, who) for who in ("host", "ana")] == [BOTH, BOTH]
    assert room.act("host", c.ResumeStream()) == []


@pytest.mark.parametrize("command", [c.PauseStream(), c.ResumeStream()])
def test_r23_what_has_not_begun_is_neither_paused_nor_resumed(command: c.StreamCommand) -> None:
    refusal = stream(live=False).refused("host", command)
    assert (refusal.code, refusal.rule) == ("stream_not_live", "R23")


@pytest.mark.parametrize(
    "command",
    [c.GoLive(), c.PauseStream(), c.ResumeStream(), c.ScheduleStream(), c.EndRoom()],
)
def test_r23_only_the_host_controls_the_stream(command: c.RoomCommand) -> None:
    room = stream(admins=["adm"])
    for who in ("adm", "eve"):
        assert room.refused(who, command).code == "not_room_host"
    room.act("host", c.InviteToStage(identity="ana"))
    assert room.refused("ana", command).code == "not_room_host"


def test_r3_an_app_may_let_admins_control_the_stream() -> None:
    room = stream(live=False, admins=["adm"])
    patch = PolicyPatch(capabilities={Role.ADMIN: ("stream.control",)})
    room.act("host", c.ChangePolicy(policy=patch))
    assert told(room.act("adm", c.GoLive())) == ["stream.live"]


def test_r23_the_end_is_final() -> None:
    room = stream()
    assert told(room.act("host", c.EndRoom(reason="bye"))) == ["room.ended"]
    assert on_air(room, "host") == ()
    for command in (c.GoLive(), c.ResumeStream(), c.InviteToStage(identity="ana")):
        assert room.refused("host", command).code == "room_ended"


def test_r22_a_backend_takes_a_stream_without_a_host_live() -> None:
    room = stream(live=False)
    room.act("host", c.ChangePolicy(policy=PolicyPatch(host_gone=HostGone.TRANSFER)))
    room.act("host", c.Leave())
    assert (room.host, room.on_stage) == (None, [])
    assert told(room.act(SERVER_API, c.GoLive(with_video=False))) == ["stream.live"]


@pytest.mark.parametrize("kind", [RoomType.AUDIO_ROOM, RoomType.AUDIO_CALL])
def test_r21_other_rooms_have_no_stage(kind: RoomType) -> None:
    room = Room(room_type=kind, here=())
    for command in (c.GoLive(), c.InviteToStage(identity="ana"), c.ScheduleStream()):
        assert room.refused(SERVER_API, command).code == "invalid_state"


@pytest.mark.parametrize("command", [c.TakeSeat(), c.LockSeats(indices="all"), c.EndCall()])
def test_r11_a_stream_has_no_seats_and_does_not_ring(command: c.RoomCommand) -> None:
    assert stream().refused("host", command).code == "invalid_state"
