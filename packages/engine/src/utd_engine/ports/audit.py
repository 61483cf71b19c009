"""Privileged acts, done and refused."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol


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


class AuditStore(Protocol):
    """Records of privileged acts; those of done ones are written with their commit."""

    async def audit(
        self, app: str, room: str, *, after: int = 0, limit: int = 100
    ) -> list[AuditEntry]:
        """Audit records, oldest first; an empty room means the whole app."""
        ...

    async def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        """Records of refusals, which have no append to ride in."""
        ...
