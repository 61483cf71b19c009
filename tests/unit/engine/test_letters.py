"""Letters: which facts reach whom, and that what is sent can be read."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from support.calls import CALLEE, CALLER, Call
from support.rooms import T0, Room

from utd_engine.app.letters import Letter, incoming, letters, stored, with_seq
from utd_engine.domain.state import BanSet, RoomState, apply_all
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol import inbox as ib
from utd_protocol.inbox import decode_inbox_event
from utd_protocol.policy import Policy
from utd_protocol.types import BanScope, CallReason, CallStatus, Identity, Source, Target


def told(before: RoomState, facts: list[Any]) -> list[Letter]:
    return list(letters(before, apply_all(before, facts), facts))


def brief(found: list[Letter]) -> list[tuple[str, str]]:
    return [(letter.to, stored(letter).type) for letter in found]


def of_call(call: Call, who: str, command: Any) -> list[Letter]:
    before = call.state
    return told(before, call.act(who, command))


def test_a_call_that_begins_rings_at_the_callee_alone() -> None:
    call = Call()
    (letter,) = incoming(call.opening, call.state.view.call)
    assert letter.to == CALLEE
    assert isinstance(letter.event, ib.CallIncoming)
    assert (letter.event.caller, letter.event.rings_until) == (CALLER, T0 + timedelta(seconds=45))
    assert letter.event.call_id == call.state.view.room_id


def test_a_busy_call_and_a_room_ring_nowhere() -> None:
    busy = Call(rings=False)
    assert incoming(busy.opening, busy.state.view.call) == ()
    assert incoming(busy.opening, None) == ()


def test_ringing_is_for_the_caller_and_an_answer_for_all() -> None:
    call = Call()
    assert brief(of_call(call, CALLEE, c.CallRinging())) == [(CALLER, "call.ringing")]
    assert of_call(call, CALLEE, c.CallRinging()) == []
    answered = of_call(call, f"{CALLEE}/tablet", c.AcceptCall())
    assert brief(answered) == [(CALLER, "call.answered"), (CALLEE, "call.answered")]
    assert {getattr(one.event, "device", "") for one in answered} == {"tablet"}
    assert of_call(call, f"{CALLEE}/tablet", c.AcceptCall()) == []


def test_ignoring_tells_nobody() -> None:
    assert of_call(Call(), CALLEE, c.IgnoreCall()) == []


@pytest.mark.parametrize(
    ("who", "command", "kind", "reason"),
    [
        (CALLEE, c.RejectCall(), "call.rejected", CallReason.REJECTED),
        (CALLEE, c.BusyCall(), "call.busy", CallReason.BUSY),
        (CALLEE, c.EndCall(), "call.rejected", CallReason.REJECTED),
        (CALLER, c.EndCall(), "call.ended", CallReason.CANCELLED),
    ],
)
def test_an_end_is_told_to_both_by_its_name(
    who: str, command: Any, kind: str, reason: CallReason
) -> None:
    found = of_call(Call(), who, command)
    assert brief(found) == [(CALLER, kind), (CALLEE, kind)]
    assert {getattr(one.event, "reason", None) for one in found} == {reason}


def test_a_missed_call_names_its_caller() -> None:
    call = Call(ring_s=45)
    before = call.state
    found = told(before, call.later(46))
    assert brief(found) == [(CALLER, "call.missed"), (CALLEE, "call.missed")]
    event = found[1].event
    assert isinstance(event, ib.CallMissed)
    assert (event.caller, event.status, event.reason) == (
        CALLER,
        CallStatus.MISSED,
        CallReason.OFFLINE,
    )


def room(**policy: Any) -> Room:
    return Room(policy=Policy(**policy)) if policy else Room()


def of_room(place: Room, who: str, command: Any) -> list[Letter]:
    before = place.state
    return told(before, place.act(who, command))


def test_an_invite_reaches_its_invitee_and_so_does_its_withdrawal() -> None:
    place = room()
    (received,) = of_room(place, "host", c.CreateInvite(identity="bo", index=2))
    assert received.to == "bo"
    assert isinstance(received.event, ib.InviteReceived)
    assert (received.event.id, received.event.target, received.event.index) == (1, Target.SEAT, 2)
    assert received.event.by == "host"
    (withdrawn,) = of_room(place, "host", c.CancelInvite(id=1))
    assert (withdrawn.to, stored(withdrawn).type) == ("bo", "invite.withdrawn")
    of_room(place, "host", c.CreateInvite(identity="bo"))
    assert of_room(place, "bo", c.DeclineInvite(id=2)) == [], "they know what they did"


def test_an_invite_that_expires_or_ends_with_its_room_is_withdrawn() -> None:
    place = room()
    of_room(place, "host", c.CreateInvite(identity="bo"))
    before = place.state
    assert brief(told(before, place.later(61))) == [("bo", "invite.withdrawn")]
    of_room(place, "host", c.CreateInvite(identity="bo"))
    of_room(place, "host", c.CreateInvite(identity="cy"))
    ended = of_room(place, "host", c.EndRoom())
    assert brief(ended) == [("bo", "invite.withdrawn"), ("cy", "invite.withdrawn")]


@pytest.mark.parametrize(
    ("command", "outcome"),
    [(c.ApproveRequest(id=1), "approved"), (c.RejectRequest(id=1), "rejected")],
)
def test_a_requester_learns_what_became_of_it(command: Any, outcome: str) -> None:
    place = room()
    assert of_room(place, "bo", c.CreateRequest(note="me")) == [], "moderators read the list"
    (decided,) = of_room(place, "host", command)
    assert decided.to == "bo"
    assert isinstance(decided.event, ib.RequestDecided)
    assert (decided.event.id, decided.event.outcome, decided.event.by) == (1, outcome, "host")


def test_a_request_that_expires_is_told() -> None:
    place = room(request_ttl_s=30)
    of_room(place, "bo", c.CreateRequest())
    before = place.state
    (decided,) = told(before, place.later(31))
    assert isinstance(decided.event, ib.RequestDecided)
    assert (decided.to, decided.event.outcome) == ("bo", "expired")


def test_whom_a_moderator_asks_to_mute_is_asked() -> None:
    place = room()
    (asked,) = of_room(place, "host", c.AskMute(identity="bo"))
    assert isinstance(asked.event, ib.MuteAsked)
    assert (asked.to, asked.event.source, asked.event.by) == ("bo", Source.MICROPHONE, "host")


def test_who_is_banned_reads_for_how_long_and_why() -> None:
    place = room()
    (notice,) = of_room(place, "host", c.Ban(identity="bo", reason="spam"))
    assert isinstance(notice.event, ib.BanNotice)
    assert (notice.to, notice.event.scope, notice.event.reason, notice.event.until) == (
        "bo",
        BanScope.ROOM,
        "spam",
        None,
    )
    assert of_room(place, "host", c.Unban(identity="bo")) == []
    assert of_room(place, "host", c.Kick(identity="cy")) == []


def test_a_stored_letter_is_read_as_it_was_written() -> None:
    call = Call()
    found = [*incoming(call.opening, call.state.view.call)]
    found += of_call(call, CALLEE, c.CallRinging()) + of_call(call, CALLEE, c.AcceptCall())
    found += of_call(call, CALLER, c.EndCall())
    place = room()
    found += of_room(place, "host", c.CreateInvite(identity="bo"))
    for seq, letter in enumerate(found, 1):
        row = stored(letter)
        event = decode_inbox_event(with_seq(row.data, seq))
        assert event == msgspec.structs.replace(letter.event, seq=seq)
        assert (row.at, row.identity) == (letter.event.at, letter.to)
        assert msgspec.json.decode(with_seq(row.data, seq))["type"] == row.type


def test_private_facts_of_others_say_nothing() -> None:
    place = room()
    ban = BanSet(identity=Identity("bo"), scope=BanScope.APP, at=T0)
    assert brief(told(place.state, [ban])) == [("bo", "banned")]
    left = ev.MemberAway(at=T0, identity=Identity("bo"))
    assert told(place.state, [left]) == []
