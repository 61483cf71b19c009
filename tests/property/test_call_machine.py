"""Rules R33 to R40 under fire: two parties, three devices, a backend, LiveKit and the clock.

A second, plain account of the rules runs beside: what each order must be answered, where the call
is then, and when and why it ends by itself.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import structs
from support.calls import CALLEE, CALLER, Call, device
from support.rooms import SERVER_API, T0, opening

from utd_engine.domain.deadlines import next_deadline
from utd_engine.domain.decide import decide, decide_open
from utd_engine.domain.orders import Join, OccupancyChanged, Order, PresenceChanged, Tick
from utd_engine.domain.permissions import NOTHING, desired_permission
from utd_engine.domain.plan import presence_reports
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import Fact, RoomState, apply_all, public_only
from utd_engine.domain.turn import ENGINE, Actor
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.apply import apply as fold
from utd_protocol.codec import decode_event, encode_event
from utd_protocol.policy import default_policy
from utd_protocol.types import CallReason as Why
from utd_protocol.types import CallStatus as Is
from utd_protocol.types import Identity, RoomType, Source
from utd_protocol.types import RoomState as Phase

PHONE, TABLET, WATCH = "bob/phone", "bob/tablet", "bob/watch"
ACTORS: Final = (CALLER, PHONE, TABLET, WATCH, "eve", SERVER_API)
PARTIES: Final = (CALLER, CALLEE)
RING, ACCEPT, REJECT = c.CallRinging(), c.AcceptCall(), c.RejectCall()
IGNORE, BUSY, END, LEAVE = c.IgnoreCall(), c.BusyCall(), c.EndCall(), c.Leave()

EDGES: Final = {
    Is.INITIATING: {Is.RINGING, Is.ACTIVE, Is.ENDED, Is.REJECTED, Is.BUSY, Is.MISSED},
    Is.RINGING: {Is.ACTIVE, Is.ENDED, Is.REJECTED, Is.BUSY, Is.MISSED},
    Is.ACTIVE: {Is.ENDED},
}
"""Everything else is final."""
ENDS: Final[dict[tuple[Is, Why], tuple[set[Is], set[str | None]]]] = {
    (Is.ENDED, Why.CANCELLED): ({Is.INITIATING, Is.RINGING}, {CALLER, None}),
    (Is.ENDED, Why.ENDED_BY_SERVER): ({Is.INITIATING, Is.RINGING, Is.ACTIVE}, {None}),
    (Is.ENDED, Why.HANGUP): ({Is.ACTIVE}, {CALLER, CALLEE}),
    (Is.ENDED, Why.CONNECTION_LOST): ({Is.ACTIVE}, {None}),
    (Is.ENDED, Why.FAILED): ({Is.ACTIVE}, {None}),
    (Is.ENDED, Why.MAX_DURATION): ({Is.ACTIVE}, {None}),
    (Is.REJECTED, Why.REJECTED): ({Is.INITIATING, Is.RINGING}, {CALLEE}),
    (Is.BUSY, Why.BUSY): ({Is.INITIATING, Is.RINGING}, {CALLEE}),
    (Is.MISSED, Why.NO_ANSWER): ({Is.RINGING}, {None}),
    (Is.MISSED, Why.OFFLINE): ({Is.INITIATING}, {None}),
}
"""Which ends there are, where each may come from, and whom it may name."""


class Due(NamedTuple):
    """When the call ends by itself, and how."""

    at: datetime
    status: Is
    reason: Why


class Account:
    """The call as the plain account has it."""

    def __init__(self, opening: ev.RoomOpened) -> None:
        self.policy = opening.policy
        self.status = Is.INITIATING
        self.reason: Why | None = None
        self.winner: str | None = None
        self.rang = False
        self.rings_until = opening.call.rings_until if opening.call is not None else None
        self.accepted_at: datetime | None = None
        self.connected_at: datetime | None = None
        self.here: set[str] = set()
        self.lost_at: dict[str, datetime] = {}

    @property
    def waiting(self) -> bool:
        """Nobody has answered."""
        return self.status in {Is.INITIATING, Is.RINGING}

    @property
    def over(self) -> bool:
        """The status is final."""
        return self.status not in EDGES

    def answer(self, who: str, command: c.RoomCommand) -> str:
        """`ok`, or the code that somebody must be told."""
        identity, _, installation = who.partition("/")
        if who == SERVER_API:
            fine = command is END or (command is LEAVE and self.over)
            return "ok" if fine else "invalid_request"
        if command is LEAVE:
            return "ok"
        if identity == "eve":
            return "call_not_found"
        if command is END:
            return "ok"
        return "not_allowed" if identity == CALLER else self._answer_callee(installation, command)

    def _answer_callee(self, installation: str, command: c.RoomCommand) -> str:
        if self.waiting or command is IGNORE:
            return "ok"
        mine = self.winner == installation
        if self.status is Is.ACTIVE:
            if command is RING or (command is ACCEPT and mine):
                return "ok"
            return "invalid_state" if mine else "answered_elsewhere"
        if command is ACCEPT and self.winner is not None:
            return "call_over" if mine else "answered_elsewhere"
        if command is ACCEPT and self.status is Is.REJECTED:
            return "rejected_elsewhere"
        said = {Is.REJECTED: REJECT, Is.BUSY: BUSY}.get(self.status)
        return "ok" if command is said else "call_over"

    def does(self, who: str, command: c.RoomCommand, now: datetime) -> None:
        """What an allowed command leads to."""
        identity, _, installation = who.partition("/")
        if self.over or command is IGNORE:
            return
        if command is RING:
            self.rang = self.rang or self.waiting
            self.status = Is.RINGING if self.waiting else self.status
        elif command is ACCEPT:
            if self.waiting:
                self.status, self.winner, self.accepted_at = Is.ACTIVE, installation, now
                self.connects(now)
        elif command is REJECT:
            self.status, self.reason = Is.REJECTED, Why.REJECTED
        elif command is BUSY:
            self.status, self.reason = Is.BUSY, Why.BUSY
        elif who == SERVER_API:
            self.status, self.reason = Is.ENDED, Why.ENDED_BY_SERVER
        else:
            self._hangs_up(identity, installation, on_purpose=command is END)

    def _hangs_up(self, identity: str, installation: str, *, on_purpose: bool) -> None:
        if identity == CALLER:
            why = Why.CANCELLED if self.waiting else Why.HANGUP
            self.status, self.reason = Is.ENDED, why
        elif identity == CALLEE and self.status is Is.ACTIVE:
            if on_purpose or installation == self.winner:
                self.status, self.reason = Is.ENDED, Why.HANGUP
        elif identity == CALLEE and on_purpose:
            self.status, self.reason = Is.REJECTED, Why.REJECTED

    def sees(self, identity: str, now: datetime) -> None:
        """A report that somebody is there."""
        if not self.over:
            self.here.add(identity)
            self.lost_at.pop(identity, None)
            self.connects(now)

    def misses(self, identity: str, now: datetime) -> None:
        """A report that somebody is there no longer."""
        if not self.over and identity in self.here:
            self.here.remove(identity)
            self.lost_at[identity] = now

    def connects(self, now: datetime) -> None:
        """Both are in the media room of an answered call."""
        if self.status is Is.ACTIVE and self.here == set(PARTIES) and self.connected_at is None:
            self.connected_at = now

    def dues(self) -> list[Due]:
        """Every end that waits."""
        policy = self.policy
        dues: list[Due] = []
        grace = timedelta(seconds=policy.away_after_s + policy.call_grace_s)
        if self.waiting and self.rings_until is not None:
            reason = Why.NO_ANSWER if self.rang else Why.OFFLINE
            dues.append(Due(self.rings_until, Is.MISSED, reason))
            if CALLER in self.lost_at:
                dues.append(Due(self.lost_at[CALLER] + grace, Is.ENDED, Why.CANCELLED))
        if self.status is Is.ACTIVE and self.accepted_at is not None:
            dues += [Due(at + grace, Is.ENDED, Why.CONNECTION_LOST) for at in self.lost_at.values()]
            longest = self.accepted_at + timedelta(seconds=policy.max_duration_s)
            dues.append(Due(longest, Is.ENDED, Why.MAX_DURATION))
            if self.connected_at is None:
                at = self.accepted_at + timedelta(seconds=policy.connect_timeout_s)
                dues.append(Due(at, Is.ENDED, Why.FAILED))
        return dues


class CallMachine(RuleBasedStateMachine):
    """One call, then the next."""

    state: RoomState
    now: datetime = T0

    @initialize(
        kind=st.sampled_from((RoomType.AUDIO_CALL, RoomType.VIDEO_CALL)),
        away=st.sampled_from((0.0, 2.0)),
        grace=st.sampled_from((5.0, 20.0)),
        connect=st.sampled_from((8.0, 20.0)),
        longest=st.sampled_from((90.0, 14_400.0)),
    )
    def opens(
        self,
        kind: RoomType,
        away: float,
        grace: float,
        connect: float,
        longest: float,
    ) -> None:
        """The caller calls."""
        self.kind = kind
        self.policy = structs.replace(
            default_policy(kind),
            away_after_s=away,
            call_grace_s=grace,
            connect_timeout_s=connect,
            max_duration_s=longest,
        )
        self.begins()

    def begins(self) -> None:
        """A new call, at whatever time it is."""
        first = opening(
            seats=0, room_type=self.kind, policy=self.policy, host=CALLER, callee=CALLEE
        )
        assert first.call is not None
        offer = structs.replace(first.call, rings_until=self.now + timedelta(seconds=45))
        first = structs.replace(first, at=self.now, call=offer)
        self.state, facts = decide_open(first)
        assert facts == []
        self.client = self.state.view
        self.account = Account(first)
        self.status, self.ends = Is.INITIATING, 0
        self.live: dict[str, tuple[str, datetime]] = {}
        self.told: dict[str, tuple[str, datetime]] = {}
        self.past: list[tuple[str, str, datetime]] = []
        self.sids = 0

    def gives(self, giver: Actor, order: Order) -> str:
        """Decide and apply; `ok`, or the code of the refusal."""
        try:
            facts = decide(self.state, giver, order, self.now)
        except Refused as refusal:
            return refusal.code
        winner = self.state.answered_by
        self.state = apply_all(self.state, facts)
        assert winner in {None, self.state.answered_by}
        self.watches(facts)
        return "ok"

    def watches(self, facts: list[Fact]) -> None:
        """A client folds what it reads; every step is one that is allowed."""
        for event in public_only(facts):
            self.client = fold(self.client, decode_event(encode_event(event)))
            call = self.client.call
            assert call is not None
            if isinstance(event, ev.CallEnded):
                sources, authors = ENDS[call.status, event.reason]
                assert self.status in sources
                assert event.by in authors
                self.ends += 1
            if call.status is not self.status:
                assert call.status in EDGES[self.status]
                self.status = call.status

    @rule(who=st.sampled_from(ACTORS), command=st.sampled_from((RING, RING, ACCEPT, ACCEPT)))
    def answers(self, who: str, command: c.CallCommand) -> None:
        """Devices ring, and somebody answers."""
        self.acts(who, command)

    @rule(
        who=st.sampled_from(ACTORS),
        command=st.sampled_from((RING, RING, ACCEPT, ACCEPT, IGNORE, REJECT, BUSY, END, LEAVE)),
    )
    def acts(self, who: str, command: c.RoomCommand) -> None:
        """Anybody gives any command, and is told what the account says."""
        expected = self.account.answer(who, command)
        assert self.gives(device(who), command) == expected
        if expected == "ok":
            self.account.does(who, command, self.now)

    @rule(who=st.sampled_from((PHONE, PHONE, TABLET)))
    def talks(self, who: str) -> None:
        """A call goes as calls go, from where it is; the next one where it is over."""
        if self.account.over:
            self.begins()
        if self.account.waiting:
            self.acts(who, ACCEPT)
        for party in PARTIES:
            if party not in self.account.here:
                self.arrives(party, reported=True)
        assert self.state.view.call is not None
        assert self.state.view.call.connected_at is not None

    @rule(who=st.sampled_from((CALLER, PHONE, TABLET, "eve")))
    def asks_for_a_token(self, who: str) -> None:
        """Only the caller and the device that has the call are let in."""
        identity, _, installation = who.partition("/")
        order = Join(identity=Identity(identity), device=installation or None)
        account = self.account
        lets_in = who == CALLER or (
            account.status is Is.ACTIVE and who != "eve" and installation == account.winner
        )
        before = self.state
        answer = self.gives(ENGINE, order)
        assert (answer == "ok") == (lets_in and not account.over)
        assert self.state == before

    @rule(who=st.sampled_from((*PARTIES, *PARTIES, "eve")), reported=st.booleans())
    def arrives(self, who: str, *, reported: bool) -> None:
        """Somebody comes into the media room; a report may be lost."""
        self.sids += 1
        self.live[who] = (f"PA_{self.sids}", self.now + timedelta(milliseconds=self.sids))
        if reported:
            self.reports(who, *self.live[who], present=True)
            self.past.append((who, *self.live[who]))
            if who in PARTIES:
                self.told[who] = self.live[who]
                self.account.sees(who, self.now)

    @rule(
        who=st.sampled_from(PARTIES),
        reported=st.sampled_from((True, True, False)),
        seconds=st.sampled_from((0.0, 2.0)),
    )
    def is_lost(self, who: str, *, reported: bool, seconds: float) -> None:
        """Somebody drops out of the media room; the report may be lost."""
        seen = self.live.pop(who, None)
        if seen is not None and reported:
            self.reports(who, *seen, present=False)
            if self.told.get(who) == seen:
                self.account.misses(who, self.now)
        self.time_passes(seconds)

    @rule(pick=st.integers(0, 100), present=st.booleans())
    def repeats(self, pick: int, present: bool) -> None:  # noqa: FBT001
        """A report about a participation that was replaced comes late."""
        old = [one for one in self.past if self.told.get(one[0]) != one[1:]]
        if old:
            before = self.state
            self.reports(*old[pick % len(old)], present=present)
            assert self.state == before

    @rule()
    def sweeps(self) -> None:
        """A complete list of participants is read, and believed."""
        listed = [Listed(identity, *seen) for identity, seen in self.live.items()]
        for order in presence_reports(self.state, listed):
            assert self.gives(ENGINE, order) == "ok"
        for who in PARTIES:
            seen = self.live.get(who)
            if seen is None:
                self.account.misses(who, self.now)
            elif who not in self.account.here or self.told.get(who) != seen:
                self.told[who] = seen
                self.past.append((who, *seen))
                self.account.sees(who, self.now)

    @rule(who=st.sampled_from(PARTIES), seconds=st.sampled_from((2.0, 7.0, 22.0)))
    def comes_and_goes(self, who: str, seconds: float) -> None:
        """Somebody is there, and then is not for a while."""
        if self.account.over:
            self.begins()
        self.arrives(who, reported=True)
        self.is_lost(who, reported=True, seconds=0.0)
        self.time_passes(seconds)

    @rule(count=st.sampled_from((0, 1, 2, 3)))
    def counts(self, count: int) -> None:
        """How many are there says nothing about a call."""
        due = next_deadline(self.state)
        assert self.gives(ENGINE, OccupancyChanged(count=count)) == "ok"
        assert next_deadline(self.state) == due

    @rule(seconds=st.sampled_from((0.0, 1.0, 1.0, 2.0, 2.0, 5.0, 8.0, 20.0, 45.0)))
    def time_passes(self, seconds: float) -> None:
        """The timer rings, on time or late; the call ends then and for that reason, or goes on."""
        self.now += timedelta(seconds=seconds)
        assert self.gives(ENGINE, Tick()) == "ok"
        account, call = self.account, self.state.view.call
        dues = [due for due in account.dues() if due.at <= self.now]
        if dues:
            first = min(due.at for due in dues)
            assert call is not None
            assert (first, call.status, call.reason) in dues
            account.status, account.reason = call.status, call.reason
            since = account.connected_at or first
            assert call.duration_s == (first - since).total_seconds()
        if not account.over:
            due = next_deadline(self.state)
            assert due is not None
            assert due > self.now

    @rule(early=st.booleans())
    def waits_for_the_next_end(self, early: bool) -> None:  # noqa: FBT001
        """A millisecond before the first end it is not over; then it is."""
        if not self.account.over:
            first = min(due.at for due in self.account.dues())
            self.time_passes(max((first - self.now).total_seconds() - 0.001, 0))
            assert early or not self.account.over or first <= self.now
            if not early:
                self.time_passes(0.001)
                assert self.account.over

    @rule()
    def calls_again(self) -> None:
        """When it is over, the next call begins."""
        if self.account.over:
            self.begins()

    def reports(self, identity: str, sid: str, joined_at: datetime, *, present: bool) -> None:
        """One report of LiveKit."""
        order = PresenceChanged(
            identity=Identity(identity), sid=sid, joined_at=joined_at, present=present
        )
        assert self.gives(ENGINE, order) == "ok"

    def teardown(self) -> None:
        """Whatever happened, with nobody doing anything more the call ends by itself."""
        state = getattr(self, "state", None)
        for _ in range(10):
            due = next_deadline(state) if state is not None else None
            if state is None or due is None:
                break
            state = apply_all(state, decide(state, ENGINE, Tick(), due))
        assert state is None or (state.view.call is not None and state.view.call.is_over)

    # --- what holds after every step ------------------------------------------------------------

    @invariant()
    def the_call_is_where_the_account_says(self) -> None:
        call, account = self.state.view.call, self.account
        assert call is not None
        assert (call.status, call.reason) == (account.status, account.reason)
        assert self.state.answered_by == account.winner
        assert (call.accepted_at, call.connected_at) == (account.accepted_at, account.connected_at)
        assert call.is_over == (self.ends == 1) == account.over == (call.reason is not None)
        assert self.ends <= 1
        assert (call.rings_until is not None) == account.waiting

    @invariant()
    def r39_every_call_that_is_not_over_waits_for_its_end(self) -> None:
        due = next_deadline(self.state)
        assert (due is None) == self.account.over

    @invariant()
    def a_client_that_folds_the_events_has_the_engines_view(self) -> None:
        assert self.client == self.state.view

    @invariant()
    def r10_r33_both_parties_publish_until_it_is_over_and_nobody_else(self) -> None:
        sources = {Source.MICROPHONE}
        if self.kind is RoomType.VIDEO_CALL:
            sources.add(Source.CAMERA)
        for who in PARTIES:
            wish = desired_permission(self.state, who)
            assert set(wish.sources) == (set() if self.account.over else sources)
            assert wish.can_publish == wish.can_subscribe == (not self.account.over)
        assert desired_permission(self.state, "eve") == NOTHING

    @invariant()
    def r38_r40_the_end_of_the_call_is_the_end_of_its_room(self) -> None:
        view = self.state.view
        assert (view.state is Phase.ENDED) == self.account.over
        assert view.call is not None
        if view.call.is_over:
            assert view.ended_reason == view.call.reason
            assert view.call.ended_at is not None
            span = (view.call.ended_at - view.call.created_at).total_seconds()
            assert 0 <= view.call.duration_s <= span
            assert view.call.connected_at is not None or view.call.duration_s == 0

    @invariant()
    def the_state_stays_small_and_survives_a_snapshot(self) -> None:
        assert set(self.state.presence) <= set(PARTIES)
        assert self.state.evicted == {}
        assert msgspec.json.decode(msgspec.json.encode(self.state), type=RoomState) == self.state


class Listed(msgspec.Struct, frozen=True):
    """Somebody in a list of LiveKit's."""

    identity: str
    sid: str
    joined_at: datetime
    agent: bool = False
    hidden: bool = False
    permission: Any = None


TestCall: Callable[..., Any] = CallMachine.TestCase
TestCall.settings = settings(  # type: ignore[attr-defined]
    max_examples=250,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


# --- fifty devices (R36) ------------------------------------------------------------------------

FIFTY: Final = tuple(f"bob/device-{number}" for number in range(50))
LEGS: Final = {"ok", "answered_elsewhere", "rejected_elsewhere", "call_over", "invalid_state"}


def simulate(seed: int) -> tuple[Is, dict[str, str]]:
    """Every device does something, in any order; what each is told in the end."""
    random = Random(seed)  # noqa: S311 which device acts when is no secret
    call, legs = Call(), dict[str, str]()
    weights = (2, random.choice((0, 1, 9)), random.choice((0, 0, 1)), random.choice((0, 0, 1)), 2)
    for who in random.sample(FIFTY, k=random.randint(1, 50)):
        [command] = random.choices((RING, ACCEPT, REJECT, BUSY, IGNORE), weights)
        try:
            call.act(who, command)
            legs[who] = "winner" if command is ACCEPT else "ok"
        except Refused as refusal:
            legs[who] = refusal.code
    return call.view.status, legs


@pytest.mark.parametrize("block", range(10))
def test_r36_of_fifty_devices_one_wins_and_each_has_an_answer(block: int) -> None:
    for seed in range(block * 1000, block * 1000 + 1000):
        status, legs = simulate(seed)
        winners = [leg for leg in legs.values() if leg == "winner"]
        assert len(winners) == (1 if status is Is.ACTIVE else 0), seed
        assert set(legs.values()) <= LEGS | {"winner"}, seed
        assert status is not Is.ACTIVE or "rejected_elsewhere" not in legs.values(), seed
        assert status is Is.ACTIVE or "answered_elsewhere" not in legs.values(), seed
