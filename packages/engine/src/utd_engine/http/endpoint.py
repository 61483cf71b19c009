"""One row of the route table as an ASGI application: read, authenticate, handle, render, log."""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import orjson
import structlog
from starlette.types import Message, Receive, Scope, Send

from utd_engine.app.ports import Ids
from utd_engine.domain.refusal import Refused
from utd_engine.http.auth import Authenticator
from utd_engine.http.call import BODY_LIMIT, REQUEST_ID_CHARS, Call
from utd_engine.http.handlers import Services
from utd_engine.http.metrics import Observe
from utd_engine.http.problem import encode, problem_of
from utd_engine.http.routes import Row

_encoder: Final = msgspec.json.Encoder()
_log: Final = structlog.get_logger("utd.http")
_JSON: Final = (b"content-type", b"application/json")
_PROBLEM: Final = (b"content-type", b"application/problem+json")
_ALWAYS: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
_NO_STORE: Final = (b"cache-control", b"no-store")


class Endpoint:
    """Serves one row."""

    def __init__(
        self,
        row: Row,
        services: Services,
        authenticator: Authenticator,
        observe: Observe,
        new_id: Callable[[str], str],
    ) -> None:
        self._row = row
        self._services = services
        self._observe = observe
        self._new_id = new_id
        self._authenticate = {
            "app_key": authenticator.app_key,
            "bearer": authenticator.bearer,
            "secret": authenticator.secret,
        }[row.who]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.perf_counter()
        request_id = request_id_of(scope, self._new_id)
        call: Call | None = None
        code = ""
        try:
            call = Call(scope, request_id)
            call.body = await read_body(receive)
            await self._authenticate(call)
            answer = await self._row.handler(self._services, call)
            status, body, kind = 200, _encoder.encode(answer), _JSON
        except Exception as error:  # noqa: BLE001 the one place where errors become answers
            problem = problem_of(error, request_id)
            status, body, kind, code = problem.status, encode(problem), _PROBLEM, problem.code
        headers = [kind, (b"x-request-id", request_id.encode("latin-1", "replace")), *_ALWAYS]
        headers += _extra(call, self._row, status, body)
        await respond(send, status, headers, body)
        self._record(call, request_id, status, code, time.perf_counter() - began)

    def _record(
        self, call: Call | None, request_id: str, status: int, code: str, seconds: float
    ) -> None:
        row = self._row
        self._observe(row.method, row.path, status, seconds)
        _log.info(
            "request",
            method=row.method,
            route=row.path,
            status=status,
            code=code or None,
            request_id=request_id,
            app=call.tenant.app_id if call and call.tenant else None,
            duration_ms=round(seconds * 1000, 3),
        )


def _extra(call: Call | None, row: Row, status: int, body: bytes) -> list[tuple[bytes, bytes]]:
    extra = list(call.extra) if call is not None else []
    if row.secret_answer:
        extra.append(_NO_STORE)
    if status in {429, 503}:
        after: float | None = orjson.loads(body).get("retry_after")
        if after is not None:
            extra.append((b"retry-after", b"%d" % max(1, round(after + 0.5))))
    return extra


def request_id_of(scope: Scope, new_id: Callable[[str], str]) -> str:
    """The caller's id of the request, when it is a sane one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given = value.decode("latin-1")
            if 0 < len(given) <= REQUEST_ID_CHARS and given.isascii() and given.isprintable():
                return str(given)
    return new_id("req")


async def read_body(receive: Receive) -> bytes:
    """The whole body.

    Raises:
        Refused: `too_large`.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        parts, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            part: bytes = message.get("body", b"")
            size += len(part)
            if size <= BODY_LIMIT:
                parts.append(part)
        body = b"".join(parts)
        if size > BODY_LIMIT:
            raise too_large(size)
    if len(body) > BODY_LIMIT:
        raise too_large(len(body))
    return body


def too_large(size: int) -> Refused:
    """The refusal of a body over the limit."""
    return Refused(
        "too_large", f"The body has {size} bytes; at most {BODY_LIMIT} are read.", field="body"
    )


async def respond(send: Send, status: int, headers: list[Any], body: bytes) -> None:
    """One whole answer."""
    headers.append((b"content-length", b"%d" % len(body)))
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})


def new_id_of(ids: Ids) -> Callable[[str], str]:
    """Where request ids come from."""
    return ids.new
