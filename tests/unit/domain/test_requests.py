"""Rules R19, R20 and R28 to R32: requests and invites."""

from collections.abc import Callable

import msgspec
import pytest
from support.rooms import SERVER_API, Room, stream, told

from utd_engine.domain.requests import MAX_PENDING
from utd_engine.domain.state import HANDLED_KEPT, RequestFiled, public_only
from utd_engine.domain.turn import Actor
from utd_protocol import commands as c
from utd_protocol.policy import Policy
from utd_protocol.types import (
    BanScope,
    Identity,
    RequestsVisible,
    RoomType,
    SeatMode,
    Source,
    StageInvites,
    Target,
)

OPEN = Policy(requests_visible=RequestsVisible.EVERYONE)


# --- asking (R19) -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(SeatMode))
def test_r19_a_request_may_be_made_in_any_mode(mode: SeatMode) -> None:
    room = Room(mode=mode)
    room.act("ana", c.CreateRequest(index=2, note="please"))
    request = room.state.pending[1]
    assert (request.identity, request.index, request.note) == ("ana", 2, "please")


def test_r19_approval_seats_at_the_asked_index_in_one_step() -> None:
    room = Room(mode=SeatMode.REQUEST)
    room.act("ana", c.CreateRequest(index=2))
    assert told(room.act("host", c.ApproveRequest(id=1))) == ["request.approved", "seat.taken"]
    assert room.seats == [None, None, "ana", None]


@pytest.mark.parametrize("blocked", ["taken", "locked", "reserved", "gone"])
def test_r19_else_the_lowest_free_seat(blocked: str) -> None:
    room = Room(seats=4)
    room.act("ana", c.CreateRequest(index=3))
    if blocked == "taken":
        room.act("bob", c.TakeSeat(index=3))
    elif blocked == "locked":
        room.act("host", c.LockSeats(indices=(3,)))
    elif blocked == "reserved":
        room.act("host", c.ReserveSeat(index=3, identity="eve"))
    else:
        room.act("host", c.ConfigureSeats(count=2))
    room.act("host", c.ApproveRequest(id=1))
    assert room.seats[0] == "ana"


def test_r19_with_nothing_free_the_request_stays_pending() -> None:
    room = Room(seats=1, seated={"bob": 0})
    room.act("ana", c.CreateRequest())
    assert room.refused("host", c.ApproveRequest(id=1)).code == "no_free_seat"
    assert list(room.state.pending) == [1]
    room.act("bob", c.LeaveSeat())
    room.act("host", c.ApproveRequest(id=1))
    assert room.seats == ["ana"]


def test_r19_requests_refused() -> None:
    room = Room(seated={"ana": 0})
    assert room.refused("ana", c.CreateRequest()).code == "already_seated"
    assert room.refused("bob", c.CreateRequest(index=9)).code == "seat_not_found"
    assert room.refused("bob", c.CreateRequest(target=Target.STAGE)).code == "invalid_request"
    assert room.refused(SERVER_API, c.CreateRequest()).code == "invalid_request"
    calls = Room(room_type=RoomType.AUDIO_CALL, seats=0, here=())
    assert calls.refused("bob", c.CreateRequest()).code == "invalid_state"


# --- inviting (R20) -----------------------------------------------------------------------------


def test_r20_the_invitee_must_accept_and_the_seat_is_kept_meanwhile() -> None:
    room = Room(mode=SeatMode.INVITE)
    assert told(room.act("host", c.CreateInvite(identity="ana", index=1))) == ["invite.created"]
    assert room.seats == [None] * 4
    assert room.refused(SERVER_API, c.AssignSeat(identity="bob", index=1)).code == "seat_reserved"
    assert room.refused("host", c.CreateInvite(identity="bob", index=1)).code == "seat_reserved"
    assert room.refused("bob", c.AcceptInvite(id=1)).code == "not_allowed"
    assert told(room.act("ana", c.AcceptInvite(id=1))) == ["invite.accepted", "seat.taken"]
    assert room.seats[1] == "ana"


def test_r20_the_lowest_free_seat_skips_what_is_kept_for_an_invitee() -> None:
    room = Room()
    room.act("host", c.CreateInvite(identity="ana", index=0))
    room.act("bob", c.TakeSeat())
    assert room.seats[:2] == [None, "bob"]


def test_r20_declining_cancelling_and_expiring_free_the_seat_again() -> None:
    room = Room()
    for settle in (
        lambda: room.act("ana", c.DeclineInvite(id=1)),
        lambda: room.act("host", c.CancelInvite(id=2)),
        lambda: room.later(60),
    ):
        room.act("host", c.CreateInvite(identity="ana", index=0))
        room.sees("ana")
        settle()
        assert room.state.view.invites == ()
    assert told(room.facts) == ["invite.expired"]


def test_r20_taking_the_offered_seat_accepts_the_invite() -> None:
    room = Room(mode=SeatMode.INVITE)
    room.act("host", c.CreateInvite(identity="ana", index=1))
    assert room.refused("ana", c.TakeSeat(index=0)).code == "invite_required"
    assert told(room.act("ana", c.TakeSeat(index=1))) == ["invite.accepted", "seat.taken"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (c.CreateInvite(identity="ana"), "already_seated"),
        (c.CreateInvite(identity="bob", index=0), "seat_taken"),
        (c.CreateInvite(identity="bob", index=9), "seat_not_found"),
        (c.CreateInvite(identity="bob", target=Target.STAGE), "invalid_request"),
    ],
)
def test_r20_invites_refused(command: c.CreateInvite, code: str) -> None:
    assert Room(seated={"ana": 0}).refused("host", command).code == code


# --- one object, two directions (R28) -----------------------------------------------------------


def test_r28_asking_twice_is_one_request_and_inviting_twice_one_invite() -> None:
    room = Room()
    room.act("ana", c.CreateRequest(index=1))
    assert room.act("ana", c.CreateRequest(index=2)) == []
    room.act("host", c.CreateInvite(identity="bob"))
    assert room.act("host", c.CreateInvite(identity="bob", index=3)) == []
    assert (len(room.state.pending), len(room.state.view.invites)) == (1, 1)


def test_r28_a_request_meeting_an_invite_completes_at_once() -> None:
    room = Room()
    room.act("host", c.CreateInvite(identity="ana"))
    assert told(room.act("ana", c.CreateRequest(index=2))) == ["invite.accepted", "seat.taken"]
    assert room.seats[2] == "ana"


def test_r28_an_invite_meeting_a_request_completes_at_once() -> None:
    room = Room()
    room.act("ana", c.CreateRequest(index=2))
    facts = room.act("host", c.CreateInvite(identity="ana", index=3))
    assert told(facts) == ["request.approved", "seat.taken"]
    assert room.seats[3] == "ana"


def test_r28_the_other_wish_counts_where_the_first_seat_is_gone() -> None:
    room = Room()
    room.act("ana", c.CreateRequest(index=2))
    room.act("bob", c.TakeSeat(index=3))
    room.act("host", c.CreateInvite(identity="ana", index=3))
    assert room.seats[2:] == ["ana", "bob"]


def test_r28_one_withdraws_ones_own_only() -> None:
    room = Room()
    room.act("ana", c.CreateRequest())
    room.act("host", c.CreateInvite(identity="bob"))
    assert room.refused("bob", c.CancelRequest(id=1)).code == "not_allowed"
    assert room.refused("host", c.CancelRequest(id=1)).hint == "A moderator may reject it."
    assert room.refused("ana", c.DeclineInvite(id=2)).code == "not_allowed"
    assert told(room.act(SERVER_API, c.CancelRequest(id=1))) == ["request.cancelled"]
    assert told(room.act("bob", c.DeclineInvite(id=2))) == ["invite.declined"]


# --- the end of a request (R29 to R31) ----------------------------------------------------------


@pytest.mark.parametrize(("ttl", "due"), [(0, None), (45, 45)])
def test_r29_requests_expire_by_policy(ttl: float, due: float | None) -> None:
    room = Room(policy=Policy(request_ttl_s=ttl))
    room.act("ana", c.CreateRequest())
    room.sees("ana")
    if due is None:
        assert told(room.later(3600)) == []
    else:
        assert told(room.later(due)) == ["request.expired"]
        assert room.refused("host", c.ApproveRequest(id=1)).context["outcome"] == "expired"


def test_r29_an_invite_without_a_ttl_stands() -> None:
    room = Room(policy=Policy(invite_ttl_s=0))
    room.act("host", c.CreateInvite(identity="ana"))
    assert room.state.view.invites[0].expires_at is None


@pytest.mark.parametrize(
    ("moot", "last"),
    [
        (lambda room: room.act("ana", c.TakeSeat()), "cancelled"),
        (lambda room: room.act(SERVER_API, c.AssignSeat(identity="ana")), "cancelled"),
        (lambda room: room.act("ana", c.Leave()), "cancelled"),
        (lambda room: room.act("host", c.Kick(identity="ana")), "cancelled"),
        (lambda room: room.act("host", c.Ban(identity="ana", scope=BanScope.ROOM)), "cancelled"),
        (lambda room: room.act("host", c.EndRoom()), None),
        (lambda room: [room.loses("ana"), room.later(2), room.later(30)][-1], "cancelled"),
    ],
    ids=["seated", "assigned", "left", "kicked", "banned", "ended", "lost"],
)
@pytest.mark.parametrize("direction", ["request", "invite"])
def test_r30_whatever_makes_it_moot_clears_it(
    moot: Callable[[Room], object], last: str | None, direction: str
) -> None:
    room = Room(here=("host", "ana"), policy=Policy(invite_ttl_s=0))
    if direction == "request":
        room.act("ana", c.CreateRequest())
    else:
        room.act("host", c.CreateInvite(identity="ana"))
    room.sees("ana")

    moot(room)

    view = room.state.view
    assert (room.state.pending, view.requests, view.invites) == ({}, (), ())
    if last is not None:
        assert f"{direction}.{last}" in told(room.facts)
        assert room.state.handled[-1].outcome == last


def test_r30_an_absent_person_cannot_be_waited_for() -> None:
    room = Room(policy=Policy(invite_ttl_s=0))
    room.act("host", c.CreateInvite(identity="nobody"))
    assert told(room.later(30)) == []
    assert told(room.later(30)) == ["invite.cancelled"]
    assert "nobody" not in room.state.presence


def test_r30_who_acts_while_counted_as_absent_gets_time_to_appear() -> None:
    room = Room(admins=["adm"])
    room.loses("adm")
    room.later(600)
    room.act("adm", c.CreateRequest())
    assert room.later(1) == []
    assert list(room.state.pending) == [1]


def test_r31_the_second_handler_learns_who_was_first() -> None:
    room = Room(admins=["adm"])
    room.act("ana", c.CreateRequest())
    room.act("adm", c.RejectRequest(id=1))
    refusal = room.refused("host", c.ApproveRequest(id=1))
    assert refusal.code == "already_handled"
    assert refusal.context == {"handled_by": "adm", "outcome": "rejected"}
    assert room.refused("host", c.RejectRequest(id=2)).code == "request_not_found"


def test_r31_a_request_is_no_invite() -> None:
    room = Room()
    room.act("ana", c.CreateRequest())
    room.act("host", c.CreateInvite(identity="bob"))
    assert room.refused("host", c.ApproveRequest(id=2)).code == "request_not_found"
    assert room.refused("ana", c.AcceptInvite(id=1)).code == "request_not_found"


def test_r31_what_was_handled_long_ago_is_handled_still() -> None:
    room = Room()
    for number in range(1, HANDLED_KEPT + 2):
        room.act("ana", c.CreateRequest())
        room.act("host", c.RejectRequest(id=number))
    assert len(room.state.handled) == HANDLED_KEPT
    assert room.refused("host", c.ApproveRequest(id=1)).code == "already_handled"


def test_r31_at_most_500_are_pending() -> None:
    room = Room()
    for number in range(MAX_PENDING - 1):
        room.act(f"user-{number}", c.CreateRequest())
    room.act("host", c.CreateInvite(identity="ana"))
    refusal = room.refused("bob", c.CreateRequest())
    assert (refusal.code, refusal.context["retry_after"]) == ("too_many_requests_pending", 30)
    assert room.refused("host", c.CreateInvite(identity="bob")).code == "too_many_requests_pending"


# --- who sees who asks (R32) --------------------------------------------------------------------


def test_r32_under_moderators_the_public_events_never_name_the_requester() -> None:
    """Every way a request can go, but being seated or put out, which are public acts themselves."""
    room = Room(policy=Policy(request_ttl_s=50))
    for settle in (
        lambda number: room.act("ana", c.CancelRequest(id=number)),
        lambda number: room.act("host", c.RejectRequest(id=number)),
        lambda number: room.act("ana", c.Leave()),
        lambda _: room.later(50),
        lambda _: [room.act("host", c.ChangeSettings(metadata=str(room.now)))],
    ):
        number = room.state.next_id
        log = public_only(room.act("ana", c.CreateRequest(index=2, note="my secret")))
        settle(number)
        log += public_only(room.facts)
        text = msgspec.json.encode(log)
        assert b"ana" not in text
        assert b"secret" not in text
        assert b"index" not in text
        assert b"ana" not in msgspec.json.encode(room.state.view)


def test_r32_under_moderators_the_state_keeps_all_for_moderators() -> None:
    room = Room()
    facts = room.act("ana", c.CreateRequest(index=2, note="me"))
    [filed] = [fact for fact in facts if isinstance(fact, RequestFiled)]
    assert room.state.pending[1] is filed.request
    assert filed.request.identity == "ana"


def test_r32_under_everyone_the_view_names_them() -> None:
    room = Room(policy=OPEN)
    room.act("ana", c.CreateRequest(index=2, note="me"))
    [shown] = room.state.view.requests
    assert shown == room.state.pending[1]
    room.act("ana", c.CancelRequest(id=1))
    assert public_only(room.facts)[0].by == "ana"


def test_r32_a_policy_that_begins_to_hide_hides_what_was_shown() -> None:
    room = Room(policy=OPEN)
    room.act("ana", c.CreateRequest(index=2, note="me"))
    patch = c.PolicyPatch(requests_visible=RequestsVisible.MODERATORS)
    room.act("host", c.ChangePolicy(policy=patch))
    [shown] = room.state.view.requests
    assert (shown.id, shown.identity, shown.index, shown.note) == (1, None, None, "")


def test_r32_invites_name_their_invitee() -> None:
    room = Room()
    room.act("host", c.CreateInvite(identity="ana"))
    assert room.state.view.invites[0].identity == "ana"


def test_a_backend_invites_and_approves_without_a_name() -> None:
    room = Room()
    room.act("ana", c.CreateRequest())
    room.act(SERVER_API, c.ApproveRequest(id=1))
    assert room.state.handled[-1].by is None
    room.give(Actor(kind="server", identity=Identity("bob")), c.CreateRequest())
    assert room.state.pending[2].identity == "bob"


# --- the stage (R24, R26) -----------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["request", "invite"])
@pytest.mark.parametrize(
    "moot",
    [
        lambda room: room.act("ana", c.Leave()),
        lambda room: room.act("host", c.Kick(identity="ana")),
        lambda room: room.act("host", c.InviteToStage(identity="ana")),
        lambda room: room.act("host", c.EndRoom()),
        lambda room: [room.loses("ana"), room.later(2), room.later(30)],
    ],
    ids=["left", "kicked", "on stage", "ended", "lost"],
)
def test_r30_whatever_makes_a_wish_for_the_stage_moot_clears_it(
    moot: Callable[[Room], object], direction: str
) -> None:
    room = stream(policy=Policy(invite_ttl_s=0))
    if direction == "request":
        room.act("ana", c.CreateRequest(target=Target.STAGE))
    else:
        room.act("host", c.CreateInvite(identity="ana", target=Target.STAGE))
    room.sees("ana")
    moot(room)
    view = room.state.view
    assert (room.state.pending, view.requests, view.invites) == ({}, (), ())


def test_r24_an_explicit_invite_asks_for_consent_whatever_the_policy() -> None:
    room = stream()
    room.act("host", c.CreateInvite(identity="ana", target=Target.STAGE, sources=(Source.CAMERA,)))
    assert room.on_stage == ["host"]
    room.act("ana", c.AcceptInvite(id=1))
    member = room.state.view.stage_member("ana")
    assert member is not None
    assert member.sources == (Source.CAMERA,)


def test_r24_a_declined_invite_leaves_the_stage_alone() -> None:
    room = stream(policy=Policy(stage_invites=StageInvites.CONSENT))
    room.act("host", c.InviteToStage(identity="ana"))
    assert told(room.act("ana", c.DeclineInvite(id=1))) == ["invite.declined"]
    assert room.on_stage == ["host"]
    assert told(room.act("host", c.InviteToStage(identity="ana"))) == ["invite.created"]
    room.sees("ana")
    assert told(room.later(60)) == ["invite.expired"]


def test_r32_a_raised_hand_is_hidden_like_a_wish_for_a_seat() -> None:
    room = stream()
    log = public_only(room.act("ana", c.CreateRequest(target=Target.STAGE, note="my secret")))
    text = msgspec.json.encode(log)
    assert b"ana" not in text
    assert b"secret" not in text


def test_r26_approving_somebody_absent_gives_them_the_time_of_one_hold() -> None:
    room = stream()
    room.act("ana", c.CreateRequest(target=Target.STAGE))
    room.act("host", c.ApproveRequest(id=1))
    assert room.due_in == 30
    assert told(room.later(30)) == ["member.away", "stage.left"]
