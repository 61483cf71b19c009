"""Events of an inbox: their types on the wire, and what a newer engine may send."""

from datetime import UTC, datetime
from typing import get_args

import msgspec
import pytest

from utd_protocol import inbox as ib
from utd_protocol.types import (
    BanScope,
    CallReason,
    CallStatus,
    Identity,
    RoomType,
    Source,
    Target,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLACE = ib.Place(room_id="rm_1", type=RoomType.AUDIO_ROOM, name="lobby")
CALL = {"call_id": "ca_1", "call_type": RoomType.VIDEO_CALL}
ANA = Identity("ana")

EVERY: tuple[ib.AnyInboxEvent, ...] = (
    ib.CallIncoming(
        seq=1, at=NOW, **CALL, caller=ANA, caller_name="Ana", metadata={"a": 1}, rings_until=NOW
    ),
    ib.CallRings(seq=2, at=NOW, **CALL, status=CallStatus.RINGING),
    ib.CallAnswered(seq=3, at=NOW, **CALL, status=CallStatus.ACTIVE, device="phone"),
    ib.CallRejected(seq=4, at=NOW, **CALL, status=CallStatus.REJECTED, reason=CallReason.REJECTED),
    ib.CallBusy(seq=5, at=NOW, **CALL, status=CallStatus.BUSY, reason=CallReason.BUSY),
    ib.CallMissed(
        seq=6, at=NOW, **CALL, status=CallStatus.MISSED, reason=CallReason.OFFLINE, caller=ANA
    ),
    ib.CallOver(seq=7, at=NOW, **CALL, status=CallStatus.ENDED, reason=CallReason.HANGUP),
    ib.InviteReceived(seq=8, at=NOW, place=PLACE, id=1, target=Target.SEAT, index=2, by=ANA),
    ib.InviteWithdrawn(seq=9, at=NOW, place=PLACE, id=1),
    ib.RequestDecided(seq=10, at=NOW, place=PLACE, id=3, outcome="approved", by=ANA),
    ib.MuteAsked(seq=11, at=NOW, place=PLACE, source=Source.MICROPHONE, by=ANA),
    ib.BanNotice(seq=12, at=NOW, scope=BanScope.APP, place=PLACE, until=NOW, reason="spam"),
)
TYPES = {
    "call.incoming", "call.ringing", "call.answered", "call.rejected", "call.ended", "call.missed",
    "call.busy", "invite.received", "invite.withdrawn", "request.decided", "member.mute_asked",
    "banned",
}  # fmt: skip


def tag(event: ib.AnyInboxEvent) -> str:
    """The type of an event on the wire."""
    return str(msgspec.json.decode(msgspec.json.encode(event))["type"])


def test_the_types_of_an_inbox_are_these() -> None:
    assert {tag(event) for event in EVERY} == TYPES
    assert {type(event) for event in EVERY} == set(get_args(ib.AnyInboxEvent))


@pytest.mark.parametrize("event", EVERY, ids=tag)
def test_every_event_comes_back_as_it_was(event: ib.AnyInboxEvent) -> None:
    raw = msgspec.json.encode(event)
    assert ib.decode_inbox_event(raw) == event
    assert ib.decode_inbox_event(msgspec.Raw(raw)) == event


@pytest.mark.parametrize("event", EVERY, ids=tag)
def test_what_a_newer_engine_adds_to_an_event_is_ignored(event: ib.AnyInboxEvent) -> None:
    body = msgspec.json.decode(msgspec.json.encode(event))
    assert ib.decode_inbox_event(msgspec.json.encode({**body, "new": {"x": 1}})) == event


@pytest.mark.parametrize(
    "raw",
    [
        b'{"seq":5,"type":"gift.received","at":"2026-01-01T00:00:00Z"}',
        b'{"seq":5,"type":"banned","at":"2026-01-01T00:00:00Z","scope":"planet"}',
    ],
)
def test_an_event_of_a_newer_engine_is_known_by_its_place(raw: bytes) -> None:
    event = ib.decode_inbox_event(raw)
    assert isinstance(event, ib.UnknownInboxEvent)
    assert event.seq == 5


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"seq":1}', b'{"type":"banned"}'])
def test_what_has_no_place_is_no_event(raw: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        ib.decode_inbox_event(raw)


def test_defaults_take_no_bytes() -> None:
    assert b"reason" not in msgspec.json.encode(EVERY[1])
