"""A LiveKit, a network and a disk that misbehave by a seed."""

import asyncio
import random
from collections.abc import Callable

from utd_engine.adapters.memory.media import MemoryGateway
from utd_engine.adapters.memory.store import MemoryStore
from utd_engine.ports.media import WebhookEvent
from utd_engine.ports.rooms import Append, Appended, Conflict, Key, Loaded
from utd_engine.ports.store import StoreUnavailable


class RoughStore(MemoryStore):
    """Each call takes a few turns of the loop; sometimes it fails, before or after it worked."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance
        self.fails = 0.0

    async def load(self, key: Key) -> Loaded | None:
        await self._some_turns()
        found = await super().load(key)
        await self._some_turns()
        return found

    async def look(self, key: Key) -> Loaded | None:
        """What is there now, for the oracle: no turn of the loop passes."""
        return await super().load(key)

    async def append(self, append: Append) -> Appended | Conflict:
        await self._some_turns()
        self._maybe_fail()
        done = await super().append(append)
        await self._some_turns()
        self._maybe_fail()  # It is in, and its caller does not know.
        return done

    async def _some_turns(self) -> None:
        for _ in range(self._chance.randrange(3)):
            await asyncio.sleep(0)

    def _maybe_fail(self) -> None:
        if self.fails and self._chance.random() < self.fails:
            raise StoreUnavailable("The disk hiccuped.")


class RoughNetwork:
    """Webhooks on their way: lost, doubled, late and out of order."""

    def __init__(self, sfu: MemoryGateway, chance: random.Random) -> None:
        self._sfu = sfu
        self._chance = chance
        self._late: list[WebhookEvent] = []
        self._to: Callable[[WebhookEvent], None] | None = None
        self.loses = self.doubles = self.delays = 0.0

    def lead_to(self, engine: Callable[[WebhookEvent], None]) -> None:
        """From now on they go to this engine; what was under way is lost with the old one."""
        self._late.clear()
        self._to = engine
        self._sfu.on_webhook = self._take

    def heal(self) -> None:
        self.loses = self.doubles = self.delays = 0.0
        self.deliver_late()

    def deliver_late(self) -> None:
        late, self._late = self._late, []
        self._chance.shuffle(late)
        for event in late:
            self._send(event)

    def _take(self, event: WebhookEvent) -> None:
        if self._chance.random() < self.loses:
            return
        if self._chance.random() < self.delays:
            self._late.append(event)
            return
        self._send(event)
        if self._chance.random() < self.doubles:
            self._late.append(event)

    def _send(self, event: WebhookEvent) -> None:
        if self._to is not None:
            self._to(event)
