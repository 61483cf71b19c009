"""Relay: a room's newest events become its LiveKit metadata, paced, one call at a time.

The log is the truth and this a fast path: what is folded together or lost here, clients read by
cursor.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from utd_engine.app.commits import Commit
from utd_engine.app.naming import sfu_name
from utd_engine.app.ports import (
    Clock,
    Ids,
    Key,
    MediaGateway,
    MediaUnavailable,
    Store,
    StoreUnavailable,
    Tasks,
)
from utd_engine.app.snapshots import Snapshots
from utd_protocol.codec import WINDOW_BYTES, encode_window
from utd_protocol.types import RoomState as Phase

PACE_S: Final = 0.05
SIGNAL_PACE_S: Final = 1.0
FLUSH_WITHIN_S: Final = 0.5
RETRY_FROM_S: Final = 0.1
RETRY_TO_S: Final = 2.0
_SMALLEST_EVENT: Final = 40

_log: Final = structlog.get_logger("utd.relay")


class _Lane:
    """The newest events of one room, and whether LiveKit has them."""

    def __init__(self) -> None:
        self.head = 0
        self.recent: deque[bytes] = deque(maxlen=WINDOW_BYTES // _SMALLEST_EVENT)
        self.known = False
        self.dirty = False
        self.running = False
        self.sent = asyncio.Event()
        self.audience: tuple[int, datetime] | None = None
        self.audience_at = float("-inf")
        self.last_at = float("-inf")


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
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._media = media
        self._clock = clock
        self._ids = ids
        self._tasks = tasks
        self._lanes: dict[Key, _Lane] = {}
        self.on_missing: Callable[[Key], None] = lambda _key: None

    def committed(self, commit: Commit) -> None:
        """Take the new events and send them as soon as the pace allows."""
        if not commit.events:
            return
        lane = self._lane(commit.key)
        if lane.known or commit.events[0].seq == 1:
            lane.known = True
            lane.recent.extend(event.data for event in commit.events)
        lane.head = max(lane.head, commit.head)
        self._start(commit.key, lane)

    def nudge(self, key: Key) -> None:
        """Send the window again, though nothing is new."""
        self._start(key, self._lane(key))

    def audience(self, key: Key, count: int) -> None:
        """Tell how many are there, at most once a second; nobody minds a lost one (rule R49)."""
        lane = self._lane(key)
        if lane.audience is not None and lane.audience[0] == count:
            return
        lane.audience = (count, self._clock.now())
        if self._clock.monotonic() >= lane.audience_at + SIGNAL_PACE_S:
            lane.audience_at = self._clock.monotonic()
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
            signals.append({"kind": "audience", "at": at.isoformat(), "count": count})
        return encode_window(key.id, lane.head, list(lane.recent), signals)

    def _lane(self, key: Key) -> _Lane:
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane()
        return lane

    async def _fill(self, key: Key, lane: _Lane) -> None:
        """After a restart the window comes from the log."""
        if lane.known:
            return
        loaded = await self._store.load(key)
        if loaded is None:
            return
        after = max(0, loaded.seq - (lane.recent.maxlen or 0))
        events = await self._store.events(key, after, loaded.seq - after)
        if not lane.known:
            lane.recent.clear()
            lane.recent.extend(event.data for event in events)
            lane.head = max(lane.head, events[-1].seq if events else loaded.seq)
            lane.known = True

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
                try:
                    over = await self._send(key)
                    failures = 0
                    if not lane.dirty:
                        lane.sent.set()
                except (MediaUnavailable, StoreUnavailable):
                    failures += 1
                    lane.dirty, over = True, not await self._is_open(key)
                except Exception:  # noqa: BLE001 one broken room must not stop the others
                    _log.exception("relay.failed", room=key.id)
                    over = False
                if over:
                    self._lanes.pop(key, None)
                    return
        finally:
            lane.running = False
            lane.sent.set()

    async def _keep_pace(self, lane: _Lane, failures: int) -> None:
        wait = lane.last_at + PACE_S - self._clock.monotonic()
        if failures:
            longest = min(RETRY_TO_S, RETRY_FROM_S * 2**failures)
            wait = max(wait, longest * self._ids.jitter())
        if wait > 0:
            await self._clock.sleep(wait)
        lane.last_at = self._clock.monotonic()

    async def _send(self, key: Key) -> bool:
        """One update; True when the room is over and nothing will follow."""
        snapshot = await self._snapshots.current(key)
        if snapshot is None:
            return True
        view = snapshot.state.view
        metadata = await self.window(key)
        there = await self._media.publish_events(sfu_name(key, view.type), metadata)
        over = view.state is Phase.ENDED
        if not there and not over:
            self.on_missing(key)
        return over

    async def _is_open(self, key: Key) -> bool:
        snapshot = self._snapshots.cell(key).snapshot
        return snapshot is None or snapshot.state.view.state is not Phase.ENDED
