"""Any event at all, for properties: sensible ones and such as no engine writes."""

from datetime import UTC, datetime, timedelta
from typing import Final, get_args

from hypothesis import strategies as st
from msgspec import Struct

from utd_protocol import events as ev
from utd_protocol.policy import Policy
from utd_protocol.types import (
    BanScope,
    CallReason,
    CallStatus,
    RequestsVisible,
    Role,
    RoomState,
    RoomType,
    SeatMode,
    Source,
    Target,
)

EVENTS: Final[tuple[type[Struct], ...]] = get_args(ev.RoomEvent)
"""Every type of event."""

Strategy = st.SearchStrategy[object]

_times: Final[Strategy] = st.integers(0, 10**12).map(
    lambda ms: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
_people: Final[Strategy] = st.sampled_from(("ana", "bob", "host"))
_texts: Final[Strategy] = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_places: Final[Strategy] = st.integers(-3, 6)
_sources: Final[Strategy] = st.sampled_from(Source)
_policies: Final[Strategy] = st.builds(
    Policy,
    seat_hold_s=st.floats(0, 1000),
    requests_visible=st.sampled_from(RequestsVisible),
    capabilities=st.dictionaries(st.sampled_from(Role), st.just(("seats.take",))),
)

_FIELDS: Final[dict[str, Strategy]] = {
    "seq": st.integers(0, 2**53),
    "at": _times,
    "by": st.none() | _people,
    "until": _times,
    "expires_at": st.none() | _times,
    "identity": _people,
    "owner": _people,
    "host": st.none() | _people,
    "previous": st.none() | _people,
    "room_id": _texts,
    "name": _texts,
    "metadata": _texts,
    "reason": _texts,
    "note": _texts,
    "room_type": st.sampled_from(RoomType),
    "state": st.sampled_from(RoomState),
    "policy": _policies,
    "version": st.integers(0, 99),
    "id": st.integers(0, 6),
    "index": _places,
    "a": _places,
    "b": _places,
    "count": st.sampled_from((-1, 0, 1, 3, 6, 10**15)),
    "seat_count": st.sampled_from((-1, 0, 1, 3, 6, 10**15)),
    "indices": st.lists(_places, max_size=4).map(tuple),
    "mode": st.sampled_from(SeatMode),
    "seat_mode": st.sampled_from(SeatMode),
    "mode_id": st.none() | _texts,
    "reserved": st.dictionaries(_places, st.sampled_from(Role), max_size=2),
    "role": st.sampled_from(Role),
    "scope": st.sampled_from(BanScope),
    "sources": st.lists(_sources, max_size=2).map(tuple),
    "scheduled_at": st.none() | _times,
    "with_video": st.booleans(),
    "duration_s": st.floats(0, 10**6),
    "agent_name": st.sampled_from(("echo", "scribe")),
    "attempt": st.integers(-1, 9),
    "attempts": st.integers(-1, 9),
    "agents": st.lists(
        st.builds(ev.AgentWish, agent_name=st.sampled_from(("echo", "scribe"))), max_size=2
    ).map(tuple),
    "call": st.none()
    | st.builds(
        ev.CallOffer,
        callee=_people,
        caller_name=_texts,
        callee_name=_texts,
        metadata=st.dictionaries(_texts, _texts, max_size=2),
        rings_until=st.none() | _times,
    ),
}


def _field(kind: type[Struct], name: str) -> Strategy:
    """Some names mean one thing here and another there."""
    if kind is ev.CallEnded and name in {"status", "reason"}:
        return st.sampled_from(CallStatus if name == "status" else CallReason)
    if name == "source":
        return _places if kind is ev.SeatMoved else _sources
    if name == "target":
        return _places if kind is ev.SeatMoved else st.sampled_from(Target)
    return _FIELDS[name]


def any_event() -> st.SearchStrategy[ev.RoomEvent]:
    """An event of any type with any content."""
    return st.one_of(
        [
            st.builds(kind, **{name: _field(kind, name) for name in kind.__struct_fields__})
            for kind in EVENTS
        ]
    )
