"""Seeds of people who call each other among faults. `UTD_SIM_SEEDS=1000` runs more."""

import os

import pytest
from simulation.callers import CallSimulation
from simulation.oracle import Broken

from utd_engine.app import calls, letters

SEEDS = int(os.environ.get("UTD_SIM_SEEDS", "80"))
ONE = os.environ.get("UTD_SIM_SEED")
BATCHES = 4
STEPS = 60


@pytest.mark.parametrize("batch", range(BATCHES))
async def test_no_seed_breaks_an_invariant(batch: int) -> None:
    if ONE and batch:
        return
    for seed in [int(ONE)] if ONE else range(batch, SEEDS, BATCHES):
        await CallSimulation(seed).run(STEPS)


async def test_a_seed_repeats_exactly() -> None:
    one, two = CallSimulation(5), CallSimulation(5)
    await one.run(STEPS)
    await two.run(STEPS)
    assert one.history == two.history


async def test_the_seeds_reach_every_way_a_call_can_end() -> None:
    ways: set[tuple[str, str]] = set()
    for seed in range(40):
        simulation = CallSimulation(seed)
        await simulation.run(STEPS)
        for log in simulation.oracle.logs.values():
            call = log.views[-1].call
            assert call is not None
            ways.add((str(call.status), str(call.reason)))
    assert ways >= {
        ("busy", "busy"), ("rejected", "rejected"), ("missed", "offline"), ("missed", "no_answer"),
        ("ended", "cancelled"), ("ended", "hangup"), ("ended", "failed"),
        ("ended", "connection_lost"),
    }, ways  # fmt: skip


async def broken_by(seeds: int) -> str:
    """The first invariant that breaks."""
    for seed in range(seeds):
        try:
            await CallSimulation(seed).run(STEPS)
        except Broken as broken:
            return str(broken)[:2]
    return ""


async def test_a_forgotten_name_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def once(party: str) -> str:
        return f"user:{party}" if party != "bo" else "nobody"

    monkeypatch.setattr(calls, "user_name", once)
    assert await broken_by(20) == "C1"


async def test_a_forgotten_letter_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "_of_call", lambda _after, _fact: iter(()))
    assert await broken_by(20) == "C4"
