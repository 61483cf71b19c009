import asyncio

from support.engine_parts import Parts

from utd_engine.adapters.memory.store import MemoryStore
from utd_engine.app.snapshots import Snapshot, Snapshots
from utd_engine.ports.rooms import Key, Loaded
from utd_protocol import commands as c


class SlowStore(MemoryStore):
    """Reads, and then holds the answer back until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.loads = 0

    async def load(self, key: Key) -> Loaded | None:
        self.loads += 1
        found = await super().load(key)
        await self.gate.wait()
        return found


async def test_a_room_is_loaded_once_and_then_known() -> None:
    store = SlowStore()
    async with Parts.start(store) as parts:
        key = await parts.open()
        fresh = Snapshots(store)
        first = await fresh.current(key)
        assert first is not None
        assert first.seq == 1
        assert await fresh.current(key) is first
        assert store.loads == 1
        assert await fresh.current(Key("ap1", "room", "rm_none")) is None


async def test_an_old_answer_never_replaces_a_newer_snapshot() -> None:
    store = SlowStore()
    async with Parts.start(store) as parts:
        key = await parts.open()
        parts.snapshots.forget(key)
        store.gate.clear()
        reading = asyncio.ensure_future(parts.snapshots.current(key))
        await parts.clock.settle()
        cell = parts.snapshots.cell(key)
        loaded = await MemoryStore.load(store, key)
        assert loaded is not None
        store.gate.set()
        await parts.do(key, "host", c.TakeSeat(index=0))
        newest = cell.snapshot
        assert newest is not None
        assert newest.seq == 2
        read = await reading
        assert read is not None
        assert (await parts.snapshots.current(key)) is newest


async def test_a_commit_is_seen_though_its_cell_was_dropped_meanwhile() -> None:
    async with Parts.start() as parts:
        keys = [await parts.open() for _ in range(3)]
        few = Snapshots(parts.store, kept=1)
        mine = few.cell(keys[0])
        old = await few.reload(mine)
        assert old is not None
        await few.current(keys[1])  # `mine` is dropped, and made anew by whoever reads now
        again = await few.current(keys[0])
        assert few.cell(keys[0]) is not mine
        assert again is not None
        newer = Snapshot(old.state, old.seq + 1, old.version + 1)
        few.keep(mine, newer)
        assert await few.current(keys[0]) is newer
        few.keep(mine, old)
        assert await few.current(keys[0]) is newer


async def test_only_so_many_are_kept_but_a_locked_one_stays() -> None:
    async with Parts.start() as parts:
        keys = [await parts.open() for _ in range(6)]
        few = Snapshots(parts.store, kept=2)
        async with few.cell(keys[0]).lock:
            for key in keys[1:]:
                await few.current(key)
            assert keys[0] in few._cells
        few.cell(keys[1])
        assert set(few._cells) == {keys[5], keys[1]}
        assert len(few._cells) == 2
