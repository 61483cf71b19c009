"""What goes on being known after its room is gone."""

from datetime import datetime
from typing import NamedTuple


class HistoryRow(NamedTuple):
    """One user's record of something that goes on being known after its room is gone: a call."""

    identity: str
    id: str
    at: datetime
    """When it began: the order of the list."""
    data: bytes
