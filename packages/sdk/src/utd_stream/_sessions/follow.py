"""Keeps a session's view equal to the engine's: windows, answers, and reading the log on gaps.

`_sync` decides, this reads. It knows nothing of LiveKit and decides nothing about staying.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from msgspec import Raw

from utd_protocol.answers import EventsAnswer, ViewAnswer
from utd_protocol.codec import Malformed, decode_events
from utd_protocol.views import RoomView
from utd_stream._engine.backoff import Backoff, is_passing
from utd_stream._engine.bearer import Bearer
from utd_stream._engine.http import decode, read
from utd_stream._engine.sync import LogEvent, RoomSync
from utd_stream._errors import Closed, Unreachable, UTDStreamException, VersionMismatch, fresh
from utd_stream._observable import Observable
from utd_stream._sessions.door import Door
from utd_stream._sessions.updates import Resynced, Update

_PAGE: Final = 500
_FIRST_DELAY, _LONGEST_DELAY = 0.2, 5.0
_SNAPSHOT_REQUIRED: Final = "snapshot_required"

_log: Final = logging.getLogger("utd_stream.sync")


class Follower:
    """Follows one room over all of a session's connections.

    `on_news(updates)` is called after each batch is folded, with the new view in place.
    `on_caught_up()` is awaited by `run` after each reading of the log, for what is a query.
    """

    def __init__(
        self,
        door: Door,
        bearer: Bearer,
        *,
        view: RoomView,
        seq: int,
        on_news: Callable[[tuple[Update, ...]], None],
        on_caught_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._door = door
        self._bearer = bearer
        self._backoff = Backoff(_FIRST_DELAY, _LONGEST_DELAY, door.jitter)
        self._on_news = on_news
        self._on_caught_up = on_caught_up
        self._sync = RoomSync(view, seq)
        self._due = asyncio.Event()
        self._standing: Observable[tuple[int, Closed | None]] = Observable((seq, None))
        self._resyncs = 0
        self.resyncing = Observable(value=False)
        """Whether the log must be read once although no gap is known."""
        self.signals: Observable[tuple[dict[str, object], ...]] = Observable(())
        """News that is in no log, of the last window that was heard."""

    @property
    def view(self) -> RoomView:
        """The room as far as it was followed."""
        return self._sync.view

    @property
    def seq(self) -> int:
        """The last event folded."""
        return self._sync.seq

    def restart(self, view: RoomView, seq: int) -> None:
        """Follow on from a new join: the same opening of the room, or another one."""
        if view.room_id == self._sync.view.room_id:
            self._jump(view, seq)
        else:
            self._sync = RoomSync(view, seq)
            self._on_news(())
        self._stand(None)

    def stop(self, reason: Closed) -> None:
        """Let everybody who waits for events know that none will come."""
        self._stand(reason)
        self._due.clear()

    def hear(self, metadata: str) -> None:
        """Fold what the room's metadata says."""
        self._tell(self._sync.hear(metadata))
        self.signals._set(self._sync.signals)  # noqa: SLF001 its owner sets it

    def resync(self) -> None:
        """Read the log once, soon."""
        self._resyncs += 1
        self.resyncing._set(True)  # noqa: SLF001 its owner sets it
        self._due.set()

    def wake(self) -> None:
        """Let `run` make its round, for what is a query."""
        self._due.set()

    def fold(self, events: Iterable[Raw], seq: int) -> None:
        """Fold what an answer carries, as far as that is possible now."""
        self._tell(self._sync.fold(_decoded(events), seq))

    async def reach(self, seq: int) -> None:
        """Wait until everything up to `seq` is folded.

        Raises:
            Closed: the session ended first.
            Unreachable: the log could not be read in time. What was ordered is done all the same.
        """
        try:
            async with asyncio.timeout(self._door.http.timeout):
                reached, end = await self._standing.wait_for(
                    lambda standing: standing[0] >= seq or standing[1] is not None
                )
        except TimeoutError:
            message = "the engine has carried it out, but what came before cannot be read yet"
            raise Unreachable(message) from None
        if reached < seq and end is not None:
            raise fresh(end)

    async def run(self) -> None:
        """Read the log whenever that is due, until cancelled.

        Raises:
            UTDStreamException: the engine lets this user read no more.
        """
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self.catch_up()
                await self._on_caught_up()
            except UTDStreamException as error:
                if not is_passing(error):
                    raise
                _log.debug("the log cannot be read now: %s", error)
                await asyncio.sleep(self._backoff.delay(error))
                self._due.set()
            else:
                self._backoff.reset()

    async def catch_up(self, *, once: bool = False) -> None:
        """Read the log up to its end; at least once if `once`, or if `resync` asked for it."""
        resyncs = self._resyncs
        forced = once or self.resyncing.value
        while forced or self._sync.behind:
            forced = False
            await self._read_page()
        if self._resyncs == resyncs:
            self.resyncing._set(False)  # noqa: SLF001

    async def _read_page(self) -> None:
        after = self._sync.seq
        try:
            call = read(f"{self._door.path}/events", after=after, limit=_PAGE)
            page = decode(await self._bearer.send(call), EventsAnswer)
        except UTDStreamException as error:
            if error.code != _SNAPSHOT_REQUIRED:
                raise
            await self._read_snapshot()
            return
        self._tell(self._sync.fold(_decoded(page.events), page.head))
        if self._sync.behind and self._sync.seq == after:
            await self._read_snapshot()

    async def _read_snapshot(self) -> None:
        before = self._sync.seq
        answer = decode(await self._bearer.send(read(self._door.path)), ViewAnswer)
        self._jump(answer.view, answer.seq)
        if self._sync.behind and self._sync.seq == before:
            message = "the engine has neither the events nor a snapshot after them"
            raise Unreachable(message)

    def _jump(self, view: RoomView, seq: int) -> None:
        before = self._sync.seq
        events = self._sync.load(view, seq)
        if self._sync.seq > before:
            self._tell((Resynced(seq=seq), *events))

    def _tell(self, updates: tuple[Update, ...]) -> None:
        if updates:
            self._on_news(updates)
            self._stand(self._standing.value[1])
        if self._sync.behind:
            self._due.set()

    def _stand(self, end: Closed | None) -> None:
        self._standing._set((self._sync.seq, end))  # noqa: SLF001


def _decoded(events: Iterable[Raw]) -> tuple[LogEvent, ...]:
    try:
        return decode_events(events)
    except Malformed as error:
        message = f"the engine sent an event that cannot be read ({error}): update this SDK"
        raise VersionMismatch(message) from error
