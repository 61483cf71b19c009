"""What reaches one user on all devices."""

from datetime import datetime
from typing import NamedTuple


class InboxEvent(NamedTuple):
    """A message to one user's inbox. The store gives it the next `seq` of that inbox."""

    identity: str
    type: str
    at: datetime
    data: bytes
    """JSON object without `seq`; the store keeps `seq` beside it."""
