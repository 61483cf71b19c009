"""200 clients fight for 8 seats over HTTP and SQLite: one winner each, and an order explains it.

Every answer is part of a history that must be linearizable over a grid of seats.
"""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.linearizable import LOST, Op, linearizable
from support.served_engine import ROOM, ServedEngine, config

from utd_engine.adapters.livekit.webhooks import make_reader
from utd_engine.adapters.memory.media import MEMORY_KEY, MemoryGateway
from utd_engine.adapters.sqlite.store import SqliteStore
from utd_engine.main import Adapters
from utd_engine.metrics import Metrics
from utd_engine.system import SystemClock, SystemIds

SEATS = 8
CLIENTS = 200


async def world(path: Path) -> Adapters:
    clock = SystemClock()
    sfu = MemoryGateway(clock)
    reader = make_reader({MEMORY_KEY.key: MEMORY_KEY.secret}, clock)
    return Adapters(await SqliteStore.open(path), sfu, reader, clock, SystemIds(), Metrics())


async def bearers(served: ServedEngine, count: int) -> dict[str, str]:
    """Everybody has joined; the host first."""
    tokens = {"p0": (await served.join("p0", "host"))["user_token"]}
    for number in range(1, count):
        tokens[f"p{number}"] = (await served.join(f"p{number}"))["user_token"]
    return tokens


def grid(state: tuple[str, ...], op: Op) -> tuple[tuple[str, ...], Any]:
    """The rules of seats, as short as they can be said."""
    verb, index = op.call
    own = state.index(op.client) if op.client in state else None
    if verb == "leave":
        return tuple("" if one == op.client else one for one in state), "ok"
    if own == index:
        return state, "ok"
    if (verb == "take") == (own is not None):
        return state, "already_seated" if verb == "take" else "invalid_state"
    if state[index]:
        return state, "seat_taken"
    moved = ["" if one == op.client else one for one in state]
    moved[index] = op.client
    return tuple(moved), "ok"


async def one(served: ServedEngine, who: str, bearer: str, verb: str, index: int) -> Op:
    began = time.perf_counter()
    body = {} if verb == "leave" else {"index": index}
    answer = await served.call("POST", f"{ROOM}/seats/{verb}", body, bearer=bearer)
    ended = time.perf_counter()
    result = "ok" if answer.status == 200 else answer.code
    if result not in {"ok", "seat_taken", "already_seated", "invalid_state"}:
        result = LOST if answer.status == 503 else result
    return Op(who, (verb, index), began, ended, result)


async def seats_now(served: ServedEngine, bearer: str) -> tuple[str, ...]:
    answer = await served.call("GET", f"{ROOM}/seats", bearer=bearer)
    return tuple(seat["identity"] or "" for seat in answer.body["seats"])


async def test_two_hundred_clients_and_eight_seats(tmp_path: Path) -> None:
    adapters = await world(tmp_path / "utd.db")
    async with ServedEngine.start(config(tmp_path / "utd.db"), adapters) as served:
        tokens = await bearers(served, CLIENTS)
        history = await asyncio.gather(
            *(
                one(served, who, bearer, "take", number % SEATS)
                for number, (who, bearer) in enumerate(tokens.items())
            )
        )
        winners = Counter(op.call[1] for op in history if op.result == "ok")
        assert winners == dict.fromkeys(range(SEATS), 1)
        assert {op.result for op in history} == {"ok", "seat_taken"}
        final = await seats_now(served, tokens["p0"])
        assert sorted(final) == sorted(op.client for op in history if op.result == "ok")
        assert linearizable(history, grid, ("",) * SEATS)
        log = await served.call("GET", f"{ROOM}/events?after=1", bearer=tokens["p0"])
        taken = [event for event in log.body["events"] if event["type"] == "seat.taken"]
        assert len({event["index"] for event in taken}) == len(taken) == SEATS
    await adapters.store.aclose()


@pytest.mark.parametrize("seed", range(4))
async def test_a_wild_history_is_linearizable_and_nobody_has_two_seats(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311
    adapters = await world(tmp_path / "utd.db")
    async with ServedEngine.start(config(tmp_path / "utd.db"), adapters) as served:
        tokens = await bearers(served, 10)
        watching = asyncio.create_task(watch(served, tokens["p0"]))
        history: list[Op] = []

        async def client(who: str) -> None:
            for _ in range(12):
                verb = chance.choice(("take", "take", "take", "move", "leave"))
                history.append(await one(served, who, tokens[who], verb, chance.randrange(3)))

        await asyncio.gather(*(client(who) for who in tokens))
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        assert watching.cancelled(), watching
        assert linearizable(history, grid, ("",) * SEATS)
    await adapters.store.aclose()


async def watch(served: ServedEngine, bearer: str) -> None:
    """No reader ever sees somebody on two seats."""
    while True:
        seats = [who for who in await seats_now(served, bearer) if who]
        assert len(seats) == len(set(seats)), seats


def op(client: str, verb: str, index: int, began: float, ended: float, result: object) -> Op:
    return Op(client, (verb, index), began, ended, result)


@pytest.mark.parametrize(
    ("history", "is_right"),
    [
        ([op("a", "take", 0, 0, 1, "ok"), op("b", "take", 0, 2, 3, "seat_taken")], True),
        ([op("a", "take", 0, 0, 1, "ok"), op("b", "take", 0, 0, 1, "ok")], False),
        ([op("a", "take", 0, 0, 3, "ok"), op("b", "take", 0, 1, 2, "seat_taken")], True),
        ([op("a", "take", 0, 2, 3, "ok"), op("b", "take", 0, 0, 1, "seat_taken")], False),
        ([op("a", "take", 0, 0, 1, LOST), op("b", "take", 0, 5, 6, "ok")], True),
        ([op("a", "take", 0, 0, 1, LOST), op("b", "take", 0, 5, 6, "seat_taken")], True),
        (
            [
                op("a", "take", 0, 0, 1, LOST),
                op("b", "take", 0, 5, 6, "seat_taken"),
                op("c", "take", 0, 7, 8, "ok"),
            ],
            False,
        ),
        (
            [
                op("a", "take", 0, 0, 1, "ok"),
                op("a", "leave", 0, 2, 9, "ok"),
                op("b", "take", 0, 3, 4, "ok"),
            ],
            True,
        ),
    ],
)
def test_the_checker_tells_right_from_wrong(history: list[Op], is_right: bool) -> None:  # noqa: FBT001
    assert linearizable(history, grid, ("",) * SEATS) is is_right
