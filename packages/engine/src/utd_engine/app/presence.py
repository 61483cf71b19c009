"""Presence: makes state and LiveKit agree about who is there and what they may do.

`reconcile` compares one room with what LiveKit lists and repairs both directions (rules R6, R10,
R48 to R50). It is idempotent: webhooks and the sweep only say when to run it.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, NamedTuple

from utd_engine.app.naming import ban_place, sfu_name
from utd_engine.app.ports import (
    Clock,
    Incarnation,
    Key,
    MediaGateway,
    Observed,
    PresenceRow,
    Store,
)
from utd_engine.app.rights import Rights
from utd_engine.app.rooms import Rooms, is_open
from utd_engine.app.snapshots import Snapshots
from utd_engine.domain.orders import OccupancyChanged, Order, PresenceChanged
from utd_engine.domain.plan import Push, plan, presence_reports
from utd_engine.domain.presence import MANY
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import RoomState, watched
from utd_protocol import commands as c
from utd_protocol.types import Identity

SMALL_ROOM: Final = 100
"""In smaller rooms everybody is made visible at once; larger ones want LiveKit's batching."""


class Repairs(NamedTuple):
    """What one reconciliation found."""

    recreated: bool = False
    pushed: int = 0
    removed: int = 0
    people: int = 0


class Presence:
    """Feeds what LiveKit reports into the rules, and the rules' wishes back."""

    def __init__(  # noqa: PLR0917 each is a port or a service it joins
        self,
        store: Store,
        snapshots: Snapshots,
        rooms: Rooms,
        rights: Rights,
        media: MediaGateway,
        clock: Clock,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._rooms = rooms
        self._rights = rights
        self._media = media
        self._clock = clock
        self.counts: dict[Key, int] = {}
        """People in each room, as of the last reconciliation."""
        self.metadata_of: Callable[[Key], Awaitable[str]] | None = None
        self.on_recreated: Callable[[Key], None] = lambda _key: None
        self.on_counted: Callable[[Key, int], None] = lambda _key, _count: None

    async def arrived(self, key: Key, one: Observed) -> None:
        """A webhook says that somebody is in: their seat resumes, and their right is asserted anew.

        A right that was pushed while its client reconnected is lost although LiveKit said OK.
        """
        snapshot = await self._snapshots.current(key)
        if snapshot is None or one.agent or one.hidden:
            return
        if is_open(snapshot.state) and one.identity in watched(snapshot.state):
            await self._report(key, one, present=True)
        small = self.counts.get(key, 0) < SMALL_ROOM
        if small or one.identity in watched(snapshot.state):
            self._rights.reassert(key, one.identity)
        else:
            self._rights.push(key, one.identity)

    async def reconcile(self, key: Key) -> Repairs:
        """Compare one room with LiveKit and repair what differs.

        Raises:
            MediaUnavailable: LiveKit did not answer; nothing is concluded from that.
            StoreUnavailable: the database cannot answer now.
        """
        snapshot = await self._snapshots.current(key)
        if snapshot is None:
            return Repairs()
        view = snapshot.state.view
        name = sfu_name(key, view.type)
        if not is_open(snapshot.state):
            self.counts.pop(key, None)
            await self._media.remove_room(name)
            return Repairs()
        incarnation = await self._media.list_members(name)
        if incarnation.sid is None:
            await self.ensure(key)
            self.on_recreated(key)
            return Repairs(recreated=True, people=self.counts.get(key, 0))
        return await self._compare(key, incarnation)

    async def ensure(self, key: Key) -> None:
        """Create the room in LiveKit unless it is there, with its newest events in it."""
        snapshot = await self._snapshots.current(key)
        if snapshot is None or not is_open(snapshot.state):
            return
        metadata = await self.metadata_of(key) if self.metadata_of else ""
        name = sfu_name(key, snapshot.state.view.type)
        await self._media.ensure_room(name, metadata=metadata)

    async def _compare(self, key: Key, incarnation: Incarnation) -> Repairs:
        people = [one for one in incarnation.members if not (one.agent or one.hidden)]
        self.counts[key] = len(people)
        self.on_counted(key, len(people))
        await self._remember(key, people)
        snapshot = await self._snapshots.current(key)
        if snapshot is None:
            return Repairs()
        for report in presence_reports(snapshot.state, people):
            await self._order(key, report)
        await self._note_occupancy(key, snapshot.state, len(people))
        return await self._repair(key, incarnation, len(people))

    async def _repair(self, key: Key, incarnation: Incarnation, people: int) -> Repairs:
        snapshot = await self._snapshots.current(key)
        if snapshot is None or not is_open(snapshot.state):
            return Repairs(people=people)
        view = snapshot.state.view
        place = ban_place(view.type, view.name)
        banned = await self._store.banned(key.app, place, self._clock.now())
        pushed = removed = 0
        for action in plan(snapshot.state, incarnation.members, banned):
            if isinstance(action, Push):
                pushed += 1
                self._rights.push(key, action.identity)
            else:
                removed += 1
                await self._remove(key, snapshot.state, action.identity, action.reason)
        return Repairs(pushed=pushed, removed=removed, people=people)

    async def _remove(self, key: Key, state: RoomState, identity: str, reason: str) -> None:
        """Who is banned elsewhere loses what they have here, too."""
        if reason == "banned" and identity in watched(state):
            await self._order(key, c.Kick(identity=identity, reason="banned"))
        self._rights.put_out(key, identity)

    async def _remember(self, key: Key, people: list[Observed]) -> None:
        known = {row.identity: row for row in await self._store.present(key)}
        here = {one.identity: one for one in people}
        for identity, one in here.items():
            row = known.get(identity)
            if row is None or row.sid != one.sid:
                await self._store.seen(key, PresenceRow(identity, one.sid, one.joined_at))
        for identity, row in known.items():
            if identity not in here:
                await self._store.gone(key, identity, row.sid)

    async def _note_occupancy(self, key: Key, state: RoomState, people: int) -> None:
        if min(people, MANY) != (state.occupancy or 0):
            await self._order(key, OccupancyChanged(count=people))

    async def _report(self, key: Key, one: Observed, *, present: bool) -> None:
        joined_at: datetime = one.joined_at
        report = PresenceChanged(
            identity=Identity(one.identity), sid=one.sid, joined_at=joined_at, present=present
        )
        await self._order(key, report)

    async def _order(self, key: Key, order: Order) -> None:
        """An order of the engine. If the room has ended meanwhile there is nothing to do."""
        try:
            await self._rooms.handle(key, order)
        except Refused:
            return
