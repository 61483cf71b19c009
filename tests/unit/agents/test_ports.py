"""Token sources, senders and receivers of a user's own: the four ports of a session."""

from datetime import UTC, datetime

import pytest

from utd_stream import UTDRoom
from utd_stream.agents import (
    AgentTranscript,
    MessageReceiver,
    MessageSender,
    OnError,
    OnMessage,
    ReceivedMessage,
    SentMessage,
    Session,
    SessionOptions,
    TokenRequestOptions,
    TokenSourceConfigurable,
    TokenSourceFixed,
    TokenSourceResponse,
    Unsubscribe,
)
from utd_stream.testing import FakeLiveKit


class Wire:
    """A sender and a receiver in one."""

    def __init__(self) -> None:
        self.sent: list[SentMessage] = []
        self.readers: list[OnMessage] = []

    async def send(self, message: SentMessage) -> None:
        self.sent.append(message)

    def subscribe(self, on_message: OnMessage, on_error: OnError) -> Unsubscribe:
        self.readers.append(on_message)
        return lambda: self.readers.remove(on_message)

    async def dispose(self) -> None:
        self.sent.clear()


class Fixed:
    def __init__(self, livekit: FakeLiveKit) -> None:
        self._livekit = livekit

    async def fetch(self) -> TokenSourceResponse:
        return TokenSourceResponse(self._livekit.url, self._livekit.token("lobby", "ana"))


class Asked:
    def __init__(self, livekit: FakeLiveKit) -> None:
        self._livekit = livekit

    async def fetch(self, options: TokenRequestOptions) -> TokenSourceResponse:
        token = self._livekit.token("lobby", options.participant_identity or "nobody")
        return TokenSourceResponse(self._livekit.url, token)


@pytest.mark.parametrize("identity", ["ana", "bo"])
async def test_sources_of_ones_own_bring_tokens(identity: str) -> None:
    livekit = FakeLiveKit()
    async with UTDRoom(open_link=livekit.open_link) as room:
        options = SessionOptions(room=room)
        fixed: TokenSourceFixed = Fixed(livekit)
        asked: TokenSourceConfigurable = Asked(livekit)
        wanted = TokenRequestOptions(participant_identity="bo")
        session = (
            Session.from_fixed_token_source(fixed, options=options)
            if identity == "ana"
            else Session.from_configurable_token_source(
                asked, token_options=wanted, options=options
            )
        )
        async with session:
            assert list(livekit.rooms["lobby"].members) == [identity]


async def test_senders_and_receivers_of_ones_own_carry_messages() -> None:
    wire = Wire()
    sender: MessageSender = wire
    receiver: MessageReceiver = wire
    source = Fixed(FakeLiveKit())
    session = Session.from_fixed_token_source(source, senders=[sender], receivers=[receiver])
    sent = await session.send_text("hello")
    assert wire.sent == [sent]
    answer = ReceivedMessage("m1", datetime.now(UTC), AgentTranscript("good day"))
    [on_message] = wire.readers
    on_message(answer)
    assert session.messages == (answer,)
    await session.dispose()
    assert (wire.readers, wire.sent) == ([], [])
