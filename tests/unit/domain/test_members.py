"""Rules R4, R7, R41 and R42: roles, mutes, kicks, bans and leaving."""

from datetime import timedelta

import msgspec
import pytest
from support.calls import Call
from support.rooms import SERVER_API, T0, Room, stream, told

from utd_engine.domain.members import MAX_MEMBERS
from utd_engine.domain.state import BanLifted, BanSet, generation, is_evicted, public_only
from utd_engine.domain.turn import Actor
from utd_protocol import commands as c
from utd_protocol.policy import PolicyPatch
from utd_protocol.types import BanScope, Identity, Role, SeatMode, Source, Target

ADMIN, AUDIENCE, HOST = Role.ADMIN, Role.AUDIENCE, Role.HOST
CAMERA, MICROPHONE = Source.CAMERA, Source.MICROPHONE


def give(role: Role, *capabilities: str) -> c.ChangePolicy:
    """Replace what a role may do."""
    return c.ChangePolicy(policy=PolicyPatch(capabilities={role: capabilities}))


# --- roles (R4) ---------------------------------------------------------------------------------


def test_r4_the_host_makes_admins_and_unmakes_them() -> None:
    room = Room()
    assert told(room.act("host", c.SetRole(identity="ana", role=ADMIN))) == ["member.role_changed"]
    assert room.act("host", c.SetRole(identity="ana", role=ADMIN)) == []
    room.act("host", c.SetRole(identity="ana", role=AUDIENCE))
    assert room.state.view.members == ()


def test_r4_nobody_changes_their_own_role_but_to_step_down() -> None:
    room = Room(admins=["adm"])
    room.act("host", give(ADMIN, "members.role"))
    assert room.refused("adm", c.SetRole(identity="adm", role=ADMIN)).rule == "R4"
    assert told(room.act("adm", c.SetRole(identity="adm", role=AUDIENCE))) == [
        "member.role_changed"
    ]
    assert room.act("adm", c.SetRole(identity="adm", role=AUDIENCE)) == []


@pytest.mark.parametrize("who", ["host", SERVER_API])
def test_r4_the_host_hands_the_room_over_instead_of_stepping_down(who: str) -> None:
    refusal = Room().refused(who, c.SetRole(identity="host", role=AUDIENCE))
    assert (refusal.code, refusal.hint) == ("not_allowed", "Transfer the host first.")


def test_r4_host_is_no_role_to_set() -> None:
    refusal = Room().refused("host", c.SetRole(identity="ana", role=HOST))
    assert (refusal.code, refusal.context["field"]) == ("invalid_request", "role")


def test_r4_an_admin_acts_on_no_admin_even_where_admins_make_admins() -> None:
    room = Room(admins=["adm", "bea"])
    assert room.refused("adm", c.SetRole(identity="ana", role=ADMIN)).code == "not_room_host"
    room.act("host", give(ADMIN, "members.role"))
    assert room.refused("adm", c.SetRole(identity="bea", role=AUDIENCE)).rule == "R4"
    assert room.refused("adm", c.SetRole(identity="host", role=ADMIN)).rule == "R4"
    assert told(room.act("adm", c.SetRole(identity="ana", role=ADMIN))) == ["member.role_changed"]


def test_r4_who_steps_down_while_away_is_away_no_more() -> None:
    room = Room(admins=["adm"])
    room.loses("adm")
    room.later(2)
    assert room.member("adm").away
    room.act("host", c.SetRole(identity="adm", role=AUDIENCE))
    assert room.state.view.members == ()
    assert "adm" not in room.state.presence


# --- mutes (R41) --------------------------------------------------------------------------------


def test_r41_asking_to_mute_enforces_nothing() -> None:
    room = Room()
    before = room.state
    assert told(room.act("host", c.AskMute(identity="ana"))) == ["member.mute_asked"]
    assert room.state == before


def test_r41_a_hard_mute_stands_until_it_is_lifted() -> None:
    room = Room()
    assert told(room.act("host", c.HardMute(identity="ana"))) == ["member.muted"]
    assert room.act("host", c.HardMute(identity="ana")) == []
    room.act("host", c.HardMute(identity="ana", source=CAMERA))
    assert room.member("ana").muted == (MICROPHONE, CAMERA)
    assert told(room.act("host", c.LiftMute(identity="ana"))) == ["member.unmuted"]
    assert room.act("host", c.LiftMute(identity="ana")) == []
    assert room.member("ana").muted == (CAMERA,)


@pytest.mark.parametrize("gone", [c.Leave(), None])
def test_r41_leaving_lifts_no_mute(gone: c.Leave | None) -> None:
    room = Room(here=("host", "ana"))
    room.act("host", c.HardMute(identity="ana"))
    if gone is None:
        room.act("host", c.Kick(identity="ana"))
    else:
        room.act("ana", gone)
    assert room.member("ana").muted == (MICROPHONE,)


def test_r41_mute_all_spares_moderators_and_the_excepted() -> None:
    room = Room(admins=["adm"], seated={"host": 0, "adm": 1, "ana": 2, "bob": 3})
    room.act("adm", c.MuteAll(except_=("bob",)))
    muted = {who for who in ("host", "adm", "ana", "bob") if room.member(who).muted}
    assert muted == {"ana"}
    assert room.act("host", c.MuteAll(except_=("bob",))) == []


def test_r41_mute_all_reaches_held_seats_and_any_source() -> None:
    room = Room(seated={"ana": 0})
    room.loses("ana")
    room.later(2)
    room.act("host", c.MuteAll(source=CAMERA))
    assert room.member("ana").muted == (CAMERA,)


def test_r41_mute_all_of_an_equal_mutes_nobody() -> None:
    room = Room(seated={"ana": 0, "bob": 1})
    room.act("host", give(AUDIENCE, "members.mute"))
    assert room.act("ana", c.MuteAll()) == []


def test_r41_a_room_remembers_a_bounded_number_of_people() -> None:
    room = Room()
    for number in range(MAX_MEMBERS):
        room.act("host", c.HardMute(identity=f"user-{number}"))
    assert room.refused("host", c.HardMute(identity="one-more")).code == "invalid_state"
    assert room.refused("host", c.SetRole(identity="one-more", role=ADMIN)).rule == "R41"
    room.act("host", c.SetRole(identity="user-7", role=ADMIN))
    room.act("host", c.LiftMute(identity="user-8"))
    room.act("host", c.HardMute(identity="one-more"))


@pytest.mark.parametrize(
    "command",
    [
        c.Kick(identity="adm"),
        c.Ban(identity="adm"),
        c.AskMute(identity="adm"),
        c.HardMute(identity="adm"),
        c.LiftMute(identity="adm"),
    ],
)
def test_r4_nobody_moderates_themselves(command: c.MemberCommand) -> None:
    refusal = Room(admins=["adm"]).refused("adm", command)
    assert (refusal.code, refusal.rule) == ("not_allowed", "R4")


# --- out (R7, R42) ------------------------------------------------------------------------------


def test_r42_a_kick_frees_everything_and_says_why() -> None:
    room = Room(admins=["ana"], seated={"ana": 0})
    room.act("host", c.HardMute(identity="ana"))
    facts = room.act("host", c.Kick(identity="ana", reason="noise"))
    assert told(facts) == ["seat.left", "member.kicked"]
    assert room.seats[0] is None
    assert room.member("ana").role is AUDIENCE
    assert is_evicted(room.state, "ana")
    past = room.state.evicted["ana"]
    assert (past.kicked, past.reason) == (True, "noise")
    assert "ana" not in room.state.presence


def test_r42_the_kicked_may_return_and_their_old_token_may_not() -> None:
    room = Room(here=("host", "ana"))
    old = Actor(kind="user", identity=Identity("ana"), generation=generation(room.state, "ana"))
    room.act("host", c.Kick(identity="ana"))
    room.joins("ana")
    assert not is_evicted(room.state, "ana")
    new = Actor(kind="user", identity=Identity("ana"), generation=generation(room.state, "ana"))
    with pytest.raises(Exception, match="put out") as refused:
        room.give(old, c.TakeSeat())
    assert refused.value.code == "kicked"
    assert room.give(old, c.Leave()) == []
    assert told(room.give(new, c.TakeSeat())) == ["seat.taken"]


def test_r42_a_ban_is_a_kick_with_a_record_whose_reason_is_never_logged() -> None:
    room = Room(seated={"ana": 0})
    until = room.now + timedelta(hours=1)
    facts = room.act("host", c.Ban(identity="ana", until=until, reason="private"))
    assert told(facts) == ["seat.left", "member.banned"]
    assert b"private" not in msgspec.json.encode(public_only(facts))
    [kept] = [fact for fact in facts if isinstance(fact, BanSet)]
    assert (kept.identity, kept.scope, kept.until) == ("ana", BanScope.ROOM, until)
    assert (kept.by, kept.reason, kept.at) == ("host", "private", room.now)


def test_r42_a_ban_must_end_in_the_future() -> None:
    refusal = Room().refused("host", c.Ban(identity="ana", until=T0))
    assert (refusal.code, refusal.context["field"]) == ("invalid_request", "until")


def test_r42_unban() -> None:
    facts = Room().act("host", c.Unban(identity="ana", scope=BanScope.APP))
    assert told(facts) == ["member.unbanned"]
    assert [fact.scope for fact in facts if isinstance(fact, BanLifted)] == [BanScope.APP]


def test_r7_leaving_frees_everything_at_once() -> None:
    room = Room(mode=SeatMode.REQUEST, admins=["adm"], seated={"ana": 0})
    facts = room.act("ana", c.Leave())
    assert told(facts) == ["seat.left"]
    assert is_evicted(room.state, "ana")
    assert not room.state.evicted["ana"].kicked
    room.act("bob", c.CreateRequest())
    assert told(room.act("bob", c.Leave())) == ["request.cancelled"]
    assert told(room.act("adm", c.Leave())) == []
    assert room.member("adm").role is ADMIN


def test_r7_a_leaving_host_is_gone_without_the_grace() -> None:
    room = Room(admins=["adm"], seated={"host": 0})
    assert told(room.act("host", c.Leave())) == ["seat.left", "host.transferred"]
    assert room.host == "adm"


def test_r7_the_server_kicks_a_host() -> None:
    room = Room(admins=["adm"])
    assert told(room.act(SERVER_API, c.Kick(identity="host"))) == [
        "member.kicked",
        "host.transferred",
    ]
    assert room.host == "adm"


def test_r7_somebody_must_be_named_who_leaves() -> None:
    assert Room().refused(SERVER_API, c.Leave()).code == "invalid_request"


# --- stage and calls ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "command", "facts"),
    [
        ("host", c.Kick(identity="ana"), ["stage.left", "member.kicked"]),
        ("host", c.Ban(identity="ana"), ["stage.left", "member.banned"]),
        ("ana", c.Leave(), ["stage.left"]),
    ],
)
def test_r42_r7_who_goes_or_must_go_is_off_the_stage(
    who: str, command: c.RoomCommand, facts: list[str]
) -> None:
    room = stream()
    room.act("host", c.InviteToStage(identity="ana"))
    room.sees("ana")
    assert told(room.act(who, command)) == facts
    assert room.on_stage == ["host"]
    assert is_evicted(room.state, "ana")
    assert "ana" not in room.state.presence


def test_r7_leaving_takes_a_raised_hand_along() -> None:
    room = stream()
    room.act("ana", c.CreateRequest(target=Target.STAGE))
    assert told(room.act("ana", c.Leave())) == ["request.cancelled"]


def test_r41_mute_all_reaches_co_hosts_and_spares_moderators_and_the_host() -> None:
    room = stream(admins=["adm"])
    for who in ("adm", "ana", "bob"):
        room.act("host", c.InviteToStage(identity=who))
    room.act("adm", c.MuteAll(source=CAMERA, except_=("bob",)))
    assert [who for who in room.on_stage if room.member(who).muted] == ["ana"]


def test_r38_leaving_a_call_evicts_nobody() -> None:
    call = Call()
    for who in ("bob", "eve"):
        assert call.act(who, c.Leave()) == []
        assert not is_evicted(call.state, who)
