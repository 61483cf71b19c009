"""What goes on being known after its room is gone."""

from datetime import datetime
from typing import NamedTuple, Protocol


class HistoryRow(NamedTuple):
    """One user's record of something that goes on being known after its room is gone: a call."""

    identity: str
    id: str
    at: datetime
    """When it began: the order of the list."""
    data: bytes


class HistoryStore(Protocol):
    """Records of calls, read; they are written with the commit that makes them."""

    async def history(
        self, app: str, identity: str, *, before: tuple[datetime, str] | None = None, limit: int
    ) -> list[HistoryRow]:
        """A user's records, newest first, older than a record's time and id."""
        ...
