"""Properties of the wire: round trips, events of a newer engine, the window, and a total fold."""

import json
from functools import reduce

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from support.events import any_event
from support.rooms import opening

from utd_protocol import codec
from utd_protocol.apply import apply, open_view
from utd_protocol.events import RoomEvent, UnknownEvent
from utd_protocol.views import RoomView

events = any_event()
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
junk = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@given(events)
def test_an_event_comes_back_as_it_was(event: RoomEvent) -> None:
    assert codec.decode_event(codec.encode_event(event)) == event


@given(events, st.dictionaries(words.map(lambda word: f"x_{word}"), junk, max_size=3))
def test_fields_of_a_newer_engine_are_ignored(event: RoomEvent, more: dict[str, object]) -> None:
    raw = json.dumps({**json.loads(codec.encode_event(event)), **more}).encode()
    assert codec.decode_event(raw) == event


@given(st.integers(0, 2**53), words, st.dictionaries(words, junk, max_size=3))
def test_an_event_of_a_newer_engine_keeps_its_place(
    seq: int, name: str, fields: dict[str, object]
) -> None:
    raw = json.dumps({**fields, "seq": seq, "type": f"new.{name}"}).encode()
    assert codec.decode_event(raw) == UnknownEvent(seq=seq, type=f"new.{name}")


@given(st.binary(max_size=40) | junk.map(lambda value: json.dumps(value).encode()))
def test_what_no_engine_wrote_is_malformed_and_no_window(raw: bytes) -> None:
    try:
        event = codec.decode_event(raw)
    except codec.Malformed:
        event = None
    assert event is None or isinstance(event.seq, int)
    assert codec.decode_window(raw.decode("utf-8", "surrogateescape")) is None


@given(st.lists(events, max_size=40), st.integers(0, 9))
@settings(max_examples=50)
def test_a_window_holds_the_newest_events_that_fit(log: list[RoomEvent], more: int) -> None:
    raws = [codec.encode_event(event) for event in log]
    text = codec.encode_window("rm_1", len(log) + more, raws, signals=({"kind": "audience"},))
    window = codec.decode_window(text)
    assert window is not None
    assert (window.room_id, window.head) == ("rm_1", len(log) + more)
    kept = len(window.events)
    assert list(window.events) == log[len(log) - kept :]
    size = sum(len(raw) + 1 for raw in raws[len(log) - kept :])
    assert size <= codec.WINDOW_BYTES
    if kept < len(log):
        assert size + len(raws[-kept - 1]) + 1 > codec.WINDOW_BYTES
    assert window.signals == ({"kind": "audience"},)


@given(st.lists(events | st.builds(UnknownEvent, seq=st.integers(), type=words), max_size=12))
def test_folding_never_fails_and_its_result_can_be_sent(
    log: list[RoomEvent | UnknownEvent],
) -> None:
    view = reduce(apply, log, open_view(opening(seats=3)))
    assert [seat.index for seat in view.seats] == list(range(len(view.seats)))
    assert msgspec.json.decode(msgspec.json.encode(view), type=RoomView) == view
