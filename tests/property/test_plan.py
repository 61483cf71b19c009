"""The reconciler's properties: what it does makes LiveKit agree, whatever was reported before."""

from datetime import datetime, timedelta
from random import Random
from typing import Final, NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from support.rooms import T0, Room

from utd_engine.domain.orders import PresenceChanged
from utd_engine.domain.permissions import NOTHING, Permission, desired_permission
from utd_engine.domain.plan import Push, Remove, plan, presence_reports
from utd_engine.domain.turn import ENGINE
from utd_protocol import commands as c
from utd_protocol.types import Identity, Source

PEOPLE: Final = ("host", "adm", "ana", "bob", "out", "cem")


class Somebody(NamedTuple):
    """A participant in LiveKit."""

    identity: str
    sid: str = "S"
    joined_at: datetime = T0
    agent: bool = False
    hidden: bool = False
    permission: Permission = NOTHING


permissions = st.builds(
    Permission,
    can_publish=st.booleans(),
    sources=st.lists(st.sampled_from(Source), unique=True).map(sorted).map(tuple),
    can_subscribe=st.booleans(),
    can_publish_data=st.booleans(),
)
crowds = st.dictionaries(
    st.sampled_from(PEOPLE),
    st.tuples(permissions, st.booleans(), st.booleans()),
).map(
    lambda crowd: [
        Somebody(who, permission=now, agent=agent, hidden=hidden)
        for who, (now, agent, hidden) in crowd.items()
    ]
)


def setting() -> Room:
    """Two sit, one of them muted; somebody was put out."""
    room = Room(admins=["adm"], seated={"ana": 0, "bob": 1})
    room.act("host", c.HardMute(identity="bob"))
    room.act("host", c.Kick(identity="out"))
    return room


@given(crowds, st.sets(st.sampled_from(PEOPLE)))
def test_r10_when_its_actions_are_done_the_plan_is_empty(
    crowd: list[Somebody], banned: set[str]
) -> None:
    state = setting().state
    livekit = {one.identity: one for one in crowd}
    for action in plan(state, crowd, banned):
        match action:
            case Push(identity, permission):
                livekit[identity] = livekit[identity]._replace(permission=permission)
            case Remove(identity, _):
                del livekit[identity]
    assert plan(state, livekit.values(), banned) == []
    for one in livekit.values():
        if not (one.agent or one.hidden):
            assert one.permission == desired_permission(state, one.identity)
            assert one.identity not in {*banned, "out"}


class Step(NamedTuple):
    """Somebody comes (with a new participation) or goes."""

    identity: str
    comes: bool


steps = st.lists(st.builds(Step, st.sampled_from(PEOPLE), st.booleans()), max_size=12)


@given(steps, st.randoms(use_true_random=False))
def test_r48_after_any_reports_one_list_makes_the_state_right(
    log: list[Step], luck: Random
) -> None:
    """Reports are lost, doubled and shuffled; then the list of who is there is read once."""
    room = setting()
    live: dict[str, Somebody] = {}
    reports: list[PresenceChanged] = []
    for number, step in enumerate(log):
        if step.comes:
            joined_at = T0 + timedelta(seconds=number)
            live[step.identity] = Somebody(step.identity, f"PA_{number}", joined_at)
            one = live[step.identity]
        elif step.identity in live:
            one = live.pop(step.identity)
        else:
            continue
        order = PresenceChanged(
            identity=Identity(one.identity),
            sid=one.sid,
            joined_at=one.joined_at,
            present=step.comes,
        )
        reports += [order] * luck.choice((0, 1, 2))
    luck.shuffle(reports)
    for order in reports:
        room.give(ENGINE, order)
    for order in presence_reports(room.state, live.values()):
        room.give(ENGINE, order)

    assert presence_reports(room.state, live.values()) == []
    for who in ("host", "adm", "ana", "bob"):
        known = room.state.presence[who]
        assert known.present == (who in live)
        assert who not in live or known.sid == live[who].sid
    assert "out" not in room.state.presence
