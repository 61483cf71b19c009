"""Privileged acts, done and refused."""

from datetime import datetime
from typing import NamedTuple


class AuditEntry(NamedTuple):
    """A privileged act or the refusal of one; `id` is 0 until stored."""

    app: str
    room: str
    """The aggregate's id, or empty for an act on the app."""
    at: datetime
    actor: str
    action: str
    target: str | None
    outcome: str
    """`done` or the code of the refusal."""
    reason: str
    request_id: str
    id: int = 0
