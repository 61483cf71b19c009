"""Rules R2, R4 and R7a: exactly one host, or none after the policy said so."""

import pytest
from support.rooms import SERVER_API, Room, stream, told

from utd_engine.domain.permissions import desired_permission
from utd_protocol import commands as c
from utd_protocol.events import HostGone as Gone
from utd_protocol.policy import Policy
from utd_protocol.types import HostGone, Role, Source, StageInvites, StageRole, Target
from utd_protocol.types import RoomState as Phase


def lost_host(policy: HostGone = HostGone.TRANSFER, **room: object) -> Room:
    """A room whose host's absence counts."""
    made = Room(policy=Policy(host_gone=policy), **room)  # type: ignore[arg-type]
    made.loses("host")
    made.later(2)
    return made


def test_r7a_a_lost_host_is_told_with_a_deadline_after_away_after() -> None:
    room = Room()
    room.loses("host")
    assert room.due_in == 2
    assert room.later(1.999) == []
    facts = room.later(0.001)
    assert told(facts) == ["member.away", "host.gone"]
    [gone] = [fact for fact in facts if isinstance(fact, Gone)]
    assert (gone.until - room.now).total_seconds() == 60
    assert room.state.view.host_gone_until == gone.until
    assert room.host == "host"


def test_r7a_the_host_is_back_in_time() -> None:
    room = lost_host()
    room.later(59)
    assert told(room.sees("host")) == ["member.present", "host.back"]
    assert room.state.view.host_gone_until is None
    assert room.later(60) == []


def test_r18_a_full_reconnect_of_the_host_changes_nothing() -> None:
    room = Room()
    room.loses("host")
    room.later(0.05)
    assert told(room.sees("host")) == []
    assert told(room.later(100)) == []


@pytest.mark.parametrize(
    ("policy", "admin", "host", "ended"),
    [
        (HostGone.TRANSFER, True, "adm", False),
        (HostGone.TRANSFER, False, None, False),
        (HostGone.TRANSFER_OR_END, True, "adm", False),
        (HostGone.TRANSFER_OR_END, False, "host", True),
        (HostGone.END, True, "host", True),
        (HostGone.END, False, "host", True),
    ],
)
@pytest.mark.parametrize("on_purpose", [False, True])
def test_r7a_what_the_policy_does(
    *, policy: HostGone, admin: bool, host: str | None, ended: bool, on_purpose: bool
) -> None:
    room = Room(policy=Policy(host_gone=policy), admins=["adm"] if admin else [])
    if on_purpose:
        room.act("host", c.Leave())
    else:
        room.loses("host")
        room.later(2)
        room.later(60)
    view = room.state.view
    assert (view.host, view.state is Phase.ENDED) == (host, ended)
    assert view.ended_reason == ("host_gone" if ended else None)
    assert view.host_gone_until is None


def test_r7a_the_heir_is_the_senior_admin_who_is_present() -> None:
    room = Room(admins=["old", "mid", "new"])
    room.act("host", c.SetRole(identity="old", role=Role.AUDIENCE))
    room.act("host", c.SetRole(identity="old", role=Role.ADMIN))  # now the youngest
    room.loses("mid")
    room.act("host", c.Leave())
    assert room.host == "new"


def test_r7a_the_recorded_owner_regains_a_hostless_room_by_joining() -> None:
    room = lost_host()
    room.later(60)
    assert room.host is None
    assert room.joins("ana") == []
    assert told(room.joins("host")) == ["host.transferred"]
    assert room.host == "host"
    assert room.due_in == 30  # and must appear


def test_r2_after_a_transfer_the_owner_returns_as_audience() -> None:
    room = Room(here=("host", "ana"))
    room.act("host", c.TransferHost(identity="ana"))
    room.act("host", c.Leave())
    room.joins("host", claim=Role.HOST)
    assert room.state.view.role_of("host") is Role.AUDIENCE
    room.sees("ana")
    room.act("ana", c.Leave())
    assert told(room.joins("host")) == ["host.transferred"]


def test_r2_a_claim_gives_no_role() -> None:
    room = Room()
    assert room.joins("ana", claim=Role.HOST) == []
    assert room.joins("ana", claim=Role.ADMIN) == []


def test_r4_only_the_host_and_the_server_hand_the_room_over() -> None:
    room = Room(admins=["adm"])
    assert room.refused("adm", c.TransferHost(identity="ana")).code == "not_room_host"
    room.act(
        "host",
        c.ChangePolicy(policy=c.PolicyPatch(capabilities={Role.ADMIN: ("members.role",)})),
    )
    assert room.refused("adm", c.TransferHost(identity="adm")).code == "not_room_host"
    assert room.act("host", c.TransferHost(identity="host")) == []
    assert told(room.act("host", c.TransferHost(identity="adm"))) == ["host.transferred"]
    assert (room.host, room.member("adm").role) == ("adm", Role.AUDIENCE)
    assert told(room.act(SERVER_API, c.TransferHost(identity="ana"))) == ["host.transferred"]


def test_r4_a_new_host_who_never_appears_is_gone_like_any_other() -> None:
    room = Room()
    room.act("host", c.TransferHost(identity="typo"))
    assert told(room.later(30)) == ["member.away", "host.gone"]
    assert told(room.later(60)) == ["host.transferred"]
    assert room.host is None
    assert room.state.view.members == ()


def test_r4_a_new_host_known_to_be_away_gets_time_and_no_more() -> None:
    room = Room(admins=["adm"])
    room.loses("adm")
    room.later(2)
    room.act("host", c.TransferHost(identity="adm"))
    assert told(room.later(30)) == ["host.gone"]
    assert told(room.sees("adm")) == ["member.present", "host.back"]


def test_r7a_a_host_replaced_while_away_leaves_no_trace() -> None:
    room = lost_host()
    room.act(SERVER_API, c.TransferHost(identity="ana"))
    assert room.state.view.members == ()
    assert room.state.view.host_gone_until is None
    assert set(room.state.presence) == {"ana"}


def test_r7a_a_replaced_host_keeps_a_held_seat_and_its_hold() -> None:
    room = lost_host(seated={"host": 0})
    room.act(SERVER_API, c.TransferHost(identity="ana"))
    assert room.member("host").away
    room.sees("ana")
    assert told(room.later(30)) == ["seat.left"]
    assert room.state.view.members == ()


def test_r7a_a_second_loss_does_not_prolong_the_grace() -> None:
    room = lost_host()
    until = room.state.view.host_gone_until
    room.act("host", c.TakeSeat())
    assert "host.gone" not in told(room.later(30))
    assert room.state.view.host_gone_until == until


# --- streams ------------------------------------------------------------------------------------


def leads(room: Room) -> list[tuple[str, StageRole]]:
    """Who is on stage, as what."""
    return [(one.identity, one.role) for one in room.state.view.stage]


@pytest.mark.parametrize("guest", [True, False])
def test_r4_a_transfer_moves_the_lead_of_the_stage(*, guest: bool) -> None:
    room = stream()
    if guest:
        room.act("host", c.InviteToStage(identity="ana", sources=(Source.MICROPHONE,)))
    room.act("host", c.InviteToStage(identity="bob"))
    assert told(room.act("host", c.TransferHost(identity="ana"))) == ["host.transferred"]
    assert leads(room) == [("ana", StageRole.HOST), ("bob", StageRole.CO_HOST)]
    assert desired_permission(room.state, "host").sources == ()
    wanted = (Source.MICROPHONE,) if guest else (Source.CAMERA, Source.MICROPHONE)
    assert desired_permission(room.state, "ana").sources == wanted
    assert told(room.act("ana", c.PauseStream())) == ["stream.paused"]
    assert room.refused("host", c.ResumeStream()).code == "not_room_host"


@pytest.mark.parametrize("asked", [True, False])
def test_r30_a_new_host_waits_for_no_place_on_the_stage(*, asked: bool) -> None:
    room = stream(policy=Policy(stage_invites=StageInvites.CONSENT))
    if asked:
        room.act("ana", c.CreateRequest(target=Target.STAGE))
    else:
        room.act("host", c.InviteToStage(identity="ana"))
    room.act("host", c.TransferHost(identity="ana"))
    assert (room.state.pending, room.state.view.invites) == ({}, ())


def test_r30_an_heir_waits_for_no_place_on_the_stage_either() -> None:
    room = stream(admins=["adm"])
    room.act("adm", c.CreateRequest(target=Target.STAGE))
    assert told(room.act("host", c.Leave())) == ["host.transferred", "request.cancelled"]
    assert leads(room) == [("adm", StageRole.HOST)]


@pytest.mark.parametrize("heir", [True, False])
@pytest.mark.parametrize("on_purpose", [True, False])
def test_r7a_a_stream_is_handed_to_an_admin_or_ends(*, heir: bool, on_purpose: bool) -> None:
    room = stream(admins=["adm"] if heir else ["gone"])
    room.act("host", c.InviteToStage(identity="bob"))
    room.sees("bob")
    if not heir:
        room.loses("gone")
    if on_purpose:
        room.act("host", c.Leave())
    else:
        room.loses("host")
        room.later(2)
        assert room.state.view.state is Phase.LIVE
        room.later(60)
    if heir:
        assert leads(room) == [("adm", StageRole.HOST), ("bob", StageRole.CO_HOST)]
        assert room.state.view.state is Phase.LIVE
    else:
        assert (room.state.view.state, room.state.view.ended_reason) == (Phase.ENDED, "host_gone")


def test_r7a_a_held_co_host_who_becomes_host_is_gone_like_any_other() -> None:
    room = stream()
    room.act("host", c.InviteToStage(identity="ana"))
    room.sees("ana")
    room.loses("ana")
    room.later(2)
    room.act("host", c.TransferHost(identity="ana"))
    leader = room.state.view.stage_member("ana")
    assert leader is not None
    assert leader.held_until is None
    assert told(room.later(30)) == ["host.gone"]
    assert told(room.sees("ana")) == ["member.present", "host.back"]


def test_r7a_the_owner_who_regains_a_stream_leads_its_stage_again() -> None:
    room = stream(policy=Policy(host_gone=HostGone.TRANSFER))
    room.act("host", c.Leave())
    assert leads(room) == []
    room.joins("host")
    assert leads(room) == [("host", StageRole.HOST)]
