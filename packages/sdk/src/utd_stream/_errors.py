"""Every error of the SDK, split by what the caller can do about it. No I/O here.

UTDStreamException
├── ConnectError          nothing was joined
│   ├── Unreachable           nobody answered: try again later
│   ├── NotAuthenticated      `authenticate` or join first
│   ├── AuthRejected          the credentials were refused
│   └── VersionMismatch       this SDK and the engine do not fit
├── EngineError           the engine failed
│   └── Unavailable           it says that it cannot answer now
├── RequestRejected       the engine understood and refused
│   ├── NotAllowed            a right is missing
│   │   └── Banned
│   ├── NotFound · Conflict · Limited · Invalid
├── MediaError
│   ├── PublishNotAllowed · PublishFailed · DeviceFailed · EncryptionError
├── Closed                it is over
│   ├── ClosedByUs · Kicked · Replaced · ConnectionLost
│   └── RoomEnded
│       └── CallOver
└── Lagged                a reader fell too far behind
"""

import copy
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar, Final, TypeVar, cast

_TOKEN: Final = re.compile(r"eyJ[A-Za-z0-9_\-=%]*(?:\.[A-Za-z0-9_\-=%]*){0,4}")


def scrub(text: str, *secrets: str) -> str:
    """The text without anything that looks like a token, and without the given secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "<token>")
    return _TOKEN.sub("<token>", text)


class UTDStreamException(Exception):
    """The base of every error that this SDK raises on purpose.

    The reference's `UTDStreamException`. Nothing that it carries holds a token.
    """

    _retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        rule: str | None = None,
        hint: str | None = None,
        context: Mapping[str, object] | None = None,
    ) -> None:
        """Keep what is known.

        Args:
            message: one or two sentences: what went wrong and what would fix it.
            status_code: the engine's HTTP status.
            code: the engine's error code, such as `seat_taken`.
            request_id: the engine's id of the request, for its logs.
            retry_after: seconds after which the same call may succeed.
            rule: the rule of the engine that refused, such as `R6`.
            hint: what would make the call succeed; `message` ends with it.
            context: facts of the refusal that a program may act on, such as who it was
                `handled_by`; empty when there are none.
        """
        self.message = scrub(message)
        self.status_code = status_code
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.rule = rule
        self.hint = None if hint is None else scrub(hint)
        self.context = _scrubbed(context or {})
        super().__init__(self.message)

    @property
    def is_banned(self) -> bool:
        """Whether the user is banned from the room or the app."""
        return self.code == "banned"

    @property
    def is_rate_limited(self) -> bool:
        """Whether the engine asks for fewer requests; see `retry_after`."""
        return self.status_code == 429  # noqa: PLR2004 the HTTP status itself

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later without any other change."""
        return self._retryable or self.retry_after is not None


class ConnectError(UTDStreamException):
    """Nothing was joined."""


class Unreachable(ConnectError):
    """The engine or the media server did not answer in time."""

    _retryable = True


class NotAuthenticated(ConnectError):
    """A call that needs a user was made before `authenticate` or a join."""


class AuthRejected(ConnectError):
    """The credentials or the token were refused."""


class VersionMismatch(ConnectError):
    """This SDK and the engine do not understand each other."""


class EngineError(UTDStreamException):
    """The engine failed (HTTP 5xx)."""

    _retryable = True


class Unavailable(EngineError):
    """The engine cannot answer now (HTTP 503)."""


class RequestRejected(UTDStreamException):
    """The engine understood the request and refused it."""


class NotAllowed(RequestRejected):
    """A right is missing."""


class Banned(NotAllowed):
    """The user is banned."""

    @property
    def is_banned(self) -> bool:
        """Always true."""
        return True

    @property
    def until(self) -> datetime | None:
        """When the ban ends, in UTC; None when it does not by itself, or was not told."""
        return _time(self.context.get("until"))

    @property
    def reason(self) -> str | None:
        """Why, in the words of whoever banned; None when nothing was said or told."""
        return _text(self.context.get("reason"))


class NotFound(RequestRejected):
    """There is no such thing, or no longer."""


class Conflict(RequestRejected):
    """The present state does not allow it.

    `context["handled_by"]` is whoever was faster, where `code` is `already_handled`.
    """


class Limited(RequestRejected):
    """Too many requests; see `retry_after`."""

    _retryable = True


class Invalid(RequestRejected):
    """The request itself is wrong."""


class MediaError(UTDStreamException):
    """A track could not be sent or read."""


class PublishNotAllowed(MediaError):
    """The server has not granted the right to publish this source."""


class PublishFailed(MediaError):
    """The media server did not take the track."""

    _retryable = True


class DeviceFailed(MediaError):
    """A microphone, camera or media file could not be used."""


class EncryptionError(MediaError):
    """End-to-end encryption was not asked for when the room was made, or is not up yet."""


class Closed(UTDStreamException):
    """The session or room is over."""

    is_normal: ClassVar[bool] = False
    """Whether it was meant to end: iterators then end without raising this."""


class ClosedByUs(Closed):
    """This side closed it."""

    is_normal = True


class Kicked(Closed):
    """Somebody with the right to do so put the user out; `code` is `kicked` or `banned`."""

    @property
    def until(self) -> datetime | None:
        """When the ban ends, in UTC; None without a ban or an end of it, or when not told."""
        return _time(self.context.get("until"))

    @property
    def reason(self) -> str | None:
        """Why, in the words of whoever did it; None when nothing was said or told."""
        return _text(self.context.get("reason"))


class Replaced(Closed):
    """The same identity joined from elsewhere."""


class RoomEnded(Closed):
    """The room is over for everybody."""


class CallOver(RoomEnded):
    """The call is over, as all calls are at last; `code` is the engine's reason."""

    is_normal = True


class ConnectionLost(Closed):
    """The connection broke and did not come back in time."""

    _retryable = True


class Lagged(UTDStreamException):
    """A reader fell so far behind that its events were dropped; start a new one."""

    _retryable = True


X = TypeVar("X", bound=UTDStreamException)

_BY_STATUS: Final[dict[int, type[UTDStreamException]]] = {
    401: AuthRejected,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    429: Limited,
    503: Unavailable,
}
_SERVER_ERROR: Final = 500


def fresh(error: X) -> X:
    """The same error without the traceback of another reader."""
    again = copy.copy(error)
    again.__cause__ = error.__cause__
    return again


def from_problem(
    status: int,
    body: Mapping[str, object],
    *,
    retry_after: float | None = None,
    request_id: str | None = None,
) -> UTDStreamException:
    """The error that an answer of the engine stands for.

    Args:
        status: the HTTP status, 400 or above.
        body: the decoded `application/problem+json`, or `{}` when it could not be read.
        retry_after: seconds, from the header of that name; the body's own value wins.
        request_id: from the header, when the body has none.
    """
    code = _text(body.get("code"))
    return _kind(status, code)(
        _message(status, body),
        status_code=status,
        code=code,
        request_id=_text(body.get("request_id")) or request_id,
        retry_after=_seconds(body.get("retry_after"), retry_after),
        rule=_text(body.get("rule")),
        hint=_text(body.get("hint")),
        context=_facts(body.get("context")),
    )


def _kind(status: int, code: str | None) -> type[UTDStreamException]:
    if code == "banned":
        return Banned
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return EngineError if status >= _SERVER_ERROR else Invalid


def _message(status: int, body: Mapping[str, object]) -> str:
    said = _text(body.get("detail")) or _text(body.get("title"))
    parts = [said or f"the engine answered {status}", *_field_errors(body.get("errors"))]
    hint = _text(body.get("hint"))
    return ". ".join(part.rstrip(".") for part in (*parts, *([hint] if hint else [])))


def _field_errors(errors: object) -> list[str]:
    if not isinstance(errors, list | tuple):
        return []
    found: list[str] = []
    for each in cast("list[object]", errors):
        if isinstance(each, Mapping):
            entry = cast("Mapping[str, object]", each)
            found.append(f"{entry.get('path')}: {entry.get('message')}")
    return found


def _facts(context: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", context) if isinstance(context, Mapping) else {}


def _scrubbed(context: Mapping[str, object]) -> Mapping[str, object]:
    return {
        name: scrub(value) if isinstance(value, str) else value for name, value in context.items()
    }


def _time(value: object) -> datetime | None:
    try:
        told = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return told.astimezone(UTC) if told is not None and told.tzinfo is not None else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _seconds(value: object, otherwise: float | None) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return otherwise
