"""Who may not come in, and where."""

from datetime import datetime
from typing import NamedTuple

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
