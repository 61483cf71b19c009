"""Rules R24 to R27: who may publish in a live stream beside its host."""

import pytest
from support.rooms import SERVER_API, Room, stream, told

from utd_engine.domain.permissions import desired_permission
from utd_engine.domain.requests import MAX_PENDING
from utd_protocol import commands as c
from utd_protocol.events import StageJoined, StageLeft
from utd_protocol.policy import Policy, PolicyPatch
from utd_protocol.types import Role, Source, StageInvites, StageRole, Target

CAMERA, MICROPHONE, SCREEN = Source.CAMERA, Source.MICROPHONE, Source.SCREEN_SHARE
BOTH = (CAMERA, MICROPHONE)
CONSENT = Policy(stage_invites=StageInvites.CONSENT)
ASK = c.CreateRequest(target=Target.STAGE)


def with_guest(**options: object) -> Room:
    """Ana is on stage with the host, and there."""
    room = stream(**options)
    room.act("host", c.InviteToStage(identity="ana"))
    room.sees("ana")
    return room


def on_air(room: Room, who: str) -> tuple[Source, ...]:
    """What somebody may publish now."""
    return desired_permission(room.state, who).sources


# --- inviting (R24) -----------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["host", "adm", SERVER_API])
def test_r24_an_invitation_grants_at_once(who: str) -> None:
    room = stream(admins=["adm"])
    assert told(room.act(who, c.InviteToStage(identity="ana"))) == ["stage.joined"]
    assert room.on_stage == ["host", "ana"]
    assert on_air(room, "ana") == BOTH
    assert room.act(who, c.InviteToStage(identity="ana", sources=(SCREEN,))) == []
    assert on_air(room, "ana") == BOTH


def test_r24_it_grants_what_was_named_once_and_in_order() -> None:
    room = stream()
    facts = room.act("host", c.InviteToStage(identity="ana", sources=(SCREEN, CAMERA, SCREEN)))
    [joined] = [fact for fact in facts if isinstance(fact, StageJoined)]
    assert joined.sources == on_air(room, "ana") == (CAMERA, SCREEN)


def test_r24_who_is_not_there_cannot_be_invited() -> None:
    room = stream()
    room.absent = {"ana"}
    assert room.refused("host", c.InviteToStage(identity="ana")).code == "not_in_room"
    room.act("eve", c.Leave())
    assert room.refused("host", c.InviteToStage(identity="eve")).rule == "R24"
    room.joins("eve")
    assert told(room.act("host", c.InviteToStage(identity="eve"))) == ["stage.joined"]


def test_r24_the_stage_has_no_cap() -> None:
    room = stream()
    for number in range(200):
        room.act("host", c.InviteToStage(identity=f"guest-{number}"))
    assert len(room.on_stage) == len(set(room.on_stage)) == 201


def test_r24_with_consent_it_must_be_accepted() -> None:
    room = stream(policy=CONSENT)
    facts = room.act("host", c.InviteToStage(identity="ana", sources=(MICROPHONE,)))
    assert told(facts) == ["invite.created"]
    assert (room.on_stage, on_air(room, "ana")) == (["host"], ())
    assert room.act("host", c.InviteToStage(identity="ana")) == []
    assert room.refused("bob", c.AcceptInvite(id=1)).code == "not_allowed"
    assert told(room.act("ana", c.AcceptInvite(id=1))) == ["invite.accepted", "stage.joined"]
    assert on_air(room, "ana") == (MICROPHONE,)
    assert room.refused("ana", c.AcceptInvite(id=1)).code == "already_handled"


def test_r24_with_consent_the_absent_are_refused_too() -> None:
    room = stream(policy=CONSENT)
    room.absent = {"ana"}
    assert room.refused("host", c.InviteToStage(identity="ana")).code == "not_in_room"


def test_r24_a_policy_that_stops_asking_grants_and_clears_the_invite() -> None:
    room = stream(policy=CONSENT)
    room.act("host", c.InviteToStage(identity="ana"))
    patch = PolicyPatch(stage_invites=StageInvites.GRANT)
    room.act("host", c.ChangePolicy(policy=patch))
    facts = room.act("host", c.InviteToStage(identity="ana"))
    assert told(facts) == ["stage.joined", "invite.cancelled"]
    assert room.state.view.invites == ()


# --- sources (R24) ------------------------------------------------------------------------------


def test_r24_sources_are_set_and_set_again() -> None:
    room = with_guest()
    command = c.SetStageSources(identity="ana", sources=(SCREEN, MICROPHONE))
    assert told(room.act("host", command)) == ["stage.sources_changed"]
    assert on_air(room, "ana") == (MICROPHONE, SCREEN)
    assert room.act("host", command) == []


def test_r24_sources_of_somebody_not_on_stage() -> None:
    refusal = stream().refused("host", c.SetStageSources(identity="eve", sources=(CAMERA,)))
    assert refusal.code == "not_in_room"


def test_r4_an_admin_sets_sources_of_themselves_and_of_those_below() -> None:
    room = with_guest(admins=["adm", "bea"])
    for who in ("adm", "bea"):
        room.act("host", c.InviteToStage(identity=who))
    wide = {who: c.SetStageSources(identity=who, sources=(SCREEN,)) for who in room.on_stage}
    assert told(room.act("adm", wide["adm"])) == ["stage.sources_changed"]
    assert told(room.act("adm", wide["ana"])) == ["stage.sources_changed"]
    for who in ("bea", "host"):
        assert room.refused("adm", wide[who]).rule == "R4"
    assert room.refused("ana", wide["ana"]).code == "not_allowed"


# --- stepping down (R25) ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "command", "reason"),
    [
        ("host", c.RemoveFromStage(identity="ana"), "removed"),
        ("adm", c.RemoveFromStage(identity="ana"), "removed"),
        (SERVER_API, c.RemoveFromStage(identity="ana"), "removed"),
        ("ana", c.LeaveStage(), "left"),
    ],
)
def test_r25_off_the_stage_means_no_right(who: str, command: c.StreamCommand, reason: str) -> None:
    room = with_guest(admins=["adm"])
    facts = room.act(who, command)
    assert told(facts) == ["stage.left"]
    assert [fact.reason for fact in facts if isinstance(fact, StageLeft)] == [reason]
    assert (room.on_stage, on_air(room, "ana")) == (["host"], ())
    assert room.act(who, command) == []
    assert "ana" not in room.state.presence


@pytest.mark.parametrize(
    ("who", "command"),
    [
        ("host", c.RemoveFromStage(identity="host")),
        ("adm", c.RemoveFromStage(identity="host")),
        (SERVER_API, c.RemoveFromStage(identity="host")),
        ("host", c.LeaveStage()),
    ],
)
def test_r25_the_host_stays_on_stage(who: str, command: c.StreamCommand) -> None:
    room = stream(admins=["adm"])
    assert room.refused(who, command).code == "not_allowed"


def test_r4_an_admin_removes_no_equal_but_may_step_down() -> None:
    room = stream(admins=["adm", "bea"])
    for who in ("adm", "bea"):
        room.act("host", c.InviteToStage(identity=who))
    assert room.refused("adm", c.RemoveFromStage(identity="bea")).rule == "R4"
    assert told(room.act("adm", c.RemoveFromStage(identity="adm"))) == ["stage.left"]


# --- asking (R26) -------------------------------------------------------------------------------


def test_r26_hands_are_raised_in_a_queue_in_order() -> None:
    room = stream()
    for who in ("ana", "bob", "cem"):
        room.act(who, c.CreateRequest(target=Target.STAGE, note="me"))
    assert [(one.id, one.identity) for one in room.state.pending.values()] == [
        (1, "ana"), (2, "bob"), (3, "cem"),
    ]  # fmt: skip
    assert told(room.act("host", c.ApproveRequest(id=2))) == ["request.approved", "stage.joined"]
    assert on_air(room, "bob") == BOTH
    assert told(room.act("host", c.RejectRequest(id=1))) == ["request.rejected"]
    assert told(room.act("cem", c.CancelRequest(id=3))) == ["request.cancelled"]
    assert room.on_stage == ["host", "bob"]


def test_r26_who_may_not() -> None:
    room = with_guest()
    assert room.refused("ana", ASK).code == "invalid_state"
    assert room.refused("host", ASK).code == "invalid_state"
    assert room.refused("bob", c.CreateRequest()).context["field"] == "target"
    assert room.refused("bob", c.CreateRequest(target=Target.STAGE, index=0)).code == (
        "seat_not_found"
    )
    room.act("bob", ASK)
    assert room.refused("ana", c.ApproveRequest(id=1)).code == "not_allowed"
    patch = PolicyPatch(capabilities={Role.AUDIENCE: ()})
    room.act("host", c.ChangePolicy(policy=patch))
    assert room.refused("eve", ASK).context["capability"] == "stage.request"


def test_r26_a_hand_comes_down_when_the_time_is_over() -> None:
    room = stream(policy=Policy(request_ttl_s=10))
    room.act("ana", ASK)
    room.sees("ana")
    assert told(room.later(10)) == ["request.expired"]


@pytest.mark.parametrize("policy", [Policy(), CONSENT])
def test_r28_an_invitation_that_meets_a_raised_hand_completes_at_once(policy: Policy) -> None:
    room = stream(policy=policy)
    room.act("ana", ASK)
    facts = room.act("host", c.InviteToStage(identity="ana", sources=(SCREEN,)))
    assert told(facts) == ["request.approved", "stage.joined"]
    assert (on_air(room, "ana"), room.state.pending) == ((SCREEN,), {})


def test_r28_a_raised_hand_that_meets_an_invite_completes_at_once() -> None:
    room = stream(policy=CONSENT)
    room.act("host", c.InviteToStage(identity="ana", sources=(SCREEN,)))
    assert told(room.act("ana", ASK)) == ["invite.accepted", "stage.joined"]
    assert on_air(room, "ana") == (SCREEN,)


def test_r31_the_queue_is_bounded() -> None:
    room = stream()
    for number in range(MAX_PENDING):
        room.act(f"user-{number}", ASK)
    assert room.refused("ana", ASK).code == "too_many_requests_pending"
    room.act("host", c.InviteToStage(identity="user-0"))
    assert told(room.act("ana", ASK)) == ["request.created"]


# --- absence (R27) ------------------------------------------------------------------------------


def test_r27_a_lost_co_host_has_a_held_place_and_no_right() -> None:
    room = with_guest()
    room.loses("ana")
    assert on_air(room, "ana") == BOTH
    assert told(room.later(2)) == ["member.away", "stage.held"]
    assert (room.on_stage, on_air(room, "ana")) == (["host", "ana"], ())
    assert room.due_in == 30
    assert told(room.later(29.999)) == []
    facts = room.later(0.001)
    assert told(facts) == ["stage.left"]
    assert [fact.reason for fact in facts if isinstance(fact, StageLeft)] == ["timeout"]
    assert (room.on_stage, room.state.view.members) == (["host"], ())
    assert "ana" not in room.state.presence


def test_r27_the_return_gives_the_place_back() -> None:
    room = with_guest()
    room.loses("ana")
    room.later(2)
    room.later(29.999)
    assert told(room.sees("ana")) == ["member.present", "stage.resumed"]
    assert (on_air(room, "ana"), room.due_in) == (BOTH, None)


def test_r27_the_hold_is_the_stages_own() -> None:
    room = with_guest(policy=Policy(stage_hold_s=7, seat_hold_s=99))
    room.loses("ana")
    room.later(2)
    assert room.due_in == 7


def test_r13a_a_guest_who_never_appears_had_the_time_of_one_hold() -> None:
    room = stream(policy=Policy(stage_hold_s=7, seat_hold_s=99))
    room.act("host", c.InviteToStage(identity="ana"))
    assert room.due_in == 7
    assert told(room.later(7)) == ["member.away", "stage.left"]
    assert room.on_stage == ["host"]


def test_r18_a_full_reconnect_of_a_co_host_changes_nothing() -> None:
    room = with_guest()
    before = room.state.view
    room.loses("ana")
    room.later(0.05)
    room.sees("ana")
    assert told(room.later(60)) == []
    assert room.state.view == before


def test_r27_an_away_admin_on_stage_who_loses_the_role_is_away_still() -> None:
    room = stream(admins=["adm"])
    room.act("host", c.InviteToStage(identity="adm"))
    room.loses("adm")
    room.later(2)
    room.act("host", c.SetRole(identity="adm", role=Role.AUDIENCE))
    assert room.member("adm").away
    assert told(room.sees("adm")) == ["member.present", "stage.resumed"]
    assert room.state.view.members == ()


def test_r27_a_held_place_is_not_given_again_and_can_be_given_up() -> None:
    room = with_guest()
    room.loses("ana")
    room.later(2)
    assert room.act("host", c.InviteToStage(identity="ana")) == []
    assert room.due_in == 30
    assert told(room.act("ana", c.LeaveStage())) == ["stage.left"]
    assert room.state.view.members == ()


def test_r27_the_host_has_no_held_place_but_a_grace() -> None:
    room = stream()
    room.loses("host")
    assert told(room.later(2)) == ["member.away", "host.gone"]
    host = room.state.view.stage_member("host")
    assert host is not None
    assert (host.role, host.held_until) == (StageRole.HOST, None)
