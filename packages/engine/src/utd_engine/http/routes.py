"""The route table: one row a path. Handlers, OpenAPI and metrics all come from these rows."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from msgspec import Struct

from utd_engine.domain.roles import NEEDS
from utd_engine.http import agents, calls, inbox
from utd_engine.http import handlers as h
from utd_engine.http.call import Call
from utd_protocol import answers as a
from utd_protocol import commands as c

Handler: TypeAlias = Callable[[h.Services, Call], Awaitable[Any]]
Who: TypeAlias = Literal["app_key", "bearer", "renewal", "either", "secret"]
"""`renewal` is a bearer that may have expired a while ago; `either` a bearer or the app's key."""


class Row(NamedTuple):
    """One method of one path."""

    method: str
    path: str
    handler: Handler
    who: Who
    answer: Any
    body: type[Struct] | None = None
    needs: str = ""
    """The capability, for the documentation; the rules check it."""
    secret_answer: bool = False
    """The answer holds tokens: it is never stored, neither by us nor by a cache."""
    query: tuple[str, ...] = ()
    idempotent: bool = False
    """A repetition with the same `Idempotency-Key` changes nothing more."""

    @property
    def summary(self) -> str:
        """What it does, in a sentence."""
        return (self.handler.__doc__ or "").strip().splitlines()[0]


_ROOM: Final = "/api/v1/rooms/{type}/{name}"


def _command(method: str, path: str, kind: type[Struct]) -> Row:
    needs = NEEDS[kind]  # type: ignore[index]
    handler, path, query = h.command(kind), _ROOM + path, ("dry_run", "room_id")
    return Row(
        method, path, handler, "bearer", a.CommandAnswer, kind, needs, query=query, idempotent=True
    )


def _read(path: str, handler: Handler, answer: object, *query: str) -> Row:
    return Row("GET", _ROOM + path, handler, "bearer", answer, query=(*query, "room_id"))


def _call(path: str, kind: type[c.CallCommand]) -> Row:
    handler = calls.command(kind)
    path = f"/api/v1/calls/{{id}}{path}"
    return Row("POST", path, handler, "bearer", a.CallAnswer, kind, idempotent=True)


def _mint(
    path: str, handler: Handler, who: Who, answer: object, body: type[Struct] | None = None
) -> Row:
    return Row("POST", path, handler, who, answer, body, secret_answer=True)


ROUTES: Final[tuple[Row, ...]] = (
    _mint("/api/v1/token", h.token, "app_key", a.TokenAnswer, a.TokenRequest),
    _command("POST", "/seats/take", c.TakeSeat),
    _command("POST", "/seats/leave", c.LeaveSeat),
    _read("/events", h.events, a.EventsAnswer, "after", "limit"),
    _read("", h.view, a.ViewAnswer),
    _mint(_ROOM + "/rejoin", h.rejoin, "renewal", a.TokenAnswer),
    _mint("/api/v1/auth/session", h.session, "app_key", a.SessionAnswer, a.SessionRequest),
    _mint("/api/v1/auth/refresh", h.refresh, "renewal", a.SessionAnswer),
    Row("GET", "/api/v1/rooms", h.rooms, "secret", a.Page[a.RoomSummary],
        query=("type", "cursor", "limit")),
    Row("GET", "/api/v1/events", h.log, "secret", a.LogAnswer, query=("after", "limit")),
    Row("PUT", _ROOM, h.open_room, "secret", a.ViewAnswer, a.OpenRequest),
    _command("POST", "/leave", c.Leave),
    _command("POST", "/end", c.EndRoom),
    _command("PATCH", "/policy", c.ChangePolicy),
    _command("PATCH", "/settings", c.ChangeSettings),
    _read("/seats", h.seats, a.SeatsAnswer),
    _command("PUT", "/seats", c.ConfigureSeats),
    _command("POST", "/seats/move", c.MoveSeat),
    _command("POST", "/seats/swap", c.SwapSeats),
    _command("POST", "/seats/lock", c.LockSeats),
    _command("POST", "/seats/unlock", c.UnlockSeats),
    _command("POST", "/seats/mute", c.MuteSeat),
    _command("POST", "/seats/unmute", c.UnmuteSeat),
    _command("POST", "/seats/remove", c.RemoveFromSeat),
    _command("POST", "/seats/assign", c.AssignSeat),
    _command("POST", "/seats/reserve", c.ReserveSeat),
    _read("/requests", h.requests, a.RequestsAnswer),
    _command("POST", "/requests", c.CreateRequest),
    _command("POST", "/requests/{id}/approve", c.ApproveRequest),
    _command("POST", "/requests/{id}/reject", c.RejectRequest),
    _command("POST", "/requests/{id}/cancel", c.CancelRequest),
    _read("/invites", h.invites, a.RequestsAnswer),
    _command("POST", "/invites", c.CreateInvite),
    _command("POST", "/invites/{id}/accept", c.AcceptInvite),
    _command("POST", "/invites/{id}/decline", c.DeclineInvite),
    _command("POST", "/invites/{id}/cancel", c.CancelInvite),
    _read("/members", h.members, a.Page[a.Present], "role", "cursor", "limit"),
    _command("PATCH", "/members/{identity}", c.SetRole),
    _command("POST", "/members/{identity}/kick", c.Kick),
    _command("POST", "/members/{identity}/ask-mute", c.AskMute),
    _command("POST", "/members/{identity}/hard-mute", c.HardMute),
    _command("POST", "/members/{identity}/lift-mute", c.LiftMute),
    _command("POST", "/mute-all", c.MuteAll),
    _command("POST", "/transfer-host", c.TransferHost),
    _read("/bans", h.bans, a.Page[a.BanRecord], "cursor", "limit"),
    _command("PUT", "/bans/{identity}", c.Ban),
    _command("DELETE", "/bans/{identity}", c.Unban),
    _command("POST", "/live", c.GoLive),
    _command("POST", "/pause", c.PauseStream),
    _command("POST", "/resume", c.ResumeStream),
    _command("POST", "/schedule", c.ScheduleStream),
    _read("/stage", h.stage, a.StageAnswer),
    _command("POST", "/stage/invite", c.InviteToStage),
    _command("POST", "/stage/remove", c.RemoveFromStage),
    _command("POST", "/stage/leave", c.LeaveStage),
    _command("POST", "/stage/sources", c.SetStageSources),
    _mint("/api/v1/calls", calls.start, "bearer", a.CallAnswer, a.CallRequest)
    ._replace(idempotent=True),
    Row("GET", "/api/v1/calls", calls.listing, "bearer", a.Page[a.CallAnswer],
        query=("cursor", "limit")),
    Row("GET", "/api/v1/calls/{id}", calls.show, "bearer", a.CallAnswer),
    _call("/ringing", c.CallRinging),
    _mint("/api/v1/calls/{id}/accept", calls.accept, "bearer", a.CallAnswer),
    _call("/reject", c.RejectCall),
    _call("/ignore", c.IgnoreCall),
    _call("/busy", c.BusyCall),
    _call("/end", c.EndCall),
    Row("GET", "/api/v1/inbox", inbox.read, "bearer", a.InboxAnswer, query=("after", "limit")),
    _mint("/api/v1/agents/token", agents.token, "either", a.AgentTokenAnswer, a.AgentTokenRequest),
    _read("/audit", h.audit, a.Page[a.AuditRecord], "cursor", "limit"),
)  # fmt: skip
