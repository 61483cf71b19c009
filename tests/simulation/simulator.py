"""A room, its people, its troubles: one seed is one history, and the same seed the same again."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from simulation.oracle import Broken, Log, Oracle
from simulation.people import Person
from simulation.world import RoughNetwork, RoughStore

from utd_engine.adapters.memory.media import MemoryGateway
from utd_engine.testing import EngineUnderTest, FakeClock, FakeIds

KINDS = ("honest", "honest", "honest", "clumsy", "clumsy", "adversary", "adversary")
PAUSES = (0.0, 0.0, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 5.0, 31.0)
SEATS = 3


class Simulation:
    """Runs `steps` random steps, then heals everything and looks again."""

    def __init__(
        self,
        seed: int,
        *,
        make_store: Callable[[random.Random], RoughStore] = RoughStore,
        make_sfu: Callable[[FakeClock], MemoryGateway] = MemoryGateway,
    ) -> None:
        self.seed = seed
        self._chance = chance = random.Random(seed)  # noqa: S311
        self._clock = FakeClock()
        self._store = make_store(chance)
        self._sfu = make_sfu(self._clock)
        self._ids = FakeIds(seed)
        self._network = RoughNetwork(self._sfu, chance)
        self.oracle = Oracle(self._store)
        self._people = [
            Person(f"p{number}", kind, chance) for number, kind in enumerate(("honest", *KINDS))
        ]
        self._stack = AsyncExitStack()
        self._running: set[asyncio.Task[None]] = set()
        self._keys = 0
        self.engine: EngineUnderTest
        self.history: list[str] = []

    async def run(self, steps: int) -> None:
        try:
            await self._start()
            await self._open()
            for _ in range(steps):
                await self._step()
            await self._heal()
        except BaseException as error:
            error.add_note(f"seed {self.seed}, after:\n  " + "\n  ".join(self.history[-25:]))
            raise
        finally:
            await self._stop()

    async def _open(self) -> None:
        await self._people[0].join(self.engine, "host")
        await self._people[0].enter(self._sfu)

    # --- the engine ------------------------------------------------------------------------------

    async def _start(self) -> None:
        started = EngineUnderTest.start(
            store=self._store, clock=self._clock, sfu=self._sfu, ids=self._ids
        )
        self.engine = await self._stack.enter_async_context(started)
        self._network.lead_to(self.engine.webhook)

    async def _stop(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()
        await self._stack.aclose()

    async def _kill(self) -> None:
        """Whatever runs ends where it is: a power cut that only the disk and LiveKit survive."""
        await self._stop()
        await self._start()

    # --- steps -----------------------------------------------------------------------------------

    async def _step(self) -> None:
        chance = self._chance
        roll = chance.random()
        if roll < 0.12:
            self._trouble()
        elif roll < 0.14:
            self.history.append("kill")
            await self._kill()
        elif roll < 0.16:
            self.history.append("livekit restarts")
            self._sfu.restart()
        else:
            for _ in range(chance.choice((1, 1, 2, 3))):
                self._begin(self._something())
        pause = chance.choice(PAUSES)
        self.history.append(f"+{pause}")
        await self._clock.advance(pause)
        self._reap()
        if chance.random() < 0.3:
            self._network.deliver_late()
        await self._check()

    async def _check(self) -> None:
        for person in self._people:
            if person.key is not None:
                self.oracle.logs.setdefault(person.key, Log())
        await self.oracle.check()
        for person in self._people:
            await person.follow(self.engine, self.oracle)

    def _begin(self, work: Any) -> None:
        self._running.add(asyncio.ensure_future(work))

    def _reap(self) -> None:
        done = {task for task in self._running if task.done()}
        self._running -= done
        for task in done:
            task.result()

    def _trouble(self) -> None:
        chance, faults = self._chance, self._sfu.faults
        which = chance.randrange(11)
        self.history.append(f"trouble {which}")
        match which:
            case 0:
                faults.unavailable = not faults.unavailable
            case 1:
                faults.timeout_after_applying = not faults.timeout_after_applying
            case 2:
                faults.latency_s = chance.choice((0.0, 0.0, 0.3, 2.0))
            case 3:
                self._network.loses = chance.choice((0.0, 0.3, 1.0))
            case 4:
                self._network.delays = chance.choice((0.0, 0.5))
            case 5:
                self._network.doubles = chance.choice((0.0, 0.5))
            case 6:
                self._store.fails = chance.choice((0.0, 0.0, 0.1))
            case _:
                self._no_trouble()

    def _no_trouble(self) -> None:
        faults = self._sfu.faults
        faults.unavailable = faults.timeout_after_applying = False
        faults.latency_s = 0.0
        self._store.fails = 0.0
        self._network.heal()

    def _something(self) -> Coroutine[Any, Any, None]:
        """What happens next."""
        return self._act(self._somebody())

    def _somebody(self) -> Person:
        """The host does the most of all."""
        host = self._chance.random() < 0.35
        return self._people[0] if host else self._chance.choice(self._people)

    async def _act(self, person: Person) -> None:
        """One thing that somebody does."""
        chance, sfu = self._chance, self._sfu
        roll = chance.random()
        self.history.append(f"{person.name} ({person.kind}) {roll:.3f}")
        if not person.answers or roll < 0.06:
            role = "host" if person.name == "p0" or chance.random() < 0.2 else "audience"
            await person.join(self.engine, role)
            await person.enter(sfu)
        elif roll < 0.14 or (not person.is_in(sfu) and roll < 0.5):
            if chance.random() < 0.5:
                await person.rejoin(self.engine)
            await person.enter(sfu)
        elif roll < 0.22 and person.participant is not None:
            await self._go(person)
        else:
            await self._order(person)

    async def _go(self, person: Person) -> None:
        chance, sfu = self._chance, self._sfu
        assert person.participant is not None
        if chance.random() < 0.4:
            async with sfu.full_reconnect(person.participant):
                await self._clock.sleep(chance.choice((0.05, 0.3)))
        else:
            await sfu.leave(person.participant, crash=chance.random() < 0.5)

    async def _order(self, person: Person) -> None:
        chance = self._chance
        hosts = person.view is not None and person.view.host == person.name
        choice = (
            self._host_order()
            if chance.random() < (0.85 if hosts else 0.1)
            else (self._own_order())
        )
        method, path, body = choice
        self.history.append(f"{person.name} {method} {path} {body}")
        key = ""
        times = 1
        if chance.random() < 0.3:
            self._keys += 1
            key = f"key-{self._keys}"
            times = 2 if person.kind == "clumsy" else 1
        orders = [
            person.order(self.engine, self.oracle, method, path, body, key) for _ in range(times)
        ]
        await asyncio.gather(*orders)

    def _own_order(self) -> tuple[str, str, dict[str, Any]]:
        chance = self._chance
        index, number = chance.randrange(SEATS), chance.randrange(1, 6)
        return chance.choice(
            (
                ("POST", "/seats/take", {"index": index}),
                ("POST", "/seats/take", {"index": index}),
                ("POST", "/seats/take", {}),
                ("POST", "/seats/leave", {}),
                ("POST", "/seats/move", {"index": index}),
                ("POST", "/requests", {"index": index}),
                ("POST", f"/requests/{number}/cancel", {}),
                ("POST", f"/invites/{number}/accept", {}),
                ("POST", f"/invites/{number}/decline", {}),
                ("POST", "/leave", {}) if chance.random() < 0.3 else ("POST", "/requests", {}),
            )
        )

    def _host_order(self) -> tuple[str, str, dict[str, Any]]:
        chance = self._chance
        who = chance.choice(self._people).name
        index, number = chance.randrange(SEATS), chance.randrange(1, 6)
        evict = chance.random() < 0.5
        return chance.choice(
            (
                ("PUT", "/seats", {"count": chance.randrange(1, 5), "evict": evict}),
                ("PUT", "/seats", {"mode": chance.choice(("free", "request", "invite"))}),
                ("POST", "/seats/lock", {"indices": [index], "evict": evict}),
                ("POST", "/seats/unlock", {"indices": "all"}),
                ("POST", "/seats/mute", {"index": index}),
                ("POST", "/seats/unmute", {"index": index}),
                ("POST", "/seats/swap", {"a": index, "b": (index + 1) % SEATS}),
                ("POST", "/seats/remove", {"index": index}),
                ("POST", f"/requests/{number}/approve", {}),
                ("POST", f"/requests/{number}/reject", {}),
                ("POST", "/invites", {"identity": who, "index": index}),
                ("PATCH", f"/members/{who}", {"role": chance.choice(("admin", "audience"))}),
                ("POST", f"/members/{who}/kick", {"reason": "x"}),
                ("POST", f"/members/{who}/kick", {}),
                ("POST", f"/members/{who}/hard-mute", {}),
                ("POST", f"/members/{who}/lift-mute", {}),
                ("POST", "/mute-all", {}),
                ("PUT", f"/bans/{who}", {}),
                ("DELETE", f"/bans/{who}", {}),
                ("PATCH", "/policy", {"policy": {"data": chance.choice(("everyone", "speakers"))}}),
                ("PATCH", "/policy", {"policy": {"away_after_s": chance.choice((0, 2))}}),
                ("POST", "/transfer-host", {"identity": who}),
                ("POST", "/end", {}) if chance.random() < 0.3 else ("POST", "/mute-all", {}),
            )
        )

    # --- quiescence ------------------------------------------------------------------------------

    async def _heal(self) -> None:
        """Nothing is in the way any more; one period later everybody agrees."""
        self.history.append("heal")
        self._no_trouble()
        await self._clock.advance(2.5)  # calls that hang have their deadline
        await self._clock.advance(5.5)
        self._reap()
        if self._running:
            raise Broken(f"{len(self._running)} requests are never answered")
        await self._check()
        for key in self.oracle.logs:
            banned = await self._store.banned(key.app, "audio_room:lobby", self._clock.now())
            await self.oracle.quiet(key, self._sfu, banned)
        for person in self._people:
            if person.is_in(self._sfu) and person.key is not None:
                head = len(self.oracle.logs[person.key].raw)
                in_room = person.participant is not None and person.participant.room.endswith(
                    person.key.id
                )
                if in_room and person.seq != head:
                    raise Broken(f"I6 {person.name} is at {person.seq}, the log at {head}")
