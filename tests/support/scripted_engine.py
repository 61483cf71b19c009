"""An engine of one room that does as a test says: a log, few rules, and LiveKit's reactions."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from msgspec import structs
from support.room_logs import NOW, fresh_view, left, opened, raws, taken, window
from support.scripted_http import Asked, Said, ScriptedHTTP, answer, refusal, serving
from support.scripted_livekit import LISTENER, SPEAKER, Darkness, ScriptedLiveKit, Silence

from utd_protocol import events as ev
from utd_protocol.answers import (
    CommandAnswer,
    EventsAnswer,
    RequestsAnswer,
    SeatsAnswer,
    TokenAnswer,
    ViewAnswer,
)
from utd_protocol.apply import apply
from utd_protocol.types import Role, RoomState, RoomType, SeatState, Source
from utd_protocol.views import Request, RoomView
from utd_stream._client import UTDStreamClient
from utd_stream._media.frames import MediaInputs
from utd_stream._room.connection import DisconnectReason

ROOM = "/api/v1/rooms/audio_room/lobby"
_BELOW = re.compile("^/api/v1(/rooms/[^/]+/[^/]+)?")
Rule = Callable[[Asked], Said | Awaitable[Said | None] | None]


class ScriptedEngine:
    """`rules` say what a route answers instead of what it does by itself."""

    def __init__(self, livekit: ScriptedLiveKit, **room: Any) -> None:
        self.livekit = livekit
        self.reopen(**room)
        self.requests: tuple[Request, ...] = ()
        self.rules: dict[str, Rule] = {}
        self.server: ScriptedHTTP | None = None
        self.tokens = 0
        self.kept_from = 1
        """Events below this place are no longer kept."""

    def reopen(self, **room: Any) -> None:
        """Another opening, with a log of its own."""
        self.log: list[Any] = [opened(**room)]
        self.view: RoomView = fresh_view(**room)

    @property
    def head(self) -> int:
        return len(self.log)

    def asked(self, route: str) -> list[Asked]:
        """What was asked of one route, such as `POST /seats/take`."""
        assert self.server is not None
        return [each for each in self.server.asked if route_of(each) == route]

    def commit(self, *events: Any, heard: bool = True) -> list[Any]:
        """Append to the log; unless lost on the way, LiveKit tells the room."""
        placed = []
        for event in events:
            placed.append(structs.replace(event, seq=self.head + 1))
            self.log.append(placed[-1])
            self.view = apply(self.view, placed[-1])
        if heard:
            self.livekit.tell_metadata(window(placed, self.head, self.view.room_id))
        return placed

    def done(self, *events: Any, heard: bool = False, **extra: Any) -> Said:
        """Commit, and answer as to a command."""
        placed = self.commit(*events, heard=heard)
        told = CommandAnswer(seq=self.head, events=raws(placed), media="applied", **extra)
        return answer(told)

    def entered(self, identity: str) -> Said:
        """What a join is answered."""
        self.tokens += 1
        return answer(
            TokenAnswer(
                token=f"livekit-{identity}-{self.tokens}",
                url="ws://livekit.test",
                room_name=self.view.name,
                user_token=f"user-{identity}-{self.tokens}",
                ws_url=None,
                role=self.view.role_of(identity),
                role_clamped=False,
                room=self.view,
                seq=self.head,
            )
        )

    def push_rights(self, identity: str) -> None:
        """Grant at LiveKit what the view says."""
        if self.view.type is RoomType.LIVE_STREAM:
            one = self.view.stage_member(identity)
            live = one is not None and self.view.state is RoomState.LIVE
            sources = one.sources if one is not None and live else ()
            self.livekit.grant(structs.replace(LISTENER, can_publish=live, sources=sources))
            return
        seat = self.view.seat_of(identity)
        speaks = (
            seat is not None
            and seat.state is SeatState.TAKEN
            and not seat.mic_locked
            and Source.MICROPHONE not in self.view.member(identity).muted
        )
        self.livekit.grant(SPEAKER if speaks else LISTENER)

    async def handle(self, asked: Asked) -> Said | None:
        route = route_of(asked)
        if route in self.rules:
            said = self.rules[route](asked)
            return await said if isinstance(said, Awaitable) else said
        own = {
            "POST /token": self._token,
            "POST /rejoin": self._rejoin,
            "GET /events": self._events,
            "GET ": lambda _: answer(ViewAnswer(view=self.view, seq=self.head)),
            "GET /requests": self._requests,
            "GET /seats": self._seats,
            "POST /seats/take": self._take,
            "POST /seats/leave": self._stand_up,
            "POST /leave": self._leave,
        }
        return own.get(route, lambda _: self.done())(asked)

    def _token(self, asked: Asked) -> Said:
        assert isinstance(asked.body, dict)
        return self.entered(asked.body["identity"])

    def _rejoin(self, asked: Asked) -> Said:
        return self.entered(who(asked))

    def _events(self, asked: Asked) -> Said:
        after, limit = int(asked.query["after"]), int(asked.query["limit"])
        if after + 1 < self.kept_from:
            return refusal("snapshot_required")
        page = self.log[after : after + limit]
        return answer(EventsAnswer(events=raws(page), head=self.head))

    def _requests(self, _: Asked) -> Said:
        return answer(RequestsAnswer(items=self.requests, seq=self.head))

    def _seats(self, _: Asked) -> Said:
        return answer(
            SeatsAnswer(
                seq=self.head,
                seats=self.view.seats,
                seat_count=len(self.view.seats),
                seat_mode=self.view.seat_mode,
                mode_id=self.view.mode_id,
            )
        )

    def _take(self, asked: Asked) -> Said:
        assert isinstance(asked.body, dict)
        free = [seat.index for seat in self.view.seats if seat.state is SeatState.FREE]
        index = asked.body.get("index", free[0])
        if index not in free:
            return refusal("seat_taken", f"Seat {index} is taken.")
        said = self.done(taken(index, who(asked)))
        self.push_rights(who(asked))
        return said

    def _stand_up(self, asked: Asked) -> Said:
        seat = self.view.seat_of(who(asked))
        said = self.done(*([left(seat.index, who(asked))] if seat else []))
        self.push_rights(who(asked))
        return said

    def _leave(self, asked: Asked) -> Said:
        said = self._stand_up(asked)
        self.livekit.drop(DisconnectReason.PARTICIPANT_REMOVED)
        return said


def route_of(asked: Asked) -> str:
    """Method and path, below the room where it is one."""
    return f"{asked.method} {_BELOW.sub('', asked.path)}"


def who(asked: Asked) -> str:
    """Whom the bearer names."""
    return asked.headers["Authorization"].removeprefix("Bearer user-").rpartition("-")[0]


def kicked(identity: str, reason: str = "") -> ev.MemberKicked:
    return ev.MemberKicked(at=NOW, by="ana", identity=identity, reason=reason)  # type: ignore[arg-type]


def role_changed(identity: str, role: Role) -> ev.MemberRoleChanged:
    return ev.MemberRoleChanged(at=NOW, by="ana", identity=identity, role=role)  # type: ignore[arg-type]


@asynccontextmanager
async def scripted(
    *, timeout: float = 5.0, reconnect_for: float = 5.0, jitter: float = 0.01, **room: Any
) -> AsyncIterator[tuple[ScriptedEngine, UTDStreamClient]]:
    """An engine on loopback, a LiveKit without sockets, and a client of both."""
    livekit = ScriptedLiveKit()
    engine = ScriptedEngine(livekit, **room)
    async with serving(engine.handle) as server:
        engine.server = server
        client = UTDStreamClient(
            app_id="app",
            app_key="pk_test",
            base_url=server.url,
            media=MediaInputs(microphone=Silence(), camera=Darkness(), screen_share=Darkness()),
            timeout=timeout,
            reconnect_for=reconnect_for,
            open_link=livekit,
            jitter=lambda: jitter,
        )
        async with client:
            yield engine, client
