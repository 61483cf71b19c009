"""Credentials of people: the engine's own user tokens, and identity tokens of an app's backend.

Each purpose has a key of its own, derived from the master secret, and a `typ` of its own: a LiveKit
token, which its client can read and LiveKit renews, never opens this door.
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, NamedTuple

import jwt
import msgspec
from msgspec import Meta, Struct

from utd_engine.app.jwt import Signer
from utd_engine.domain.refusal import Refused
from utd_engine.ports.clock import Clock

USER_TOKEN_TYP: Final = "utd-user+jwt"  # noqa: S105 the name of a kind of token
RENEWAL: Final = timedelta(hours=24)
"""An expired user token may still be renewed for so long, with the whole admission again."""
USER_TOKEN_TTL: Final = timedelta(hours=1)
IDENTITY_TOKEN_LONGEST_S: Final = 3600
MAX_TOKEN_CHARS: Final = 4096
LEEWAY_S: Final = 10
ISSUER: Final = "utd"
SEEN_TOKENS: Final = 20_000
_encoder: Final = msgspec.json.Encoder()


class Place(Struct, frozen=True, omit_defaults=True):
    """The opening of a room that a bearer is good for."""

    id: str
    type: str
    name: str
    generation: int = 0
    """How often the identity had been put out when the token was made."""


class UserClaims(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a user token proves: an identity and a device in one app, perhaps in one room."""

    iss: str
    aud: str
    """The app's id."""
    sub: str
    """The identity."""
    nbf: int
    exp: int
    device: str
    name: str = ""
    room: Place | None = None
    unproven: bool = False
    """Nothing but the publishable key stood behind the identity: good in development only."""

    @property
    def place(self) -> str:
        """Where a ban of the room would hold; empty for a bearer without a room."""
        return f"{self.room.type}:{self.room.name}" if self.room else ""


class IdentityClaims(Struct, frozen=True, kw_only=True):
    """What an app's backend says of one of its users."""

    sub: str
    exp: int
    nbf: int | None = None
    iat: int | None = None
    name: Annotated[str, Meta(max_length=256)] | None = None
    hosts: tuple[str, ...] = ()
    """Rooms that they may open as host, such as `audio_room:lobby`."""


class Bearer(NamedTuple):
    """A user token as its owner gets it."""

    token: str
    expires_at: datetime


class UserTokens:
    """Makes and reads user tokens. The newest master secret signs, all of them verify."""

    def __init__(self, master_secrets: Sequence[bytes], clock: Clock) -> None:
        keys = [derive(secret, "user-token") for secret in master_secrets]
        self._keys = {_kid(key): key for key in keys}
        self._signer = Signer(keys[0], typ=USER_TOKEN_TYP, kid=_kid(keys[0]))
        self._clock = clock
        self._seen: OrderedDict[bytes, UserClaims] = OrderedDict()

    def mint(
        self,
        app: str,
        identity: str,
        device: str,
        *,
        name: str = "",
        room: Place | None = None,
        unproven: bool = False,
    ) -> Bearer:
        """A token for an hour."""
        now = self._clock.now()
        expires_at = now + USER_TOKEN_TTL
        claims = UserClaims(
            iss=ISSUER,
            aud=app,
            sub=identity,
            nbf=int(now.timestamp()),
            exp=int(expires_at.timestamp()),
            device=device,
            name=name,
            room=room,
            unproven=unproven,
        )
        return Bearer(self._signer.sign_json(_encoder.encode(claims)), expires_at)

    def read(self, token: str, *, late_by: timedelta = timedelta()) -> UserClaims:
        """The claims of a valid token; a token that was read before costs one hash.

        `late_by` lets one through that expired no longer ago: whoever slept may renew it.

        Raises:
            Refused: `token_expired`, or `token_invalid` for everything else, without a difference.
        """
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        claims = self._seen.get(digest)
        if claims is None:
            claims = self._verify(token, late_by)
            self._seen[digest] = claims
            if len(self._seen) > SEEN_TOKENS:
                self._seen.popitem(last=False)
        if claims.exp + LEEWAY_S <= (self._clock.now() - late_by).timestamp():
            self._seen.pop(digest, None)
            raise _expired()
        return claims

    def _verify(self, token: str, late_by: timedelta) -> UserClaims:
        now = self._clock.now()
        payload = _verified(token, self._keys, typ=USER_TOKEN_TYP, now=now, late_by=late_by)
        try:
            claims = msgspec.convert(payload, UserClaims)
        except msgspec.ValidationError as error:
            raise refused_token() from error
        longest = USER_TOKEN_TTL.total_seconds()
        if claims.iss != ISSUER or claims.exp - claims.nbf > longest:
            raise refused_token()
        return claims


class IdentityTokens:
    """Reads what an app's backend signed with the app's identity secret."""

    def __init__(self, master_secrets: Sequence[bytes], clock: Clock) -> None:
        self._masters = master_secrets
        self._clock = clock

    def secret(self, app: str) -> str:
        """The secret with which this app signs, as its backend gets it."""
        return _identity_secret(self._masters[0], app)

    def read(self, app: str, token: str) -> IdentityClaims:
        """The claims of a valid identity token for this app.

        Raises:
            Refused: `token_expired` or `token_invalid`.
        """
        now = self._clock.now()
        for master in self._masters:
            keys = {None: _identity_secret(master, app).encode()}
            try:
                payload = _verified(token, keys, typ=None, now=now, audience=app)
            except Refused as refusal:
                if refusal.code == "token_expired":
                    raise
                continue
            return _identity_claims(payload, now)
        raise refused_token()


def derive(master: bytes, purpose: str, *parts: str) -> bytes:
    """A key for one purpose; it tells nothing of the master or of other keys."""
    return hmac.digest(master, "\x1f".join((purpose, *parts)).encode(), "sha256")


def _identity_secret(master: bytes, app: str) -> str:
    return "idt_" + derive(master, "identity-token", app, "1").hex()


def _kid(key: bytes) -> str:
    return hashlib.sha256(b"kid" + key).hexdigest()[:8]


def _identity_claims(payload: dict[str, Any], now: datetime) -> IdentityClaims:
    try:
        claims = msgspec.convert(payload, IdentityClaims)
    except msgspec.ValidationError as error:
        raise refused_token() from error
    begins = claims.nbf if claims.nbf is not None else claims.iat
    latest = min(now.timestamp(), now.timestamp() if begins is None else begins)
    if claims.exp > latest + IDENTITY_TOKEN_LONGEST_S + LEEWAY_S:
        raise refused_token("An identity token lives an hour at most: make 'exp' earlier.")
    return claims


def _verified(
    token: str,
    keys: dict[Any, bytes],
    *,
    typ: str | None,
    now: datetime,
    audience: str | None = None,
    late_by: timedelta = timedelta(),
) -> dict[str, Any]:
    """The payload of a token of one fixed algorithm whose key is known; times by our own clock."""
    if len(token) > MAX_TOKEN_CHARS:
        raise refused_token()
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") != "HS256" or (typ is not None and header.get("typ") != typ):
            raise refused_token()
        key = keys.get(header.get("kid") if typ is not None else None)
        if key is None:
            raise refused_token()
        payload: dict[str, Any] = jwt.decode(  # pyright: ignore[reportUnknownMemberType]
            token,
            key,
            algorithms=["HS256"],
            audience=audience,
            options={
                "require": ["exp", "aud", "sub"],
                "verify_aud": audience is not None,
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "enforce_minimum_key_length": True,
            },
        )
        _refuse_ambiguous(token)
    except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError) as error:
        raise refused_token() from error
    _check_times(payload, now.timestamp(), int(late_by.total_seconds()))
    return payload


def _check_times(payload: dict[str, Any], now: float, late_by: int) -> None:
    expires, begins, issued = (payload.get(name, 0) for name in ("exp", "nbf", "iat"))
    for value in (expires, begins, issued):
        if not isinstance(value, int) or isinstance(value, bool):
            raise refused_token()
    if max(begins, issued) - LEEWAY_S > now:
        raise refused_token()
    if expires + LEEWAY_S + late_by <= now:
        raise _expired()


def _refuse_ambiguous(token: str) -> None:
    """A name that stands twice in a token means one thing to us and another to somebody else.

    Raises:
        ValueError: it has one.
    """
    for part in token.split(".")[:2]:
        json.loads(urlsafe_b64decode(part + "=="), object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("A name stands twice.")
    return unique


def refused_token(detail: str = "The token was refused.") -> Refused:
    """The one refusal of every token that is not good, whatever is wrong with it."""
    return Refused("token_invalid", detail, hint="Get a new token and try again.")


def _expired() -> Refused:
    return Refused("token_expired", "The token has expired.", hint="Get a new token and try again.")
