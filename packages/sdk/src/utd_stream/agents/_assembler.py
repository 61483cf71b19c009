"""Makes messages of the pieces in which transcripts come. Pure."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from utd_stream.agents._messages import AgentTranscript, ReceivedMessage, UserTranscript

_REMEMBERED: Final = 16
"""Segments of each participant whose order is still known."""


@dataclass(slots=True, kw_only=True, eq=False)
class TranscriptStream:
    """One text stream: a part of a segment as deltas, or one interim result of it."""

    number: int
    """By the order of opening, which is the order of sending."""
    segment: str
    identity: str
    by_user: bool
    opened_at: datetime
    final: bool = False
    """What the header says; the trailer's word comes too late to matter."""
    parts: list[str] = field(default_factory=list[str])


@dataclass(slots=True, eq=False)
class _Segment:
    """A turn of one speaker: one message."""

    first_at: datetime
    newest: int = 0


class TranscriptAssembler:
    """Turns chunks of streams, in whatever order their readers run, into messages.

    Each stream adds up its own text. A segment shows the text of its newest stream: older ones
    that are read late are ignored. A segment keeps its first timestamp.
    """

    def __init__(self) -> None:
        """Start with nothing known."""
        self._opened = 0
        self._segments: dict[str, OrderedDict[str, _Segment]] = {}

    def open(
        self, segment: str, identity: str, *, by_user: bool, at: datetime, final: bool = False
    ) -> TranscriptStream:
        """A stream opens; call this in the order in which they do.

        Args:
            segment: what it is a part of; it becomes the id of the message.
            identity: who is shown as its sender.
            by_user: whether that is the local user.
            at: when it was begun.
            final: whether nothing follows in this segment.
        """
        self._opened += 1
        stream = TranscriptStream(
            number=self._opened,
            segment=segment,
            identity=identity,
            by_user=by_user,
            opened_at=at,
            final=final,
        )
        self._segment_of(stream)
        return stream

    def feed(self, stream: TranscriptStream, text: str) -> ReceivedMessage | None:
        """A chunk came; what the message is now, or None when the chunk changes nothing."""
        if not text:
            return None
        stream.parts.append(text)
        segment = self._segment_of(stream)
        if stream.number < segment.newest:
            return None
        segment.newest = stream.number
        whole = "".join(stream.parts)
        stream.parts = [whole]
        content = UserTranscript(whole) if stream.by_user else AgentTranscript(whole)
        return ReceivedMessage(stream.segment, segment.first_at, content)

    def close(self, stream: TranscriptStream) -> None:
        """The stream ended: its text is not needed any more."""
        stream.parts.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._segments.clear()

    def _segment_of(self, stream: TranscriptStream) -> _Segment:
        known = self._segments.setdefault(stream.identity, OrderedDict())
        segment = known.setdefault(stream.segment, _Segment(stream.opened_at))
        known.move_to_end(stream.segment)
        while len(known) > _REMEMBERED:
            known.popitem(last=False)
        return segment
