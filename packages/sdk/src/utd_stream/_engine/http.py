"""One call to the engine over HTTP: headers, deadline, retries, and errors with a type.

It knows nothing of rooms. A write carries one `Idempotency-Key` over all its tries, so that
repeating it is safe; `Bearer` (another module) adds the user token.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal, TypeAlias, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

from utd_stream._engine.backoff import Backoff, Jitter, even_jitter
from utd_stream._engine.socket import Socket
from utd_stream._errors import (
    ClosedByUs,
    ConnectError,
    Unreachable,
    UTDStreamException,
    VersionMismatch,
    from_problem,
    scrub,
)

T = TypeVar("T")
Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

API: Final = "/api/v1"
DEADLINE: Final = 10.0
_RETRIED: Final = frozenset({429, 502, 503, 504})
_REDIRECT, _REFUSED = 300, 400
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 2.0
_KEEP_ALIVE: Final = 60.0
_SOCKET_CLOSE: Final = 1.0

_log: Final = logging.getLogger("utd_stream.http")


class Call(Struct, frozen=True, kw_only=True):
    """One thing asked of the engine. All its tries are equal, down to the idempotency key."""

    method: Method
    path: str
    body: bytes | None = None
    query: tuple[tuple[str, str], ...] = ()
    id: str
    mints: bool = False
    """Goes to the token service, where that is another address."""

    @property
    def target(self) -> str:
        """Path and query, both encoded already."""
        return f"{API}{self.path}" + (f"?{urlencode(self.query)}" if self.query else "")


def read(path: str, **query: object) -> Call:
    """A question. Parameters that are None are left out."""
    given = tuple((name, str(value)) for name, value in query.items() if value is not None)
    return Call(method="GET", path=path, query=given, id=uuid.uuid4().hex)


def write(method: Method, path: str, body: object = None, *, mints: bool = False) -> Call:
    """An order, with an idempotency key of its own. No body means an empty object."""
    encoded = msgspec.json.encode({} if body is None else body)
    return Call(method=method, path=path, body=encoded, id=uuid.uuid4().hex, mints=mints)


def segment(text: str) -> str:
    """A name or an identity as one piece of a path."""
    return quote(text, safe="")


def decode(raw: bytes, kind: type[T]) -> T:
    """The answer as this type.

    Raises:
        VersionMismatch: it has another shape.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        message = (
            f"the engine's answer is not what this SDK expects ({error}): "
            "check base_url, and that SDK and engine have the same version"
        )
        raise VersionMismatch(message) from error


class EngineHTTP:
    """The connection pool of one client. Made without a running loop; opened by the first call."""

    def __init__(
        self,
        *,
        app_id: str,
        app_key: str,
        base_url: str,
        token_base_url: str | None = None,
        timeout: float = DEADLINE,
        jitter: Jitter = even_jitter,
    ) -> None:
        """Keep the addresses and the app's publishable credentials.

        Args:
            app_id: which app.
            app_key: its publishable key.
            base_url: where the engine answers, without `/api/v1`.
            token_base_url: where tokens are made, when that is another address.
            timeout: seconds for a call with all its retries.
            jitter: chance of the back-off.

        Raises:
            ValueError: an address is not an absolute http(s) URL.
        """
        self._base = _address("base_url", base_url)
        self._token_base = _address("token_base_url", token_base_url or base_url)
        self._headers = {"X-App-Id": app_id, "X-App-Key": app_key, "Accept": "application/json"}
        self._secret = app_key
        self.timeout = timeout
        self._jitter = jitter
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._closed

    async def send(
        self,
        call: Call,
        *,
        bearer: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 a deadline for all tries together
    ) -> bytes:
        """Ask, and ask again while that may help and time is left.

        Cancelling is safe; whether the engine carried a write out is then not known.

        Args:
            call: what to ask.
            bearer: the user token.
            timeout: seconds for all tries together; the client's by default.

        Returns:
            The body of the answer.

        Raises:
            ClosedByUs: the client is closed.
            UTDStreamException: what the engine said, or `Unreachable`.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + (self.timeout if timeout is None else timeout)
        backoff = Backoff(_FIRST_DELAY, _LONGEST_DELAY, self._jitter)
        stale_allowed = True
        while True:
            try:
                return await self._try(call, bearer, until - loop.time())
            except _Passing as passing:
                error = passing.error
                stale, stale_allowed = passing.stale and stale_allowed, False
            delay = 0.0 if stale else backoff.delay(error)
            if loop.time() + delay >= until:
                raise error
            _log.debug("%s %s: again in %.2f s: %s", call.method, call.path, delay, error)
            await asyncio.sleep(delay)

    @asynccontextmanager
    async def socket(self, url: str, subprotocol: str) -> AsyncGenerator[Socket]:
        """A WebSocket that is open inside the block.

        Raises:
            ClosedByUs: the client is closed.
            Unreachable: it cannot be opened.
        """
        session = self._open()
        try:
            async with asyncio.timeout(self.timeout):
                raw = await session.ws_connect(url, protocols=(subprotocol,))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self._unreachable(URL(url), error) from error
        try:
            yield Socket(raw)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SOCKET_CLOSE):
                    await raw.close()

    async def aclose(self) -> None:
        """Close the pool. Idempotent; every later call raises `ClosedByUs`."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _try(self, call: Call, bearer: str | None, left: float) -> bytes:
        session = self._open()
        url = URL((self._token_base if call.mints else self._base) + call.target, encoded=True)
        try:
            async with session.request(
                call.method,
                url,
                data=call.body,
                headers=self._headers_of(call, bearer),
                timeout=aiohttp.ClientTimeout(total=max(left, 0.001)),
                allow_redirects=False,
            ) as response:
                body = await response.read()
        except TimeoutError as error:
            message = f"{url.origin()} did not answer in time"
            raise _Passing(Unreachable(message)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise _Passing(
                self._unreachable(url, error),
                stale=isinstance(error, aiohttp.ServerDisconnectedError),
            ) from error
        if response.status < _REDIRECT:
            return body
        raise self._refusal(call, response, body)

    def _refusal(self, call: Call, response: aiohttp.ClientResponse, body: bytes) -> Exception:
        if response.status < _REFUSED:
            message = (
                f"{response.url.origin()} answered with a redirect ({response.status}): "
                "give base_url the address that it leads to"
            )
            return ConnectError(message, status_code=response.status)
        error = from_problem(
            response.status,
            _problem(body),
            retry_after=_seconds(response.headers.get("Retry-After")),
            request_id=response.headers.get("X-Request-Id") or call.id,
        )
        return _Passing(error) if response.status in _RETRIED else error

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            message = "the client is closed: make a new UTDStreamClient"
            raise ClosedByUs(message)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(keepalive_timeout=_KEEP_ALIVE),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _headers_of(self, call: Call, bearer: str | None) -> dict[str, str]:
        headers = {**self._headers, "X-Request-Id": call.id}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if call.method != "GET":
            headers["Idempotency-Key"] = call.id
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        return headers

    def _unreachable(self, url: URL, error: Exception) -> Unreachable:
        said = scrub(str(error) or type(error).__name__, self._secret)
        return Unreachable(f"{url.origin()} cannot be reached ({said}): check base_url")


class _Passing(Exception):
    """A failure that another try may not have."""

    def __init__(self, error: UTDStreamException, *, stale: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.stale = stale
        """The server had closed an idle connection: the next try makes a new one."""


def _address(option: str, url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        message = f"{option} must look like 'https://engine.example', not {scrub(url)!r}"
        raise ValueError(message)
    return url.rstrip("/")


def _problem(body: bytes) -> Mapping[str, object]:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _seconds(header: str | None) -> float | None:
    try:
        return None if header is None else max(0.0, float(header))
    except ValueError:
        return None
