"""Sound and pictures of others, as iterators that outlive the tracks behind them.

An iterator names a person and a kind of track, not a track: it waits while there is none, and
goes on when the track is published anew, after a reconnect, and over a new connection.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from utd_protocol.types import Source
from utd_stream._errors import ClosedByUs
from utd_stream._media.frames import AudioFrame
from utd_stream._media.video import VideoFrame
from utd_stream._observable import Observable
from utd_stream._room.link import Link, Received
from utd_stream._room.participants import RemoteParticipant, TrackInfo

if TYPE_CHECKING:
    from collections.abc import Generator

F = TypeVar("F")


class Receiving:
    """Everything that is being read in one room."""

    def __init__(self, link: Callable[[], Link | None], *, adaptive: bool) -> None:
        """Start with nothing read.

        Args:
            link: the connection of now, None without one.
            adaptive: whether pictures are received only while somebody reads them.
        """
        self._link = link
        self._adaptive = adaptive
        self._auto = True
        self._readers: dict[tuple[str, Source], Counter[int | None]] = {}
        self._turn = Observable(0)
        self.closed = False

    def check(self) -> None:
        """Something that matters may have changed: tracks, or the connection."""
        self._turn._set(self._turn.value + 1)  # noqa: SLF001 ours

    def joined(self, *, auto_subscribe: bool) -> None:
        """A new connection was made, which receives everything by itself or not."""
        self._auto = auto_subscribe

    def close(self) -> None:
        """End every iterator."""
        self.closed = True
        self._turn._close()  # noqa: SLF001 ours

    def ask(self, participants: tuple[RemoteParticipant, ...]) -> None:
        """Receive what is read and nothing else, as far as that is ours to choose."""
        link = self._link()
        if link is None:
            return
        for participant in participants:
            for track in participant.tracks:
                if self._chooses(track) and track.source is not None:
                    widths = self._readers.get((participant.identity, track.source))
                    link.ask_for(
                        participant.identity,
                        track.sid,
                        wanted=bool(widths),
                        width=_widest(widths) if widths else None,
                    )

    async def audio(
        self, identity: str, source: Source, frame_ms: int
    ) -> AsyncGenerator[AudioFrame, None]:
        """Somebody's sound, until the room is closed."""
        with self._reading(identity, source, None):
            async for frame in self._frames(
                lambda link: link.receive_audio(identity, source, frame_ms)
            ):
                yield frame

    async def video(
        self, identity: str, source: Source, width: int | None
    ) -> AsyncGenerator[VideoFrame, None]:
        """Somebody's pictures, until the room is closed."""
        with self._reading(identity, source, width):
            async for frame in self._frames(lambda link: link.receive_video(identity, source)):
                yield frame

    async def _frames(
        self, receive: Callable[[Link], Received[F] | None]
    ) -> AsyncGenerator[F, None]:
        while not self.closed:
            turn = self._turn.value
            link = self._link()
            frames = receive(link) if link is not None else None
            if frames is not None:
                try:
                    async for frame in frames:
                        yield frame
                finally:
                    await frames.aclose()
            # What ended is not opened again before something happened: no busy loop.
            with suppress(ClosedByUs):
                await self._turn.wait_for(turn.__ne__)

    def _chooses(self, track: TrackInfo) -> bool:
        return not self._auto or (self._adaptive and track.kind == "video")

    @contextmanager
    def _reading(self, identity: str, source: Source, width: int | None) -> "Generator[None]":
        key = (identity, source)
        self._readers.setdefault(key, Counter())[width] += 1
        self._ask_again()
        try:
            yield
        finally:
            readers = self._readers[key]
            readers[width] -= 1
            self._readers[key] = +readers
            if not self._readers[key]:
                del self._readers[key]
            self._ask_again()

    def _ask_again(self) -> None:
        link = self._link()
        if link is not None:
            self.ask(link.participants())


def _widest(widths: Counter[int | None]) -> int | None:
    """The width that serves every reader; None is the full one."""
    return None if None in widths else max(each for each in widths if each is not None)
