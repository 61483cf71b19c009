"""A user's agent session on the in-process LiveKit, with a clock and timers that a test moves."""

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from utd_stream._media.frames import AudioFrame
from utd_stream._room.participants import ParticipantKind
from utd_stream._room.room import UTDRoom
from utd_stream.agents import SessionOptions, TokenSourceResponse
from utd_stream.agents._session import Session
from utd_stream.agents._transcripts import FINAL, SEGMENT, TRANSCRIPTION_TOPIC
from utd_stream.testing import EVERYTHING, FakeLiveKit, FakeStream, Grant

ROOM = "room"
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class FakeSurroundings:
    """Time stands still until `advance`; ids are id-1, id-2, …"""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._numbers = itertools.count(1)
        self._timers: dict[object, tuple[float, Callable[[], None]]] = {}

    @property
    def running(self) -> int:
        """How many timers run."""
        return len(self._timers)

    def now(self) -> datetime:
        return START + timedelta(seconds=self._seconds)

    def new_id(self) -> str:
        return f"id-{next(self._numbers)}"

    def call_later(self, delay: float, callback: Callable[[], None]) -> Callable[[], None]:
        key = object()
        self._timers[key] = (self._seconds + delay, callback)
        return lambda: void(self._timers.pop(key, None))

    def advance(self, seconds: float) -> None:
        self._seconds += seconds
        for key, (at, callback) in tuple(self._timers.items()):
            if at <= self._seconds and self._timers.pop(key, None):
                callback()


def void(_: object) -> None:
    return None


def jwt(**claims: Any) -> str:
    """A token that nobody signed."""
    parts = ({"alg": "none"}, claims)
    encoded = (base64.urlsafe_b64encode(json.dumps(each).encode()) for each in parts)
    return ".".join([*(each.decode().rstrip("=") for each in encoded), "c2ln"])


async def settle() -> None:
    """Let everything run that can run now."""
    for _ in range(20):
        await asyncio.sleep(0)


async def eventually(fits: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not fits():
            await asyncio.sleep(0)


class AgentStage:
    """One server, one user's session, and agents that come and go."""

    def __init__(self, *, dispatches: bool = True, **options: Any) -> None:
        self.server = FakeLiveKit(admit=self._admit)
        self.time = FakeSurroundings()
        self.dispatches = dispatches
        self.fetched = 0
        self.before_token: Callable[[], Awaitable[None]] | None = None
        self.grant = Grant(room=ROOM, identity="ana")
        self.others: list[UTDRoom] = []
        self.user_room = self.new_room()
        options.setdefault("room", self.user_room)
        wiring = {key: options.pop(key) for key in ("senders", "receivers") if key in options}
        self.session = Session(
            self.fetch, options=SessionOptions(**options), surroundings=self.time, **wiring
        )
        self.states: list[str] = []
        self.session.add_listener(self._note)

    def new_room(self) -> UTDRoom:
        return UTDRoom(open_link=self.server.open_link)

    async def fetch(self) -> TokenSourceResponse:
        self.fetched += 1
        if self.before_token is not None:
            await self.before_token()
        agents = {"agents": [{"agentName": "helper"}]} if self.dispatches else {}
        return TokenSourceResponse(self.server.url, jwt(sub="ana", roomConfig=agents))

    async def join(
        self,
        identity: str = "agent",
        *,
        state: str | None = "listening",
        kind: ParticipantKind = "agent",
        on_behalf: str | None = None,
    ) -> UTDRoom:
        """Somebody comes; an agent that listens by default."""
        attributes = {"lk.agent.state": state, "lk.publish_on_behalf": on_behalf}
        grant = Grant(
            room=ROOM,
            identity=identity,
            kind=kind,
            permissions=EVERYTHING,
            attributes={key: each for key, each in attributes.items() if each is not None},
        )
        room = self.new_room()
        self.others.append(room)
        await room.connect(self.server.url, self.server.token_for(grant))
        await settle()
        return room

    async def say(self, state: str, identity: str = "agent") -> None:
        """The agent changes its state."""
        self.server.set_attributes(ROOM, identity, {"lk.agent.state": state})
        await settle()

    def open(
        self,
        segment: str | None,
        *,
        final: str = "false",
        identity: str = "agent",
        sender: str | None = None,
    ) -> FakeStream[str]:
        """A transcript opens."""
        attributes: Mapping[str, str] = {FINAL: final, **({SEGMENT: segment} if segment else {})}
        [stream] = self.server.stream_text(
            ROOM, identity, TRANSCRIPTION_TOPIC, attributes=attributes, sender=sender
        )
        return stream

    async def aclose(self) -> None:
        await self.session.__aexit__()
        await self.user_room.aclose()
        for room in self.others:
            await room.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _admit(self, token: str) -> Grant | None:
        return self.grant

    def _note(self) -> None:
        state = self.session.connection_state.value
        if not self.states or self.states[-1] != state:
            self.states.append(state)


class Frames:
    """A microphone that gives what a test hands over, and counts how often it was opened."""

    def __init__(self, *, broken: Exception | None = None) -> None:
        self.queue: asyncio.Queue[AudioFrame] = asyncio.Queue()
        self.opened = 0
        self.closed = 0
        self._broken = broken

    async def __aiter__(self) -> AsyncIterator[AudioFrame]:
        self.opened += 1
        if self._broken is not None:
            raise self._broken
        try:
            while True:
                yield await self.queue.get()
        finally:
            self.closed += 1
