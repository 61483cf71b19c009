"""The microphone of one who sits: on by wish and right, silent when the seat or a mute says so."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from utd_protocol.types import Source
from utd_protocol.views import RoomView, Seat
from utd_stream._errors import Closed, Conflict, PublishFailed
from utd_stream._observable import Observable
from utd_stream._room import UTDRoom
from utd_stream._updates import fresh


class SeatMicrophone:
    """Holds the wish to speak. Nobody else's act ever sets it."""

    def __init__(
        self, room: UTDRoom, view: Observable[RoomView], identity: str, timeout: float
    ) -> None:
        """Start without the wish.

        Args:
            room: where the track is published.
            view: the engine's view, which says who sits where.
            identity: whose microphone it is.
            timeout: seconds from the seat to the sound.
        """
        self._room = room
        self._view = view
        self._identity = identity
        self._timeout = timeout
        self._wish = 0
        self._acting = 0
        self._wanted = False
        self._ended: Closed | None = None
        self._waiting: set[asyncio.Event] = set()
        self.lost_because = "left"
        """Why the last seat was lost, in the engine's word."""

    @contextmanager
    def wish(self) -> Generator[None]:
        """Wish to speak; taken back when the act inside fails, unless a newer wish was made."""
        before = self._wanted
        self.want(wanted=True)
        mine = self._wish
        self._acting += 1
        try:
            yield
        except BaseException:
            if self._wish == mine:
                self.want(wanted=before)
            raise
        finally:
            self._acting -= 1

    def want(self, *, wanted: bool) -> None:
        """Speak as soon as and as long as that is allowed, or no longer."""
        self.note(wanted=wanted)
        self._room.want_microphone(wanted)

    def note(self, *, wanted: bool) -> None:
        """The room has been told of this wish already."""
        self._wish += 1
        self._wanted = wanted
        self._wake()

    def place_lost(self, because: str) -> None:
        """A seat, or the hope of one, is gone: the next one begins with a new wish.

        An act that is under way is the new wish already.
        """
        self.lost_because = because
        if not self._acting:
            self.want(wanted=False)

    def restart(self) -> None:
        """A new stay in the room begins."""
        self._ended = None

    def stop(self, reason: Closed) -> None:
        """The stay is over: whoever waits is told so."""
        self._ended = reason
        self.note(wanted=False)

    async def live(self) -> Seat:
        """Wait until the microphone is live, or until it is plain that it stays silent.

        Returns:
            The seat. It may be silent: its microphone is locked, or its occupant hard-muted, or
            the wish was taken back.

        Raises:
            Conflict: the seat was lost meanwhile.
            PublishFailed: LiveKit did not take the track in time.
            Closed: the session ended.
        """
        news = asyncio.Event()
        publishing = asyncio.ensure_future(self._room.wait_published(Source.MICROPHONE))
        publishing.add_done_callback(lambda _: news.set())
        unsubscribe = self._view.listen(lambda _: news.set())
        self._waiting.add(news)
        try:
            async with asyncio.timeout(self._timeout):
                while (seat := self._settled(publishing)) is None:
                    await news.wait()
                    news.clear()
                return seat
        except TimeoutError:
            message = f"seated, but the microphone was not live within {self._timeout:g} s"
            raise PublishFailed(message) from None
        finally:
            unsubscribe()
            self._waiting.discard(news)
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)

    def _settled(self, publishing: "asyncio.Future[None]") -> Seat | None:
        if self._ended is not None:
            raise fresh(self._ended)
        view = self._view.value
        seat = view.seat_of(self._identity)
        if seat is None:
            message = f"the seat was lost before the microphone was live ({self.lost_because})"
            raise Conflict(message)
        muted = Source.MICROPHONE in view.member(self._identity).muted
        if seat.mic_locked or muted or not self._wanted:
            return seat
        if not publishing.done():
            return None
        publishing.result()
        return seat

    def _wake(self) -> None:
        for news in self._waiting:
            news.set()
