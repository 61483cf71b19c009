"""A WebSocket to the engine: text in and out, and its close codes as errors with a type."""

from typing import Final

import aiohttp

from utd_stream._errors import (
    AuthRejected,
    Banned,
    Lagged,
    Limited,
    Replaced,
    Unreachable,
    UTDStreamException,
)

_ENDS: Final[dict[int, tuple[type[UTDStreamException], str, str]]] = {
    4401: (AuthRejected, "token_invalid", "the token was refused"),
    4403: (Banned, "banned", "this user is banned"),
    4409: (Replaced, "replaced", "this device of this user has connected anew elsewhere"),
    4410: (Lagged, "snapshot_required", "what came meanwhile is no longer kept"),
    4429: (Limited, "rate_limited", "this user has too many devices connected"),
}
"""What does not heal by connecting again. Every other end does."""


class Socket:
    """One open connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Made by `EngineHTTP.socket`."""
        self._socket = socket

    async def send(self, text: str) -> None:
        """Send a message.

        Raises:
            Unreachable: the connection is over.
        """
        try:
            await self._socket.send_str(text)
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable("the engine closed the socket") from error

    async def receive(self, within: float) -> str:
        """The next message. Cancelling is safe.

        Args:
            within: seconds after which an engine that says nothing counts as gone.

        Raises:
            Unreachable: the connection is over, and another may be had.
            UTDStreamException: the engine says that no other may be had.
        """
        try:
            message = await self._socket.receive(timeout=within)
        except TimeoutError:
            raise Unreachable(f"the engine said nothing for {within:g} s") from None
        if message.type is aiohttp.WSMsgType.TEXT:
            return str(message.data)
        raise _end_of(self._socket.close_code)


def _end_of(code: int | None) -> UTDStreamException:
    if code in _ENDS:
        kind, name, said = _ENDS[code]
        return kind(f"{said} (socket closed with {code})", code=name)
    return Unreachable(f"the engine closed the socket ({code})")
