import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from support.agent_fakes import ROOM, START, AgentStage, settle

from utd_stream import NotAllowed, Permissions, UTDRoom
from utd_stream.agents import (
    AgentTranscript,
    NotConnected,
    ReceivedMessage,
    SentMessage,
    SentUserInput,
    SessionError,
    SessionErrorKind,
    TextMessageSender,
    UserInput,
)
from utd_stream.agents._history import History
from utd_stream.testing import FakeLiveKit, Grant


def message(id_: str, text: str = "text", seconds: float = 0) -> ReceivedMessage:
    return ReceivedMessage(id_, START + timedelta(seconds=seconds), AgentTranscript(text))


def test_a_known_id_is_replaced_in_its_place_and_nothing_is_sorted_on_arrival() -> None:
    history = History()
    history.put(message("b", seconds=9))
    history.put(message("a", seconds=1))
    history.put(message("b", "more", seconds=99))
    assert [(each.id, each.text) for each in history.messages] == [("b", "more"), ("a", "text")]


def test_an_equal_message_changes_nothing_and_old_tuples_never_change() -> None:
    history = History()
    assert history.put(message("a"))
    before = history.messages
    assert not history.put(message("a"))
    assert history.messages is before
    assert history.put(ReceivedMessage("a", START, UserInput("text"))), "another kind of content"
    assert before == (message("a"),)


def test_restore_sorts_is_stable_and_keeps_first_place_and_last_value() -> None:
    history = History()
    history.put(message("gone"))
    history.restore(
        [
            message("c", seconds=3),
            message("a", seconds=1),
            message("b1", seconds=2),
            message("b2", seconds=2),
            message("a", "last", seconds=2.5),
        ]
    )
    assert [(each.id, each.text) for each in history.messages] == [
        ("a", "last"),
        ("b1", "text"),
        ("b2", "text"),
        ("c", "text"),
    ]


async def test_restoring_always_tells_and_later_messages_follow(stage: AgentStage) -> None:
    told: list[int] = []
    stage.session.add_listener(lambda: told.append(len(stage.session.messages)))
    stage.session.restore_message_history([message("old")])
    stage.session.restore_message_history([message("old")])
    assert told == [1, 1]
    await stage.session.start()
    await stage.join()
    stage.open("new").write("hello")
    stage.open("old").write("grown")
    await settle()
    history = stage.session.get_message_history()
    assert [(each.id, each.text) for each in history] == [("old", "grown"), ("new", "hello")]
    assert history is stage.session.messages


async def test_listeners_are_not_told_of_an_equal_message(stage: AgentStage) -> None:
    await stage.session.start()
    await stage.join()
    told: list[None] = []
    stage.session.add_listener(lambda: told.append(None))
    stage.session._received(message("a"))
    stage.session._received(message("a"))
    assert len(told) == 1


async def test_text_is_sent_and_shown(stage: AgentStage) -> None:
    heard: list[tuple[str, str]] = []
    tasks: list[asyncio.Task[None]] = []
    await stage.session.start()
    agent = await stage.join()

    def opened(stream, identity) -> None:  # noqa: ANN001
        async def read() -> None:
            heard.append((identity, "".join([each async for each in stream])))
            assert dict(stream.attributes) == {}

        tasks.append(asyncio.create_task(read()))

    agent.register_text_stream_handler("lk.chat", opened)
    sent = await stage.session.send_text("  hi  ")
    await settle()
    assert sent == SentMessage("id-1", START, SentUserInput("  hi  "))
    assert stage.session.messages == (ReceivedMessage("id-1", START, UserInput("  hi  ")),)
    assert heard == [("ana", "  hi  ")]


async def test_text_before_the_join_is_an_error_without_an_echo(stage: AgentStage) -> None:
    assert await stage.session.send_text("hi") is None
    assert stage.session.error is not None
    assert stage.session.error.kind is SessionErrorKind.SENDER
    assert stage.session.error.message == (
        "Message sender failed: Cannot send a message before connecting to the room."
    )
    assert isinstance(stage.session.error.cause, NotConnected)
    assert stage.session.messages == ()


async def test_text_that_may_not_be_sent_is_an_error_without_an_echo(stage: AgentStage) -> None:
    stage.grant = Grant(room=ROOM, identity="ana", permissions=Permissions(can_subscribe=True))
    await stage.session.start()
    assert await stage.session.send_text("hi") is None
    assert isinstance(stage.session.error, SessionError)
    assert isinstance(stage.session.error.cause, NotAllowed)
    assert stage.session.messages == ()


class Sender:
    def __init__(self, *, broken: bool = False) -> None:
        self.sent: list[SentMessage] = []
        self._broken = broken

    async def send(self, message: SentMessage) -> None:
        if self._broken:
            raise ValueError("broken")
        self.sent.append(message)


async def test_senders_are_asked_in_order_and_the_first_failure_stops() -> None:
    first, broken, last = Sender(), Sender(broken=True), Sender()
    async with AgentStage(senders=[first, broken, last]) as stage:
        assert await stage.session.send_text("hi") is None
        assert len(first.sent) == 1, "what was sent is not taken back"
        assert last.sent == []
        assert stage.session.error is not None
        assert str(stage.session.error) == "Message sender failed: broken"


async def test_two_senders_send_the_same_message_once_each() -> None:
    one, two = Sender(), Sender()
    async with AgentStage(senders=[one, two]) as stage:
        sent = await stage.session.send_text("hi")
        assert one.sent == two.sent == [sent]


async def test_senders_of_ones_own_have_no_echo() -> None:  # Q12
    async with AgentStage(senders=[Sender()]) as stage:
        assert await stage.session.send_text("hi")
        assert stage.session.messages == ()


async def test_empty_lists_are_honoured() -> None:
    async with AgentStage(senders=[], receivers=[]) as stage:
        await stage.session.start()
        await stage.join()
        assert await stage.session.send_text("hi")
        assert stage.session.messages == ()
        assert stage.server.stream_text(ROOM, "agent", "lk.transcription") == []


async def test_a_receivers_error_is_shown_and_the_session_goes_on(stage: AgentStage) -> None:
    await stage.session.start()
    await stage.join()
    broken = ValueError("broken")
    told: list[None] = []
    stage.session.add_listener(lambda: told.append(None))
    stage.session._receiver_failed(broken)
    stage.session._receiver_failed(broken)
    assert len(told) == 1, "an equal error is told once"
    assert stage.session.error == SessionError.receiver(broken)
    stage.open("s").write("hello")
    await settle()
    assert [each.text for each in stage.session.messages] == ["hello"]


async def test_an_error_goes_by_dismissing_and_by_starting(stage: AgentStage) -> None:
    told: list[None] = []
    await stage.session.send_text("hi")
    stage.session.add_listener(lambda: told.append(None))
    stage.session.dismiss_error()
    stage.session.dismiss_error()
    assert stage.session.error is None
    assert len(told) == 1
    await stage.session.send_text("hi")
    await stage.session.start()
    assert stage.session.error is None


async def test_message_changes_gives_each_growth_in_order(stage: AgentStage) -> None:
    await stage.session.start()
    await stage.join()
    changes = stage.session.message_changes()
    stream = stage.open("s")
    for chunk in ("a", "b", "c"):
        stream.write(chunk)
    await settle()
    await stage.session.dispose()
    assert [each.text async for each in changes] == ["a", "ab", "abc"]


async def test_the_text_sender_is_usable_alone() -> None:
    server = FakeLiveKit()
    async with UTDRoom(open_link=server.open_link) as room:
        sender = TextMessageSender(room, topic="chat")
        echoes: list[ReceivedMessage] = []
        stop = sender.subscribe(echoes.append, lambda _: None)
        with pytest.raises(NotConnected):
            await sender.send_text("early")
        await room.connect(server.url, server.token("r", "ana"))
        sent = await sender.send_text("hi")
        assert echoes == [ReceivedMessage(sent.id, sent.timestamp, UserInput("hi"))]
        assert sent.timestamp.tzinfo is UTC
        await sender.send(SentMessage("x", datetime.now(UTC), "other"))  # type: ignore[arg-type]
        stop()
        stop()
        await sender.send_text("unheard")
        sender.subscribe(echoes.append, lambda _: None)
        await sender.dispose()
        await sender.send_text("after dispose it still sends, without an echo")
        assert len(echoes) == 1


def test_session_errors_are_equal_by_kind_and_cause() -> None:
    cause = ValueError("eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln is my token")
    error = SessionError.connection(cause)
    assert error == SessionError.connection(cause)
    assert error != SessionError.sender(cause)
    assert error != SessionError.connection(ValueError("other"))
    assert len({error, SessionError.connection(cause)}) == 1
    assert "eyJ" not in str(error)
    assert not error.retryable
