"""Rooms: one command is one decision, one append, and what follows from it.

The only way to change a room. Everything that comes back (a webhook, a timer) enters here too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, TypeAlias

from msgspec import structs

from utd_engine.app.commits import Commit, Context, Decision, audit_entry, draft, read_answer
from utd_engine.app.naming import room_key_name
from utd_engine.app.ports import Answered, Append, Appended, Clock, Conflict, Key, NewEvent, Store
from utd_engine.app.snapshots import Cell, Snapshot, Snapshots, encode
from utd_engine.domain.deadlines import next_deadline
from utd_engine.domain.decide import decide, decide_open
from utd_engine.domain.orders import Order
from utd_engine.domain.permissions import concerned, listeners_differ, permission_changes
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import RoomState, apply_all, generation
from utd_engine.domain.turn import ENGINE, Preset
from utd_protocol import events as ev
from utd_protocol.answers import CommandAnswer
from utd_protocol.codec import encode_event
from utd_protocol.types import RoomState as Phase

OnCommit: TypeAlias = Callable[[Commit], None]
Settle: TypeAlias = Callable[[Key, set[str]], Awaitable[bool]]
"""Bring LiveKit to what the newest state says of these people; False: it did not confirm it."""

PUSH_WITHIN_S = 2.0
"""A command waits this long for LiveKit, from its commit; then it answers `media: pending`."""


class Taken(NamedTuple):
    """The name has an open room already."""

    key: Key | None


class Rooms:
    """Loads, decides, appends; then lets rights, relay and timers follow."""

    def __init__(self, store: Store, snapshots: Snapshots, clock: Clock) -> None:
        self._store = store
        self._snapshots = snapshots
        self._clock = clock
        self._followers: list[OnCommit] = []
        self._settle: Settle | None = None

    def follow(self, follower: OnCommit) -> None:
        """Call `follower` after every commit of this process, in order, before the answer."""
        self._followers.append(follower)

    def settle_with(self, settle: Settle) -> None:
        """Who carries rights to LiveKit after a commit."""
        self._settle = settle

    async def peek(self, key: Key) -> Snapshot | None:
        """A room as it is, open or over."""
        return await self._snapshots.current(key)

    async def handle(
        self,
        key: Key,
        order: Order,
        context: Context | None = None,
        presets: Mapping[str, Preset] | None = None,
    ) -> CommandAnswer:
        """Carry out one command.

        Cancelling it leaves open whether the command was carried out; repeating it with the same
        idempotency key is safe.

        Raises:
            Refused: the rules say no; nothing was changed.
            StoreUnavailable: the database cannot answer now.
        """
        context = context or Context(ENGINE)
        cell = self._snapshots.cell(key)
        async with cell.lock:
            outcome = await self._decide(cell, order, context, presets or {})
        if isinstance(outcome, CommandAnswer):
            return outcome
        commit, answer = outcome
        settled = await self._followed(commit)
        return answer if settled else structs.replace(answer, media="pending")

    async def open(self, key: Key, opening: ev.RoomOpened) -> Snapshot | Taken:
        """Open a name (rule R1); `Taken` when somebody else was first."""
        state, facts = decide_open(opening)
        first = structs.replace(opening, seq=1)
        state = apply_all(state, facts)
        event = NewEvent(1, "room.opened", opening.at, encode_event(first))
        name = room_key_name(opening.room_type, opening.name)
        wake_at = next_deadline(state)
        append = Append(
            key=key,
            expected_version=0,
            events=(event,),
            state=encode(state),
            wake_at=wake_at,
            take_keys=(name,),
            at=opening.at,
        )
        done = await self._store.append(append)
        if isinstance(done, Conflict):
            return Taken(await self._store.resolve(key.app, name))
        snapshot = Snapshot(state, done.seq, done.version)
        self._snapshots.cell(key).snapshot = snapshot
        self._tell(Commit(key, state, state, 1, (event,), wake_at))
        return snapshot

    async def _decide(
        self, cell: Cell, order: Order, context: Context, presets: Mapping[str, Preset]
    ) -> CommandAnswer | tuple[Commit, CommandAnswer]:
        fresh = False
        while True:
            before = None if fresh else cell.snapshot
            fresh = before is None
            before = before or await self._snapshots.reload(cell)
            if before is None:
                raise Refused("room_not_found", "There is no such room.")
            now = self._clock.now()
            try:
                facts = decide(before.state, context.actor, order, now, presets)
            except Refused as refusal:
                if not fresh and await self._has_moved(cell, before):
                    continue
                return await self._refuse(cell.key, order, context, refusal)
            planned = draft(Decision(cell.key, before, order, facts, now), context)
            if context.dry_run or not (facts or context.idempotency):
                return planned.answer
            done = await self._store.append(planned.append)
            if isinstance(done, Appended):
                cell.snapshot = Snapshot(planned.after, done.seq, done.version)
                append = planned.append
                commit = Commit(
                    cell.key, before.state, planned.after, done.seq, append.events, append.wake_at
                )
                return commit, planned.answer
            if done.kind == "answered":
                return await self._replay(cell.key, context, before)
            fresh = True

    async def _has_moved(self, cell: Cell, before: Snapshot) -> bool:
        """Whether another replica has changed the room since the snapshot that was kept here."""
        now = await self._snapshots.reload(cell)
        return now is not None and now.version != before.version

    async def _refuse(
        self, key: Key, order: Order, context: Context, refusal: Refused
    ) -> CommandAnswer:
        """A repeated command may be refused because its first try was carried out."""
        answered = await self._answered(key, context)
        if answered is not None:
            return self._replayed(answered, context)
        entry = audit_entry(key, order, context, self._clock.now(), refusal.code)
        if entry is not None and not context.dry_run:
            await self._store.add_audit([entry])
        raise refusal

    async def _replay(self, key: Key, context: Context, before: Snapshot) -> CommandAnswer:
        answered = await self._answered(key, context)
        if answered is None:  # it expired between the two looks
            raise Refused("version_conflict", f"The room is at {before.seq}: try again.")
        return self._replayed(answered, context)

    async def _answered(self, key: Key, context: Context) -> Answered | None:
        if context.idempotency is None:
            return None
        return await self._store.answered(key.app, context.idempotency.key, self._clock.now())

    def _replayed(self, answered: Answered, context: Context) -> CommandAnswer:
        if context.idempotency and answered.fingerprint != context.idempotency.fingerprint:
            raise Refused(
                "idempotency_mismatch",
                "This Idempotency-Key was used for another request.",
                hint="Use a new key for every new request.",
            )
        return read_answer(answered.body)

    async def _followed(self, commit: Commit) -> bool:
        """Tell the followers and wait for LiveKit, at most `PUSH_WITHIN_S`."""
        self._tell(commit)
        people = await self._people(commit)
        if self._settle is None or not people:
            return True
        settling = asyncio.ensure_future(self._settle(commit.key, people))
        try:
            return await self._clock.within(PUSH_WITHIN_S, asyncio.shield(settling))
        except TimeoutError:
            return False

    async def _people(self, commit: Commit) -> set[str]:
        """Everybody whose rights the commit touched, or who must go; "" stands for the room."""
        before, after = commit.before, commit.after
        if after.view.state is Phase.ENDED:
            return {""} if before.view.state is not Phase.ENDED else set()
        candidates = concerned(before, after)
        if listeners_differ(before, after):
            candidates |= {row.identity for row in await self._store.present(commit.key)}
        people = set(permission_changes(before, after, candidates))
        return people | {
            who for who in after.evicted if generation(before, who) != generation(after, who)
        }

    def _tell(self, commit: Commit) -> None:
        for follower in self._followers:
            follower(commit)


def is_open(state: RoomState) -> bool:
    """Whether anything can still happen in a room."""
    return state.view.state is not Phase.ENDED
