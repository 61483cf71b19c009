"""Names that are built and parsed in one place: of LiveKit rooms, of store keys, of ban places."""

from typing import NamedTuple

from utd_engine.ports.rooms import Key
from utd_protocol.types import RoomType


class SFUName(NamedTuple):
    """The parts of a LiveKit room's name."""

    app: str
    type: RoomType
    room_id: str


def sfu_name(key: Key, room_type: RoomType) -> str:
    """The LiveKit room of one opening: an old token never fits a new one."""
    return f"{key.app}.{room_type}.{key.id}"


def parse_sfu_name(name: str) -> SFUName | None:
    """The parts of a LiveKit room's name; None when it is none of ours."""
    app, _, rest = name.partition(".")
    kind, _, room_id = rest.partition(".")
    if not (app and room_id) or kind not in set(RoomType):
        return None
    return SFUName(app, RoomType(kind), room_id)


def room_key_name(room_type: RoomType, name: str) -> str:
    """The name that an open room holds in the store."""
    return f"room:{room_type}:{name}"


def ban_place(room_type: RoomType, name: str) -> str:
    """Where a ban of scope room holds: it outlives one opening of the name."""
    return f"{room_type}:{name}"
