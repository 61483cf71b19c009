"""The user's typed text on its way to the agent, and its echo for the history."""

from typing import Final

from utd_stream._room.connection import UTDConnectionState
from utd_stream._room.room import UTDRoom
from utd_stream.agents._errors import NotConnected
from utd_stream.agents._messages import (
    OnError,
    OnMessage,
    ReceivedMessage,
    SentMessage,
    SentUserInput,
    Unsubscribe,
    UserInput,
)
from utd_stream.agents._surroundings import RealSurroundings, Surroundings

CHAT_TOPIC: Final = "lk.chat"
_UP: Final = frozenset({UTDConnectionState.CONNECTED, UTDConnectionState.RECONNECTING})
_REAL: Final = RealSurroundings()


class TextMessageSender:
    """Sends text as a LiveKit text stream, and hands back as received what was sent.

    A sender and a receiver. The reference's class of this name.
    """

    def __init__(
        self, room: UTDRoom, topic: str = CHAT_TOPIC, *, surroundings: Surroundings = _REAL
    ) -> None:
        """Send in this room, by this topic. `surroundings` is for tests."""
        self._room = room
        self._topic = topic
        self._surroundings = surroundings
        self._subscribers: dict[object, OnMessage] = {}
        self._disposed = False

    async def send_text(self, text: str) -> SentMessage:
        """Make a message of this text and send it, as `send`."""
        message = SentMessage(
            self._surroundings.new_id(), self._surroundings.now(), SentUserInput(text)
        )
        await self.send(message)
        return message

    async def send(self, message: SentMessage) -> None:
        """Send a user's text to everybody in the room, then tell subscribers of it.

        Raises:
            NotConnected: the room is not joined.
            NotAllowed: the right to send data is missing.
            ConnectionLost: the connection ended meanwhile.
        """
        text = _typed(message.content)
        if text is None:
            return
        if self._room.connection.value not in _UP:
            raise NotConnected("Cannot send a message before connecting to the room.")
        await self._room.send_text(text, topic=self._topic, compress=False)
        echo = ReceivedMessage(message.id, message.timestamp, UserInput(text))
        for subscriber in tuple(self._subscribers.values()):
            subscriber(echo)

    def subscribe(self, on_message: OnMessage, on_error: OnError) -> Unsubscribe:
        """Tell of every message that is sent from now on; failures are raised by `send`."""
        del on_error
        key = object()
        if not self._disposed:
            self._subscribers[key] = on_message

        def unsubscribe() -> None:
            self._subscribers.pop(key, None)

        return unsubscribe

    async def dispose(self) -> None:
        """Tell nobody any more; sending goes on working. Idempotent."""
        self._disposed = True
        self._subscribers.clear()


def _typed(content: object) -> str | None:
    """The text of a user's input; None for any other kind of content."""
    return content.text if isinstance(content, SentUserInput) else None
