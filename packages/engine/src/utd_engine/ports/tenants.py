"""Apps and their keys."""

from datetime import datetime
from typing import Literal, NamedTuple


class AppRow(NamedTuple):
    """A tenant. Keys are kept hashed elsewhere; `settings` is JSON of the app's own defaults."""

    app_id: str
    name: str
    mode: Literal["development", "production"]
    settings: bytes
    created_at: datetime


class KeyRow(NamedTuple):
    """A credential of an app. `digest` is SHA-256 of the whole key."""

    app_id: str
    kind: Literal["publishable", "secret"]
    prefix: str
    """The first characters, to find and show it."""
    digest: bytes
    created_at: datetime
    revoked_at: datetime | None
