"""Who may not come in, and where."""

from datetime import datetime
from typing import NamedTuple, Protocol

from utd_protocol.types import BanScope


class BanRow(NamedTuple):
    """A ban. `place` is empty for scope app, else `{type}:{name}`: it outlives one opening."""

    app: str
    identity: str
    scope: BanScope
    place: str
    by: str | None
    at: datetime
    until: datetime | None
    reason: str


class BanLift(NamedTuple):
    """The end of a ban."""

    app: str
    identity: str
    place: str


class BanStore(Protocol):
    """Bans, read; they are written with the commit that makes them."""

    async def bans_of(self, app: str, identity: str, now: datetime) -> list[BanRow]:
        """Bans of one identity that hold now, of any place."""
        ...

    async def banned(self, app: str, place: str, now: datetime) -> frozenset[str]:
        """Identities that may not be at a place now (bans of the place and of the app)."""
        ...

    async def bans(
        self, app: str, place: str, *, after: str = "", limit: int = 100
    ) -> list[BanRow]:
        """Bans of a place and of the app, by identity, after a cursor; expired ones too."""
        ...
