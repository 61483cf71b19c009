"""The closed list of error codes, each with its HTTP status and a plain-English title."""

from typing import Final

from msgspec import Struct

CODES: Final[dict[str, tuple[int, str]]] = {
    "invalid_request": (400, "The request is not valid"),
    "unauthenticated": (401, "Credentials are missing"),
    "token_expired": (401, "The token has expired"),
    "token_invalid": (401, "The credentials were refused"),
    "not_allowed": (403, "You may not do this"),
    "banned": (403, "You are banned"),
    "kicked": (403, "You were put out of this room"),
    "app_key_only": (403, "This needs more than the app's publishable key"),
    "not_room_host": (403, "Only the host may do this"),
    "invite_required": (403, "Seats of this room are by invitation"),
    "request_required": (403, "Seats of this room must be asked for"),
    "seat_reserved": (403, "The seat is reserved for somebody else"),
    "chat_muted": (403, "You are muted in the chat"),
    "chat_locked": (403, "The chat is locked"),
    "not_found": (404, "There is no such thing here"),
    "room_not_found": (404, "There is no such open room"),
    "call_not_found": (404, "There is no such call"),
    "seat_not_found": (404, "There is no such seat"),
    "request_not_found": (404, "There is no such request or invite"),
    "not_in_room": (404, "They are not in this room"),
    "unknown_seat_mode": (404, "The app has no seat preset of this name"),
    "seat_taken": (409, "The seat is taken"),
    "seat_locked": (409, "The seat is locked"),
    "seat_occupied": (409, "Somebody sits there"),
    "already_seated": (409, "Already on another seat"),
    "no_free_seat": (409, "No seat is free"),
    "already_handled": (409, "Somebody else has handled this already"),
    "answered_elsewhere": (409, "Answered on another device"),
    "rejected_elsewhere": (409, "Rejected on another device"),
    "caller_busy": (409, "You are in a call already"),
    "call_over": (409, "The call is over"),
    "stream_not_live": (409, "The stream is not live"),
    "version_conflict": (409, "It was changed meanwhile"),
    "idempotency_mismatch": (409, "The idempotency key was used for another request"),
    "room_full": (409, "The room is full"),
    "room_ended": (410, "The room has ended"),
    "snapshot_required": (410, "The events asked for are no longer kept"),
    "too_large": (413, "The request is too large"),
    "invalid_callee": (422, "This callee cannot be called"),
    "invalid_state": (422, "This cannot be done in the present state"),
    "rate_limited": (429, "Too many requests"),
    "too_many_requests_pending": (429, "Too many requests are pending"),
    "internal": (500, "The engine failed"),
    "unavailable": (503, "The engine cannot answer now"),
    "media_unavailable": (503, "The media server cannot be reached"),
}


class FieldError(Struct, frozen=True, kw_only=True):
    """One wrong field of a request."""

    path: str
    message: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every refusal (`application/problem+json`, RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    request_id: str = ""
    retry_after: float | None = None
    """Seconds after which the same call may succeed."""
    rule: str | None = None
    """The rule of the product that refused."""
    hint: str | None = None
    """What would make the call succeed."""
    errors: tuple[FieldError, ...] = ()
    context: dict[str, str | int | float | None] = {}
    """Facts a program may act on, such as `handled_by` or `until`."""


def status_of(code: str) -> int:
    """The HTTP status of a code of the list."""
    return CODES[code][0]


def title_of(code: str) -> str:
    """The title of a code of the list."""
    return CODES[code][1]
