"""Whatever is lost, repeated or reordered on the way, who follows ends with the engine's view."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from support.room_logs import NOW, fresh_view, left, numbered, taken, window

from utd_protocol import events as ev
from utd_protocol.apply import apply_all
from utd_protocol.types import Identity, Source, Target
from utd_stream._engine.sync import RoomSync

SEATS = 4
PEOPLE = ("ana", "bo", "cem", "dia")
PAGE = 3

index = st.integers(0, SEATS - 1)
person = st.sampled_from(PEOPLE).map(Identity)
events = st.one_of(
    st.builds(taken, index, person),
    st.builds(left, index, person),
    st.builds(ev.SeatMoved, at=st.just(NOW), identity=person, source=index, target=index),
    st.builds(ev.SeatMuted, at=st.just(NOW), index=index),
    st.builds(ev.SeatsLocked, at=st.just(NOW), indices=st.tuples(index)),
    st.builds(ev.MemberMuted, at=st.just(NOW), identity=person, source=st.just(Source.MICROPHONE)),
    st.builds(
        ev.RequestCreated, at=st.just(NOW), id=st.integers(1, 5), target=st.just(Target.SEAT)
    ),
    st.builds(ev.RequestApproved, at=st.just(NOW), id=st.integers(1, 5)),
)
logs = st.lists(events, max_size=30).map(numbered)


@st.composite
def deliveries(draw: st.DrawFn, log: list[ev.RoomEvent]) -> list[tuple[str, int, int]]:
    """Windows and answers over any stretch of the log, and pages wherever the reader stands."""
    places = st.integers(0, len(log))
    step = st.tuples(st.sampled_from(["window", "answer", "page", "snapshot"]), places, places)
    return draw(st.lists(step, max_size=25))


@given(st.data())
def test_any_delivery_ends_equal_to_the_log(data: st.DataObject) -> None:
    log = data.draw(logs)
    start = data.draw(st.integers(0, len(log)))
    sync = RoomSync(apply_all(fresh_view(seats=SEATS), log[:start]), start + 1)
    seen: list[int] = []
    jumps: set[int] = set()

    def told(folded: tuple[ev.RoomEvent | ev.UnknownEvent, ...]) -> None:
        for event in folded:
            last = seen[-1] if seen else start + 1
            assert event.seq > last
            missed = set(range(last + 1, event.seq))
            assert missed <= jumps, "an event was skipped"
            assert event == log[event.seq - 2]
            seen.append(event.seq)

    def page() -> None:
        after = sync.seq
        told(sync.fold(log[after - 1 : after - 1 + PAGE], head=len(log) + 1))

    def snapshot(until: int) -> None:
        before = sync.seq
        view = apply_all(fresh_view(seats=SEATS), log[:until])
        folded = sync.load(view, until + 1)
        if until + 1 > before:
            jumps.update(range(before + 1, until + 2))
        told(folded)

    for kind, a, b in data.draw(deliveries(log)):
        first, last = min(a, b), max(a, b)
        steps: dict[str, Callable[[], None]] = {
            "window": lambda f=first, t=last: told(sync.hear(window(log[f:t], head=t + 1))),
            "answer": lambda f=first, t=last: told(sync.fold(reversed(log[f:t]), head=t + 1)),
            "page": page,
            "snapshot": lambda t=last: snapshot(t),
        }
        steps[kind]()
        assert sync.view == apply_all(fresh_view(seats=SEATS), log[: sync.seq - 1])

    told(sync.hear(window([], head=len(log) + 1)))
    while sync.behind:
        page()
    assert sync.view == apply_all(fresh_view(seats=SEATS), log)
    assert sync.seq == len(log) + 1
