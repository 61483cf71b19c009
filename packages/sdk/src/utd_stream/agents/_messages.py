"""What is said in a session, as plain values, and the two ports that carry it. No I/O here."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class AgentTranscript:
    """What the agent said, so far."""

    text: str


@dataclass(frozen=True, slots=True)
class UserTranscript:
    """What the local user was heard to say, so far."""

    text: str


@dataclass(frozen=True, slots=True)
class UserInput:
    """What the local user typed."""

    text: str


@dataclass(frozen=True, slots=True)
class SentUserInput:
    """What is being sent because the local user typed it."""

    text: str


MessageContent: TypeAlias = AgentTranscript | UserTranscript | UserInput
"""What a received message holds: match on it."""


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One entry of the history. A later one with the same id takes its place."""

    id: str
    timestamp: datetime
    """Aware, in UTC."""
    content: MessageContent

    @property
    def text(self) -> str:
        """The words, whoever they are from."""
        return self.content.text


@dataclass(frozen=True, slots=True)
class SentMessage:
    """One message on its way out."""

    id: str
    timestamp: datetime
    """Aware, in UTC."""
    content: SentUserInput


OnMessage: TypeAlias = Callable[[ReceivedMessage], None]
OnError: TypeAlias = Callable[[Exception], None]
Unsubscribe: TypeAlias = Callable[[], None]


class MessageSender(Protocol):
    """Carries the user's messages to the agent."""

    async def send(self, message: SentMessage) -> None:
        """Send it; raise any exception when that fails."""
        ...


class MessageReceiver(Protocol):
    """Tells what was said. The reference's `messages()` stream, as callbacks."""

    def subscribe(self, on_message: OnMessage, on_error: OnError) -> Unsubscribe:
        """Call one of these for everything from now on; nothing is repeated.

        It may be called before an event loop runs, and more than once.

        Returns:
            A function that unsubscribes; calling it twice is harmless.
        """
        ...

    async def dispose(self) -> None:
        """Free everything. Idempotent."""
        ...
