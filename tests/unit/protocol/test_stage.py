"""Folding events of live streams over a view."""

from datetime import timedelta
from functools import reduce

import pytest
from support.rooms import T0, opening

from utd_protocol import events as ev
from utd_protocol.apply import AnyEvent, apply, open_view
from utd_protocol.stage import apply_stage, apply_stream
from utd_protocol.types import Identity, Role, RoomType, Source, StageRole
from utd_protocol.types import RoomState as Phase
from utd_protocol.views import RoomView, StageMember

ANA, BOB, HOST = Identity("ana"), Identity("bob"), Identity("host")
CAMERA, MICROPHONE = Source.CAMERA, Source.MICROPHONE
SOON = T0 + timedelta(seconds=30)


def folded(*events: AnyEvent, kind: RoomType = RoomType.LIVE_STREAM) -> RoomView:
    """A fresh stream after the events."""
    return reduce(apply, events, open_view(opening(seats=0, room_type=kind)))


def joined(who: Identity, *sources: Source) -> ev.StageJoined:
    """Somebody comes on stage."""
    return ev.StageJoined(at=T0, identity=who, sources=sources)


def leads(view: RoomView) -> list[tuple[str, StageRole]]:
    """Who is on stage, as what."""
    return [(one.identity, one.role) for one in view.stage]


def test_r21_the_host_is_on_stage_from_the_beginning() -> None:
    assert folded().stage == (
        StageMember(identity=HOST, role=StageRole.HOST, sources=(CAMERA, MICROPHONE)),
    )
    assert folded().state is Phase.BACKSTAGE


@pytest.mark.parametrize("kind", [one for one in RoomType if one is not RoomType.LIVE_STREAM])
def test_r21_other_rooms_have_no_stage(kind: RoomType) -> None:
    handed = ev.HostTransferred(at=T0, previous=HOST, host=ANA)
    assert folded(handed, kind=kind).stage == ()


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (ev.StreamLive(at=T0, with_video=True), Phase.LIVE),
        (ev.StreamPaused(at=T0), Phase.PAUSED),
        (ev.StreamResumed(at=T0), Phase.LIVE),
        (ev.RoomEnded(at=T0, reason="x"), Phase.ENDED),
    ],
)
def test_r22_r23_the_state_of_a_stream(event: ev.RoomEvent, state: Phase) -> None:
    assert folded(event).state is state


def test_r21_when_it_is_meant_to_begin() -> None:
    assert folded(ev.StreamScheduled(at=T0, scheduled_at=SOON)).scheduled_at == SOON
    assert folded(ev.StreamScheduled(at=T0)).scheduled_at is None


def test_r24_r25_people_come_and_go_in_order() -> None:
    view = folded(joined(ANA, CAMERA), joined(BOB, MICROPHONE))
    assert [one.identity for one in view.stage] == [HOST, ANA, BOB]
    assert view.stage_member("ana") == StageMember(identity=ANA, sources=(CAMERA,))
    view = apply(view, ev.StageLeft(at=T0, identity=ANA))
    assert [one.identity for one in view.stage] == [HOST, BOB]
    assert view.stage_member("ana") is None


def test_r24_nobody_is_on_stage_twice() -> None:
    view = folded(joined(ANA, CAMERA))
    assert apply(view, joined(ANA, MICROPHONE)) == view


def test_r24_sources_change_of_one_only() -> None:
    changed = ev.StageSourcesChanged(at=T0, identity=ANA, sources=(Source.SCREEN_SHARE,))
    view = folded(joined(ANA, CAMERA), joined(BOB, CAMERA), changed)
    assert [one.sources for one in view.stage[1:]] == [(Source.SCREEN_SHARE,), (CAMERA,)]


def test_r27_a_place_is_held_and_resumed() -> None:
    held = ev.StageHeld(at=T0, identity=ANA, until=SOON)
    view = folded(joined(ANA, CAMERA), held)
    assert view.stage[1].held_until == SOON
    assert apply(view, ev.StageResumed(at=T0, identity=ANA)).stage[1].held_until is None


@pytest.mark.parametrize(
    "event",
    [
        ev.StageLeft(at=T0, identity=BOB),
        ev.StageHeld(at=T0, identity=BOB, until=SOON),
        ev.StageResumed(at=T0, identity=BOB),
        ev.StageSourcesChanged(at=T0, identity=BOB, sources=()),
    ],
)
def test_who_is_not_on_stage_is_not_changed(event: ev.RoomEvent) -> None:
    assert folded(event) == folded()


def test_r4_a_transfer_moves_the_lead_and_takes_the_old_one_off() -> None:
    held = ev.StageHeld(at=T0, identity=BOB, until=SOON)
    view = folded(joined(ANA, CAMERA), joined(BOB, MICROPHONE), held)
    view = apply(view, ev.HostTransferred(at=T0, previous=HOST, host=BOB))
    assert leads(view) == [(BOB, StageRole.HOST), (ANA, StageRole.CO_HOST)]
    assert view.stage[0] == StageMember(
        identity=BOB, role=StageRole.HOST, sources=(MICROPHONE,), held_until=None
    )
    view = apply(view, ev.HostTransferred(at=T0, previous=BOB, host=None))
    assert leads(view) == [(ANA, StageRole.CO_HOST)]
    view = apply(view, ev.HostTransferred(at=T0, previous=None, host=HOST))
    assert leads(view) == [(HOST, StageRole.HOST), (ANA, StageRole.CO_HOST)]


def test_an_absence_is_kept_while_there_is_a_place_on_stage_to_come_back_to() -> None:
    admin = ev.MemberRoleChanged(at=T0, identity=ANA, role=Role.ADMIN)
    away = ev.MemberAway(at=T0, identity=ANA)
    audience = ev.MemberRoleChanged(at=T0, identity=ANA, role=Role.AUDIENCE)
    view = folded(admin, joined(ANA, CAMERA), away, audience)
    assert view.member(ANA).away
    assert apply(view, ev.StageLeft(at=T0, identity=ANA)).members == ()


def test_other_events_are_not_about_the_stage() -> None:
    other = ev.RoomSettingsChanged(at=T0, metadata="x")
    assert (apply_stage(folded(), other), apply_stream(folded(), other)) == (None, None)
