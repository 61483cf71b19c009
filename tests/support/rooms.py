"""Rooms for tests of the rules: every act goes through `decide` and `apply`, time is a number."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from utd_engine.domain.deadlines import next_deadline
from utd_engine.domain.decide import decide, decide_open
from utd_engine.domain.orders import Join, OccupancyChanged, Order, PresenceChanged, Tick
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import Fact, apply_all, public_only
from utd_engine.domain.turn import ENGINE, SERVER, Actor, Preset, Turn
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.policy import Policy, default_policy
from utd_protocol.types import Identity, Role, RoomId, RoomName, RoomType, SeatMode
from utd_protocol.types import RoomState as Phase
from utd_protocol.views import Member, Seat

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
SERVER_API = "@server"
"""Written where a test names a user: the app's backend."""


def opening(
    *,
    seats: int = 4,
    mode: SeatMode = SeatMode.FREE,
    room_type: RoomType = RoomType.AUDIO_ROOM,
    policy: Policy | None = None,
    reserved: Mapping[int, Role] | None = None,
    host: str = "host",
    callee: str = "callee",
    rings: bool = True,
) -> ev.RoomOpened:
    """The first event of a log, as the engine writes it for a room of this type.

    A call is the host's to `callee`, and `rings` unless the callee is busy.
    """
    offer = ev.CallOffer(
        callee=Identity(callee), rings_until=T0 + timedelta(seconds=45) if rings else None
    )
    return ev.RoomOpened(
        seq=1,
        at=T0,
        room_id=RoomId("rm_1"),
        room_type=room_type,
        name=RoomName("lobby"),
        owner=Identity(host),
        host=None if room_type.is_call else Identity(host),
        state=Phase.BACKSTAGE if room_type is RoomType.LIVE_STREAM else Phase.OPEN,
        policy=policy or default_policy(room_type),
        seat_count=seats,
        seat_mode=mode,
        reserved=dict(reserved or {}),
        call=offer if room_type.is_call else None,
    )


def actor(who: str) -> Actor:
    """A user, or the app's backend for `SERVER_API`."""
    return SERVER if who == SERVER_API else Actor(kind="user", identity=Identity(who))


def told(facts: Iterable[Fact]) -> list[str]:
    """The types of the public events among the facts."""
    return [str(fact.__struct_config__.tag) for fact in public_only(facts)]


def stream(*, live: bool = True, **options: Any) -> "Room":
    """A live stream of `host`, on air."""
    room = Room(room_type=RoomType.LIVE_STREAM, seats=0, **options)
    if live:
        room.act("host", c.GoLive())
    return room


class Room:
    """A room under test. The host is there from the start, admins and others are when named."""

    def __init__(
        self,
        *,
        seats: int = 4,
        mode: SeatMode = SeatMode.FREE,
        admins: Iterable[str] = (),
        here: Iterable[str] = ("host",),
        seated: Mapping[str, int] | None = None,
        policy: Policy | None = None,
        presets: Mapping[str, Preset] | None = None,
        room_type: RoomType = RoomType.AUDIO_ROOM,
        people: int | None = 2,
    ) -> None:
        self.now = T0
        self.presets = dict(presets or {})
        self.absent: set[str] = set()
        """Whom LiveKit does not report, as far as was looked."""
        self.state, facts = decide_open(
            opening(seats=seats, mode=mode, policy=policy, room_type=room_type)
        )
        self.state = apply_all(self.state, facts)
        self.facts: list[Fact] = facts
        self._sids = 0
        self._sid_of: dict[str, tuple[str, datetime]] = {}
        for who in admins:
            self.act("host", c.SetRole(identity=who, role=Role.ADMIN))
        for who, index in (seated or {}).items():
            self.act(SERVER_API, c.AssignSeat(identity=who, index=index))
        for who in (*here, *admins, *(seated or {})):
            self.sees(who)
        if people is not None:
            self.counts(people)

    def act(self, who: str, command: Order) -> list[Fact]:
        """Let somebody do something; what became true."""
        return self.give(actor(who), command)

    def refused(self, who: str, command: Order) -> Refused:
        """Let somebody try something that the rules refuse; why."""
        before = self.state
        try:
            facts = self.act(who, command)
        except Refused as refusal:
            assert self.state is before
            return refusal
        raise AssertionError(f"{who} was allowed {command}: {told(facts)}")

    def give(self, who: Actor, command: Order) -> list[Fact]:
        """Decide and apply one command."""
        facts = decide(
            self.state, who, command, self.now, self.presets, absent=frozenset(self.absent)
        )
        self.state = apply_all(self.state, facts)
        self.facts = facts
        return facts

    def later(self, seconds: float) -> list[Fact]:
        """Let time pass, then tick."""
        self.now += timedelta(seconds=seconds)
        return self.give(ENGINE, Tick())

    def joins(self, who: str, claim: Role = Role.AUDIENCE) -> list[Fact]:
        """Somebody is admitted and about to get a token."""
        return self.give(ENGINE, Join(identity=Identity(who), claim=claim))

    def sees(self, who: str) -> list[Fact]:
        """LiveKit reports a new participation of somebody."""
        self._sids += 1
        self._sid_of[who] = (f"PA_{self._sids}", self.now + timedelta(milliseconds=self._sids))
        return self.reports(who, present=True)

    def loses(self, who: str) -> list[Fact]:
        """LiveKit reports the end of somebody's latest participation."""
        return self.reports(who, present=False)

    def reports(self, who: str, *, present: bool, listed: bool = False) -> list[Fact]:
        """Report the latest participation of somebody (again)."""
        sid, joined_at = self._sid_of[who]
        return self.give(
            ENGINE,
            PresenceChanged(
                identity=Identity(who),
                sid=sid,
                joined_at=joined_at,
                present=present,
                listed=listed,
            ),
        )

    def counts(self, people: int) -> list[Fact]:
        """So many people are in the room now."""
        return self.give(ENGINE, OccupancyChanged(count=people))

    def turn(self, who: str = "host") -> Turn:
        """The arguments of a rule, called directly."""
        return Turn(state=self.state, actor=actor(who), now=self.now, presets=self.presets)

    @property
    def due_in(self) -> float | None:
        """Seconds until something happens by itself."""
        due = next_deadline(self.state)
        return None if due is None else (due - self.now).total_seconds()

    @property
    def on_stage(self) -> list[str]:
        """Who is on stage, the host first."""
        return [one.identity for one in self.state.view.stage]

    @property
    def seats(self) -> list[str | None]:
        """Who has which seat."""
        return [seat.identity for seat in self.state.view.seats]

    def seat(self, index: int) -> Seat:
        """One seat."""
        return self.state.view.seats[index]

    def member(self, who: str) -> Member:
        """What the room keeps about somebody."""
        return self.state.view.member(who)

    @property
    def host(self) -> str | None:
        """Who owns the room now."""
        return self.state.view.host
