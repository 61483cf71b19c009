"""Read LiveKit's webhooks: prove that LiveKit sent these very bytes, then say what happened.

A webhook carries a bare JWT whose claim `sha256` is the hash of the raw body. A join token, which
its holder can read, is signed by the same key: it has no such claim, so it proves nothing here.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import jwt
import orjson

from utd_engine.adapters.livekit.permissions import LIVEKIT_ORDER, observed_permission
from utd_engine.ports.clock import Clock
from utd_engine.ports.media import Observed, WebhookEvent, WebhookReader

MAX_TOKEN_BYTES: Final = 4096
LIFE_S: Final = 300
LEEWAY_S: Final = 60
"""Between LiveKit's clock and ours, both ways."""
_SOURCES: Final = {source.upper(): source for source in LIVEKIT_ORDER}
_JWS: Final = jwt.PyJWS(algorithms=["HS256"])


def make_reader(keys: Mapping[str, str], clock: Clock) -> WebhookReader:
    """A reader that trusts these API keys (secret by name): two while they are rotated."""

    def read(body: bytes, authorization: str) -> WebhookEvent:
        claims = _claims(authorization, keys)
        _check_life(claims, clock.now().timestamp())
        _check_body(claims, body)
        return _parse(body)

    return read


def _claims(token: str, keys: Mapping[str, str]) -> dict[str, Any]:
    if len(token) > MAX_TOKEN_BYTES:
        raise ValueError(f"The Authorization header is longer than {MAX_TOKEN_BYTES} bytes.")
    for key, secret in keys.items():
        try:
            payload: bytes = _JWS.decode(token, secret, algorithms=["HS256"])  # pyright: ignore[reportUnknownMemberType]
        except jwt.InvalidSignatureError:
            continue
        except jwt.PyJWTError as error:
            raise ValueError(f"The Authorization header is no JWT of LiveKit: {error}.") from error
        claims = _object(payload, "The payload of the JWT")
        if claims.get("iss") != key:
            raise ValueError("The JWT names another API key than the one that signed it.")
        return claims
    raise ValueError("The JWT is signed by no API key of ours.")


def _check_life(claims: Mapping[str, Any], now: float) -> None:
    starts, ends = _seconds(claims.get("nbf", now)), _seconds(claims.get("exp"))
    if ends <= now - LEEWAY_S:
        raise ValueError("The JWT has expired. Are the clocks of LiveKit and of the engine right?")
    if starts > now + LEEWAY_S or ends > now + LIFE_S + LEEWAY_S:
        raise ValueError("The JWT is from the future. Are the clocks right?")


def _check_body(claims: Mapping[str, Any], body: bytes) -> None:
    stated = claims.get("sha256")
    if not stated:
        raise ValueError("The JWT has no hash of the body (sha256): it is not for a webhook.")
    actual = b64encode(hashlib.sha256(body).digest())
    if not hmac.compare_digest(str(stated).encode(), actual):
        raise ValueError("The body is not the one that LiveKit signed.")


def _parse(body: bytes) -> WebhookEvent:
    event = _object(body, "The body")
    try:
        room = event.get("room", {})
        who = event.get("participant", {})
        return WebhookEvent(
            id=_text(event["id"]),
            event=_text(event["event"]),
            room=_text(room.get("name", "")),
            room_sid=_text(room.get("sid", "")),
            participant=_observed(who) if "joinedAt" in who else None,
            disconnect_reason=_text(who.get("disconnectReason", "")),
            created_at=_time(int(event.get("createdAt", 0)) * 1000),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"The body is no webhook of LiveKit: {error!r}.") from error


def _observed(who: Mapping[str, Any]) -> Observed:
    """Participant events carry the whole participant; track events carry its name only."""
    permission = who.get("permission", {})
    hidden = permission.get("hidden") is True
    named = permission.get("canPublishSources", ())
    return Observed(
        identity=_text(who["identity"]),
        sid=_text(who["sid"]),
        joined_at=_time(int(who.get("joinedAtMs", 0)) or int(who["joinedAt"]) * 1000),
        active=who.get("state") == "ACTIVE",
        agent=who.get("kind") == "AGENT",
        hidden=hidden,
        permission=observed_permission(
            can_publish=permission.get("canPublish") is True,
            sources=[_SOURCES[name] for name in named if name in _SOURCES],
            can_subscribe=permission.get("canSubscribe") is True,
            can_publish_data=permission.get("canPublishData") is True,
            hidden=hidden,
        ),
    )


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value: dict[str, Any] | list[Any] | str | float | None = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{what} is no JSON: {error}.") from error
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no JSON object.")  # noqa: TRY004  # the caller expects this one
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("The JWT must say when it ends (exp), in seconds.")  # noqa: TRY004  # as above
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
