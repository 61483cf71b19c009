"""A room, a call or an inbox as the store keeps it: a key, a snapshot, a log."""

from datetime import datetime
from typing import Literal, NamedTuple


class Key(NamedTuple):
    """The name of an aggregate: a room, a call or an inbox of one app."""

    app: str
    kind: Literal["room", "call", "inbox"]
    id: str


class Loaded(NamedTuple):
    """A snapshot. `version` moves with every append, `seq` with every event of the log."""

    state: bytes
    seq: int
    version: int


class NewEvent(NamedTuple):
    """An event to append: encoded, with its `seq` inside already."""

    seq: int
    type: str
    at: datetime
    data: bytes


class StoredEvent(NamedTuple):
    """An event of a log. `pos` orders all logs of all apps in one row."""

    pos: int
    key: Key
    seq: int
    type: str
    data: bytes


class OpenRoom(NamedTuple):
    """An open aggregate as the loops and lists see it."""

    key: Key
    name: str
    """The key it took, e.g. `room:audio_room:lobby`."""
    loaded: Loaded
