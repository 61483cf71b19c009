"""Whatever the order in which chunks are read, the same words are shown in the end."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from utd_stream.agents import AgentTranscript, ReceivedMessage, UserTranscript
from utd_stream.agents._assembler import TranscriptAssembler, TranscriptStream
from utd_stream.agents._history import History

START = datetime(2026, 1, 1, tzinfo=UTC)


class Stream(NamedTuple):
    """One stream on the wire, and what of it is lost."""

    segment: str
    by_user: bool
    chunks: list[str]
    read: int
    """So many chunks arrive before it breaks off."""


TURNS = st.lists(
    st.builds(
        lambda by_user, words, breaks: (by_user, words, breaks),
        st.booleans(),
        st.lists(st.text("ab ", min_size=0, max_size=3), min_size=1, max_size=5),
        st.integers(0, 6),
    ),
    max_size=6,
)


def streams_of(turns: list[tuple[bool, list[str], int]]) -> list[Stream]:
    """An agent's turn is one stream of deltas; a user's is a stream for each interim result."""
    made: list[Stream] = []
    for number, (by_user, words, breaks) in enumerate(turns):
        segment = f"seg-{number}"
        if by_user:
            whole = ["".join(words[: at + 1]) for at in range(len(words))]
            made += [Stream(segment, True, [text], 1) for text in [*whole, whole[-1]]]
        else:
            made.append(Stream(segment, False, words, min(breaks, len(words))))
    return made


class Run:
    """Reads streams in a chosen order; every stream opens before it is read, in wire order."""

    def __init__(self, streams: list[Stream]) -> None:
        self.streams = streams
        self.assembler = TranscriptAssembler()
        self.history = History()
        self.appeared: list[str] = []
        self.told: list[ReceivedMessage] = []

    def read(self, picks: Iterator[int]) -> None:
        unopened = list(enumerate(self.streams))
        opened: dict[int, TranscriptStream] = {}
        left = {number: list(each.chunks[: each.read]) for number, each in unopened}
        while unopened or any(left[number] for number in opened):
            ready = [number for number in opened if left[number]]
            choice = next(picks) % (len(ready) + bool(unopened))
            if choice == len(ready):
                number, stream = unopened.pop(0)
                opened[number] = self.open(number, stream)
            else:
                number = ready[choice]
                self.take(self.assembler.feed(opened[number], left[number].pop(0)))
                if not left[number]:
                    self.assembler.close(opened[number])

    def open(self, number: int, stream: Stream) -> TranscriptStream:
        return self.assembler.open(
            stream.segment,
            "ana" if stream.by_user else "agent",
            by_user=stream.by_user,
            at=START + timedelta(seconds=number),
        )

    def take(self, message: ReceivedMessage | None) -> None:
        if message is None:
            return
        if message.id not in self.appeared:
            self.appeared.append(message.id)
        self.told.append(message)
        self.history.put(message)


def expected(streams: list[Stream]) -> dict[str, str]:
    """Of each segment the newest stream that said anything."""
    texts: dict[str, str] = {}
    for each in streams:
        said = "".join(each.chunks[: each.read])
        if said:
            texts[each.segment] = said
    return texts


@given(TURNS, st.lists(st.integers(0, 20), max_size=60))
def test_any_order_of_reading_ends_with_the_same_texts(
    turns: list[tuple[bool, list[str], int]], picks: list[int]
) -> None:
    run = Run(streams_of(turns))
    run.read(iter([*picks, *([0] * 1_000)]))
    assert {each.id: each.text for each in run.history.messages} == expected(run.streams)


@given(TURNS, st.lists(st.integers(0, 20), max_size=60))
def test_the_history_is_in_the_order_of_first_appearance(
    turns: list[tuple[bool, list[str], int]], picks: list[int]
) -> None:
    run = Run(streams_of(turns))
    run.read(iter([*picks, *([0] * 1_000)]))
    assert [each.id for each in run.history.messages] == run.appeared


@given(TURNS, st.lists(st.integers(0, 20), max_size=60))
def test_a_message_never_changes_speaker_or_time_and_an_answer_only_grows(
    turns: list[tuple[bool, list[str], int]], picks: list[int]
) -> None:
    run = Run(streams_of(turns))
    run.read(iter([*picks, *([0] * 1_000)]))
    last: dict[str, ReceivedMessage] = {}
    for message in run.told:
        before = last.get(message.id, message)
        assert message.timestamp == before.timestamp
        assert type(message.content) is type(before.content)
        assert message.text.startswith(before.text)
        last[message.id] = message


@given(
    TURNS,
    st.lists(st.integers(0, 20), max_size=60),
    st.lists(st.integers(0, 20), max_size=60),
)
def test_streams_that_come_again_after_a_reconnect_double_nothing(
    turns: list[tuple[bool, list[str], int]], picks: list[int], again: list[int]
) -> None:
    run = Run(streams_of(turns))
    run.read(iter([*picks, *([0] * 1_000)]))
    before = run.history.messages
    run.read(iter([*again, *([0] * 1_000)]))
    assert run.history.messages == before


MESSAGES = st.lists(
    st.builds(
        ReceivedMessage,
        st.sampled_from("abcde"),
        st.integers(0, 5).map(lambda each: START + timedelta(seconds=each)),
        st.sampled_from([AgentTranscript("x"), AgentTranscript("y"), UserTranscript("x")]),
    ),
    max_size=12,
)


@given(MESSAGES, MESSAGES)
def test_a_restored_history_is_sorted_once_and_then_only_replaced_or_appended(
    restored: list[ReceivedMessage], later: list[ReceivedMessage]
) -> None:
    history = History()
    history.restore(restored)
    ordered = sorted(restored, key=lambda each: each.timestamp)
    assert [each.id for each in history.messages] == list(dict.fromkeys(x.id for x in ordered))
    for message in later:
        before = history.messages
        changed = history.put(message)
        after = history.messages
        assert changed == (before != after)
        assert [each.id for each in after][: len(before)] == [each.id for each in before]
        assert message in after
        assert len({each.id for each in after}) == len(after)
