"""Any history of writes reads the same from `MemoryStore` and from `SqliteStore`."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from utd_engine.adapters.memory.store import MemoryStore
from utd_engine.adapters.sqlite.rows import EPOCH, from_ms, to_ms
from utd_engine.adapters.sqlite.store import SqliteStore
from utd_engine.ports.history import HistoryRow
from utd_engine.ports.idempotency import IdempotencyRecord
from utd_engine.ports.inbox import InboxEvent
from utd_engine.ports.presence import PresenceRow
from utd_engine.ports.rooms import Append, Appended, Key, Loaded, NewEvent
from utd_engine.ports.store import Store

MINUTE = 60_000
KEYS = (Key("a", "room", "1"), Key("a", "room", "2"), Key("a", "call", "3"), Key("b", "room", "1"))
INBOXES = (Key("a", "inbox", "ana"), Key("b", "inbox", "ana"), Key("a", "inbox", "bo"))
NAMES = ("room:x:1", "room:x:2", "user:ana")


class Write(Struct, frozen=True):
    """An append, as far as it does not depend on what is there."""

    key: Key
    stale: bool
    events: int
    wakes: bool
    open: bool
    take: frozenset[str]
    drop: frozenset[str]
    answer: str | None
    inbox: tuple[str, ...]
    history: tuple[tuple[str, str], ...]


class Seen(Struct, frozen=True):
    """A presence, or its end."""

    key: Key
    identity: str
    sid: str
    joined: int
    leaves: bool


class Trim(Struct, frozen=True):
    """Ageing, of what is older than so many minutes."""

    minutes: int
    history: int | None


some_names = st.frozensets(st.sampled_from(NAMES), max_size=2)
people = st.sampled_from(("ana", "bo"))
writes = st.builds(
    Write,
    key=st.sampled_from(KEYS),
    stale=st.integers(0, 5).map(lambda n: n == 0),
    events=st.integers(0, 3),
    wakes=st.booleans(),
    open=st.integers(0, 4).map(lambda n: n > 0),
    take=some_names,
    drop=some_names,
    answer=st.none() | st.sampled_from(("k1", "k2")),
    inbox=st.lists(people, max_size=2).map(tuple),
    history=st.sets(st.tuples(people, st.sampled_from(("1", "2"))), max_size=2).map(tuple),
)
sightings = st.builds(
    Seen,
    key=st.sampled_from(KEYS),
    identity=people,
    sid=st.sampled_from(("PA_1", "PA_2")),
    joined=st.integers(0, 3),
    leaves=st.booleans(),
)
minutes = st.integers(0, 30)
histories = st.lists(
    writes | sightings | st.builds(Trim, minutes, st.none() | minutes), max_size=30
)


def appended(write: Write, now: Loaded, minute: int) -> Append:
    at = from_ms(minute * MINUTE)
    expires_at = from_ms((minute + 5) * MINUTE)
    key = write.answer
    answer = IdempotencyRecord(key, "f", minute, b"body", expires_at) if key else None
    seqs = range(now.seq + 1, now.seq + 1 + write.events)
    return Append(
        key=write.key,
        expected_version=now.version + write.stale,
        events=tuple(NewEvent(seq, "happened", at, b"%d" % minute) for seq in seqs),
        state=b"%d" % minute,
        wake_at=expires_at if write.wakes else None,
        open=write.open,
        take_keys=tuple(sorted(write.take)),
        drop_keys=tuple(sorted(write.drop)),
        idempotency=answer,
        inbox=tuple(InboxEvent(who, "told", at, b"%d" % minute) for who in write.inbox),
        history=tuple(HistoryRow(who, one, at, b"%d" % minute) for who, one in write.history),
        at=at,
    )


async def carry_out(store: Store, step: Write | Seen | Trim, minute: int) -> object:
    match step:
        case Write():
            now = await store.load(step.key) or Loaded(b"", 0, 0)
            return await store.append(appended(step, now, minute))
        case Seen(leaves=True):
            return await store.gone(step.key, step.identity, step.sid)
        case Seen():
            row = PresenceRow(step.identity, step.sid, from_ms(step.joined * MINUTE))
            return await store.seen(step.key, row)
        case Trim():
            history = None if step.history is None else from_ms((minute - step.history) * MINUTE)
            before = from_ms((minute - step.minutes) * MINUTE)
            return await store.trim(before, history_before=history)


async def everything(store: Store, minute: int) -> list[object]:
    """All that can be read."""
    now = from_ms(minute * MINUTE)
    seen: list[object] = [await store.next_wake(), await store.due(now, 99)]
    seen += [await store.occupied(), await store.open_rooms(), await store.open_rooms("a")]
    for app in ("a", "b"):
        seen += [await store.log(app, 0, 999)]
        seen += [await store.answered(app, key, now) for key in ("k1", "k2")]
        seen += [await store.resolve(app, name) for name in NAMES]
        for who in ("ana", "bo"):
            mine = await store.history(app, who, limit=9)
            seen += [mine]
            seen += [
                await store.history(app, who, before=(row.at, row.id), limit=2) for row in mine
            ]
    reads = (store.load, store.first_seq, store.present, store.count)
    for key in (*KEYS, *INBOXES):
        seen += [await read(key) for read in reads]
        seen += [await store.events(key, 0, 999)]
    return seen


@settings(max_examples=60, deadline=None)
@given(history=histories)
def test_both_stores_tell_one_story(history: list[Write | Seen | Trim]) -> None:
    async def compare(folder: str) -> None:
        memory, sqlite = MemoryStore(), await SqliteStore.open(Path(folder) / "utd.db")
        for minute, step in enumerate(history):
            expected = await carry_out(memory, step, minute)
            assert await carry_out(sqlite, step, minute) == expected
            assert await everything(sqlite, minute) == await everything(memory, minute)
        await sqlite.aclose()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(folder))


@settings(max_examples=20, deadline=None)
@given(orders=st.lists(st.integers(0, 3), min_size=1, max_size=100))
def test_concurrent_appends_make_one_gap_free_line(orders: list[int]) -> None:
    """Each tries once on the version it read: winners are in one order, losers change nothing."""

    async def race(folder: str) -> None:
        store = await SqliteStore.open(Path(folder) / "utd.db")

        async def once(n: int) -> Appended | None:
            key = KEYS[n]
            now = await store.load(key) or Loaded(b"", 0, 0)
            event = NewEvent(now.seq + 1, "happened", EPOCH, b"")
            change = Append(
                key=key, expected_version=now.version, events=(event,), state=b"", wake_at=None
            )
            done = await store.append(change)
            return done if isinstance(done, Appended) else None

        done = await asyncio.gather(*map(once, orders))
        for n, key in enumerate(KEYS):
            won = [one for order, one in zip(orders, done, strict=True) if one and order == n]
            log = await store.events(key, 0, 999)
            assert sorted(one.seq for one in won) == [row.seq for row in log]
            assert [row.seq for row in log] == list(range(1, len(log) + 1))
            assert sorted(one.pos for one in won) == [row.pos for row in log]
        await store.aclose()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(race(folder))


@given(st.integers(-(10**13), 10**14))
def test_times_survive_the_way_to_the_database(ms: int) -> None:
    assert to_ms(from_ms(ms)) == ms


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        to_ms(from_ms(0).replace(tzinfo=None))
