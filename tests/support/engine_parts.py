"""The parts of an engine around one room, for tests of a single part: real ones, joined by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from utd_engine.adapters.memory.media import MemoryGateway
from utd_engine.adapters.memory.store import MemoryStore
from utd_engine.app.commits import Context
from utd_engine.app.naming import sfu_name
from utd_engine.app.presence import Presence
from utd_engine.app.rights import Rights
from utd_engine.app.rooms import Rooms
from utd_engine.app.snapshots import Snapshot, Snapshots
from utd_engine.background import Background
from utd_engine.domain.permissions import Permission
from utd_engine.domain.turn import Actor
from utd_engine.loops.relay import Relay
from utd_engine.loops.sweep import Sweep
from utd_engine.loops.timers import Timers
from utd_engine.ports.media import Incarnation
from utd_engine.ports.rooms import Key
from utd_engine.testing import FakeClock, FakeIds
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.policy import Policy
from utd_protocol.types import Identity, RoomId, RoomName, RoomType, SeatMode
from utd_protocol.types import RoomState as Phase


class HeldGateway(MemoryGateway):
    """Writes down what it is asked for, and does nothing while `gate` is cleared."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[tuple[object, ...]] = []
        self.running: dict[str, int] = {}
        self.most_running = 0

    async def push_member(
        self,
        room: str,
        identity: str,
        permission: Permission,
        *,
        attributes: dict[str, str] | None = None,
    ) -> bool:
        told = {} if attributes is None else attributes
        self.asked.append(("push", identity, permission.can_publish, *sorted(told)))
        async with self._one_at_a_time(room):
            return await super().push_member(room, identity, permission, attributes=attributes)

    async def remove_member(self, room: str, identity: str) -> bool:
        self.asked.append(("remove", identity))
        async with self._one_at_a_time(room):
            return await super().remove_member(room, identity)

    async def remove_room(self, room: str) -> None:
        self.asked.append(("remove_room",))
        async with self._one_at_a_time(room):
            await super().remove_room(room)

    async def publish_events(self, room: str, metadata: str) -> bool:
        self.asked.append(("publish",))
        await self.gate.wait()
        return await super().publish_events(room, metadata)

    async def list_members(self, room: str) -> Incarnation:
        self.asked.append(("list", room))
        await self.gate.wait()
        return await super().list_members(room)

    @asynccontextmanager
    async def _one_at_a_time(self, room: str) -> AsyncIterator[None]:
        """Counts the calls about rights that run in one room."""
        self.running[room] = self.running.get(room, 0) + 1
        self.most_running = max(self.most_running, self.running[room])
        try:
            await self.gate.wait()
            yield
        finally:
            self.running[room] -= 1


class Parts:
    """A store, a LiveKit, and what stands between them; no loop runs unless a test starts it."""

    def __init__(self, background: Background, store: MemoryStore | None = None) -> None:
        self.clock = FakeClock()
        self.store = store or MemoryStore()
        self.sfu = HeldGateway(self.clock)
        self.background = background
        self.snapshots = Snapshots(self.store)
        self.rooms = Rooms(self.store, self.snapshots, self.clock)
        self.rights = Rights(self.snapshots, self.sfu, background)
        self.relay = Relay(
            self.store, self.snapshots, self.sfu, self.clock, FakeIds(), background, kept=3
        )
        self.presence = Presence(
            self.store, self.snapshots, self.rooms, self.rights, self.sfu, self.clock
        )
        self.timers = Timers(self.store, self.snapshots, self.rooms, self.clock)
        self.sweep = Sweep(self.store, self.presence, self.sfu, self.clock, background)
        self._numbers = iter(range(1, 10**6))

    @classmethod
    @asynccontextmanager
    async def start(cls, store: MemoryStore | None = None) -> AsyncIterator[Self]:
        async with Background() as background:
            yield cls(background, store)
            crashed = background.crashed
            assert not crashed.done() or crashed.cancelled(), crashed

    async def open(self, *, in_media: bool = True, policy: Policy | None = None) -> Key:
        """A new room of `host` with 4 seats."""
        number = next(self._numbers)
        key = Key("ap1", "room", f"rm_{number}")
        opening = ev.RoomOpened(
            at=self.clock.now(),
            room_id=RoomId(key.id),
            room_type=RoomType.AUDIO_ROOM,
            name=RoomName(f"lobby{number}"),
            owner=Identity("host"),
            host=Identity("host"),
            state=Phase.OPEN,
            policy=policy or Policy(),
            seat_count=4,
            seat_mode=SeatMode.FREE,
        )
        assert isinstance(await self.rooms.open(key, opening), Snapshot)
        if in_media:
            await self.sfu.ensure_room(self.room(key))
        return key

    def room(self, key: Key) -> str:
        return sfu_name(key, RoomType.AUDIO_ROOM)

    async def do(self, key: Key, who: str, command: c.RoomCommand) -> None:
        """A command of a user, not followed by LiveKit unless the test joined the parts so."""
        actor = Actor(kind="user", identity=Identity(who))
        await self.rooms.handle(key, command, Context(actor))
