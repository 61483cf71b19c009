"""A stand-in for LiveKit's server API: it accepts every Twirp call."""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import httptools
from livekit.protocol.models import ParticipantInfo, Room
from livekit.protocol.room import ListParticipantsResponse, ListRoomsResponse
from programs import BACKLOG, run_program, until_stdin_ends

OnCall: TypeAlias = Callable[[str, bytes], None]

ROOM = Room(sid="RM_bench", name="bench")
ANSWERS = {
    "CreateRoom": ROOM.SerializeToString(),
    "UpdateRoomMetadata": ROOM.SerializeToString(),
    "UpdateParticipant": ParticipantInfo(sid="PA_bench").SerializeToString(),
    "RemoveParticipant": b"",
    "DeleteRoom": b"",
    "ListRooms": ListRoomsResponse(rooms=[ROOM]).SerializeToString(),
    "ListParticipants": ListParticipantsResponse().SerializeToString(),
}


class Twirp(asyncio.Protocol):
    """One connection. `on_call` is told the method and the request of each call."""

    def __init__(self, on_call: OnCall = lambda _method, _request: None) -> None:
        self._on_call = on_call
        self._parser = httptools.HttpRequestParser(self)
        self._url = self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """A part of a request."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Which method is called."""
        self._url += url

    def on_body(self, body: bytes) -> None:
        """A part of what it says."""
        self._body += body

    def on_message_complete(self) -> None:
        """Accept it."""
        method = self._url.decode().rpartition("/")[2]
        self._on_call(method, self._body)
        self._url = self._body = b""
        body = ANSWERS.get(method, b"")
        head = (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/protobuf\r\ncontent-length: %d\r\n\r\n"
        )
        self._transport.write(head % len(body) + body)


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Twirp, "127.0.0.1", 0, backlog=BACKLOG)
    await until_stdin_ends(port=server.sockets[0].getsockname()[1])
    server.close()


if __name__ == "__main__":
    run_program(main())
