"""Whom LiveKit reports in a room."""

from datetime import datetime
from typing import NamedTuple


class PresenceRow(NamedTuple):
    """Somebody whom LiveKit reports in a room."""

    identity: str
    sid: str
    joined_at: datetime
