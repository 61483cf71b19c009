"""Relay: a room's newest events become its LiveKit metadata, paced, one call at a time.

The log is the truth and this a fast path: what is folded together or lost here, clients read by
cursor.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice
from typing import Final

import structlog

from utd_engine.app.commits import Commit
from utd_engine.app.naming import sfu_name
from utd_engine.app.snapshots import Snapshots
from utd_engine.ports.clock import Clock, Ids
from utd_engine.ports.media import MediaGateway, MediaUnavailable
from utd_engine.ports.rooms import Key
from utd_engine.ports.store import Store, StoreUnavailable
from utd_engine.ports.tasks import Tasks
from utd_protocol.codec import WINDOW_BYTES, encode_window
from utd_protocol.types import RoomState as Phase

PACE_S: Final = 0.05
SIGNAL_PACE_S: Final = 1.0
FLUSH_WITHIN_S: Final = 0.5
RETRY_FROM_S: Final = 0.1
RETRY_TO_S: Final = 2.0
DOUBLINGS: Final = 8
FILL: Final = 50
"""Events to read for a window: as many as may fit, and few enough to be cheap."""
KEPT: Final = 10_000
"""Rooms whose window is kept while nothing happens in them."""

_log: Final = structlog.get_logger("utd.relay")


class _Lane:
    """The newest events of one room, and whether LiveKit has them."""

    def __init__(self) -> None:
        self.head = 0
        """Of the log, as far as it was heard of."""
        self.last: int | None = None
        """The seq of the newest event in `recent`; None: the log must be read."""
        self.recent: deque[bytes] = deque()
        self.size = 0
        self.dirty = False
        self.running = False
        self.sent = asyncio.Event()
        self.audience: tuple[int, datetime] | None = None
        self.audience_sent: int | None = None
        self.audience_at = float("-inf")
        self.last_at = float("-inf")

    def add(self, events: Iterable[tuple[int, bytes]]) -> None:
        """What follows on the last; a gap means that the log must be read."""
        for seq, data in events:
            if self.last is None or seq <= self.last:
                continue
            if seq > self.last + 1:
                self.last = None
                return
            self.last = seq
            self.recent.append(data)
            self.size += len(data) + 1
        while self.size > WINDOW_BYTES and len(self.recent) > 1:
            self.size -= len(self.recent.popleft()) + 1

    def is_known(self) -> bool:
        """Whether `recent` ends where the log did when it was last heard of."""
        return self.last is not None

    def begin(self, after: int) -> None:
        """Forget what is there: the next event is the one after this."""
        self.recent.clear()
        self.size = 0
        self.last = after


class Relay:
    """Follows commits. `nudge` at start and whenever a room was made anew."""

    def __init__(  # noqa: PLR0917 each is a port or a service it joins
        self,
        store: Store,
        snapshots: Snapshots,
        media: MediaGateway,
        clock: Clock,
        ids: Ids,
        tasks: Tasks,
        kept: int = KEPT,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._media = media
        self._clock = clock
        self._ids = ids
        self._tasks = tasks
        self._kept = kept
        self._lanes: OrderedDict[Key, _Lane] = OrderedDict()
        self.on_missing: Callable[[Key], None] = lambda _key: None
        self.on_failure: Callable[[Key], None] = lambda _key: None

    def committed(self, commit: Commit) -> None:
        """Take the new events and send them as soon as the pace allows."""
        if not commit.events:
            return
        lane = self._lane(commit.key)
        is_first = commit.events[0].seq == 1
        if is_first:
            lane.begin(0)
        lane.add((event.seq, event.data) for event in commit.events)
        lane.head = max(lane.head, commit.head)
        if not is_first:  # A new room is not there yet: it is made with its window in it.
            self._start(commit.key, lane)

    def nudge(self, key: Key) -> None:
        """Send the window again, though nothing is new."""
        self._start(key, self._lane(key))

    def doubt(self, key: Key) -> None:
        """The log may have events that were not told here: read it, and send."""
        lane = self._lane(key)
        lane.last = None
        self._start(key, lane)

    def audience(self, key: Key, count: int) -> None:
        """Tell how many are there, at most once a second; nobody minds a lost one (rule R49)."""
        lane = self._lane(key)
        if lane.audience is None or lane.audience[0] != count:
            lane.audience = (count, self._clock.now())
        now = self._clock.monotonic()
        if lane.audience_sent != count and now >= lane.audience_at + SIGNAL_PACE_S:
            lane.audience_at = now
            self._start(key, lane)

    async def flush(self, key: Key) -> None:
        """Wait until the newest events are sent, at most half a second."""
        lane = self._lanes.get(key)
        if lane is None or not lane.running:
            return
        try:
            await self._clock.within(FLUSH_WITHIN_S, lane.sent.wait())
        except TimeoutError:
            return

    async def window(self, key: Key) -> str:
        """The metadata of a room as of now."""
        lane = self._lane(key)
        await self._fill(key, lane)
        signals: list[dict[str, object]] = []
        if lane.audience is not None:
            count, at = lane.audience
            lane.audience_sent = count
            signals.append({"kind": "audience", "at": at.isoformat(), "count": count})
        return encode_window(key.id, lane.head, list(lane.recent), signals)

    def _lane(self, key: Key) -> _Lane:
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane()
            self._drop_idle()
        else:
            self._lanes.move_to_end(key)
        return lane

    def _drop_idle(self) -> None:
        """What was dropped is read from the log again when it is needed."""
        for key in list(islice(self._lanes, max(0, len(self._lanes) - self._kept))):
            if not self._lanes[key].running:
                del self._lanes[key]

    async def _fill(self, key: Key, lane: _Lane) -> None:
        """What was not followed comes from the log, with all that was committed meanwhile."""
        while not lane.is_known():
            loaded = await self._store.load(key)
            if loaded is None:
                return
            after = max(0, loaded.seq - FILL)
            events = await self._store.events(key, after, FILL)
            if lane.is_known():
                return
            lane.begin(events[0].seq - 1 if events else loaded.seq)
            lane.add((event.seq, event.data) for event in events)
            reached = lane.last or 0
            lane.head = max(lane.head, reached)
            if reached < lane.head:
                lane.last = None

    def _start(self, key: Key, lane: _Lane) -> None:
        lane.dirty = True
        lane.sent.clear()
        if not lane.running:
            lane.running = True
            self._tasks.create_task(self._serve(key, lane), name=f"relay {key.id}")

    async def _serve(self, key: Key, lane: _Lane) -> None:
        failures = 0
        try:
            while lane.dirty:
                await self._keep_pace(lane, failures)
                lane.dirty = False
                sent = await self._sent(key)
                failures = 0 if sent else failures + 1
                if self._is_over(key):
                    del self._lanes[key]
                    return
                if not sent:
                    lane.dirty = True
                elif not lane.dirty:
                    lane.sent.set()
        finally:
            lane.running = False
            lane.sent.set()

    async def _keep_pace(self, lane: _Lane, failures: int) -> None:
        wait = lane.last_at + PACE_S - self._clock.monotonic()
        if failures:
            longest = min(RETRY_TO_S, RETRY_FROM_S * 2.0 ** min(failures, DOUBLINGS))
            wait = max(wait, longest * self._ids.jitter())
        if wait > 0:
            await self._clock.sleep(wait)
        lane.last_at = self._clock.monotonic()

    async def _sent(self, key: Key) -> bool:
        """One update; False when it must be tried again."""
        try:
            there = await self._send(key)
        except MediaUnavailable:
            self.on_failure(key)
            return False
        except StoreUnavailable:
            return False
        except Exception:  # noqa: BLE001 one broken room must not stop the others
            _log.exception("relay.failed", room=key.id)
            return False
        if not there:
            self.on_missing(key)
        return there

    async def _send(self, key: Key) -> bool:
        snapshot = await self._snapshots.current(key)
        if snapshot is None:
            return True
        metadata = await self.window(key)
        return await self._media.publish_events(sfu_name(key, snapshot.state.view.type), metadata)

    def _is_over(self, key: Key) -> bool:
        """Nothing will follow, and a room that is gone needs no events."""
        snapshot = self._snapshots.cell(key).snapshot
        return snapshot is not None and snapshot.state.view.state is Phase.ENDED
