"""What a session needs of the client that made it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from utd_stream._backoff import Jitter
from utd_stream._http import EngineHTTP
from utd_stream._models import UTDStreamType, UTDTokenResponse
from utd_stream._room import UTDRoom

if TYPE_CHECKING:
    from utd_stream._session import UTDSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The way into one room for one user, and back into it."""

    http: EngineHTTP
    room: UTDRoom
    identity: str
    type: UTDStreamType
    room_name: str
    mint: Callable[[], Awaitable[UTDTokenResponse]]
    """Join again, as at first."""
    gone: "Callable[[UTDSession], None]"
    """Called once the session is disposed."""
    reconnect_for: float
    jitter: Jitter
