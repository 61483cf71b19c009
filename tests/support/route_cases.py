"""For every row of the route table one request that succeeds and changes something if it can.

The room is `lobby`: ana hosts it, bo listens. A case may need other requests before it.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from utd_engine.http.routes import ROUTES, Row
from utd_engine.testing import Answer, EngineUnderTest, Joined

ROOM: Final = "/api/v1/rooms/audio_room/lobby"
_ROOM_TEMPLATE: Final = "/api/v1/rooms/{type}/{name}"


class Step(NamedTuple):
    """One request: who sends what where."""

    who: str
    method: str
    path: str
    body: Any = None


class Case(NamedTuple):
    """A request for one row, and what must have happened before."""

    who: str
    path: str
    body: Any = None
    before: tuple[Step, ...] = ()
    query: Mapping[str, object] = {}


class Cast(NamedTuple):
    """An engine with ana and bo in the lobby."""

    engine: EngineUnderTest
    people: dict[str, Joined]

    async def send(self, step: Step, query: Mapping[str, object] | None = None) -> Answer:
        """The answer to one request with the credentials of `step.who`; the clock runs on."""
        bearer = None
        if step.who != "app_key":
            bearer = "secret" if step.who == "secret" else self.people[step.who].user_token
        calling = asyncio.ensure_future(
            self.engine.call(
                step.method,
                step.path,
                step.body,
                bearer=bearer,
                app_key=step.who == "app_key",
                query=query,
            )
        )
        await self.engine.clock.settle()
        while not calling.done():
            await self.engine.clock.advance(0.05)
        return await calling

    async def prepare(self, case: Case) -> None:
        """Send what must have happened before; every one of it succeeds."""
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

CASES: Final[dict[str, Case]] = {
    "POST /api/v1/token": Case(
        "app_key", "/api/v1/token",
        {"type": "audio_room", "room_name": "lobby", "identity": "cy"},
    ),
    "POST /api/v1/auth/session": Case("app_key", "/api/v1/auth/session", {"identity": "cy"}),
    "POST /api/v1/auth/refresh": Case("bo", "/api/v1/auth/refresh"),
    "GET /api/v1/rooms": Case("secret", "/api/v1/rooms", query={"type": "audio_room"}),
    "GET /api/v1/events": Case("secret", "/api/v1/events", query={"after": 0}),
} | {
    f"{method} {_ROOM_TEMPLATE}{rest}": case._replace(path=ROOM + case.path)
    for (method, _, rest), case in (
        (name.partition(" "), case) for name, case in _IN_THE_ROOM.items()
    )
}  # fmt: skip


def row_name(row: Row) -> str:
    """How tests call a row."""
    return f"{row.method} {row.path}"


ROWS: Final = {row_name(row): row for row in ROUTES}

ELSEWHERE: Final = frozenset(
    {f"POST {_ROOM_TEMPLATE}/{one}" for one in ("live", "pause", "resume", "schedule")}
    | {f"POST {_ROOM_TEMPLATE}/stage/{one}" for one in ("invite", "remove", "leave", "sources")}
    | {f"GET {_ROOM_TEMPLATE}/stage", "GET /api/v1/inbox"}
    | {"POST /api/v1/calls", "GET /api/v1/calls", "GET /api/v1/calls/{id}"}
    | {
        f"POST /api/v1/calls/{{id}}/{one}"
        for one in ("ringing", "accept", "reject", "ignore", "busy", "end")
    }
)
"""Rows of streams, calls and the inbox: what succeeds there needs another stage than the lobby."""


def case_of(name: str) -> Case:
    """The case of a row, or else a bare request for it, which credentials are tried on."""
    row = ROWS[name]
    known = {"{type}": "audio_room", "{name}": "lobby", "{identity}": "bo", "{id}": "1"}
    path = row.path
    for placeholder, text in known.items():
        path = path.replace(placeholder, text)
    who = {"bearer": "bo"}.get(row.who, row.who)
    return CASES.get(name) or Case(who, path, {} if row.body else None)
