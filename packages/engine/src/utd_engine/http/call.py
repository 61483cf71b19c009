"""One HTTP request, read and checked: what every handler gets."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from utd_engine.app.apps import Tenant
from utd_engine.app.commits import Idempotency
from utd_engine.app.tokens import UserClaims
from utd_engine.domain.refusal import Refused
from utd_engine.domain.turn import Actor

T = TypeVar("T")

BODY_LIMIT: Final = 64 * 1024
IDEMPOTENCY_KEY_CHARS: Final = 255
REQUEST_ID_CHARS: Final = 128
PAGE_LIMIT: Final = 200
_PLACE: Final = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")
_FIELD: Final = re.compile(r"field `([^`]+)`|^([a-z_]+) (?:is|holds) ")


class Call:
    """A request on its way through. `tenant`, `actor` and `claims` are set by authentication."""

    __slots__ = (
        "actor", "body", "claims", "extra", "headers", "identity_token", "method", "params",
        "path", "query",
        "query_string", "remote", "request_id", "tenant",
    )  # fmt: skip

    def __init__(self, scope: Mapping[str, Any], request_id: str) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.params: dict[str, str] = {
            name: _segment(name, value) for name, value in scope.get("path_params", {}).items()
        }
        self.query_string: str = scope.get("query_string", b"").decode("latin-1")
        self.query = _query(self.query_string)
        client = scope.get("client")
        self.remote = str(client[0]) if client else ""
        self.request_id = request_id
        self.body = b""
        self.tenant: Tenant | None = None
        self.actor = Actor(kind="user")
        self.claims: UserClaims | None = None
        self.identity_token: str | None = None
        """Sent in place of a bearer, beside the app's key."""
        self.extra: list[tuple[bytes, bytes]] = []
        """Headers of the answer."""

    def header(self, name: bytes) -> str | None:
        """A header's text, or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1").strip()

    @property
    def app(self) -> Tenant:
        """The app that authentication found."""
        if self.tenant is None:
            raise Refused("unauthenticated", "Credentials are missing.")
        return self.tenant

    def parse(self, decoder: "msgspec.json.Decoder[T]") -> T:
        """The body as a struct.

        Raises:
            Refused: `invalid_request`, naming the field.
        """
        try:
            return decoder.decode(self.body or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise invalid(error) from error

    def merged(self, into: type[T], params: Mapping[str, object]) -> T:
        """Body and path parameters as one struct."""
        try:
            body = msgspec.json.decode(self.body or b"{}", type=dict[str, Any])
            twice = sorted(set(body) & set(params))
            if twice:
                raise Refused(
                    "invalid_request", f"{twice[0]!r} stands in the path already.", field=twice[0]
                )
            return msgspec.convert({**body, **params}, into)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise invalid(error) from error

    def number(self, name: str, default: int, *, most: int) -> int:
        """A whole number of the query, from 0 to `most` (more is cut to it)."""
        text = self.query.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdecimal()) or len(text) > 18:  # noqa: PLR2004 int64
            raise Refused(
                "invalid_request", f"{name!r} must be a whole number, not {text!r}.", field=name
            )
        return min(int(text), most)

    @property
    def limit(self) -> int:
        """How long a page may be."""
        return max(1, self.number("limit", 100, most=PAGE_LIMIT))

    def flag(self, name: str) -> bool:
        """A yes or no of the query."""
        text = self.query.get(name, "false")
        if text not in {"true", "false"}:
            raise Refused("invalid_request", f"{name!r} must be 'true' or 'false'.", field=name)
        return text == "true"

    def idempotency(self) -> Idempotency | None:
        """The key that makes a repetition safe, with a fingerprint of the whole request."""
        key = self.header(b"idempotency-key")
        if key is None:
            return None
        if not 0 < len(key) <= IDEMPOTENCY_KEY_CHARS:
            raise Refused(
                "invalid_request",
                f"Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_CHARS} characters.",
                field="Idempotency-Key",
            )
        parts = (self.actor.kind, self.actor.label, self.method, self.path, self.query_string)
        digest = hashlib.sha256("\0".join(parts).encode())
        digest.update(b"\0" + self.body)
        return Idempotency(key, digest.hexdigest())


def invalid(error: Exception) -> Refused:
    """A `Refused` that names the wrong field of a body."""
    text = "The body is nested too deep." if isinstance(error, RecursionError) else str(error)
    place = _PLACE.search(text)
    message = text[: place.start()] if place else text
    path = ".".join(filter(None, (place[1] if place else "", _named_field(message))))
    hint = "See /openapi.json for the body."
    return Refused("invalid_request", message, hint=hint, field=path or "body")


def _named_field(message: str) -> str:
    """The field that a message is about: msgspec says "field `x`", our own checks begin with it."""
    found = _FIELD.search(message)
    return (found[1] or found[2]) if found else ""


def _segment(name: str, raw: str) -> str:
    """A percent-encoded segment of the raw path."""
    try:
        return unquote_to_bytes(raw.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(
            "invalid_request", f"{name!r} in the path is not valid UTF-8.", field=name
        ) from error


def _query(raw: str) -> dict[str, str]:
    if not raw:
        return {}
    try:
        return dict(parse_qsl(raw, keep_blank_values=True, errors="strict"))
    except ValueError as error:
        raise Refused("invalid_request", "The query is not valid.", field="query") from error
