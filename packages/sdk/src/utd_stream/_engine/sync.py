"""Follow a room's log: fold events strictly by `seq`, whatever is lost, repeated or reordered.

Pure. It says where the reading of the log must go on (`behind`); `_follow` reads it there.
"""

from collections.abc import Iterable
from typing import Final, TypeAlias

from utd_protocol.apply import apply
from utd_protocol.codec import decode_window
from utd_protocol.events import RoomEvent, UnknownEvent
from utd_protocol.views import RoomView

LogEvent: TypeAlias = RoomEvent | UnknownEvent

_MAX_EARLY: Final = 1000
"""Events kept while those before them are missing. What is not kept is read from the log."""


class RoomSync:
    """What is known of one opening of a room, and up to which event of its log."""

    __slots__ = ("_early", "_head", "_seq", "_signals", "_view")

    def __init__(self, view: RoomView, seq: int) -> None:
        """Start from a snapshot.

        Args:
            view: the room as of `seq`.
            seq: the last event of the log that the view contains.
        """
        self._view = view
        self._seq = seq
        self._head = seq
        self._early: dict[int, LogEvent] = {}
        self._signals: tuple[dict[str, object], ...] = ()

    @property
    def signals(self) -> tuple[dict[str, object], ...]:
        """What the last window told besides events."""
        return self._signals

    @property
    def view(self) -> RoomView:
        """The room after the event `seq`."""
        return self._view

    @property
    def seq(self) -> int:
        """The last event that the view contains. It never goes back."""
        return self._seq

    @property
    def head(self) -> int:
        """The newest event that anybody told of."""
        return self._head

    @property
    def behind(self) -> bool:
        """Whether the log must be read after `seq`."""
        return self._head > self._seq

    def hear(self, metadata: str) -> tuple[LogEvent, ...]:
        """Fold the window of events that LiveKit's room metadata carries.

        Args:
            metadata: the metadata as it came. What the engine did not write, and what is of
                another opening of the room, is ignored.

        Returns:
            The events that are new, in order.
        """
        window = decode_window(metadata)
        if window is None or window.room_id != self._view.room_id:
            return ()
        self._signals = window.signals
        return self.fold(window.events, window.head)

    def fold(self, events: Iterable[LogEvent], head: int = 0) -> tuple[LogEvent, ...]:
        """Fold events of an answer or of a page of the log, in any order.

        Args:
            events: events of this room.
            head: the end of the log as of then.

        Returns:
            The events that could be folded now, in order: those before a gap, and those that
            waited behind one which is closed now.
        """
        folded: list[LogEvent] = []
        for event in events:
            self._head = max(self._head, event.seq)
            if event.seq == self._seq + 1:
                folded += self._step(event)
            elif event.seq > self._seq and len(self._early) < _MAX_EARLY:
                self._early[event.seq] = event
        self._head = max(self._head, head)
        return tuple(folded)

    def load(self, view: RoomView, seq: int) -> tuple[LogEvent, ...]:
        """Jump to a snapshot, since the log is no longer kept that far back.

        Args:
            view: the room as of `seq`. One that is not newer changes nothing.
            seq: the last event that it contains.

        Returns:
            Events that waited for what the snapshot contains, in order.
        """
        if view.room_id != self._view.room_id or seq <= self._seq:
            return ()
        self._view = view
        self._seq = seq
        self._head = max(self._head, seq)
        self._early = {at: event for at, event in self._early.items() if at > seq}
        return tuple(self._drain())

    def _step(self, event: LogEvent) -> list[LogEvent]:
        self._view = apply(self._view, event)
        self._seq = event.seq
        self._early.pop(event.seq, None)
        return [event, *self._drain()]

    def _drain(self) -> list[LogEvent]:
        folded: list[LogEvent] = []
        while (event := self._early.pop(self._seq + 1, None)) is not None:
            self._view = apply(self._view, event)
            self._seq = event.seq
            folded.append(event)
        return folded
