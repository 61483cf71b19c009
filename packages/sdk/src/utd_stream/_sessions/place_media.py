"""What one publishes from a place: a seat, the stage, a call. Live by wish and right.

It stays silent and dark as the place says, and ends with it.
"""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from utd_protocol.types import Source
from utd_protocol.views import RoomView
from utd_stream._errors import Closed, Conflict, PublishFailed, fresh
from utd_stream._observable import Observable
from utd_stream._room.room import UTDRoom

P = TypeVar("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(Generic[P]):
    """How one kind of place is found in a view."""

    name: str
    find: Callable[[RoomView], P | None]
    allowed: Callable[[RoomView, P], frozenset[Source]]
    """What the rules let its holder publish now."""


class PlaceMedia(Generic[P]):
    """Holds the wishes to be heard and seen. Nobody else's act ever makes one."""

    def __init__(
        self, room: UTDRoom, view: Observable[RoomView], place: Place[P], timeout: float
    ) -> None:
        """Start without any wish.

        Args:
            room: where the tracks are published.
            view: the engine's view, which says who has which place.
            place: the kind of place.
            timeout: seconds from the place to sound and pictures.
        """
        self._room = room
        self._view = view
        self._place = place
        self._timeout = timeout
        self._wanted: dict[Source, int] = {}
        """With each wish the number of the act that made it."""
        self._acts = 0
        self._acting = 0
        self._ended: Closed | None = None
        self._waiting: set[asyncio.Event] = set()
        self.lost_because = "left"
        """Why the last place was lost, in the engine's word."""

    @contextmanager
    def wish(self, *sources: Source) -> Generator[None]:
        """Wish for these; taken back when the act inside fails, unless newly wished meanwhile."""
        new = [source for source in sources if source not in self._wanted]
        for source in sources:
            self.want(source, wanted=True)
        mine = {source: self._wanted[source] for source in new}
        self._acting += 1
        try:
            yield
        except BaseException:
            for source, act in mine.items():
                if self._wanted.get(source) == act:
                    self.want(source, wanted=False)
            raise
        finally:
            self._acting -= 1

    def want(self, source: Source, *, wanted: bool) -> None:
        """Publish as soon as and as long as that is allowed, or no longer."""
        self.note(source, wanted=wanted)
        match source:
            case Source.MICROPHONE:
                self._room.want_microphone(wanted)
            case Source.CAMERA:
                self._room.want_camera(wanted)
            case _:
                self._room.want_screen_share(wanted)

    def note(self, source: Source, *, wanted: bool) -> None:
        """The room has been told of this wish already."""
        self._acts += 1
        if wanted:
            self._wanted[source] = self._acts
        else:
            self._wanted.pop(source, None)
        self._wake()

    def want_nothing(self) -> None:
        """Take every wish back."""
        for source in tuple(self._wanted):
            self.want(source, wanted=False)

    def place_lost(self, because: str) -> None:
        """A place, or the hope of one, is gone: the next one begins with a new wish.

        An act that is under way is the new wish already.
        """
        self.lost_because = because
        if not self._acting:
            self.want_nothing()

    def restart(self) -> None:
        """A new stay in the room begins."""
        self._ended = None

    def stop(self, reason: Closed) -> None:
        """The stay is over: whoever waits is told so."""
        self._ended = reason
        self._wanted.clear()
        self._wake()

    async def live(self) -> P:
        """Wait until all that is wished and allowed is live; at once when that is nothing.

        Returns:
            The place.

        Raises:
            Conflict: it was lost meanwhile.
            PublishFailed: LiveKit did not take a track in time.
            DeviceFailed: an input broke.
            Closed: the session ended.
        """
        news = asyncio.Event()
        waits: dict[Source, asyncio.Future[None]] = {}
        unsubscribe = self._view.listen(lambda _: news.set())
        self._waiting.add(news)
        try:
            async with asyncio.timeout(self._timeout):
                while (place := self._settled(waits, news)) is None:
                    await news.wait()
                    news.clear()
                return place
        except TimeoutError:
            message = f"the place is held, but nothing was live within {self._timeout:g} s"
            raise PublishFailed(message) from None
        finally:
            unsubscribe()
            self._waiting.discard(news)
            for wait in waits.values():
                wait.cancel()
            await asyncio.gather(*waits.values(), return_exceptions=True)

    def _settled(
        self, waits: "dict[Source, asyncio.Future[None]]", news: asyncio.Event
    ) -> P | None:
        if self._ended is not None:
            raise fresh(self._ended)
        view = self._view.value
        place = self._place.find(view)
        if place is None:
            message = f"{self._place.name} was lost before anything was live ({self.lost_because})"
            raise Conflict(message)
        due = self._place.allowed(view, place) & self._wanted.keys()
        for source in due - waits.keys():
            waits[source] = asyncio.ensure_future(self._room.wait_published(source))
            waits[source].add_done_callback(_waking(news))
        if not all(waits[source].done() for source in due):
            return None
        for source in due:
            waits[source].result()
        return place

    def _wake(self) -> None:
        for news in self._waiting:
            news.set()


def _waking(news: asyncio.Event) -> Callable[["asyncio.Future[Any]"], None]:
    return lambda _: news.set()
