"""What `session.updates()` gives: the engine's events of a room, in order."""

from typing import TypeAlias

from msgspec import Struct

from utd_protocol.events import RoomEvent, UnknownEvent
from utd_stream._broadcast import EventReader


class Resynced(Struct, frozen=True, kw_only=True):
    """Events up to `seq` were no longer kept by the engine; the state is right all the same."""

    seq: int


Update: TypeAlias = RoomEvent | UnknownEvent | Resynced
"""Everything that `session.updates()` gives."""

Updates: TypeAlias = EventReader[Update]
"""One reader's place in the stream of events. Made by `session.updates()`."""
