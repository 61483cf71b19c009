from datetime import UTC, datetime

import pytest
from support.agent_fakes import ROOM, START, AgentStage, FakeSurroundings, settle

from utd_stream import UTDRoom
from utd_stream._room.link import StreamInfo
from utd_stream.agents import (
    AgentTranscript,
    ReceivedMessage,
    Session,
    SessionErrorKind,
    TranscriptionStreamReceiver,
    UserTranscript,
)
from utd_stream.agents._assembler import TranscriptAssembler
from utd_stream.agents._transcripts import DOUBT, is_final
from utd_stream.testing import FakeStream


def texts(stage: AgentStage) -> list[tuple[str, str, type]]:
    return [(each.id, each.text, type(each.content)) for each in stage.session.messages]


async def started(stage: AgentStage) -> list[str]:
    """Everything that is emitted from now on."""
    await stage.session.start()
    await stage.join()
    emitted: list[str] = []
    for receiver in stage.session._receivers:
        receiver.subscribe(lambda each: emitted.append(each.text), lambda _: None)
    return emitted


async def test_deltas_add_up(stage: AgentStage) -> None:
    emitted = await started(stage)
    stream = stage.open("1")
    for chunk in ("Hello", "", " world", "!"):
        stream.write(chunk)
    stream.finish({"lk.transcription_final": "true"})
    await settle()
    assert emitted == ["Hello", "Hello world", "Hello world!"]
    assert texts(stage) == [("1", "Hello world!", AgentTranscript)]


async def test_a_newer_stream_of_a_segment_replaces_the_text(stage: AgentStage) -> None:
    emitted = await started(stage)
    stage.open("3").write("Hello")
    await settle()
    second = stage.open("3", final="true")
    second.write("Hello world!")
    second.finish()
    await settle()
    assert emitted == ["Hello", "Hello world!"]
    assert texts(stage) == [("3", "Hello world!", AgentTranscript)]


async def test_without_a_segment_the_stream_is_the_message(stage: AgentStage) -> None:
    await started(stage)
    stream = stage.open(None)
    stream.write("Hello")
    await settle()
    assert texts(stage) == [(stream.info.stream_id, "Hello", AgentTranscript)]


async def test_what_the_user_said_is_shown_under_his_name(stage: AgentStage) -> None:
    await started(stage)
    for text, final in (("hel", "false"), ("hello", "false"), ("hello", "true")):
        stream = stage.open("u", final=final, sender="ana")
        stream.write(text)
        stream.finish()
        await settle()
    assert texts(stage) == [("u", "hello", UserTranscript)]


async def test_another_human_counts_as_the_agent(stage: AgentStage) -> None:
    await started(stage)
    await stage.join("bob", kind="standard")
    stage.open("b", identity="bob").write("hi")
    await settle()
    assert texts(stage) == [("b", "hi", AgentTranscript)]


async def test_two_segments_of_one_speaker_both_stay(stage: AgentStage) -> None:
    await started(stage)
    stage.open("A").write("first")
    stage.open("B").write("second")
    await settle()
    assert [each[:2] for each in texts(stage)] == [("A", "first"), ("B", "second")]


async def test_one_segment_id_of_two_speakers_has_independent_texts(stage: AgentStage) -> None:
    emitted = await started(stage)
    stage.open("s").write("agent")
    other = stage.open("s", sender="ana")
    other.write("user")
    await settle()
    other.write(" more")
    await settle()
    assert emitted == ["agent", "user", "user more"]
    assert texts(stage) == [("s", "user more", UserTranscript)], "the history knows ids alone"


async def test_a_long_final_text_adds_up(stage: AgentStage) -> None:  # Q6
    await started(stage)
    stream = stage.open("long", final="true")
    stream.write("a" * 15_000)
    stream.write("b" * 5_000)
    stream.finish()
    await settle()
    assert stage.session.messages[0].text == "a" * 15_000 + "b" * 5_000


@pytest.mark.parametrize(
    ("said", "final"),
    [("true", True), ("TRUE", True), ("1", True), ("false", False), ("0", False), ("", False)],
)
def test_what_counts_as_final(said: str, *, final: bool) -> None:
    assert is_final({"lk.transcription_final": said}) is final
    assert not is_final({})


async def test_the_references_first_case(stage: AgentStage) -> None:
    await started(stage)
    s1 = stage.open("seg-1")
    s1.write("Hello")
    s1.finish()
    s2 = stage.open("seg-1", final="true")
    s2.write("Hello world")
    s2.finish()
    s3 = stage.open("seg-2", final="true", sender="ana")
    s3.write("Hi")
    s3.finish()
    await settle()
    assert texts(stage) == [
        ("seg-1", "Hello world", AgentTranscript),
        ("seg-2", "Hi", UserTranscript),
    ]


async def test_the_references_second_case(stage: AgentStage) -> None:
    await started(stage)
    await stage.join("agent-B")
    stage.open("seg-A").write("partial")
    second = stage.open("seg-B", final="true")
    second.write("Final B")
    second.finish()
    third = stage.open(None, identity="agent-B")
    third.write("no segment")
    await settle()
    ids = [each.id for each in stage.session.messages]
    assert ids == ["seg-A", "seg-B", third.info.stream_id]
    assert stage.session.error is None


def test_a_segment_keeps_its_first_timestamp_for_life() -> None:  # Q17
    assembler = TranscriptAssembler()
    first = assembler.open("s", "agent", by_user=False, at=START)
    assert assembler.feed(first, "a") == ReceivedMessage("s", START, AgentTranscript("a"))
    assembler.close(first)
    later = assembler.open("s", "agent", by_user=False, at=START.replace(hour=9), final=True)
    assert assembler.feed(later, "ab") == ReceivedMessage("s", START, AgentTranscript("ab"))


def test_an_older_stream_that_is_read_late_is_ignored() -> None:  # Q5
    assembler = TranscriptAssembler()
    old = assembler.open("s", "agent", by_user=False, at=START)
    new = assembler.open("s", "agent", by_user=False, at=START)
    assert assembler.feed(new, "new") is not None
    assert assembler.feed(old, "old") is None
    assembler.close(old)
    grown = assembler.feed(new, "er")
    assert grown is not None
    assert grown.text == "newer"


def test_memory_is_bounded() -> None:
    assembler = TranscriptAssembler()
    for number in range(1_000):
        stream = assembler.open(f"s{number}", "agent", by_user=False, at=START)
        assembler.feed(stream, "text")
        assembler.close(stream)
        assert not stream.parts
    assert len(assembler._segments["agent"]) == 16
    assembler.clear()
    assert not assembler._segments


async def test_interleaved_readers_give_the_newest_text(stage: AgentStage) -> None:
    await started(stage)
    streams = [stage.open("u", sender="ana") for _ in range(3)]
    for stream, text in zip(reversed(streams), ("abc", "ab", "a"), strict=True):
        stream.write(text)
        stream.finish()
        await settle()
    assert [each.text for each in stage.session.messages] == ["abc"]


async def test_a_stream_that_breaks_off_while_the_room_is_up_is_an_error(stage: AgentStage) -> None:
    await started(stage)
    stream = stage.open("s")
    stream.write("half")
    stream.fail("the sender left")
    await settle()
    assert stage.session.error is None, "the connection may be the reason: it has a moment to tell"
    stage.time.advance(DOUBT)
    assert stage.session.error is not None
    assert stage.session.error.kind is SessionErrorKind.RECEIVER
    assert stage.session.messages[0].text == "half"
    stage.open("t").write("goes on")
    await settle()
    assert len(stage.session.messages) == 2


@pytest.mark.parametrize("how", ["end", "removed", "reconnect"])
async def test_a_stream_that_breaks_with_the_connection_is_silent(
    stage: AgentStage, how: str
) -> None:
    await started(stage)
    stream = stage.open("s")
    stream.write("half")
    await settle()
    if how == "end":
        stream.fail()  # LiveKit breaks streams before it says that the room was left
        await settle()
        await stage.session.end()
    elif how == "removed":
        stage.server.remove(ROOM, "ana")
    else:
        stage.server.interrupt(ROOM, "ana", full=True)
    await settle()
    stage.time.advance(DOUBT)
    assert stage.session.error is None
    assert stage.session.messages[0].text == "half"


async def test_a_second_session_on_a_room_is_told_that_the_topic_is_taken(  # Q11
    stage: AgentStage,
) -> None:
    from utd_stream.agents import SessionOptions  # noqa: PLC0415

    second = Session(stage.fetch, options=SessionOptions(room=stage.user_room))
    assert second.error is not None
    assert second.error.kind is SessionErrorKind.RECEIVER
    await second.dispose()
    emitted = await started(stage)
    stage.open("s").write("the first one still hears")
    await settle()
    assert emitted == ["the first one still hears"]


class Undecodable(FakeStream[str]):
    """Its second piece is no text."""

    def __aiter__(self):  # noqa: ANN204
        pieces = iter(["a", UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), "b"])

        class Pieces:
            async def __anext__(self) -> str:
                piece = next(pieces, None)
                if piece is None:
                    raise StopAsyncIteration
                if isinstance(piece, Exception):
                    raise piece
                return piece

            def __aiter__(self):  # noqa: ANN204
                return self

        return Pieces()


async def test_what_is_no_text_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    room = UTDRoom()
    receiver = TranscriptionStreamReceiver(room, surroundings=FakeSurroundings())
    heard: list[ReceivedMessage] = []
    stop = receiver.subscribe(heard.append, pytest.fail)
    info = StreamInfo(stream_id="x", topic="lk.transcription", timestamp_ms=1_700_000_000_000)
    receiver._opened(Undecodable(info, {}), "agent")
    await settle()
    assert [each.text for each in heard] == ["a", "ab"]
    assert heard[0].timestamp == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert "is no text" in caplog.text
    stop()
    stop()
    await receiver.dispose()
    await receiver.dispose()
    await room.aclose()


async def test_the_topic_is_held_from_the_first_subscriber_to_the_last() -> None:
    room = UTDRoom()
    receiver = TranscriptionStreamReceiver(room)
    assert "lk.transcription" not in room._text
    stops = [receiver.subscribe(lambda _: None, lambda _: None) for _ in range(2)]
    assert "lk.transcription" in room._text
    stops[0]()
    assert "lk.transcription" in room._text
    stops[1]()
    assert "lk.transcription" not in room._text
    receiver.subscribe(lambda _: None, lambda _: None)
    assert "lk.transcription" in room._text, "a later subscriber starts afresh"
    await receiver.dispose()
    assert "lk.transcription" not in room._text
    await room.aclose()


async def test_a_reader_that_is_open_at_the_end_is_closed(stage: AgentStage) -> None:  # Q7
    await started(stage)
    stream = stage.open("s")
    stream.write("half")
    await settle()
    await stage.session.dispose()
    stream.write("never heard")
    await settle()
    assert stage.session.messages[0].text == "half"
