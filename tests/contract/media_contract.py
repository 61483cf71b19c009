"""What every media gateway must do, whatever is behind it. A subclass gives the fixture `sfu`."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Protocol
from uuid import uuid4

import pytest

from utd_engine.domain.permissions import NOTHING, Permission
from utd_engine.ports.clock import Clock
from utd_engine.ports.media import (
    Incarnation,
    Join,
    MediaGateway,
    MediaUnavailable,
    Observed,
    WebhookEvent,
)
from utd_protocol.types import Source

LISTENER = Permission(can_subscribe=True)
SPEAKER = Permission(
    can_publish=True, sources=(Source.MICROPHONE,), can_subscribe=True, can_publish_data=True
)
STAGE = Permission(can_publish=True, sources=tuple(sorted(Source)), can_subscribe=True)
PERMISSIONS = [
    NOTHING,
    LISTENER,
    SPEAKER,
    STAGE,
    Permission(can_subscribe=True, can_publish_data=True),
    Permission(can_publish=True, sources=(Source.CAMERA,)),
    Permission(can_publish=True, sources=(Source.CAMERA, Source.SCREEN_SHARE), can_subscribe=True),
]


class Participant(Protocol):
    """A client in a room, as the client sees it."""

    @property
    def identity(self) -> str: ...
    @property
    def sid(self) -> str: ...
    @property
    def permission(self) -> Permission: ...
    @property
    def attributes(self) -> dict[str, str]: ...
    @property
    def room_metadata(self) -> str: ...
    @property
    def disconnected(self) -> str: ...
    async def wait_until(self, condition: Callable[[Any], bool]) -> None: ...


class Sfu(Protocol):
    """Both sides of a gateway: the engine's and the clients'."""

    gateway: MediaGateway
    inbox: "WebhookInbox"
    clock: Clock

    async def join(self, token: str) -> Participant: ...
    async def leave(self, participant: Any) -> None: ...


@dataclass
class WebhookInbox:
    """Webhooks as they arrive."""

    events: list[WebhookEvent] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, event: WebhookEvent) -> None:
        self.events.append(event)
        self._arrived.set()

    async def wait_for(self, event: str, identity: str | None, room: str) -> WebhookEvent:
        """The first of this kind about this person in this room."""
        while True:
            for seen in self.events:
                who = seen.participant.identity if seen.participant else None
                if (seen.event, who, seen.room) == (event, identity, room):
                    return seen
            self._arrived.clear()
            await self._arrived.wait()


@pytest.fixture
def room() -> str:
    return f"ap1.audio_room.{uuid4().hex}"


def mint(
    sfu: Sfu,
    room: str,
    identity: str = "ana",
    permission: Permission = LISTENER,
    *,
    age_s: float = 0,
    ttl_s: int = 600,
    kind: Literal["standard", "agent"] = "standard",
    **fields: Any,
) -> str:
    join = Join(room=room, identity=identity, permission=permission, kind=kind, **fields)
    return sfu.gateway.mint_token(join, now=sfu.clock.now() - timedelta(seconds=age_s), ttl_s=ttl_s)


async def listed(sfu: Sfu, room: str, condition: Callable[[Incarnation], bool]) -> Incarnation:
    """The list once it is so: LiveKit answers a join before its transport is up."""
    while not condition(incarnation := await sfu.gateway.list_members(room)):
        await sfu.clock.sleep(0.01)
    return incarnation


async def listed_one(sfu: Sfu, room: str, identity: str = "ana") -> Observed:
    def is_in(incarnation: Incarnation) -> bool:
        return any(who.identity == identity and who.active for who in incarnation.members)

    incarnation = await listed(sfu, room, is_in)
    return next(who for who in incarnation.members if who.identity == identity)


class MediaContract:
    @pytest.fixture(autouse=True)
    async def _deadline(self) -> Any:
        async with asyncio.timeout(30):
            yield

    # --- rooms -----------------------------------------------------------------------------

    async def test_a_room_is_made_once_and_keeps_its_first_values(
        self, sfu: Sfu, room: str
    ) -> None:
        first = await sfu.gateway.ensure_room(room, metadata="first")
        again = await sfu.gateway.ensure_room(room, metadata="second")
        ana = await sfu.join(mint(sfu, room))
        assert first.startswith("RM_")
        assert again == first
        assert ana.room_metadata == "first"

    async def test_a_missing_room_is_no_incarnation(self, sfu: Sfu, room: str) -> None:
        assert await sfu.gateway.list_members(room) == Incarnation(None, ())

    async def test_an_empty_room_is_one(self, sfu: Sfu, room: str) -> None:
        sid = await sfu.gateway.ensure_room(room)
        assert await sfu.gateway.list_members(room) == Incarnation(sid, ())

    async def test_removing_a_room_sends_everybody_out(self, sfu: Sfu, room: str) -> None:
        await sfu.gateway.ensure_room(room)
        ana = await sfu.join(mint(sfu, room))
        await sfu.gateway.remove_room(room)
        await ana.wait_until(lambda who: who.disconnected)
        assert ana.disconnected == "ROOM_DELETED"
        assert await sfu.gateway.list_members(room) == Incarnation(None, ())

    async def test_rooms_are_listed_while_they_are_there(self, sfu: Sfu, room: str) -> None:
        assert room not in await sfu.gateway.list_rooms()
        await sfu.gateway.ensure_room(room)
        assert room in await sfu.gateway.list_rooms()
        await sfu.gateway.remove_room(room)
        assert room not in await sfu.gateway.list_rooms()

    async def test_removing_a_missing_room_is_fine(self, sfu: Sfu, room: str) -> None:
        await sfu.gateway.remove_room(room)

    async def test_a_room_made_again_is_another_incarnation(self, sfu: Sfu, room: str) -> None:
        first = await sfu.gateway.ensure_room(room)
        await sfu.gateway.remove_room(room)
        second = await sfu.gateway.ensure_room(room)
        assert second != first

    async def test_a_full_room_lets_nobody_in_but_those_who_are_in(
        self, sfu: Sfu, room: str
    ) -> None:
        await sfu.gateway.ensure_room(room, max_participants=1)
        await sfu.join(mint(sfu, room))
        with pytest.raises(Exception, match="500"):
            await sfu.join(mint(sfu, room, "bob"))
        again = await sfu.join(mint(sfu, room))
        assert again.identity == "ana"

    # --- members ---------------------------------------------------------------------------

    async def test_who_joined_is_listed_as_admitted(self, sfu: Sfu, room: str) -> None:
        before = sfu.clock.now() - timedelta(seconds=1)
        sid = await sfu.gateway.ensure_room(room)
        ana = await sfu.join(mint(sfu, room, permission=SPEAKER))
        seen = await listed_one(sfu, room)
        assert (await sfu.gateway.list_members(room)).sid == sid
        assert seen.sid == ana.sid
        assert seen.sid.startswith("PA_")
        assert (seen.agent, seen.hidden, seen.permission) == (False, False, SPEAKER)
        assert before <= seen.joined_at <= sfu.clock.now() + timedelta(seconds=1)

    async def test_a_pushed_permission_is_the_one_reported(self, sfu: Sfu, room: str) -> None:
        await sfu.gateway.ensure_room(room)
        ana = await sfu.join(mint(sfu, room))
        for permission in [*PERMISSIONS, *reversed(PERMISSIONS)]:
            assert await sfu.gateway.push_member(room, "ana", permission)
            assert (await listed_one(sfu, room)).permission == permission
            await ana.wait_until(lambda who, wish=permission: who.permission == wish)

    @pytest.mark.parametrize("permission", PERMISSIONS)
    async def test_a_minted_permission_is_the_one_reported(
        self, sfu: Sfu, room: str, permission: Permission
    ) -> None:
        await sfu.gateway.ensure_room(room)
        ana = await sfu.join(mint(sfu, room, permission=permission))
        assert (await listed_one(sfu, room)).permission == permission
        assert ana.permission == permission

    async def test_the_last_of_many_pushes_holds(self, sfu: Sfu, room: str) -> None:
        await sfu.gateway.ensure_room(room)
        ana = await sfu.join(mint(sfu, room))
        for permission in itertools.islice(itertools.cycle([SPEAKER, LISTENER, STAGE]), 30):
            await sfu.gateway.push_member(room, "ana", permission)
        assert (await listed_one(sfu, room)).permission == STAGE
        await ana.wait_until(lambda who: who.permission == STAGE)

    async def test_a_publisher_without_sources_is_a_mistake(self, sfu: Sfu, room: str) -> None:
        with pytest.raises(ValueError, match="at least one source"):
            await sfu.gateway.push_member(room, "ana", Permission(can_publish=True))

    async def test_attributes_are_merged_and_dropped_by_an_empty_text(
        self, sfu: Sfu, room: str
    ) -> None:
        await sfu.gateway.ensure_room(room)
        ana = await sfu.join(mint(sfu, room, attributes={"a": "1", "b": "2"}))
        assert ana.attributes == {"a": "1", "b": "2"}
        await sfu.gateway.push_member(room, "ana", LISTENER, attributes={"b": "", "c": "3"})
        await ana.wait_until(lambda who: who.attributes == {"a": "1", "c": "3"})

    async def test_a_push_to_nobody_says_so(self, sfu: Sfu, room: str) -> None:
        assert not await sfu.gateway.push_member(room, "ana", LISTENER)
        await sfu.gateway.ensure_room(room)
        assert not await sfu.gateway.push_member(room, "ana", LISTENER)

    async def test_a_removed_member_is_out(self, sfu: Sfu, room: str) -> None:
        await sfu.gateway.ensure_room(room)
        ana = await sfu.join(mint(sfu, room))
        assert await sfu.gateway.remove_member(room, "ana")
        await ana.wait_until(lambda who: who.disconnected)
        assert ana.disconnected == "PARTICIPANT_REMOVED"
        await listed(sfu, room, lambda incarnation: not incarnation.members)
        assert not await sfu.gateway.remove_member(room, "ana")

    async def test_a_kept_token_lets_a_removed_member_in_again(self, sfu: Sfu, room: str) -> None:
        await sfu.gateway.ensure_room(room)
        token = mint(sfu, room, permission=SPEAKER)
        ana = await sfu.join(token)
        await sfu.gateway.push_member(room, "ana", LISTENER)
        await sfu.gateway.remove_member(room, "ana")
        await ana.wait_until(lambda who: who.disconnected)
        await sfu.join(token)
        assert (await listed_one(sfu, room)).permission == SPEAKER

    async def test_a_second_join_replaces_the_first(self, sfu: Sfu, room: str) -> None:
        await sfu.gateway.ensure_room(room)
        first = await sfu.join(mint(sfu, room))
        second = await sfu.join(mint(sfu, room))
        await first.wait_until(lambda who: who.disconnected)
        assert first.disconnected == "DUPLICATE_IDENTITY"
        assert [who.sid for who in (await sfu.gateway.list_members(room)).members] == [second.sid]

    async def test_a_hidden_member_is_listed_as_hidden(self, sfu: Sfu, room: str) -> None:
        hidden = Permission(can_subscribe=True, hidden=True)
        await sfu.gateway.ensure_room(room)
        await sfu.join(mint(sfu, room, permission=hidden))
        seen = await listed_one(sfu, room)
        assert (seen.hidden, seen.permission) == (True, hidden)

    async def test_an_agent_is_listed_as_one(self, sfu: Sfu, room: str) -> None:
        await sfu.gateway.ensure_room(room, max_participants=1)
        await sfu.join(mint(sfu, room))
        await sfu.join(mint(sfu, room, "bot", SPEAKER, kind="agent"))
        assert (await listed_one(sfu, room, "bot")).agent
        assert not (await listed_one(sfu, room, "ana")).agent

    async def test_who_left_is_not_listed(self, sfu: Sfu, room: str) -> None:
        await sfu.gateway.ensure_room(room)
        ana = await sfu.join(mint(sfu, room))
        await sfu.leave(ana)
        await listed(sfu, room, lambda incarnation: not incarnation.members)

    async def test_names_of_any_script_are_kept(self, sfu: Sfu, room: str) -> None:
        identity = "ana/λ 🎤 \u05d0"
        await sfu.gateway.ensure_room(room)
        ana = await sfu.join(mint(sfu, room, identity, name="Ana — 安娜"))
        assert ana.identity == identity
        assert await sfu.gateway.push_member(room, identity, SPEAKER)
        assert (await listed_one(sfu, room, identity)).permission == SPEAKER

    # --- tokens ----------------------------------------------------------------------------

    async def test_no_token_opens_a_room(self, sfu: Sfu, room: str) -> None:
        with pytest.raises(Exception, match="404"):
            await sfu.join(mint(sfu, room))

    async def test_an_expired_token_is_refused(self, sfu: Sfu, room: str) -> None:
        await sfu.gateway.ensure_room(room)
        await sfu.join(mint(sfu, room, age_s=20, ttl_s=10))  # forgiven
        with pytest.raises(Exception, match="401"):
            await sfu.join(mint(sfu, room, age_s=700))

    async def test_a_token_of_the_future_is_refused(self, sfu: Sfu, room: str) -> None:
        await sfu.gateway.ensure_room(room)
        with pytest.raises(Exception, match="401"):
            await sfu.join(mint(sfu, room, age_s=-120))

    async def test_a_changed_token_is_refused(self, sfu: Sfu, room: str) -> None:
        await sfu.gateway.ensure_room(room)
        token = mint(sfu, room)
        with pytest.raises(Exception, match="401"):
            await sfu.join(token[:-10] + "A" * 10)

    async def test_too_long_an_identity_is_refused(self, sfu: Sfu, room: str) -> None:
        await sfu.gateway.ensure_room(room)
        await sfu.join(mint(sfu, room, "x" * 256))
        with pytest.raises(Exception, match="400"):
            await sfu.join(mint(sfu, room, "🎤" * 65))

    # --- events ----------------------------------------------------------------------------

    async def test_events_reach_who_is_in_and_who_comes_later(self, sfu: Sfu, room: str) -> None:
        await sfu.gateway.ensure_room(room)
        ana = await sfu.join(mint(sfu, room))
        assert await sfu.gateway.publish_events(room, '{"head":1}')
        await ana.wait_until(lambda who: who.room_metadata == '{"head":1}')
        bob = await sfu.join(mint(sfu, room, "bob"))
        assert bob.room_metadata == '{"head":1}'

    async def test_the_last_of_many_events_is_seen(self, sfu: Sfu, room: str) -> None:
        await sfu.gateway.ensure_room(room)
        ana = await sfu.join(mint(sfu, room))
        for head in range(50):
            await sfu.gateway.publish_events(room, str(head))
        await ana.wait_until(lambda who: who.room_metadata == "49")

    async def test_events_of_a_missing_room_say_so(self, sfu: Sfu, room: str) -> None:
        assert not await sfu.gateway.publish_events(room, "{}")

    # --- agents ----------------------------------------------------------------------------

    async def test_an_agent_is_asked_for_and_withdrawn(self, sfu: Sfu, room: str) -> None:
        await sfu.gateway.ensure_room(room)
        dispatch = await sfu.gateway.dispatch_agent(room, "echo", "{}")
        assert dispatch.startswith("AD_")
        await sfu.gateway.withdraw_agent(room, dispatch)
        await sfu.gateway.withdraw_agent(room, dispatch)

    async def test_a_missing_room_has_no_agent(self, sfu: Sfu, room: str) -> None:
        with pytest.raises(MediaUnavailable) as refused:
            await sfu.gateway.dispatch_agent(room, "echo", "{}")
        assert refused.value.code == "not_found"
        await sfu.gateway.withdraw_agent(room, "AD_unknown")

    # --- webhooks --------------------------------------------------------------------------

    async def test_webhooks_tell_of_a_visit(self, sfu: Sfu, room: str) -> None:
        sid = await sfu.gateway.ensure_room(room)
        ana = await sfu.join(mint(sfu, room, permission=SPEAKER))
        joined = await sfu.inbox.wait_for("participant_joined", "ana", room)
        await sfu.leave(ana)
        left = await sfu.inbox.wait_for("participant_left", "ana", room)
        started = await sfu.inbox.wait_for("room_started", None, room)
        assert joined.participant is not None
        assert left.participant is not None
        assert (joined.room_sid, joined.disconnect_reason) == (sid, "")
        assert joined.participant.sid == left.participant.sid
        assert (joined.participant.active, joined.participant.permission) == (True, SPEAKER)
        assert (left.participant.active, left.disconnect_reason) == (False, "CLIENT_INITIATED")
        assert len({joined.id, left.id, started.id}) == 3
        assert abs(joined.created_at - sfu.clock.now()) < timedelta(seconds=30)

    @pytest.mark.parametrize(
        ("act", "reason"),
        [("remove", "PARTICIPANT_REMOVED"), ("close", "ROOM_DELETED")],
    )
    async def test_webhooks_tell_why_somebody_went(
        self, sfu: Sfu, room: str, act: str, reason: str
    ) -> None:
        await sfu.gateway.ensure_room(room)
        await sfu.join(mint(sfu, room))
        await sfu.inbox.wait_for("participant_joined", "ana", room)
        if act == "remove":
            await sfu.gateway.remove_member(room, "ana")
        else:
            await sfu.gateway.remove_room(room)
            await sfu.inbox.wait_for("room_finished", None, room)
        left = await sfu.inbox.wait_for("participant_left", "ana", room)
        assert left.disconnect_reason == reason

    # --- the server ------------------------------------------------------------------------

    async def test_it_is_healthy(self, sfu: Sfu) -> None:
        assert await sfu.gateway.healthy()


__all__ = ["MediaContract", "WebhookInbox", "room"]
