"""For every row of the route table one request that succeeds and changes something if it can.

The room is `lobby`: ana hosts it, bo listens, and ana may call bo. The stream is `show`: hal hosts
it and gus watches; they come when they are asked for. A case may need other requests before it.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from utd_engine.http.routes import ROUTES, Row
from utd_engine.ports.rooms import Key
from utd_engine.testing import Answer, EngineUnderTest, Joined

ROOM: Final = "/api/v1/rooms/audio_room/lobby"
STREAM: Final = "/api/v1/rooms/live_stream/show"
_ROOM_TEMPLATE: Final = "/api/v1/rooms/{type}/{name}"
_AT_THE_STREAM: Final = {"hal": "host", "gus": "audience"}


class Step(NamedTuple):
    """One request: who sends what where."""

    who: str
    method: str
    path: str
    body: Any = None


class Case(NamedTuple):
    """A request for one row, and what must have happened before.

    `{call}` in a path is the call that was begun last.
    """

    who: str
    path: str
    body: Any = None
    before: tuple[Step, ...] = ()
    query: Mapping[str, object] = {}


class Cast:
    """An engine with ana and bo in the lobby."""

    def __init__(self, engine: EngineUnderTest, people: dict[str, Joined]) -> None:
        self.engine = engine
        self.people = people
        self.call_id = ""

    def key(self, case: Case) -> Key:
        """The room that a case is about."""
        return self.engine.key(self.people["hal" if case.path.startswith(STREAM) else "ana"])

    async def send(self, step: Step, query: Mapping[str, object] | None = None) -> Answer:
        """The answer to one request with the credentials of `step.who`; the clock runs on."""
        bearer = None
        if step.who != "app_key":
            bearer = "secret" if step.who == "secret" else self.people[step.who].user_token
        calling = asyncio.ensure_future(
            self.engine.call(
                step.method,
                step.path.replace("{call}", self.call_id),
                step.body,
                bearer=bearer,
                app_key=step.who == "app_key",
                query=query,
            )
        )
        await self.engine.clock.settle()
        while not calling.done():
            await self.engine.clock.advance(0.05)
        answer = await calling
        if step.path == CALLS and answer.status == 200 and step.method == "POST":
            self.call_id = answer.json()["call_id"]
        return answer

    async def prepare(self, case: Case) -> None:
        """Send what must have happened before; every one of it succeeds."""
        if case.who in _AT_THE_STREAM and case.who not in self.people:
            for who, role in _AT_THE_STREAM.items():
                self.people[who] = await self.engine.join(
                    who, role=role, type="live_stream", room_name="show"
                )
        for step in case.before:
            answer = await self.send(step)
            assert answer.status == 200, (step, answer.body)

    async def run(self, row: Row, case: Case) -> Answer:
        """The whole case."""
        await self.prepare(case)
        return await self.send(Step(case.who, row.method, case.path, case.body), case.query)


async def cast(engine: EngineUnderTest) -> Cast:
    """Let ana open the lobby and bo come in."""
    ana = await engine.join("ana", role="host")
    return Cast(engine, {"ana": ana, "bo": await engine.join("bo")})


_BO_SITS = Step("bo", "POST", ROOM + "/seats/take", {"index": 0})
_BO_ASKS = Step("bo", "POST", ROOM + "/requests", {"note": "please"})
_ANA_INVITES = Step("ana", "POST", ROOM + "/invites", {"identity": "bo"})

_IN_THE_ROOM: Final[dict[str, Case]] = {
    "GET ": Case("bo", ""),
    "PUT ": Case("secret", "", {"owner": "zoe"}),
    "POST /rejoin": Case("bo", "/rejoin"),
    "GET /events": Case("bo", "/events", query={"after": 0, "limit": 5}),
    "POST /leave": Case("bo", "/leave", before=(_BO_SITS,)),
    "POST /end": Case("ana", "/end", {"reason": "done"}),
    "PATCH /policy": Case("ana", "/policy", {"policy": {"seat_hold_s": 10}}),
    "PATCH /settings": Case("ana", "/settings", {"metadata": "jazz"}),
    "GET /seats": Case("bo", "/seats"),
    "PUT /seats": Case("ana", "/seats", {"count": 4}),
    "POST /seats/take": Case("bo", "/seats/take", {"index": 1}),
    "POST /seats/leave": Case("bo", "/seats/leave", before=(_BO_SITS,)),
    "POST /seats/move": Case("bo", "/seats/move", {"index": 2}, (_BO_SITS,)),
    "POST /seats/swap": Case("ana", "/seats/swap", {"a": 0, "b": 1}, (_BO_SITS,)),
    "POST /seats/lock": Case("ana", "/seats/lock", {"indices": [3]}),
    "POST /seats/unlock": Case(
        "ana", "/seats/unlock", {"indices": "all"},
        (Step("ana", "POST", ROOM + "/seats/lock", {"indices": "all"}),),
    ),
    "POST /seats/mute": Case("ana", "/seats/mute", {"index": 0}),
    "POST /seats/unmute": Case(
        "ana", "/seats/unmute", {"index": 0},
        (Step("ana", "POST", ROOM + "/seats/mute", {"index": 0}),),
    ),
    "POST /seats/remove": Case("ana", "/seats/remove", {"identity": "bo"}, (_BO_SITS,)),
    "POST /seats/assign": Case("secret", "/seats/assign", {"identity": "bo", "index": 2}),
    "POST /seats/reserve": Case("ana", "/seats/reserve", {"index": 2, "identity": "bo"}),
    "GET /requests": Case("ana", "/requests", before=(_BO_ASKS,)),
    "POST /requests": Case("bo", "/requests", {"note": "please"}),
    "POST /requests/{id}/approve": Case("ana", "/requests/1/approve", before=(_BO_ASKS,)),
    "POST /requests/{id}/reject": Case("ana", "/requests/1/reject", before=(_BO_ASKS,)),
    "POST /requests/{id}/cancel": Case("bo", "/requests/1/cancel", before=(_BO_ASKS,)),
    "GET /invites": Case("bo", "/invites", before=(_ANA_INVITES,)),
    "POST /invites": Case("ana", "/invites", {"identity": "bo", "index": 1}),
    "POST /invites/{id}/accept": Case("bo", "/invites/1/accept", before=(_ANA_INVITES,)),
    "POST /invites/{id}/decline": Case("bo", "/invites/1/decline", before=(_ANA_INVITES,)),
    "POST /invites/{id}/cancel": Case("ana", "/invites/1/cancel", before=(_ANA_INVITES,)),
    "GET /members": Case("bo", "/members", query={"role": "audience", "limit": 5}),
    "PATCH /members/{identity}": Case("ana", "/members/bo", {"role": "admin"}),
    "POST /members/{identity}/kick": Case("ana", "/members/bo/kick", {"reason": "noise"}),
    "POST /members/{identity}/ask-mute": Case("ana", "/members/bo/ask-mute", None, (_BO_SITS,)),
    "POST /members/{identity}/hard-mute": Case("ana", "/members/bo/hard-mute", None, (_BO_SITS,)),
    "POST /members/{identity}/lift-mute": Case(
        "ana", "/members/bo/lift-mute", None,
        (_BO_SITS, Step("ana", "POST", ROOM + "/members/bo/hard-mute")),
    ),
    "POST /mute-all": Case("ana", "/mute-all", {"except_": ["ana"]}, (_BO_SITS,)),
    "POST /transfer-host": Case("ana", "/transfer-host", {"identity": "bo"}),
    "GET /bans": Case(
        "ana", "/bans", before=(Step("ana", "PUT", ROOM + "/bans/bo", {"reason": "spam"}),)
    ),
    "PUT /bans/{identity}": Case("ana", "/bans/bo", {"scope": "room"}),
    "DELETE /bans/{identity}": Case(
        "ana", "/bans/bo", None, (Step("ana", "PUT", ROOM + "/bans/bo", {}),)
    ),
    "GET /audit": Case(
        "ana", "/audit", before=(Step("ana", "POST", ROOM + "/seats/mute", {"index": 0}),)
    ),
}  # fmt: skip

_LIVE: Final = Step("hal", "POST", STREAM + "/live", {})
_GUS_ON_STAGE: Final = Step("hal", "POST", STREAM + "/stage/invite", {"identity": "gus"})

_AT_STREAM: Final[dict[str, Case]] = {
    "POST /live": Case("hal", "/live", {"with_video": False}),
    "POST /pause": Case("hal", "/pause", before=(_LIVE,)),
    "POST /resume": Case("hal", "/resume", None, (_LIVE, Step("hal", "POST", STREAM + "/pause"))),
    "POST /schedule": Case("hal", "/schedule", {"at": "2026-02-01T20:00:00Z"}),
    "GET /stage": Case("gus", "/stage", before=(_LIVE,)),
    "POST /stage/invite": Case("hal", "/stage/invite", {"identity": "gus"}),
    "POST /stage/remove": Case("hal", "/stage/remove", {"identity": "gus"}, (_GUS_ON_STAGE,)),
    "POST /stage/leave": Case("gus", "/stage/leave", None, (_GUS_ON_STAGE,)),
    "POST /stage/sources": Case(
        "hal", "/stage/sources", {"identity": "gus", "sources": ["microphone"]}, (_GUS_ON_STAGE,)
    ),
}  # fmt: skip

CALLS: Final = "/api/v1/calls"
_A_CALL: Final = {"callee_identity": "bo", "type": "video_call", "metadata": {"about": "lunch"}}
_ANA_CALLS: Final = (Step("ana", "POST", CALLS, _A_CALL),)

_OF_CALLS: Final[dict[str, Case]] = {
    "POST ": Case("ana", "", _A_CALL),
    "GET ": Case("bo", "", None, _ANA_CALLS, {"limit": 5}),
    "GET /{id}": Case("bo", "/{call}", None, _ANA_CALLS),
    "POST /{id}/ringing": Case("bo", "/{call}/ringing", {}, _ANA_CALLS),
    "POST /{id}/accept": Case("bo", "/{call}/accept", {}, _ANA_CALLS),
    "POST /{id}/reject": Case("bo", "/{call}/reject", {}, _ANA_CALLS),
    "POST /{id}/ignore": Case("bo", "/{call}/ignore", {}, _ANA_CALLS),
    "POST /{id}/busy": Case("bo", "/{call}/busy", {}, _ANA_CALLS),
    "POST /{id}/end": Case("ana", "/{call}/end", {}, _ANA_CALLS),
}


def _under(template: str, path: str, cases: Mapping[str, Case]) -> dict[str, Case]:
    """Cases by the names of their rows."""
    named = {}
    for name, case in cases.items():
        method, _, rest = name.partition(" ")
        named[f"{method} {template}{rest}"] = case._replace(path=path + case.path)
    return named


IN_LOBBY: Final = _under(_ROOM_TEMPLATE, ROOM, _IN_THE_ROOM)
"""The cases about the room of ana and bo."""

CASES: Final[dict[str, Case]] = {
    "POST /api/v1/token": Case(
        "app_key", "/api/v1/token",
        {"type": "audio_room", "room_name": "lobby", "identity": "cy"},
    ),
    "POST /api/v1/auth/session": Case("app_key", "/api/v1/auth/session", {"identity": "cy"}),
    "POST /api/v1/auth/refresh": Case("bo", "/api/v1/auth/refresh"),
    "POST /api/v1/agents/token": Case(
        "bo", "/api/v1/agents/token", {"room_config": {"agents": [{"agent_name": "echo"}]}}
    ),
    "GET /api/v1/rooms": Case("secret", "/api/v1/rooms", query={"type": "audio_room"}),
    "GET /api/v1/events": Case("secret", "/api/v1/events", query={"after": 0}),
    "GET /api/v1/inbox": Case("bo", "/api/v1/inbox", None, _ANA_CALLS, {"after": 0}),
    **IN_LOBBY,
    **_under(_ROOM_TEMPLATE, STREAM, _AT_STREAM),
    **_under(CALLS, CALLS, _OF_CALLS),
}  # fmt: skip


def row_name(row: Row) -> str:
    """How tests call a row."""
    return f"{row.method} {row.path}"


ROWS: Final = {row_name(row): row for row in ROUTES}
