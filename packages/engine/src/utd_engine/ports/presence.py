"""Whom LiveKit reports in a room."""

from datetime import datetime
from typing import NamedTuple, Protocol

from utd_engine.ports.rooms import Key


class PresenceRow(NamedTuple):
    """Somebody whom LiveKit reports in a room."""

    identity: str
    sid: str
    joined_at: datetime


class PresenceStore(Protocol):
    """Who is where, as LiveKit reports it."""

    async def seen(self, key: Key, row: PresenceRow) -> bool:
        """Remember that somebody is present; False when a newer join of theirs is known."""
        ...

    async def gone(self, key: Key, identity: str, sid: str | None) -> bool:
        """Forget a presence; with a sid only that one. False when there was nothing to forget."""
        ...

    async def present(
        self, key: Key, *, after: str = "", limit: int = 100_000
    ) -> list[PresenceRow]:
        """Who is in a room, by identity, after a cursor."""
        ...

    async def present_one(self, key: Key, identity: str) -> PresenceRow | None:
        """The presence of one identity."""
        ...

    async def count(self, key: Key) -> int:
        """How many are present."""
        ...

    async def occupied(self) -> list[Key]:
        """Open rooms with somebody present."""
        ...
