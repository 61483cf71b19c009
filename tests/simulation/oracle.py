"""What must hold after every step, said once: I1, I2, I5, I6, and I3 when nothing is in the way.

The oracle reads the log of each room from the store, event by event, and folds it by itself. Every
other opinion (the engine's snapshot, a client's fold, an answer that was acknowledged) is compared
with that.
"""

from dataclasses import dataclass, field

import msgspec
from simulation.world import RoughStore

from utd_engine.adapters.memory.media import MemoryGateway
from utd_engine.app.naming import sfu_name
from utd_engine.app.snapshots import decode
from utd_engine.domain.permissions import desired_permission
from utd_engine.domain.state import RoomState, is_evicted
from utd_engine.ports.rooms import Key
from utd_protocol import events as ev
from utd_protocol.apply import apply, open_view
from utd_protocol.codec import decode_event
from utd_protocol.types import RoomState as Phase
from utd_protocol.types import SeatState
from utd_protocol.views import RoomView, Seat

NEVER = {
    (SeatState.LOCKED, SeatState.TAKEN),
    (SeatState.LOCKED, SeatState.HELD),
    (SeatState.FREE, SeatState.HELD),
}
"""Edges that no single event may take a seat along."""


class Broken(AssertionError):
    """An invariant does not hold; the text begins with its number."""


@dataclass
class Log:
    """One room's log as the oracle has read it."""

    raw: list[bytes] = field(default_factory=list)
    views: list[RoomView] = field(default_factory=list)
    """The view after each event: the one of seq n is at n - 1."""


class Oracle:
    """Owns the truth that is computed from the log alone."""

    def __init__(self, store: RoughStore) -> None:
        self._store = store
        self.logs: dict[Key, Log] = {}

    async def read(self, key: Key) -> Log:
        """Follow a log to its end, checking each event."""
        log = self.logs.setdefault(key, Log())
        for event in await self._store.events(key, len(log.raw), 10_000):
            self._fold(log, event.seq, event.data)
        loaded = await self._store.look(key)
        if loaded is not None:
            if loaded.seq != len(log.raw):
                raise Broken(f"I6 {key.id}: the log ends at {len(log.raw)}, not {loaded.seq}")
            if decode(loaded).state.view != log.views[-1]:
                raise Broken(f"I6 {key.id}: the snapshot is not the fold of the log")
        return log

    async def check(self) -> None:
        """All rooms that were ever seen."""
        for key in list(self.logs):
            await self.read(key)

    def acknowledged(self, key: Key, events: list[msgspec.Raw]) -> None:
        """What an answer said is in the log, where it said."""
        log = self.logs[key]
        for raw in events:
            event = decode_event(raw)
            if len(log.raw) < event.seq or log.raw[event.seq - 1] != bytes(raw):
                raise Broken(f"I7 {key.id}: event {event.seq} was acknowledged and is not there")

    def folded(self, key: Key, view: RoomView, seq: int, who: str) -> None:
        """A client that folded so far has the view of that moment."""
        views = self.logs[key].views
        if seq > len(views):
            raise Broken(f"I6 {key.id}: {who} is at {seq}, the log at {len(views)}")
        if views[seq - 1] != view:
            raise Broken(f"I6 {key.id}: {who} folded something else up to {seq}")

    async def quiet(self, key: Key, sfu: MemoryGateway, banned: frozenset[str]) -> None:
        """Faults are healed and a period is over: LiveKit agrees with the state."""
        loaded = await self._store.look(key)
        if loaded is None:
            return
        state = decode(loaded).state
        name = sfu_name(key, state.view.type)
        room = sfu.rooms.get(name)
        if state.view.state is Phase.ENDED:
            if room is not None:
                raise Broken(f"I3 {key.id}: it has ended and is still in LiveKit")
            return
        if room is None:
            raise Broken(f"I3 {key.id}: it is open and not in LiveKit")
        for who, member in room.members.items():
            if is_evicted(state, who) or who in banned:
                raise Broken(f"I3 {key.id}: {who} had to go and is still there")
            wish = desired_permission(state, who)
            if member.permission != wish:
                raise Broken(f"I3 {key.id}: {who} has {member.permission}, not {wish}")
        _present(key, state, set(room.members))

    def _fold(self, log: Log, seq: int, raw: bytes) -> None:
        event = decode_event(raw)
        if seq != len(log.raw) + 1 or event.seq != seq:
            raise Broken(f"I6: event {event.seq} of row {seq} follows on {len(log.raw)}")
        if isinstance(event, ev.RoomOpened) != (seq == 1):
            raise Broken("I5: a room opens with its first event and only then")
        if log.views and log.views[-1].state is Phase.ENDED:
            raise Broken("I5: an event after the end")
        before = log.views[-1] if log.views else None
        if isinstance(event, ev.RoomOpened):
            after = open_view(event)
        else:
            assert before is not None
            after = apply(before, event)
            _edges(before, after, event)
        _seats(after)
        log.raw.append(raw)
        log.views.append(after)


def _present(key: Key, state: RoomState, here: set[str]) -> None:
    for seat in state.view.seats:
        known = state.presence.get(seat.identity or "")
        believed = known is not None and known.present
        if seat.state is SeatState.TAKEN and believed and seat.identity not in here:
            raise Broken(f"I11 {key.id}: {seat.identity} sits there and is gone")
        if seat.state is SeatState.HELD and seat.identity in here:
            raise Broken(f"I11 {key.id}: the seat of {seat.identity} is held though they are there")


def _seats(view: RoomView) -> None:
    people = [seat.identity for seat in view.seats if seat.identity is not None]
    if len(people) != len(set(people)):
        raise Broken(f"I2 {view.room_id}: somebody has two seats: {people}")
    for seat in view.seats:
        if (seat.state in {SeatState.TAKEN, SeatState.HELD}) != (seat.identity is not None):
            raise Broken(f"I1 {view.room_id}: seat {seat.index} is {seat.state} by {seat.identity}")


def _edges(before: RoomView, after: RoomView, event: ev.RoomEvent | ev.UnknownEvent) -> None:
    old: dict[int, Seat] = {seat.index: seat for seat in before.seats}
    swaps = isinstance(event, ev.SeatsSwapped)
    moves = swaps or isinstance(event, ev.SeatMoved)
    for seat in after.seats:
        was = old.get(seat.index)
        if was is None:
            continue
        if (was.state, seat.state) in NEVER and not (moves and was.state is SeatState.FREE):
            raise Broken(f"I5 {after.room_id}: seat {seat.index} {was.state} → {seat.state}")
        if was.identity and seat.identity and was.identity != seat.identity and not swaps:
            raise Broken(
                f"I1 {after.room_id}: {seat.identity} got seat {seat.index} of {was.identity}"
            )
    if isinstance(event, ev.SeatTaken):
        was = old.get(event.index)
        if was is None or was.identity is not None:
            raise Broken(f"I1 {after.room_id}: seat {event.index} was no free seat: {was}")
        if any(seat.identity == event.identity for seat in before.seats):
            raise Broken(f"I2 {after.room_id}: {event.identity} has a seat already")
