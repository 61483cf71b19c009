"""The ordered history of what both sides said. Pure."""

from collections.abc import Iterable

from utd_stream.agents._messages import ReceivedMessage


class History:
    """Messages by id, in the order in which the ids came. Nothing is sorted on arrival."""

    def __init__(self) -> None:
        """Start empty."""
        self._by_id: dict[str, ReceivedMessage] = {}
        self._all: tuple[ReceivedMessage, ...] = ()

    @property
    def messages(self) -> tuple[ReceivedMessage, ...]:
        """All of them: the same tuple until something changes."""
        return self._all

    def put(self, message: ReceivedMessage) -> bool:
        """Add a new message, or replace the one of this id in its place.

        Returns:
            Whether that changed anything.
        """
        if self._by_id.get(message.id) == message:
            return False
        self._by_id[message.id] = message
        self._all = tuple(self._by_id.values())
        return True

    def restore(self, messages: Iterable[ReceivedMessage]) -> None:
        """Forget everything and take these, oldest first; of one id: first place, last value."""
        ordered = sorted(messages, key=lambda each: each.timestamp)
        self._by_id = {each.id: each for each in ordered}
        self._all = tuple(self._by_id.values())
