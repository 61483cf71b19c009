"""What this process keeps of each room: its newest snapshot and a lock. The store has the truth.

A snapshot that was kept is only ever a head start: an append on an old one is refused by its
version, and a refusal decided on one is decided again when the store has a newer one. What this
process itself commits is kept here at once, so rights and events never follow an older state.
"""

import asyncio
from collections import OrderedDict
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from utd_engine.domain.state import RoomState
from utd_engine.ports.rooms import Key, Loaded
from utd_engine.ports.store import Store

KEPT: Final = 10_000
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(RoomState)


class Snapshot(NamedTuple):
    """A room's state with its place in the log."""

    state: RoomState
    seq: int
    version: int


class Cell:
    """One room in this process. Hold the lock to decide; read `snapshot` at any time."""

    __slots__ = ("key", "lock", "snapshot")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.lock = asyncio.Lock()
        self.snapshot: Snapshot | None = None


class Snapshots:
    """The newest known snapshots, least used dropped first."""

    def __init__(self, store: Store, kept: int = KEPT) -> None:
        self._store = store
        self._kept = kept
        self._cells: OrderedDict[Key, Cell] = OrderedDict()

    def cell(self, key: Key) -> Cell:
        """The one cell of a room; whoever waits for its lock keeps it alive."""
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = Cell(key)
            self._drop_idle()
        else:
            self._cells.move_to_end(key)
        return cell

    async def current(self, key: Key) -> Snapshot | None:
        """The newest snapshot known here, loaded when there is none."""
        cell = self.cell(key)
        return cell.snapshot or await self.reload(cell)

    async def reload(self, cell: Cell) -> Snapshot | None:
        """What the store has now. An older answer never replaces a newer snapshot."""
        loaded = await self._store.load(cell.key)
        if loaded is None:
            return None
        known = cell.snapshot
        if known is None or known.version < loaded.version:
            cell.snapshot = known = decode(loaded)
        return known

    def keep(self, cell: Cell, snapshot: Snapshot) -> None:
        """What was just committed. Readers find it even if the cell was dropped meanwhile."""
        for one in (cell, self.cell(cell.key)):
            if one.snapshot is None or one.snapshot.version < snapshot.version:
                one.snapshot = snapshot

    def forget(self, key: Key) -> None:
        """Ask the store next time."""
        cell = self._cells.get(key)
        if cell is not None:
            cell.snapshot = None

    def _drop_idle(self) -> None:
        """The newest is in use by whoever asked for it; a locked one is being decided on."""
        excess = len(self._cells) - self._kept
        for cell in list(islice(self._cells.values(), max(0, excess))):
            if not cell.lock.locked():
                del self._cells[cell.key]


def encode(state: RoomState) -> bytes:
    """A state as the store keeps it."""
    return _encoder.encode(state)


def decode(loaded: Loaded) -> Snapshot:
    """A state as the rules read it."""
    return Snapshot(_decoder.decode(loaded.state), loaded.seq, loaded.version)
