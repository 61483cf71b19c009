"""One row of the route table as an ASGI application: read, authenticate, handle, render, log."""

import math
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog
from starlette.types import Message, Receive, Scope, Send

from utd_engine.domain.refusal import Refused
from utd_engine.http.auth import Authenticator
from utd_engine.http.call import BODY_LIMIT, REQUEST_ID_CHARS, Call
from utd_engine.http.handlers import Services
from utd_engine.http.metrics import Observe
from utd_engine.http.problem import encode, problem_of
from utd_engine.http.routes import Row
from utd_protocol.errors import Problem

_encoder: Final = msgspec.json.Encoder()
_log: Final = structlog.get_logger("utd.http")
_JSON: Final = (b"content-type", b"application/json")
_PROBLEM: Final = (b"content-type", b"application/problem+json")
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
        self._failed = authenticator.failed
        self._authenticate = {
            "app_key": authenticator.app_key,
            "bearer": authenticator.bearer,
            "renewal": authenticator.renewal,
            "either": authenticator.either,
            "secret": authenticator.secret,
        }[row.who]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.perf_counter()
        request_id = request_id_of(scope, self._new_id)
        call: Call | None = None
        problem: Problem | None = None
        try:
            call = Call(scope, request_id)
            call.body = await read_body(receive)
            await self._authenticate(call)
            answer = await self._row.handler(self._services, call)
            status, body, kind = 200, _encoder.encode(answer), _JSON
        except Exception as error:  # noqa: BLE001 the one place where errors become answers
            problem = problem_of(self._counted(error, call), request_id)
            status, body, kind = problem.status, encode(problem), _PROBLEM
        headers = [kind, (b"x-request-id", request_id.encode())]
        if call is not None:
            headers += call.extra
        if self._row.secret_answer:
            headers.append(_NO_STORE)
        if problem is not None and problem.retry_after is not None:
            headers.append((b"retry-after", b"%d" % max(1, math.ceil(problem.retry_after))))
        await respond(send, status, headers, body)
        code = None if problem is None else problem.code
        self._record(call, request_id, status, code, time.perf_counter() - began)

    def _counted(self, error: Exception, call: Call | None) -> Exception:
        """The error, or `rate_limited` when one address had too many credentials refused."""
        if call is not None and isinstance(error, Refused) and error.code == "token_invalid":
            try:
                self._failed(call)
            except Refused as limited:
                return limited
        return error

    def _record(
        self, call: Call | None, request_id: str, status: int, code: str | None, seconds: float
    ) -> None:
        row = self._row
        self._observe(row.method, row.path, status, seconds)
        _log.info(
            "request",
            method=row.method,
            route=row.path,
            status=status,
            code=code,
            request_id=request_id,
            app=call.tenant.app_id if call and call.tenant else None,
            duration_ms=round(seconds * 1000, 3),
        )


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
        Refused: `too_large` as soon as that is known; `invalid_request` for half a body.
    """
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused("invalid_request", "The connection broke off within the body.")
        body += message.get("body", b"")
        more = bool(message.get("more_body"))
        if len(body) > BODY_LIMIT:
            raise Refused("too_large", f"The body has more than {BODY_LIMIT} bytes.", field="body")
    return bytes(body)


async def respond(send: Send, status: int, headers: list[Any], body: bytes) -> None:
    """One whole answer."""
    headers.append((b"content-length", b"%d" % len(body)))
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
