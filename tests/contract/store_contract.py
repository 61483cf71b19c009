"""What every store must do, whatever is behind it. A subclass gives the fixture `store`."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from utd_engine.ports.audit import AuditEntry
from utd_engine.ports.bans import BanLift, BanRow
from utd_engine.ports.history import HistoryRow
from utd_engine.ports.idempotency import Answered, IdempotencyRecord
from utd_engine.ports.inbox import InboxEvent
from utd_engine.ports.presence import PresenceRow
from utd_engine.ports.rooms import Append, Appended, Conflict, Key, Loaded, NewEvent
from utd_engine.ports.store import Store, StoreUnavailable
from utd_engine.ports.tenants import AppRow, KeyRow
from utd_protocol.types import BanScope

T0 = datetime(2026, 1, 1, 12, 0, 0, 123_000, tzinfo=UTC)
ROOM = Key("ap1", "room", "rm_1")
LOBBY = "room:audio_room:lobby"


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def event(seq: int, seconds: float = 0) -> NewEvent:
    return NewEvent(seq, "seat.taken", at(seconds), b'{"seq":%d}' % seq)


def change(
    key: Key = ROOM,
    version: int = 0,
    *seqs: int,
    state: bytes = b"state",
    wake_at: datetime | None = None,
    is_open: bool = True,
    take: tuple[str, ...] = (),
    drop: tuple[str, ...] = (),
    answer: IdempotencyRecord | None = None,
    inbox: tuple[InboxEvent, ...] = (),
    audit: tuple[AuditEntry, ...] = (),
    bans: tuple[BanRow | BanLift, ...] = (),
    history: tuple[HistoryRow, ...] = (),
    seconds: float = 0,
) -> Append:
    return Append(
        key=key,
        expected_version=version,
        events=tuple(event(seq, seconds) for seq in seqs),
        state=state,
        wake_at=wake_at,
        open=is_open,
        take_keys=take,
        drop_keys=drop,
        idempotency=answer,
        inbox=inbox,
        audit=audit,
        bans=bans,
        history=history,
        at=at(seconds),
    )


def answer(key: str = "k1", expires: float = 60, fingerprint: str = "f") -> IdempotencyRecord:
    return IdempotencyRecord(key, fingerprint, 200, b"body", at(expires))


def audit_entry(room: str, action: str, app: str = "ap1") -> AuditEntry:
    return AuditEntry(app, room, T0, "ana", action, None, "done", "why", "req_1")


def ban(identity: str, place: str = "", until: datetime | None = None, app: str = "ap1") -> BanRow:
    scope = BanScope.ROOM if place else BanScope.APP
    return BanRow(app, identity, scope, place, "ana", T0, until, "spam")


def room(number: int, app: str = "ap1") -> Key:
    return Key(app, "room", f"rm_{number}")


class AppendContract:
    """Versions, sequences and names."""

    async def test_nothing_is_there_at_first(self, store: Store) -> None:
        assert await store.load(ROOM) is None
        assert await store.events(ROOM, 0, 10) == []
        assert await store.first_seq(ROOM) == 1
        assert await store.next_wake() is None
        assert await store.apps() == []

    async def test_an_append_is_read_back(self, store: Store) -> None:
        done = await store.append(change(ROOM, 0, 1, 2, take=(LOBBY,)))
        assert isinstance(done, Appended)
        assert (done.seq, done.version) == (2, 1)
        assert await store.load(ROOM) == Loaded(b"state", 2, 1)
        first, second = await store.events(ROOM, 0, 10)
        assert (first.seq, second.seq, second.data) == (1, 2, b'{"seq":2}')
        assert (first.key, first.type) == (ROOM, "seat.taken")
        assert first.pos < second.pos == done.pos
        assert await store.resolve("ap1", LOBBY) == ROOM

    async def test_without_events_only_the_version_moves(self, store: Store) -> None:
        await store.append(change(ROOM, 0, 1))
        assert await store.append(change(ROOM, 1, state=b"new")) == Appended(1, 2, 0)
        assert await store.load(ROOM) == Loaded(b"new", 1, 2)

    @pytest.mark.parametrize("version", [0, 2])
    async def test_another_version_is_refused_whole(self, store: Store, version: int) -> None:
        await store.append(change(ROOM, 0, 1))
        late = change(
            ROOM,
            version,
            2,
            state=b"late",
            take=("room:x:y",),
            answer=answer(),
            inbox=(InboxEvent("bo", "banned", T0, b"{}"),),
            audit=(audit_entry("rm_1", "kick"),),
            bans=(ban("bo"),),
        )
        assert await store.append(late) == Conflict("version_moved")
        assert await store.load(ROOM) == Loaded(b"state", 1, 1)
        assert len(await store.events(ROOM, 0, 10)) == 1
        assert await store.resolve("ap1", "room:x:y") is None
        assert await store.answered("ap1", "k1", T0) is None
        assert await store.load(Key("ap1", "inbox", "bo")) is None
        assert await store.audit("ap1", "") == []
        assert await store.bans("ap1", "") == []

    async def test_an_unknown_aggregate_has_version_0(self, store: Store) -> None:
        assert await store.append(change(ROOM, 1, 1)) == Conflict("version_moved")

    async def test_a_gap_in_seq_is_a_mistake_and_changes_nothing(self, store: Store) -> None:
        await store.append(change(ROOM, 0, 1))
        with pytest.raises(ValueError, match="must be 2"):
            await store.append(change(ROOM, 1, 3))
        assert await store.load(ROOM) == Loaded(b"state", 1, 1)

    async def test_a_name_has_one_holder_in_an_app(self, store: Store) -> None:
        await store.append(change(room(1), take=(LOBBY,)))
        taken = change(room(2), take=("room:free:one", LOBBY))
        assert await store.append(taken) == Conflict("key_taken")
        assert await store.load(room(2)) is None
        assert await store.resolve("ap1", "room:free:one") is None
        assert isinstance(await store.append(change(room(2, "ap2"), take=(LOBBY,))), Appended)
        assert await store.resolve("ap2", LOBBY) == room(2, "ap2")

    async def test_taking_ones_own_name_again_is_fine(self, store: Store) -> None:
        await store.append(change(ROOM, take=(LOBBY,)))
        assert isinstance(await store.append(change(ROOM, 1, take=(LOBBY,))), Appended)

    async def test_a_dropped_name_is_free_for_others(self, store: Store) -> None:
        await store.append(change(room(1), take=("user:ana", "user:bo")))
        await store.append(change(room(1), 1, drop=("user:ana",)))
        assert isinstance(await store.append(change(room(2), take=("user:ana",))), Appended)
        assert await store.resolve("ap1", "user:ana") == room(2)
        assert await store.resolve("ap1", "user:bo") == room(1)

    async def test_nobody_drops_the_name_of_another(self, store: Store) -> None:
        await store.append(change(room(1), take=(LOBBY,)))
        await store.append(change(room(2), drop=(LOBBY,)))
        assert await store.resolve("ap1", LOBBY) == room(1)

    async def test_the_end_frees_names_timers_and_people(self, store: Store) -> None:
        await store.append(change(ROOM, take=(LOBBY,), wake_at=at(1)))
        await store.seen(ROOM, PresenceRow("ana", "PA_1", T0))
        await store.append(change(ROOM, 1, 1, take=(LOBBY,), wake_at=at(1), is_open=False))
        assert await store.resolve("ap1", LOBBY) is None
        assert await store.due(at(9), 10) == []
        assert await store.next_wake() is None
        assert await store.open_rooms() == []
        assert await store.occupied() == []
        assert await store.count(ROOM) == 0
        assert await store.load(ROOM) == Loaded(b"state", 1, 2)

    async def test_of_200_at_once_on_one_version_one_wins(self, store: Store) -> None:
        await store.append(change(ROOM))
        tries = (store.append(change(ROOM, 1, 1, state=b"%d" % n)) for n in range(200))
        results = await asyncio.gather(*tries)
        won = [n for n, result in enumerate(results) if isinstance(result, Appended)]
        assert len(won) == 1
        assert results.count(Conflict("version_moved")) == 199
        assert await store.load(ROOM) == Loaded(b"%d" % won[0], 1, 2)

    async def test_of_200_at_once_on_one_name_one_wins(self, store: Store) -> None:
        tries = (store.append(change(room(n), take=(LOBBY,))) for n in range(200))
        results = await asyncio.gather(*tries)
        assert results.count(Conflict("key_taken")) == 199
        won = next(n for n, result in enumerate(results) if isinstance(result, Appended))
        assert await store.resolve("ap1", LOBBY) == room(won)

    async def test_200_that_try_again_get_200_versions(self, store: Store) -> None:
        async def until_in(n: int) -> Appended:
            while True:
                now = await store.load(ROOM) or Loaded(b"", 0, 0)
                done = await store.append(change(ROOM, now.version, now.seq + 1, state=b"%d" % n))
                if isinstance(done, Appended):
                    return done

        done = await asyncio.gather(*(until_in(n) for n in range(200)))
        by_version = sorted(done, key=lambda one: one.version)
        assert [one.version for one in by_version] == list(range(1, 201))
        assert [one.seq for one in by_version] == list(range(1, 201))
        assert [one.pos for one in by_version] == sorted(one.pos for one in by_version)
        assert [row.seq for row in await store.events(ROOM, 0, 500)] == list(range(1, 201))


class AnswerContract:
    """Idempotency keys."""

    async def test_an_answer_is_kept_until_it_expires(self, store: Store) -> None:
        await store.append(change(answer=answer(expires=60)))
        assert await store.answered("ap1", "k1", at(59)) == Answered("f", 200, b"body")
        assert await store.answered("ap1", "k1", at(60)) is None
        assert await store.answered("ap2", "k1", at(0)) is None

    async def test_a_second_answer_is_a_conflict_before_all_others(self, store: Store) -> None:
        await store.append(change(ROOM, take=(LOBBY,), answer=answer()))
        again = change(room(2), 7, 1, take=(LOBBY,), answer=answer(fingerprint="g"))
        assert await store.append(again) == Conflict("answered")
        assert await store.load(room(2)) is None
        assert await store.answered("ap1", "k1", T0) == Answered("f", 200, b"body")

    async def test_another_app_has_its_own_keys(self, store: Store) -> None:
        await store.append(change(answer=answer()))
        done = await store.append(change(room(1, "ap2"), answer=answer(fingerprint="g")))
        assert isinstance(done, Appended)

    async def test_an_expired_answer_is_replaced(self, store: Store) -> None:
        await store.append(change(ROOM, answer=answer(expires=60)))
        soon = change(ROOM, 1, answer=answer(expires=99), seconds=59)
        assert await store.append(soon) == Conflict("answered")
        late = change(ROOM, 1, answer=answer(expires=120, fingerprint="g"), seconds=60)
        assert isinstance(await store.append(late), Appended)
        assert await store.answered("ap1", "k1", at(61)) == Answered("g", 200, b"body")

    async def test_without_its_own_time_an_append_is_as_late_as_its_events(
        self, store: Store
    ) -> None:
        await store.append(change(answer=answer(expires=60)))
        bare = Append(
            key=room(2), expected_version=0, state=b"", wake_at=None, idempotency=answer()
        )
        assert await store.append(bare) == Conflict("answered")
        late = replace(bare, events=(event(1, 60),))
        assert isinstance(await store.append(late), Appended)


class LogContract:
    """Logs, inboxes, cursors and ageing."""

    async def test_a_log_is_read_in_pages(self, store: Store) -> None:
        await store.append(change(ROOM, 0, 1, 2, 3, 4, 5))
        assert [row.seq for row in await store.events(ROOM, 1, 3)] == [2, 3, 4]
        assert [row.seq for row in await store.events(ROOM, 4, 3)] == [5]
        assert await store.events(ROOM, 5, 3) == []

    async def test_an_inbox_counts_its_own_seq(self, store: Store) -> None:
        to = [InboxEvent(who, "call.incoming", T0, who.encode()) for who in ("bo", "cy", "bo")]
        await store.append(change(ROOM, 0, 1, inbox=tuple(to)))
        done = await store.append(change(room(2), 0, 1, inbox=(to[0],)))
        inbox = Key("ap1", "inbox", "bo")
        found = await store.events(inbox, 0, 10)
        assert [(row.key, row.seq, row.data) for row in found] == [
            (inbox, 1, b"bo"),
            (inbox, 2, b"bo"),
            (inbox, 3, b"bo"),
        ]
        assert await store.load(inbox) == Loaded(b"", 3, 3)
        assert [row.seq for row in await store.events(Key("ap1", "inbox", "cy"), 0, 9)] == [1]
        (own,) = await store.events(room(2), 0, 10)
        assert isinstance(done, Appended)
        assert own.pos == done.pos

    async def test_the_log_of_an_app_has_rooms_and_calls_only(self, store: Store) -> None:
        call = Key("ap1", "call", "ca_1")
        inbox = (InboxEvent("bo", "banned", T0, b"{}"),)
        await store.append(change(ROOM, 0, 1, inbox=inbox))
        await store.append(change(room(1, "ap2"), 0, 1))
        await store.append(change(call, 0, 1))
        await store.append(change(ROOM, 1, 2, 3))
        found = await store.log("ap1", 0, 10)
        assert [(row.key, row.seq) for row in found] == [(ROOM, 1), (call, 1), (ROOM, 2), (ROOM, 3)]
        assert [row.pos for row in found] == sorted({row.pos for row in found})
        assert await store.log("ap1", found[1].pos, 1) == found[2:3]

    async def test_trim_drops_what_is_older(self, store: Store) -> None:
        await store.append(change(ROOM, 0, 1, 2, answer=answer(expires=5)))
        await store.append(change(ROOM, 1, 3, seconds=10, answer=answer("k2", 15)))
        await store.append(change(room(2), 0, 1, is_open=False))
        assert await store.trim(at(10)) == 5
        assert [row.seq for row in await store.events(ROOM, 0, 10)] == [3]
        assert await store.first_seq(ROOM) == 3
        assert await store.load(room(2)) is None
        assert await store.first_seq(room(2)) == 1
        assert await store.load(ROOM) is not None
        assert await store.answered("ap1", "k1", T0) is None
        assert await store.answered("ap1", "k2", T0) is not None
        assert await store.trim(at(10)) == 0

    async def test_a_log_that_was_trimmed_whole_says_so(self, store: Store) -> None:
        done = await store.append(change(ROOM, 0, 1, 2))
        assert await store.trim(at(1)) == 2
        assert await store.first_seq(ROOM) == 3
        later = await store.append(change(ROOM, 1, 3))
        assert isinstance(done, Appended)
        assert isinstance(later, Appended)
        assert later.pos > done.pos, "a cursor of before must not skip it"

    async def test_trim_has_no_limit(self, store: Store) -> None:
        await store.append(change(ROOM, 0, *range(1, 1202)))
        assert await store.trim(at(1)) == 1201

    async def test_an_inbox_goes_on_counting_after_a_trim(self, store: Store) -> None:
        inbox = (InboxEvent("bo", "banned", T0, b"{}"),)
        await store.append(change(ROOM, 0, inbox=inbox))
        await store.trim(at(1))
        await store.append(change(ROOM, 1, inbox=inbox))
        (row,) = await store.events(Key("ap1", "inbox", "bo"), 0, 10)
        assert row.seq == 2

    async def test_a_cancelled_append_is_carried_out(self, store: Store) -> None:
        task = asyncio.create_task(store.append(change(ROOM, 0, 1)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.ping()
        assert await store.load(ROOM) == Loaded(b"state", 1, 1)


class LoopContract:
    """What timers, lists and sweeps read."""

    async def test_the_earliest_is_due_first(self, store: Store) -> None:
        wakes = {1: at(30), 2: at(10), 3: None, 4: at(20)}
        for number, wake_at in wakes.items():
            await store.append(change(room(number), wake_at=wake_at))
        assert await store.next_wake() == at(10)
        assert await store.due(at(9.999), 10) == []
        assert await store.due(at(20), 10) == [room(2), room(4)]
        assert await store.due(at(99), 1) == [room(2)]
        await store.append(change(room(2), 1))
        assert await store.next_wake() == at(20)

    async def test_times_are_whole_milliseconds(self, store: Store) -> None:
        wake_at = datetime(2026, 7, 8, 9, 10, 11, 999_000, tzinfo=UTC)
        await store.append(change(wake_at=wake_at))
        assert await store.next_wake() == wake_at
        assert await store.due(wake_at, 1) == [ROOM]

    async def test_open_rooms_are_listed_by_id(self, store: Store) -> None:
        for number in (3, 1, 2):
            await store.append(change(room(number), take=(f"room:audio_room:{9 - number}",)))
        await store.append(change(Key("ap1", "call", "ca_1"), take=("user:ana", "user:bo")))
        await store.append(change(room(4, "ap2"), take=("room:live_stream:x",)))
        first = await store.open_rooms("ap1", limit=2)
        assert [(one.key, one.name) for one in first] == [
            (room(1), "room:audio_room:8"),
            (room(2), "room:audio_room:7"),
        ]
        assert first[0].loaded == Loaded(b"state", 0, 1)
        rest = await store.open_rooms("ap1", after="rm_2", limit=2)
        assert [one.key for one in rest] == [room(3)]
        everywhere = await store.open_rooms()
        assert [one.key for one in everywhere] == [room(1), room(2), room(3), room(4, "ap2")]
        (call,) = await store.open_rooms("ap1", prefix="user:")
        assert call.name == "user:ana"
        (stream,) = await store.open_rooms("ap2", prefix="room:live_stream:")
        assert stream.key == room(4, "ap2")

    async def test_a_prefix_is_no_pattern(self, store: Store) -> None:
        await store.append(change(take=("room:a_b:x",)))
        assert await store.open_rooms(prefix="room:a%") == []
        assert await store.open_rooms(prefix="ROOM:") == []


class PresenceContract:
    """Who LiveKit reports."""

    async def test_people_are_listed_by_identity(self, store: Store) -> None:
        await store.append(change())
        for who in ("cy", "ana", "bo"):
            assert await store.seen(ROOM, PresenceRow(who, f"PA_{who}", T0))
        people = await store.present(ROOM)
        assert [row.identity for row in people] == ["ana", "bo", "cy"]
        assert people[0] == PresenceRow("ana", "PA_ana", T0)
        assert await store.present(ROOM, after="ana", limit=1) == people[1:2]
        assert await store.present_one(ROOM, "cy") == people[2]
        assert await store.present_one(ROOM, "dee") is None
        assert await store.count(ROOM) == 3
        assert await store.count(room(2)) == 0

    async def test_the_newest_join_wins_in_any_order(self, store: Store) -> None:
        await store.append(change())
        assert await store.seen(ROOM, PresenceRow("ana", "PA_2", at(2)))
        assert not await store.seen(ROOM, PresenceRow("ana", "PA_1", at(1)))
        assert await store.present_one(ROOM, "ana") == PresenceRow("ana", "PA_2", at(2))
        assert await store.seen(ROOM, PresenceRow("ana", "PA_2", at(7))), "the same join again"
        assert await store.present_one(ROOM, "ana") == PresenceRow("ana", "PA_2", at(2))
        assert await store.seen(ROOM, PresenceRow("ana", "PA_3", at(3)))
        assert await store.present_one(ROOM, "ana") == PresenceRow("ana", "PA_3", at(3))
        assert await store.count(ROOM) == 1

    async def test_only_the_join_that_ended_is_forgotten(self, store: Store) -> None:
        await store.append(change())
        await store.seen(ROOM, PresenceRow("ana", "PA_2", T0))
        assert not await store.gone(ROOM, "ana", "PA_1")
        assert await store.count(ROOM) == 1
        assert await store.gone(ROOM, "ana", "PA_2")
        assert not await store.gone(ROOM, "ana", "PA_2")
        await store.seen(ROOM, PresenceRow("ana", "PA_3", T0))
        assert await store.gone(ROOM, "ana", None)
        assert await store.count(ROOM) == 0

    async def test_nobody_is_in_a_room_that_is_over(self, store: Store) -> None:
        await store.append(change(is_open=False))
        assert not await store.seen(ROOM, PresenceRow("ana", "PA_1", T0))
        assert await store.count(ROOM) == 0

    async def test_occupied_are_open_rooms_with_people(self, store: Store) -> None:
        for number in (2, 1, 3):
            await store.append(change(room(number)))
            await store.seen(room(number), PresenceRow("ana", "PA_1", T0))
            await store.seen(room(number), PresenceRow("bo", "PA_2", T0))
        await store.gone(room(3), "ana", None)
        await store.gone(room(3), "bo", None)
        assert await store.occupied() == [room(1), room(2)]


class HistoryContract:
    """What a user may look up after its aggregate is gone."""

    async def test_records_come_newest_first_and_go_on_by_cursor(self, store: Store) -> None:
        rows = [HistoryRow("ana", f"ca_{n}", at(n // 2), b"%d" % n) for n in range(5)]
        for number, row in enumerate(rows):
            await store.append(change(room(number), history=(row,)))
        assert await store.history("ap1", "ana", limit=99) == rows[::-1]
        first = await store.history("ap1", "ana", limit=2)
        assert first == [rows[4], rows[3]]
        for cut in range(1, 6):
            page, before = list[HistoryRow](), None
            while found := await store.history("ap1", "ana", before=before, limit=cut):
                page += found
                before = (found[-1].at, found[-1].id)
            assert page == rows[::-1]

    async def test_a_record_is_replaced_and_keeps_its_time(self, store: Store) -> None:
        begun = HistoryRow("ana", "ca_1", at(1), b"rings")
        await store.append(change(history=(begun, begun._replace(identity="bo"))))
        ended = HistoryRow("ana", "ca_1", at(9), b"over")
        await store.append(change(ROOM, 1, history=(ended,)))
        assert await store.history("ap1", "ana", limit=9) == [begun._replace(data=b"over")]
        assert await store.history("ap1", "bo", limit=9) == [begun._replace(identity="bo")]

    async def test_records_are_their_apps_and_their_persons(self, store: Store) -> None:
        row = HistoryRow("ana", "ca_1", T0, b"x")
        await store.append(change(history=(row,)))
        await store.append(change(Key("ap2", "room", "rm_1"), history=(row._replace(data=b"y"),)))
        assert await store.history("ap1", "ana", limit=9) == [row]
        assert await store.history("ap2", "ana", limit=9) == [row._replace(data=b"y")]
        assert await store.history("ap1", "bo", limit=9) == []
        assert await store.history("ap3", "ana", limit=9) == []

    async def test_a_conflict_records_nothing(self, store: Store) -> None:
        row = HistoryRow("ana", "ca_1", T0, b"x")
        await store.append(change(take=("user:ana",)))
        taken = change(room(2), take=("user:ana",), history=(row,))
        assert await store.append(taken) == Conflict("key_taken")
        moved = change(ROOM, 7, history=(row,))
        assert await store.append(moved) == Conflict("version_moved")
        assert await store.history("ap1", "ana", limit=9) == []

    async def test_records_age_by_a_time_of_their_own(self, store: Store) -> None:
        rows = [HistoryRow("ana", f"ca_{n}", at(n), b"x") for n in range(3)]
        for number, row in enumerate(rows):
            await store.append(change(room(number), is_open=False, history=(row,)))
        await store.trim(at(99))
        assert await store.load(room(0)) is None
        assert await store.history("ap1", "ana", limit=9) == rows[::-1]
        assert await store.trim(at(0), history_before=at(2)) == 2
        assert await store.history("ap1", "ana", limit=9) == rows[2:]


class TablesContract:
    """Tenants, keys, bans, audit."""

    async def test_tenants_and_keys(self, store: Store) -> None:
        young = AppRow("ap2", "Two", "production", b"{}", at(1))
        old = AppRow("ap1", "One", "development", b'{"a":1}', T0)
        secret = KeyRow("ap1", "secret", "sk_abc", b"1" * 32, T0, None)
        public = KeyRow("ap1", "publishable", "pk_abc", b"2" * 32, at(1), None)
        await store.put_app(young, [])
        await store.put_app(old, [secret])
        await store.add_key(public)
        assert await store.apps() == [old, young]
        assert await store.app("ap2") == young
        assert await store.app("ap3") is None
        assert await store.keys("ap1") == [secret, public]
        assert await store.key_by_digest(b"2" * 32) == public
        assert await store.key_by_digest(b"3" * 32) is None

    async def test_putting_an_app_again_replaces_it_and_keeps_its_keys(self, store: Store) -> None:
        row = AppRow("ap1", "One", "development", b"{}", T0)
        secret = KeyRow("ap1", "secret", "sk_abc", b"1" * 32, T0, None)
        await store.put_app(row, [secret])
        await store.revoke_key("ap1", "sk_abc", at(5))
        await store.put_app(row._replace(name="Uno"), [secret])
        assert await store.app("ap1") == row._replace(name="Uno")
        assert await store.keys("ap1") == [secret._replace(revoked_at=at(5))]

    async def test_a_key_is_revoked_once(self, store: Store) -> None:
        row = AppRow("ap1", "One", "development", b"{}", T0)
        secret = KeyRow("ap1", "secret", "sk_abc", b"1" * 32, T0, None)
        await store.put_app(row, [secret])
        assert not await store.revoke_key("ap2", "sk_abc", at(1))
        assert not await store.revoke_key("ap1", "sk_xyz", at(1))
        assert await store.revoke_key("ap1", "sk_abc", at(1))
        assert await store.revoke_key("ap1", "sk_abc", at(2))
        assert await store.key_by_digest(b"1" * 32) == secret._replace(revoked_at=at(1))

    async def test_a_key_needs_its_app_and_opens_no_other(self, store: Store) -> None:
        secret = KeyRow("ap1", "secret", "sk_abc", b"1" * 32, T0, None)
        with pytest.raises(ValueError, match="not an app"):
            await store.add_key(secret)
        await store.put_app(AppRow("ap1", "One", "development", b"{}", T0), [secret])
        other = AppRow("ap2", "Two", "development", b"{}", T0)
        with pytest.raises(ValueError, match="another app"):
            await store.put_app(other, [secret._replace(app_id="ap2")])
        assert await store.app("ap2") is None

    async def test_bans_hold_for_a_place_or_the_app_until_they_end(self, store: Store) -> None:
        place = "audio_room:lobby"
        placed, wide = ban("bo", place, at(10)), ban("cy")
        await store.append(change(bans=(placed, wide, ban("dee", "audio_room:bar"))))
        assert await store.bans_of("ap1", "bo", at(9)) == [placed]
        assert await store.bans_of("ap1", "bo", at(10)) == []
        assert await store.banned("ap1", place, at(9)) == {"bo", "cy"}
        assert await store.banned("ap1", place, at(10)) == {"cy"}
        assert await store.banned("ap2", place, at(9)) == frozenset()
        assert await store.bans("ap1", place) == [placed, wide]
        assert await store.bans("ap1", place, after="bo") == [wide]

    async def test_a_ban_is_replaced_and_lifted(self, store: Store) -> None:
        await store.append(change(bans=(ban("bo"), ban("bo", "audio_room:lobby"))))
        await store.append(change(ROOM, 1, bans=(ban("bo", until=at(10)),)))
        everywhere, placed = await store.bans_of("ap1", "bo", T0)
        assert (everywhere.until, placed.place) == (at(10), "audio_room:lobby")
        await store.append(change(ROOM, 2, bans=(BanLift("ap1", "bo", ""),)))
        assert await store.bans_of("ap1", "bo", T0) == [placed]

    async def test_a_page_of_bans_does_not_cut_an_identity(self, store: Store) -> None:
        place = "audio_room:lobby"
        rows = (ban("ana", place), ban("bo"), ban("bo", place), ban("cy"))
        await store.append(change(bans=rows))
        assert await store.bans("ap1", place, limit=2) == list(rows[:3])
        assert await store.bans("ap1", place, limit=1) == list(rows[:1])
        assert await store.bans("ap1", place, after="bo", limit=2) == list(rows[3:])

    async def test_audit_of_a_room_and_of_the_app(self, store: Store) -> None:
        await store.append(change(audit=(audit_entry("rm_1", "kick"), audit_entry("rm_1", "ban"))))
        await store.add_audit([audit_entry("", "key"), audit_entry("rm_1", "x", "ap2")])
        everything = await store.audit("ap1", "")
        assert [row.action for row in everything] == ["kick", "ban", "key"]
        assert everything[0] == audit_entry("rm_1", "kick")._replace(id=everything[0].id)
        assert await store.audit("ap1", "rm_1") == everything[:2]
        assert await store.audit("ap1", "", after=everything[0].id, limit=1) == everything[1:2]

    async def test_a_closed_store_says_so(self, store: Store) -> None:
        await store.ping()
        await store.aclose()
        await store.aclose()
        for call in (store.ping(), store.load(ROOM), store.append(change())):
            with pytest.raises(StoreUnavailable, match="closed"):
                await call


class StoreContract(
    AppendContract,
    AnswerContract,
    LogContract,
    LoopContract,
    PresenceContract,
    HistoryContract,
    TablesContract,
):
    """The whole contract."""
