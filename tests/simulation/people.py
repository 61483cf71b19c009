"""Clients of a simulated room: honest ones, clumsy ones, and ones that try to get away with it."""

import contextlib
import random
from typing import Any

import msgspec
from simulation.oracle import Oracle

from utd_engine.adapters.memory.media import MemoryGateway
from utd_engine.adapters.memory.media_rooms import JoinRefused, MemoryParticipant
from utd_engine.ports.rooms import Key
from utd_engine.testing import EngineUnderTest
from utd_protocol.answers import CommandAnswer, EventsAnswer, TokenAnswer, ViewAnswer
from utd_protocol.apply import apply
from utd_protocol.codec import decode_event, decode_window
from utd_protocol.views import RoomView

ROOM = "/api/v1/rooms/audio_room/lobby"
ALLOWED = {200, 400, 401, 403, 404, 409, 410, 422, 429, 503}
"""What an engine may answer; 500 is never right."""


class Person:
    """One identity with everything that it was ever given."""

    def __init__(self, name: str, kind: str, chance: random.Random) -> None:
        self.name = name
        self.kind = kind
        self._chance = chance
        self.answers: list[TokenAnswer] = []
        self.participant: MemoryParticipant | None = None
        self.key: Key | None = None
        self.view: RoomView | None = None
        self.seq = 0
        self._read = 0

    @property
    def bearer(self) -> str | None:
        """The newest, or with the adversary any."""
        if not self.answers:
            return None
        some = self._chance.choice(self.answers) if self.kind == "adversary" else self.answers[-1]
        return some.user_token

    def is_in(self, sfu: MemoryGateway) -> bool:
        one = self.participant
        room = sfu.rooms.get(one.room) if one else None
        return room is not None and room.members.get(self.name) is one

    async def join(self, engine: EngineUnderTest, role: str) -> None:
        body = {"type": "audio_room", "room_name": "lobby", "identity": self.name, "role": role}
        answer = await engine.call("POST", "/api/v1/token", body, app_key=True)
        assert answer.status in ALLOWED, answer
        if answer.status == 200:
            self._admitted(engine, msgspec.json.decode(answer.body, type=TokenAnswer))

    async def rejoin(self, engine: EngineUnderTest) -> None:
        answer = await engine.call("POST", f"{ROOM}/rejoin", bearer=self.bearer)
        assert answer.status in ALLOWED, answer
        if answer.status == 200:
            self._admitted(engine, msgspec.json.decode(answer.body, type=TokenAnswer))

    async def enter(self, sfu: MemoryGateway) -> None:
        """Connect to LiveKit, the adversary with whatever token it likes best."""
        if not self.answers:
            return
        some = self._chance.choice(self.answers) if self.kind == "adversary" else self.answers[-1]
        with contextlib.suppress(JoinRefused):
            self.participant = await sfu.join(some.token)
            self._read = 0

    async def order(
        self,
        engine: EngineUnderTest,
        oracle: Oracle,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        key: str,
    ) -> None:
        """A command; what it acknowledges must be in the log at once."""
        bearer, room = self.bearer, self.key  # they may be elsewhere when the answer comes
        if bearer is None:
            return
        headers = {"idempotency-key": key} if key else {}
        answer = await engine.call(method, ROOM + path, body or {}, bearer=bearer, headers=headers)
        assert answer.status in ALLOWED, (method, path, answer)
        if answer.status == 200 and room is not None and self.kind != "adversary":
            done = msgspec.json.decode(answer.body, type=CommandAnswer)
            await oracle.read(room)
            oracle.acknowledged(room, list(done.events))

    async def follow(self, engine: EngineUnderTest, oracle: Oracle) -> None:
        """Fold what LiveKit brought; read the log where that leaves a gap."""
        one = self.participant
        if one is None or self.view is None or self.key is None:
            return
        head = self.seq
        for metadata in one.metadata_seen[self._read :]:
            window = decode_window(metadata) if metadata else None
            if window is None or window.room_id != self.key.id:
                continue
            head = max(head, window.head)
            for event in window.events:
                if event.seq == self.seq + 1:
                    self.view, self.seq = apply(self.view, event), event.seq
        self._read = len(one.metadata_seen)
        if head > self.seq:
            await self.catch_up(engine)
        if self.key in oracle.logs:
            await oracle.read(self.key)
            oracle.folded(self.key, self.view, self.seq, self.name)

    async def catch_up(self, engine: EngineUnderTest) -> None:
        answer = await engine.call(
            "GET", f"{ROOM}/events", bearer=self.answers[-1].user_token, query={"after": self.seq}
        )
        assert answer.status in ALLOWED, answer
        if answer.status == 200 and self.view is not None:
            for raw in msgspec.json.decode(answer.body, type=EventsAnswer).events:
                event = decode_event(raw)
                assert event.seq == self.seq + 1, "I6 a gap in the log"
                self.view, self.seq = apply(self.view, event), event.seq
        elif answer.code == "snapshot_required":
            fresh = await engine.call("GET", ROOM, bearer=self.answers[-1].user_token)
            assert fresh.status in ALLOWED, fresh
            if fresh.status == 200:
                now = msgspec.json.decode(fresh.body, type=ViewAnswer)
                self.view, self.seq = now.view, now.seq

    def _admitted(self, engine: EngineUnderTest, answer: TokenAnswer) -> None:
        self.answers = [*self.answers[-9:], answer]
        self.key = Key(engine.app_id, "room", answer.room.room_id)
        self.view, self.seq = answer.room, answer.seq
        self._read = 0
