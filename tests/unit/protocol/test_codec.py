"""Bytes to events and back, and the window in a room's metadata."""

import json

import pytest
from support.rooms import T0

from utd_protocol import codec
from utd_protocol.events import MemberAway, SeatTaken, UnknownEvent
from utd_protocol.types import Identity

TAKEN = SeatTaken(seq=7, at=T0, index=2, identity=Identity("ana"))
RAW = codec.encode_event(TAKEN)


def test_an_event_on_the_wire() -> None:
    assert json.loads(RAW) == {
        "type": "seat.taken",
        "seq": 7,
        "at": "2026-01-01T12:00:00Z",
        "index": 2,
        "identity": "ana",
    }
    assert codec.decode_events([RAW, RAW]) == (TAKEN, TAKEN)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"seat.launched","seq":8,"at":"2026-01-01T12:00:00Z","to":"moon"}',
        b'{"type":"seat.launched","seq":8}',
    ],
)
def test_an_event_of_a_newer_engine_advances_the_cursor(raw: bytes) -> None:
    assert codec.decode_event(raw) == UnknownEvent(seq=8, type="seat.launched")


def test_a_known_event_with_an_unknown_word_does_too() -> None:
    raw = b'{"type":"member.role_changed","seq":3,"at":"2026-01-01T12:00:00Z","role":"emperor"}'
    assert codec.decode_event(raw) == UnknownEvent(seq=3, type="member.role_changed")


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[]", b'{"seq":1}', b'{"type":"seat.taken"}', b"\xff"]
)
def test_what_has_no_place_in_a_log_is_malformed(raw: bytes) -> None:
    with pytest.raises(codec.Malformed):
        codec.decode_event(raw)


def test_a_window_comes_back() -> None:
    text = codec.encode_window("rm_1", 9, [RAW, RAW], [{"kind": "audience", "count": 3}])
    window = codec.decode_window(text)
    assert window is not None
    assert (window.room_id, window.head, window.events) == ("rm_1", 9, (TAKEN, TAKEN))
    assert window.signals == ({"kind": "audience", "count": 3},)


@pytest.mark.parametrize("events", [20, 200])
def test_a_window_holds_the_newest_that_fit(events: int) -> None:
    raws = [
        codec.encode_event(MemberAway(seq=number, at=T0, identity=Identity("x" * 40)))
        for number in range(1, events + 1)
    ]
    window = codec.decode_window(codec.encode_window("rm_1", events, raws))
    assert window is not None
    fit = min(events, codec.WINDOW_BYTES // (len(raws[-1]) + 1))
    assert abs(len(window.events) - fit) <= 1
    assert window.events[-1].seq == events


def test_an_event_too_large_for_a_window_is_left_out_and_the_head_tells() -> None:
    large = codec.encode_event(MemberAway(seq=1, at=T0, identity=Identity("x" * 5000)))
    window = codec.decode_window(codec.encode_window("rm_1", 1, [large]))
    assert window is not None
    assert (window.head, window.events) == (1, ())


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "hello",
        "[]",
        '{"v":2,"room_id":"r","head":1}',
        '{"v":1,"head":1}',
        '{"v":1,"room_id":"r","head":1,"events":[{}]}',
        "\ud800",
        '{"v":1,"room_id":"r","head":1,"signals":[{"x":' + "[" * 10_000,
    ],
)
def test_metadata_that_no_engine_wrote_is_no_window(metadata: str) -> None:
    assert codec.decode_window(metadata) is None
