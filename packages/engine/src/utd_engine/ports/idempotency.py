"""The first answer to a request that may be sent again."""

from datetime import datetime
from typing import NamedTuple


class IdempotencyRecord(NamedTuple):
    """An answer to keep with the change it belongs to."""

    key: str
    """At most 255 characters, unique in the app."""
    fingerprint: str
    """Of method, path and body: the same key with another one is a mistake."""
    status: int
    body: bytes
    expires_at: datetime


class Answered(NamedTuple):
    """The first answer to an idempotency key."""

    fingerprint: str
    status: int
    body: bytes
