"""LiveKit in this process: a stand-in that keeps the gateway's contract, with switches for faults.

Tests are on both sides of it. The engine calls it as its gateway; clients `join` with the tokens it
minted, see their permission and the room's metadata, and `leave`. It starts no task and no timer.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from utd_engine.adapters.livekit.permissions import livekit_sources
from utd_engine.adapters.livekit.tokens import ApiKey, Signer, mint_join
from utd_engine.adapters.memory.media_rooms import (
    Dispatch,
    Grants,
    JoinRefused,
    MemoryParticipant,
    MemoryRoom,
    read_join_token,
)
from utd_engine.domain.permissions import Permission
from utd_engine.ports.clock import Clock
from utd_engine.ports.media import Incarnation, Join, MediaUnavailable, WebhookEvent

CALL_WITHIN_S: Final = 2.0
CRASH_NOTICED_AFTER_S: Final = 20.4
MEMORY_KEY: Final = ApiKey("memory", "a-secret-that-signs-for-memory-only")

T = TypeVar("T")


@dataclass(slots=True)
class MemoryFaults:
    """What goes wrong, until it is switched off again."""

    unavailable: bool = False
    """No call does anything, and each says so."""
    timeout_after_applying: bool = False
    """Each call does its work, and its caller hears of a timeout."""
    not_found: bool = False
    """No room is there for any call."""
    drop_webhooks: bool = False
    """Webhooks are lost."""
    latency_s: float = 0.0
    """How long each call takes; from 2 s on its caller hears of a timeout."""


class MemoryGateway:
    """Implements `MediaGateway` with dictionaries.

    Args:
        clock: for the life of tokens, the times of joins and slow calls.
        api_key: signs and checks the tokens.
        on_webhook: told of joins, leaves and rooms as LiveKit would; it must not block.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        api_key: ApiKey = MEMORY_KEY,
        on_webhook: Callable[[WebhookEvent], None] = lambda _: None,
    ) -> None:
        self.url = "ws://livekit.memory"
        self.faults = MemoryFaults()
        self.calls = Counter[str]()
        """How often each method of the gateway was called."""
        self.rooms: dict[str, MemoryRoom] = {}
        self.on_webhook = on_webhook
        self._clock = clock
        self._api_key = api_key
        self._signer = Signer(api_key)
        self._numbers = itertools.count(1)

    # --- the gateway ---------------------------------------------------------------------------

    async def ensure_room(self, room: str, *, metadata: str = "", max_participants: int = 0) -> str:
        return await self._call(
            "ensure_room", lambda: self._open(room, metadata, max_participants).sid
        )

    async def remove_room(self, room: str) -> None:
        await self._call("remove_room", lambda: self._close(room))

    async def list_rooms(self) -> list[str]:
        return await self._call("list_rooms", lambda: list(self.rooms))

    async def push_member(
        self,
        room: str,
        identity: str,
        permission: Permission,
        *,
        attributes: dict[str, str] | None = None,
    ) -> bool:
        livekit_sources(permission)  # refuses what LiveKit would misread
        return await self._call(
            "push_member", lambda: self._push(room, identity, permission, attributes or {})
        )

    async def remove_member(self, room: str, identity: str) -> bool:
        return await self._call("remove_member", lambda: self._remove(room, identity))

    async def list_members(self, room: str) -> Incarnation:
        return await self._call("list_members", lambda: self._list(room))

    async def publish_events(self, room: str, metadata: str) -> bool:
        return await self._call("publish_events", lambda: self._publish(room, metadata))

    async def dispatch_agent(self, room: str, agent_name: str, metadata: str) -> str:
        return await self._call(
            "dispatch_agent", lambda: self._dispatch(room, agent_name, metadata)
        )

    async def withdraw_agent(self, room: str, dispatch_id: str) -> None:
        await self._call("withdraw_agent", lambda: self._withdraw(room, dispatch_id))

    def mint_token(self, join: Join, *, now: datetime, ttl_s: int) -> str:
        return mint_join(join, self._signer, now=now, ttl_s=ttl_s)

    async def healthy(self) -> bool:
        return not self.faults.unavailable

    async def aclose(self) -> None:
        """Nothing to free: rooms stay to be looked at."""

    # --- the clients ---------------------------------------------------------------------------

    async def join(self, token: str) -> MemoryParticipant:
        """Come in with a token, as a client does. Raises `JoinRefused`."""
        await asyncio.sleep(0)
        return self.admit(read_join_token(token, self._api_key, self._clock.now()))

    def admit(self, grants: Grants) -> MemoryParticipant:
        """Let somebody in, in place of an older connection of theirs. Raises `JoinRefused`."""
        room = self.rooms.get(grants.room)
        if self.faults.unavailable or room is None:
            raise JoinRefused(404, f"requested room does not exist: {grants.room}")
        if room.is_full_for(grants):
            raise JoinRefused(500, "the room is full")
        self._drop(room, grants.identity, "DUPLICATE_IDENTITY")
        member = MemoryParticipant(
            room=room.name,
            identity=grants.identity,
            sid=self._id("PA"),
            name=grants.name,
            attributes=grants.attributes,
            agent=grants.agent,
            permission=grants.permission,
            joined_at=self._clock.now(),
            metadata_seen=[room.metadata],
        )
        room.members[member.identity] = member
        self._tell("participant_joined", room, member)
        return member

    async def leave(self, participant: MemoryParticipant, *, crash: bool = False) -> None:
        """Go, or with `crash` fall silent: that is noticed 20.4 s later. Twice is fine."""
        await asyncio.sleep(0)
        if crash:
            participant.crashed_at = self._clock.now()
        elif room := self._room_of(participant):
            self._drop(room, participant.identity, "CLIENT_INITIATED")

    @asynccontextmanager
    async def full_reconnect(self, participant: MemoryParticipant) -> AsyncGenerator[None]:
        """A client joins anew by itself: what is pushed inside the block is answered and lost."""
        kept = participant.permission
        yield
        if room := self._room_of(participant):
            self._tell("participant_left", room, participant, "CLIENT_INITIATED")
            participant.sid = self._id("PA")
            participant.joined_at = self._clock.now()
            participant.permission = kept
            participant.wake()
            self._tell("participant_joined", room, participant)

    def notice_crashes(self, after_s: float = 0.0) -> None:
        """Drop those who fell silent this long ago; every call does it for 20.4 s."""
        until = self._clock.now() - timedelta(seconds=after_s)
        for room in self.rooms.values():
            for member in tuple(room.members.values()):
                if member.crashed_at is not None and member.crashed_at <= until:
                    self._drop(room, member.identity, "CONNECTION_TIMEOUT")

    def restart(self) -> None:
        """Die and come back: every room is forgotten, everybody is out, and no webhook says so."""
        for room in self.rooms.values():
            for member in room.members.values():
                member.disconnected = "UNKNOWN_REASON"
                member.wake()
        self.rooms.clear()

    # --- what the calls do ---------------------------------------------------------------------

    async def _call(self, method: str, work: Callable[[], T]) -> T:
        """Do a call with the faults of the moment; others run in between, as in life."""
        self.calls[method] += 1
        latency_s = self.faults.latency_s
        if latency_s:
            await self._clock.sleep(min(latency_s, CALL_WITHIN_S))
        else:
            await asyncio.sleep(0)
        if self.faults.unavailable:
            raise MediaUnavailable("The stand-in is switched off.", code="unavailable")
        self.notice_crashes(CRASH_NOTICED_AFTER_S)
        result = work()
        if self.faults.timeout_after_applying or latency_s >= CALL_WITHIN_S:
            raise MediaUnavailable("The stand-in did not answer in time.", code="timeout")
        return result

    def _find(self, room: str) -> MemoryRoom | None:
        return None if self.faults.not_found else self.rooms.get(room)

    def _open(self, name: str, metadata: str, max_participants: int) -> MemoryRoom:
        if name not in self.rooms:
            room = MemoryRoom(name, self._id("RM"), metadata, max_participants)
            self.rooms[name] = room
            self._tell("room_started", room)
        return self.rooms[name]

    def _close(self, name: str) -> None:
        if room := self._find(name):
            for identity in tuple(room.members):
                self._drop(room, identity, "ROOM_DELETED")
            del self.rooms[name]
            self._tell("room_finished", room)

    def _push(
        self, name: str, identity: str, permission: Permission, attributes: dict[str, str]
    ) -> bool:
        room = self._find(name)
        member = room.members.get(identity) if room else None
        if member is None:
            return False
        member.permission = permission
        merged = member.attributes | attributes
        member.attributes = {key: value for key, value in merged.items() if value}
        member.wake()
        return True

    def _remove(self, name: str, identity: str) -> bool:
        room = self._find(name)
        return room is not None and self._drop(room, identity, "PARTICIPANT_REMOVED")

    def _list(self, name: str) -> Incarnation:
        room = self._find(name)
        if room is None:
            return Incarnation(None, ())
        return Incarnation(room.sid, tuple(who.observed() for who in room.members.values()))

    def _publish(self, name: str, metadata: str) -> bool:
        room = self._find(name)
        if room is not None:
            room.set_metadata(metadata)
        return room is not None

    def _dispatch(self, name: str, agent_name: str, metadata: str) -> str:
        room = self._find(name)
        if room is None:
            raise MediaUnavailable(f"There is no room {name}.", code="not_found")
        dispatch = Dispatch(self._id("AD"), agent_name, metadata)
        room.dispatches[dispatch.id] = dispatch
        return dispatch.id

    def _withdraw(self, name: str, dispatch_id: str) -> None:
        if room := self._find(name):
            room.dispatches.pop(dispatch_id, None)

    def _room_of(self, participant: MemoryParticipant) -> MemoryRoom | None:
        room = self.rooms.get(participant.room)
        is_in = room is not None and room.members.get(participant.identity) is participant
        return room if is_in else None

    def _drop(self, room: MemoryRoom, identity: str, reason: str) -> bool:
        member = room.members.pop(identity, None)
        if member is None:
            return False
        member.disconnected = reason
        member.wake()
        self._tell("participant_left", room, member, reason)
        return True

    def _tell(
        self,
        event: str,
        room: MemoryRoom,
        member: MemoryParticipant | None = None,
        reason: str = "",
    ) -> None:
        if not self.faults.drop_webhooks:
            observed = member.observed() if member else None
            number, now = self._id("EV"), self._clock.now()
            self.on_webhook(WebhookEvent(number, event, room.name, room.sid, observed, reason, now))

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._numbers):06}"
