"""The public ASGI application: routes from the table, and what surrounds every request."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

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
EXPOSED_HEADERS: Final = "x-request-id, retry-after, ratelimit-limit, ratelimit-remaining"
METHODS: Final = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
PREFLIGHT_S: Final = 600


def public_app(
    services: Services,
    authenticator: Authenticator,
    observe: Observe,
    *,
    new_id: Callable[[str], str],
    origins: Sequence[str],
    extra: Sequence[Route] = (),
) -> ASGIApp:
    """Everything that clients and backends reach."""
    routes = [
        Route(
            row.path, Endpoint(row, services, authenticator, observe, new_id), methods=[row.method]
        )
        for row in ROUTES
    ]
    document = openapi(ROUTES)
    routes.append(Route("/openapi.json", Fixed(document, b"application/json"), methods=["GET"]))
    routes += extra
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    app.router.default = NotFound(new_id)
    return RawPath(CORS(MethodCheck(app, routes, new_id), origins))


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
        if origin is None or not (self._any or origin in self._origins):
            await self._app(scope, receive, send)
            return
        allow = [(b"access-control-allow-origin", b"*" if self._any else origin)]
        if not self._any:
            allow.append((b"vary", b"origin"))
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            allow += [
                (b"access-control-allow-methods", METHODS.encode()),
                (b"access-control-allow-headers", ALLOWED_HEADERS.encode()),
                (b"access-control-max-age", b"%d" % PREFLIGHT_S),
            ]
            await respond(send, 204, allow, b"")
            return
        allow.append((b"access-control-expose-headers", EXPOSED_HEADERS.encode()))

        async def with_origin(message: Any) -> None:  # noqa: ANN401 ASGI's own type
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *allow]
            await send(message)

        await self._app(scope, receive, with_origin)


class MethodCheck:
    """A known path with another method is a 404 of ours, not a bare 405 of the framework."""

    def __init__(
        self, app: Starlette, routes: Sequence[Route], new_id: Callable[[str], str]
    ) -> None:
        self._app = app
        self._missing = NotFound(new_id)
        self._methods = {method for route in routes for method in route.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let known methods through."""
        if scope["type"] == "http" and scope["method"] not in self._methods:
            await self._missing(scope, receive, send)
            return
        await self._app(scope, receive, send)


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
            (b"x-request-id", request_id.encode("latin-1", "replace")),
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
