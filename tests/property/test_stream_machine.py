"""Rules R21 to R27 under fire: any order of commands, reports and ticks leaves a sound stream.

Backstage and paused, nobody may publish; on air exactly those on stage may, who are neither held
nor muted. A lost co-host comes back, or drops at the exact time.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from msgspec import structs
from support.room_machine import NOBODY, PEOPLE, SETTINGS, RoomUnderFire, who
from support.rooms import SERVER_API, actor, opening

from utd_engine.domain.permissions import desired_permission
from utd_protocol import commands as c
from utd_protocol import events as ev
from utd_protocol.policy import Policy, PolicyPatch
from utd_protocol.types import HostGone, Role, RoomType, Source, StageInvites, StageRole, Target
from utd_protocol.types import RoomState as Phase

by = st.sampled_from((*PEOPLE, SERVER_API))
manager = st.sampled_from(("owner", "owner", "owner", "adm", "bea", "ana", SERVER_API))
source = st.sampled_from(Source)
some_sources = st.lists(source, max_size=3).map(tuple)
number = st.integers(1, 6)
hold = st.sampled_from((0.0, 3.0, 30.0))
policies = st.builds(
    Policy,
    stage_hold_s=hold,
    seat_hold_s=st.just(11.0),
    away_after_s=st.sampled_from((0.0, 2.0)),
    host_grace_s=hold,
    host_gone=st.sampled_from((HostGone.TRANSFER, *HostGone)),
    request_ttl_s=hold,
    invite_ttl_s=hold,
    stage_invites=st.sampled_from(StageInvites),
    empty_before_first_join_s=st.just(900.0),
)
patches = st.builds(
    PolicyPatch,
    stage_hold_s=st.none() | hold,
    stage_invites=st.none() | st.sampled_from(StageInvites),
    invite_ttl_s=st.none() | hold,
)
AIR: Final[st.SearchStrategy[c.RoomCommand]] = st.one_of(
    st.builds(c.GoLive, with_video=st.booleans()),
    st.builds(c.GoLive, with_video=st.booleans()),
    st.sampled_from((c.PauseStream(), c.ResumeStream(), c.ScheduleStream(), c.MuteAll())),
)
STAGE: Final[st.SearchStrategy[c.RoomCommand]] = st.one_of(
    st.builds(c.InviteToStage, identity=who, sources=some_sources),
    st.builds(c.InviteToStage, identity=who, sources=some_sources),
    st.builds(c.RemoveFromStage, identity=who),
    st.builds(c.SetStageSources, identity=who, sources=some_sources.filter(bool)),
    st.builds(c.CreateInvite, identity=who, target=st.just(Target.STAGE), sources=some_sources),
    st.builds(c.HardMute, identity=who, source=source),
    st.builds(c.LiftMute, identity=who, source=source),
)
OWN: Final[st.SearchStrategy[c.RoomCommand]] = st.one_of(
    st.just(c.CreateRequest(target=Target.STAGE)),
    st.just(c.CreateRequest(target=Target.STAGE)),
    st.just(c.LeaveStage()),
    st.builds(c.CancelRequest, id=number),
    st.builds(c.AcceptInvite, id=number),
    st.builds(c.DeclineInvite, id=number),
)
OUT: Final[st.SearchStrategy[c.RoomCommand]] = st.one_of(
    st.builds(c.TransferHost, identity=who),
    st.builds(c.SetRole, identity=who, role=st.just(Role.AUDIENCE)),
    st.builds(c.Kick, identity=who),
    st.builds(c.Ban, identity=who),
)


HAPPENS: Final[tuple[Callable[[str], c.RoomCommand] | None, ...]] = (
    None, None, None,
    lambda who: c.SetRole(identity=who, role=Role.ADMIN),
    lambda who: c.SetRole(identity=who, role=Role.AUDIENCE),
    lambda who: c.Kick(identity=who),
    lambda who: c.RemoveFromStage(identity=who),
    lambda who: c.TransferHost(identity=who),
    lambda _: c.Leave(),
    lambda _: c.LeaveStage(),
)  # fmt: skip
"""None: LiveKit loses them."""
WAITING_FOR: Final[tuple[Callable[[str], c.RoomCommand], ...]] = (
    lambda who: c.InviteToStage(identity=who),
    lambda who: c.TransferHost(identity=who),
    lambda who: c.Kick(identity=who),
)


class Referee:
    """The stage and the state of the stream, told by the events alone."""

    def __init__(self, host: str, hold_s: float) -> None:
        self.hold_s = hold_s
        self.phase = Phase.BACKSTAGE
        self.host: str | None = host
        self.stage: dict[str, tuple[Source, ...]] = {host: (Source.CAMERA, Source.MICROPHONE)}
        self.held: dict[str, datetime] = {}
        self.pending: set[int] = set()

    def watches(self, event: object) -> None:
        """Check that the event may follow the ones before."""
        assert self.phase is not Phase.ENDED
        match event:
            case ev.StageJoined(identity=identity, sources=sources):
                assert identity not in self.stage
                assert sources
                self.stage[identity] = sources
            case ev.StageLeft(identity=identity, reason=reason, at=at):
                assert identity != self.host
                assert reason in {"left", "removed", "timeout", "kicked"}
                until = self.held.pop(identity, None)
                assert reason != "timeout" or until is None or until <= at
                del self.stage[identity]
            case ev.StageHeld(identity=identity, until=until):
                assert identity in self.stage.keys() - self.held.keys() - {self.host}
                assert until == event.at + timedelta(seconds=self.hold_s)
                self.held[identity] = until
            case ev.StageResumed(identity=identity):
                del self.held[identity]
            case ev.StageSourcesChanged(identity=identity, sources=sources):
                assert self.stage[identity] != sources
                self.stage[identity] = sources
            case ev.HostTransferred(previous=previous, host=host):
                self._hands_over(previous, host)
            case _:
                self._watches_air(event)

    def _hands_over(self, previous: str | None, host: str | None) -> None:
        assert previous == self.host
        if previous is not None:
            del self.stage[previous]
        if host is not None:
            self.held.pop(host, None)
            self.stage.setdefault(host, (Source.CAMERA, Source.MICROPHONE))
        self.host = host

    def _watches_air(self, event: object) -> None:
        match event:
            case ev.StreamLive():
                assert self.phase in {Phase.BACKSTAGE, Phase.PAUSED}
                self.phase = Phase.LIVE
            case ev.StreamPaused():
                assert self.phase is Phase.LIVE
                self.phase = Phase.PAUSED
            case ev.StreamResumed():
                assert self.phase is Phase.PAUSED
                self.phase = Phase.LIVE
            case ev.RoomEnded():
                self.phase = Phase.ENDED
            case ev.RoomPolicyChanged(policy=policy):
                self.hold_s = policy.stage_hold_s
            case ev.RequestCreated() | ev.InviteCreated():
                assert event.id not in self.pending
                self.pending.add(event.id)
            case _ if isinstance(event, ev.REQUEST_SETTLED + ev.INVITE_SETTLED):
                self.pending.remove(event.id)
            case _:
                pass


class StreamMachine(RoomUnderFire):
    """A live stream and everybody who pulls at it."""

    referee: Referee

    @initialize(policy=policies, host=st.sampled_from(PEOPLE), seen=st.booleans())
    def opens(self, policy: Policy, host: str, *, seen: bool) -> None:
        """A host comes first."""
        first = opening(seats=0, policy=policy, host=host, room_type=RoomType.LIVE_STREAM)
        self.begins(structs.replace(first, at=self.now))
        if seen:
            self.arrives(host)

    def referee_for(self, opening: ev.RoomOpened) -> Referee:
        """The host stands backstage."""
        return Referee(opening.owner, opening.policy.stage_hold_s)

    @rule(giver=st.sampled_from(("owner", "owner", "owner", "adm", SERVER_API)), command=AIR)
    def on_air(self, giver: str, command: c.RoomCommand) -> None:
        """The stream goes on and off."""
        self.gives(self.named(giver), command)

    @rule(giver=manager, command=STAGE, seen=st.booleans())
    def about_the_stage(self, giver: str, command: c.RoomCommand, *, seen: bool) -> None:
        """Managers bring people on stage, often in LiveKit's sight, and send them off."""
        self.gives(self.named(giver), command)
        guest = str(getattr(command, "identity", ""))
        if seen and guest and guest not in self.live:
            self.arrives(guest)

    @rule(giver=by, command=OWN)
    def about_oneself(self, giver: str, command: c.RoomCommand) -> None:
        """People raise their hands, answer, step down."""
        self.gives(actor(giver), command)

    @rule(guest=who, sources=some_sources, appears=st.sampled_from((True, True, False)))
    def brings_a_guest(self, guest: str, sources: tuple[Source, ...], *, appears: bool) -> None:
        """Somebody comes on stage in LiveKit's sight, or never appears in the time they have."""
        self.gives(self.named("owner"), c.InviteToStage(identity=guest, sources=sources))
        if appears:
            self.arrives(guest)
        else:
            self.time_passes(self.state.view.policy.stage_hold_s)

    @rule(pick=st.integers(0, 5), then=st.sampled_from(HAPPENS), back=st.booleans())
    def something_happens_to_a_guest(
        self, pick: int, then: Callable[[str], c.RoomCommand] | None, *, back: bool
    ) -> None:
        """A co-host is lost for a while, or goes, or must go, or leads now."""
        guests = sorted(self.referee.stage.keys() - {self.referee.host})
        if not guests or self.state.view.state is Phase.ENDED:
            return
        guest = guests[pick % len(guests)]
        if then is not None:
            command = then(guest)
            own = isinstance(command, c.Leave | c.LeaveStage)
            self.gives(actor(guest) if own else self.named("owner"), command)
        elif guest in self.live:
            self.reports(guest, *self.live.pop(guest), present=False)
            self.time_passes(2.0)
        if back:
            self.arrives(guest)

    @rule(pick=st.integers(0, 5), then=st.sampled_from(WAITING_FOR))
    def something_happens_to_who_waits(
        self, pick: int, then: Callable[[str], c.RoomCommand]
    ) -> None:
        """Who raised a hand or is invited gets the place, or goes, in another way."""
        pending = (*self.state.pending.values(), *self.state.view.invites)
        if pending:
            chosen = str(pending[pick % len(pending)].identity)
            self.gives(self.named("owner"), then(chosen))

    @rule(giver=manager, command=OUT)
    def about_members(self, giver: str, command: c.RoomCommand) -> None:
        """People lose their place or their role."""
        self.gives(self.named(giver), command)

    @rule(patch=patches)
    def changes_policy(self, patch: PolicyPatch) -> None:
        """The host changes the rules while they run."""
        self.gives(self.named("owner"), c.ChangePolicy(policy=patch))

    @rule(pick=st.integers(0, 10), early=st.booleans())
    def waits_for_a_co_host(self, pick: int, early: bool) -> None:  # noqa: FBT001
        """A millisecond before the end of a hold the place is there, at the end it is not."""
        held = sorted(self.referee.held)
        if not held or self.state.view.state is Phase.ENDED:
            return
        one = held[pick % len(held)]
        until = self.referee.held[one]
        early_s = (until - self.now - timedelta(milliseconds=1)).total_seconds()
        if early_s > 0 and self._nothing_else_before(until):
            self.time_passes(early_s)
            assert one in self.referee.held
            if early:
                self.arrives(one)
                assert one not in self.referee.held
                assert one in self.referee.stage
            else:
                self.time_passes(0.001)
                assert one not in self.referee.stage

    def _nothing_else_before(self, until: datetime) -> bool:
        """No other deadline could end the stream or make them host meanwhile."""
        view = self.state.view
        others = [view.host_gone_until, self.state.empty_at, self.state.solo_at]
        others += [one.away_at for one in self.state.presence.values() if not one.declared]
        return all(at is None or at > until for at in others)

    # --- what holds after every step ------------------------------------------------------------

    @invariant()
    def r24_nobody_is_on_stage_twice_and_all_are_who_the_events_said(self) -> None:
        stage = self.state.view.stage
        assert len(stage) == len({one.identity for one in stage})
        assert {one.identity: one.sources for one in stage} == self.referee.stage
        held = {one.identity: one.held_until for one in stage if one.held_until is not None}
        assert held == self.referee.held

    @invariant()
    def r25_the_host_leads_the_stage_while_there_is_one(self) -> None:
        view = self.state.view
        leaders = [one.identity for one in view.stage if one.role is StageRole.HOST]
        assert leaders == ([view.host] if view.host is not None else [])
        assert view.host is None or view.stage[0].identity == view.host
        assert view.host == self.referee.host

    @invariant()
    def r10_r22_on_air_exactly_who_is_on_stage_may_publish(self) -> None:
        view = self.state.view
        assert view.state is self.referee.phase
        for identity in (*PEOPLE, "stranger"):
            wish = desired_permission(self.state, identity)
            sources = set(self.referee.stage.get(identity, ()))
            if view.state is not Phase.LIVE or identity in self.referee.held:
                sources = set()
            assert set(wish.sources) == sources - set(view.member(identity).muted)
            assert wish.can_publish == bool(wish.sources)
            assert wish.can_subscribe == (view.state is not Phase.ENDED)

    @invariant()
    def r27_a_place_is_held_exactly_while_its_owner_is_away(self) -> None:
        if self.state.view.state is Phase.ENDED:
            return
        for one in self.state.view.stage:
            known = self.state.presence.get(one.identity, NOBODY)
            if one.held_until is not None:
                assert known.declared
                assert not known.awaited
                assert self.state.view.member(one.identity).away
            elif one.role is StageRole.CO_HOST:
                assert known.present or known.away_at is not None
                assert not known.declared

    @invariant()
    def r28_r30_nobody_on_stage_waits_for_it(self) -> None:
        pending = (*self.state.pending.values(), *self.state.view.invites)
        people = [request.identity for request in pending]
        assert len(people) == len(set(people))
        assert not set(people) & self.referee.stage.keys()
        if self.state.view.state is not Phase.ENDED:
            assert {request.id for request in pending} == self.referee.pending


TestStream: Callable[..., Any] = StreamMachine.TestCase
TestStream.settings = SETTINGS  # type: ignore[attr-defined]
