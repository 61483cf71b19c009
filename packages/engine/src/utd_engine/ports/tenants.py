"""Apps and their keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol


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


class TenantStore(Protocol):
    """Apps and their keys."""

    async def put_app(self, app: AppRow, keys: Sequence[KeyRow]) -> None:
        """Create or replace an app, and add keys."""
        ...

    async def app(self, app_id: str) -> AppRow | None:
        """One tenant."""
        ...

    async def apps(self) -> list[AppRow]:
        """All tenants, oldest first."""
        ...

    async def keys(self, app_id: str) -> list[KeyRow]:
        """All keys of an app, revoked ones too."""
        ...

    async def key_by_digest(self, digest: bytes) -> KeyRow | None:
        """The key with this digest, revoked or not."""
        ...

    async def add_key(self, row: KeyRow) -> None:
        """One more key for an app."""
        ...

    async def revoke_key(self, app_id: str, prefix: str, at: datetime) -> bool:
        """Stop honouring a key; False when it is unknown."""
        ...
