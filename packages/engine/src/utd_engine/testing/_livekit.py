"""LiveKit in this process with both of its sides: what the engine calls, and what the SDK joins.

The engine's stand-in decides who is there and what they may do; the SDK's carries tracks, data
and events between them, and is told of every change.
"""

from typing import Final

from utd_engine.adapters.memory.media import MEMORY_KEY, MemoryGateway
from utd_engine.adapters.memory.media_rooms import JoinRefused, MemoryRoom, read_join_token
from utd_engine.domain.permissions import Permission
from utd_engine.ports.clock import Clock
from utd_stream import AuthRejected, ConnectError, DisconnectReason, Permissions
from utd_stream.testing import FakeLiveKit, Grant, Member

_UNAUTHORIZED: Final = 401
_CODES: Final = {404: "room_missing"}


class LiveKitInProcess(MemoryGateway):
    """Implements `MediaGateway`. `clients` is the side of the SDK: give its `open_link` to clients.

    Faults of the engine's calls are those of `faults`; of the clients' connections, those of
    `clients.faults`.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, api_key=MEMORY_KEY)
        self.clients = _Clients(self, clock)

    def restart(self) -> None:
        """Die and come back: everybody is out."""
        for room in self.rooms.values():
            self.clients.put_out(room.name, DisconnectReason.UNKNOWN)
        super().restart()

    def left(self, member: Member, reason: DisconnectReason) -> None:
        """A client went; one that was put out is gone here already."""
        room = self.rooms.get(member.grant.room)
        if room is not None:
            self._drop(room, member.identity, reason.name)

    def _open(self, name: str, metadata: str, max_participants: int) -> MemoryRoom:
        room = super()._open(name, metadata, max_participants)
        self.clients.create_room(name, metadata=room.metadata)
        return room

    def _close(self, name: str) -> None:
        is_there = self._find(name) is not None
        super()._close(name)
        if is_there:
            self.clients.delete_room(name)

    def _push(
        self, name: str, identity: str, permission: Permission, attributes: dict[str, str]
    ) -> bool:
        is_there = super()._push(name, identity, permission, attributes)
        if is_there and self.clients.has(name, identity):
            self.clients.permit(name, identity, _in_sdk_words(permission))
            if attributes:
                self.clients.set_attributes(name, identity, attributes)
        return is_there

    def _publish(self, name: str, metadata: str) -> bool:
        is_there = super()._publish(name, metadata)
        if is_there:
            self.clients.set_metadata(name, metadata)
        return is_there

    def _drop(self, room: MemoryRoom, identity: str, reason: str) -> bool:
        was_there = super()._drop(room, identity, reason)
        if was_there and self.clients.has(room.name, identity):
            self.clients.drop(room.name, identity, DisconnectReason[reason])
        return was_there


class _Clients(FakeLiveKit):
    """The side of the SDK. It lets in whom the engine's side lets in, and tells of who leaves."""

    def __init__(self, gateway: LiveKitInProcess, clock: Clock) -> None:
        super().__init__(admit=self._read, auto_create=False)
        self._gateway = gateway
        self._clock = clock

    def has(self, room: str, identity: str) -> bool:
        """Whether somebody is connected."""
        return room in self.rooms and identity in self.rooms[room].members

    def put_out(self, room: str, reason: DisconnectReason) -> None:
        """End every connection to a room, and the room."""
        for identity in tuple(self.rooms[room].members):
            self.drop(room, identity, reason)
        del self.rooms[room]

    def leave(self, member: Member, reason: DisconnectReason) -> None:
        """Take somebody out of the room, on both sides."""
        super().leave(member, reason)
        self._gateway.left(member, reason)

    def _read(self, token: str) -> Grant:
        try:
            grants = read_join_token(token, MEMORY_KEY, self._clock.now())
            participant = self._gateway.admit(grants)
        except JoinRefused as refusal:
            if refusal.status == _UNAUTHORIZED:
                raise AuthRejected(str(refusal), status_code=_UNAUTHORIZED) from refusal
            code = _CODES.get(refusal.status, "join_refused")
            raise ConnectError(str(refusal), status_code=refusal.status, code=code) from refusal
        return Grant(
            room=participant.room,
            identity=participant.identity,
            permissions=_in_sdk_words(participant.permission),
            name=participant.name,
            attributes=participant.attributes,
            kind="agent" if participant.agent else "standard",
        )


def _in_sdk_words(permission: Permission) -> Permissions:
    return Permissions(
        can_publish=permission.can_publish,
        can_subscribe=permission.can_subscribe,
        can_publish_data=permission.can_publish_data,
        sources=permission.sources,
    )
