"""What a session needs of the client that made it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from utd_stream._engine.backoff import Jitter
from utd_stream._engine.http import EngineHTTP, segment
from utd_stream._models import UTDStreamType, UTDTokenResponse
from utd_stream._room.room import UTDRoom

if TYPE_CHECKING:
    from utd_stream._sessions.session import UTDSession


@dataclass(slots=True, kw_only=True)
class Door:
    """The way into one room for one user, and back into it.

    A call's session has no room before its first call, and another one with each call.
    """

    http: EngineHTTP
    room: UTDRoom
    identity: str
    type: UTDStreamType
    room_name: str
    name: str | None
    """The user's own, for display."""
    mint: Callable[[], Awaitable[UTDTokenResponse]]
    """Join again, as at first."""
    gone: "Callable[[UTDSession], None]"
    """Called once the session is disposed."""
    reconnect_for: float
    jitter: Jitter

    @property
    def path(self) -> str:
        """The room at the engine, below `/api/v1`."""
        return f"/rooms/{self.type.value}/{segment(self.room_name)}"
