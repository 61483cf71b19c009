"""Rooms: one command is one decision, one append, and what follows from it.

The only way to change a room. Everything that comes back (a webhook, a timer) enters here too.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol, TypeAlias

from msgspec import structs

from utd_engine.app.commits import (
    Commit,
    Context,
    Decision,
    audit_entry,
    draft,
    read_answer,
    records,
    replay,
    unchanged,
)
from utd_engine.app.letters import incoming, stored
from utd_engine.app.naming import room_key_name
from utd_engine.app.snapshots import Cell, Snapshot, Snapshots, encode
from utd_engine.domain.deadlines import next_deadline
from utd_engine.domain.decide import decide, decide_open
from utd_engine.domain.orders import Order
from utd_engine.domain.permissions import concerned, listeners_differ, permission_changes
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import RoomState, apply_all, generation
from utd_engine.domain.turn import ENGINE, Actor, Preset
from utd_engine.ports.clock import Clock
from utd_engine.ports.idempotency import Answered, IdempotencyRecord
from utd_engine.ports.rooms import Append, Appended, Conflict, Key, NewEvent
from utd_engine.ports.store import Store, StoreUnavailable
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.answers import CommandAnswer
from utd_protocol.codec import encode_event
from utd_protocol.types import RoomState as Phase

OnCommit: TypeAlias = Callable[[Commit], None]
OnUnknown: TypeAlias = Callable[[Key], None]

PUSH_WITHIN_S = 2.0
"""A command waits this long for LiveKit, from its commit; then it answers `media: pending`."""


class Settler(Protocol):
    """Brings LiveKit to what the newest state says of people."""

    async def settle(self, key: Key, people: Iterable[str]) -> bool:
        """Do it, and say whether LiveKit confirmed it."""
        ...

    def push(self, key: Key, people: Iterable[str]) -> None:
        """Do it, and nobody waits."""
        ...


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
        self._settler: Settler | None = None
        self.on_unknown: OnUnknown = lambda _key: None
        """Told of rooms that may have changed without their followers: look at the store."""

    def follow(self, follower: OnCommit) -> None:
        """Call `follower` after every commit of this process, in order, before the answer."""
        self._followers.append(follower)

    def settle_with(self, settler: Settler) -> None:
        """Who carries rights to LiveKit after a commit."""
        self._settler = settler

    async def peek(self, key: Key) -> Snapshot | None:
        """A room as it is, open or over."""
        return await self._snapshots.current(key)

    def fulfils(self, key: Key, order: Order) -> bool:
        """Whether the newest state known here is as the engine orders: most joins do nothing."""
        known = self._snapshots.cell(key).snapshot
        if known is None:
            return False
        try:
            return not decide(known.state, ENGINE, order, self._clock.now())
        except Refused:
            return False

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
        outcome = await self._carry_out(key, order, context or Context(ENGINE), presets or {})
        if isinstance(outcome, CommandAnswer):
            return outcome
        commit, answer = outcome
        settled = await self._settled(commit)
        return answer if settled else structs.replace(answer, media="pending")

    async def act(self, key: Key, order: Order, actor: Actor = ENGINE) -> None:
        """Carry out an order that the engine gives by itself; it never waits for LiveKit.

        Raises:
            Refused: the rules say no; nothing was changed.
            StoreUnavailable: the database cannot answer now.
        """
        outcome = await self._carry_out(key, order, Context(actor), {})
        if not isinstance(outcome, CommandAnswer) and self._settler is not None:
            people = await self._people(outcome[0])
            if people:
                self._settler.push(key, people)

    async def open(
        self,
        key: Key,
        opening: ev.RoomOpened,
        *,
        take: tuple[str, ...] = (),
        answer: IdempotencyRecord | None = None,
    ) -> Snapshot | Taken | Answered:
        """Open a name (rule R1); `Taken` when somebody else has it, or one of the names to `take`.

        With an `answer` a second try gets `Answered`, what the first one kept, and changes nothing.

        A call whose callee is busy is recorded and over at once: it takes no name.
        """
        state, facts = decide_open(opening)
        first = structs.replace(opening, seq=1)
        state = apply_all(state, facts)
        event = NewEvent(1, "room.opened", opening.at, encode_event(first))
        name = room_key_name(opening.room_type, opening.name)
        wake_at = next_deadline(state)
        told = incoming(first, state.view.call)
        append = Append(
            key=key,
            expected_version=0,
            events=(event,),
            state=encode(state),
            wake_at=wake_at,
            open=is_open(state),
            take_keys=(name, *take) if is_open(state) else (),
            idempotency=answer,
            inbox=tuple(stored(letter) for letter in told),
            history=records(state.view),
            at=opening.at,
        )
        cell = self._snapshots.cell(key)
        async with cell.lock:  # Who finds the name meanwhile waits until all know of the room.
            done = await self._append(append)
            if isinstance(done, Appended):
                snapshot = Snapshot(state, done.seq, done.version)
                self._snapshots.keep(cell, snapshot)
                recipients = frozenset(letter.to for letter in told)
                self._tell(Commit(key, state, state, 1, (event,), wake_at, recipients))
                return snapshot
        if answer is not None and done.kind == "answered":
            kept = await self._store.answered(key.app, answer.key, opening.at)
            if kept is not None:
                return kept
        return Taken(await self._store.resolve(key.app, name))

    async def _carry_out(
        self, key: Key, order: Order, context: Context, presets: Mapping[str, Preset]
    ) -> CommandAnswer | tuple[Commit, CommandAnswer]:
        """A caller who gives up does not stop it: what was begun is finished under the lock."""
        deciding = asyncio.ensure_future(self._decide_alone(key, order, context, presets))
        return await asyncio.shield(deciding)

    async def _decide_alone(
        self, key: Key, order: Order, context: Context, presets: Mapping[str, Preset]
    ) -> CommandAnswer | tuple[Commit, CommandAnswer]:
        """Decide and tell the followers under the lock, so they learn of commits in order."""
        cell = self._snapshots.cell(key)
        async with cell.lock:
            outcome = await self._decide(cell, order, context, presets)
            if not isinstance(outcome, CommandAnswer):
                self._tell(outcome[0])
        return outcome

    async def _append(self, append: Append) -> Appended | Conflict:
        """An append whose outcome stays open may be in: what was kept here is not trusted then."""
        try:
            return await self._store.append(append)
        except (StoreUnavailable, asyncio.CancelledError):
            self._snapshots.forget(append.key)
            self.on_unknown(append.key)
            raise

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
                absent = await self._absent(cell.key, order)
                facts = decide(before.state, context.actor, order, now, presets, absent=absent)
            except Refused as refusal:
                if not fresh and await self._has_moved(cell, before):
                    continue
                return await self._refuse(cell.key, order, context, refusal)
            if not (facts or context.idempotency):
                return unchanged(order, context.actor, before)
            planned = draft(Decision(cell.key, before, order, facts, now), context)
            if context.dry_run:
                return planned.answer
            done = await self._append(planned.append)
            if isinstance(done, Appended):
                self._snapshots.keep(cell, Snapshot(planned.after, done.seq, done.version))
                append = planned.append
                commit = Commit(
                    cell.key,
                    before.state,
                    planned.after,
                    done.seq,
                    append.events,
                    append.wake_at,
                    frozenset(event.identity for event in append.inbox),
                )
                return commit, planned.answer
            if done.kind == "answered":
                return await self._replay(cell.key, context, before)
            fresh = True

    async def _absent(self, key: Key, order: Order) -> frozenset[str]:
        """Who is invited to a stage must be there (rule R24)."""
        if not isinstance(order, c.InviteToStage):
            return frozenset()
        row = await self._store.present_one(key, order.identity)
        return frozenset({order.identity}) if row is None else frozenset()

    async def _has_moved(self, cell: Cell, before: Snapshot) -> bool:
        """Whether another replica has changed the room since the snapshot that was kept here."""
        now = await self._snapshots.reload(cell)
        return now is not None and now.version != before.version

    async def _refuse(
        self, key: Key, order: Order, context: Context, refusal: Refused
    ) -> CommandAnswer:
        """A repeated command may be refused because its first try was carried out."""
        repeated = await self._repeated(key, context)
        if repeated is not None:
            return repeated
        entry = audit_entry(key, order, context, self._clock.now(), refusal.code)
        if entry is not None and not context.dry_run:
            await self._store.add_audit([entry])
        raise refusal

    async def _replay(self, key: Key, context: Context, before: Snapshot) -> CommandAnswer:
        repeated = await self._repeated(key, context)
        if repeated is None:  # it expired between the two looks
            raise Refused("version_conflict", f"The room is at {before.seq}: try again.")
        return repeated

    async def _repeated(self, key: Key, context: Context) -> CommandAnswer | None:
        """The answer of the first try, when this is another one."""
        sent = context.idempotency
        if sent is None:
            return None
        answered = await self._store.answered(key.app, sent.key, self._clock.now())
        return None if answered is None else read_answer(replay(answered, sent))

    async def _settled(self, commit: Commit) -> bool:
        """Wait for LiveKit, at most `PUSH_WITHIN_S`."""
        if self._settler is None:
            return True
        people = await self._people(commit)
        if people is None:
            return False
        if not people:
            return True
        try:
            settling = self._settler.settle(commit.key, people)
            return await self._clock.within(PUSH_WITHIN_S, settling)
        except TimeoutError:
            return False

    async def _people(self, commit: Commit) -> set[str] | None:
        """Everybody whose rights the commit touched, or who must go; "" stands for the room.

        None when it cannot be said now. The commit is in all the same, and the sweep finds them.
        """
        before, after = commit.before, commit.after
        if after.view.state is Phase.ENDED:
            return {""} if before.view.state is not Phase.ENDED else set()
        candidates = concerned(before, after)
        if listeners_differ(before, after):
            try:
                candidates |= {row.identity for row in await self._store.present(commit.key)}
            except StoreUnavailable:
                return None
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
