"""The public ASGI application: routes from the table, and what surrounds every request."""

from collections.abc import Callable, Sequence
from typing import Final

from starlette.routing import BaseRoute, Match, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from utd_engine.domain.refusal import Refused
from utd_engine.http.auth import Authenticator
from utd_engine.http.endpoint import Endpoint, request_id_of, respond
from utd_engine.http.handlers import Services
from utd_engine.http.metrics import Observe
from utd_engine.http.openapi import openapi
from utd_engine.http.problem import encode, problem_of
from utd_engine.http.routes import ROUTES

ALLOWED_HEADERS: Final = (
    "authorization, content-type, idempotency-key, x-app-id, x-app-key, x-request-id"
)
EXPOSED_HEADERS: Final = (
    "x-request-id, retry-after, idempotent-replayed, "
    "ratelimit-limit, ratelimit-remaining, ratelimit-reset"
)
METHODS: Final = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
PREFLIGHT_S: Final = 600


def public_app(
    services: Services,
    authenticator: Authenticator,
    observe: Observe,
    *,
    new_id: Callable[[str], str],
    origins: Sequence[str],
    https: bool = False,
    extra: Sequence[BaseRoute] = (),
) -> ASGIApp:
    """Everything that clients and backends reach."""
    routes: list[BaseRoute] = [
        OwnRoute(
            row.path, Endpoint(row, services, authenticator, observe, new_id), methods=[row.method]
        )
        for row in ROUTES
    ]
    document = Fixed(openapi(ROUTES), b"application/json")
    routes.append(OwnRoute("/openapi.json", document, methods=["GET"]))
    routes += extra
    return SafetyHeaders(RawPath(CORS(routed(routes, new_id), origins)), https=https)


def routed(routes: Sequence[BaseRoute], new_id: Callable[[str], str]) -> ASGIApp:
    """The routes, and our own 404 for all else."""
    return Fast(routes, Router(routes, redirect_slashes=False, default=NotFound(new_id)))


class OwnRoute(Route):
    """A route that knows its own methods only: with others its path is as unknown as any."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """All or nothing."""
        match, child = super().matches(scope)
        return (Match.FULL, child) if match is Match.FULL else (Match.NONE, {})


class Fast:
    """Finds a path without parameters at once; leaves the others to be matched in turn."""

    def __init__(self, routes: Sequence[BaseRoute], others: ASGIApp) -> None:
        self._others = others
        self._known = {
            (method, route.path): route.app
            for route in routes
            if isinstance(route, OwnRoute) and not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Go on with what serves the path."""
        named = (scope.get("method", ""), scope.get("path", ""))
        app = self._known.get(named, self._others)
        await app(scope, receive, send)


class SafetyHeaders:
    """What every answer says to browsers: take nothing for what it is not, show it nowhere."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        ]
        if https:
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add them."""
        await self._app(scope, receive, _adding(self._headers, send))


class RawPath:
    """Routes on the path as it was sent, so that a name may hold an encoded slash."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Replace the decoded path."""
        raw = scope.get("raw_path") if scope["type"] == "http" else None
        if raw is not None:
            scope["path"] = raw.partition(b"?")[0].decode("latin-1")
        await self._app(scope, receive, send)


class CORS:
    """Cross-origin rules without credentials: any listed origin, or `*`."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._any = "*" in origins
        self._origins = {origin.encode("latin-1") for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer preflights; let other answers be read by listed origins."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        allow: list[tuple[bytes, bytes]] = [] if self._any else [(b"vary", b"origin")]
        if origin is None or not (self._any or origin in self._origins):
            await self._app(scope, receive, _adding(allow, send))
            return
        allow.append((b"access-control-allow-origin", b"*" if self._any else origin))
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            allow += [
                (b"access-control-allow-methods", METHODS.encode()),
                (b"access-control-allow-headers", ALLOWED_HEADERS.encode()),
                (b"access-control-max-age", b"%d" % PREFLIGHT_S),
            ]
            await respond(send, 204, allow, b"")
            return
        allow.append((b"access-control-expose-headers", EXPOSED_HEADERS.encode()))
        await self._app(scope, receive, _adding(allow, send))


class NotFound:
    """No such path."""

    def __init__(self, new_id: Callable[[str], str]) -> None:
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say so in our own words."""
        del receive
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4404})
            return
        request_id = request_id_of(scope, self._new_id)
        refusal = Refused(
            "not_found",
            f"There is no {scope['method']} {scope['path']}.",
            hint="See /openapi.json for what there is.",
        )
        problem = problem_of(refusal, request_id)
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"x-request-id", request_id.encode()),
        ]
        await respond(send, problem.status, headers, encode(problem))


class Fixed:
    """Always the same bytes."""

    def __init__(self, body: bytes, content_type: bytes) -> None:
        self._body = body
        self._content_type = content_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        del scope, receive
        await respond(send, 200, [(b"content-type", self._content_type)], self._body)


def _adding(headers: list[tuple[bytes, bytes]], send: Send) -> Send:
    """`send` that adds headers to the answer."""

    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        await send(message)

    return adding if headers else send
