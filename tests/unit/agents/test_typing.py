"""What a type checker knows; run one over this file. Running it checks that nothing raises."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never, assert_type

from utd_stream.agents import (
    AgentTranscript,
    CustomTokenSource,
    LiteralTokenSource,
    ReceivedMessage,
    Session,
    TokenRequestOptions,
    TokenSourceResponse,
    UserInput,
    UserTranscript,
)

LITERAL = LiteralTokenSource("wss://x", "token")


async def make(_: TokenRequestOptions) -> TokenSourceResponse:
    return TokenSourceResponse("wss://x", "token")


async def test_factories_take_their_kind_of_source() -> None:
    custom = CustomTokenSource(make)
    sessions = [
        assert_type(Session.from_fixed_token_source(LITERAL), Session),
        assert_type(Session.from_configurable_token_source(custom), Session),
        assert_type(Session.with_agent("helper", token_source=custom.cached()), Session),
    ]
    if TYPE_CHECKING:
        Session.from_fixed_token_source(custom)  # type: ignore[arg-type]
        Session.with_agent("helper", token_source=LITERAL)  # type: ignore[arg-type]
    for session in sessions:
        assert assert_type(session.messages, tuple[ReceivedMessage, ...]) == ()
        await session.dispose()


def describe(message: ReceivedMessage) -> str:
    match message.content:
        case AgentTranscript(text):
            return f"agent: {text}"
        case UserTranscript(text):
            return f"heard: {text}"
        case UserInput(text):
            return f"typed: {text}"
        case other:
            assert_never(other)


def test_content_is_a_closed_union() -> None:
    contents = (AgentTranscript("a"), UserTranscript("b"), UserInput("c"))
    said = [describe(ReceivedMessage("id", datetime.now(UTC), each)) for each in contents]
    assert said == ["agent: a", "heard: b", "typed: c"]
