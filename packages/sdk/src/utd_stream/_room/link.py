"""What a room needs of LiveKit, in our own words: the one seam between the two.

`_livekit` is the real one, `testing` has an in-process one. Nothing here does I/O.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Final, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from utd_protocol.types import Source
from utd_stream._media.frames import AudioFrame
from utd_stream._media.video import VideoFrame
from utd_stream._room.connection import Permissions
from utd_stream._room.encryption import E2EEOptions
from utd_stream._room.events import LiveKitEvent
from utd_stream._room.participants import RemoteParticipant

F_co = TypeVar("F_co", covariant=True)
P_contra = TypeVar("P_contra", contravariant=True)

ABANDONED_FOR: Final = 60.0
"""Seconds after which LiveKit itself has given up on any connection attempt."""


class LinkOptions(Struct, frozen=True, kw_only=True):
    """How one connection is made."""

    dynacast: bool = True
    adaptive_stream: bool = True
    auto_subscribe: bool = True
    roaming: bool = False
    single_peer_connection: bool | None = None
    connect_timeout: float = 10.0
    publish_timeout: float = 10.0
    encryption: E2EEOptions | None = None


class Sent(Protocol[P_contra]):
    """A published local track that takes frames."""

    @property
    def sid(self) -> str:
        """The server's id of the track; a full reconnect changes it."""
        ...

    async def write(self, frame: P_contra) -> None:
        """Send one frame; sound waits while enough is queued, which keeps its time.

        `ClosedByUs` after `aclose`, so that whoever carries frames stops.
        """
        ...

    async def aclose(self) -> None:
        """Unpublish, and free the source. Idempotent; never waits longer than a second or so."""
        ...


class Received(Protocol[F_co]):
    """Frames of a remote track; ends when the track ends."""

    def __aiter__(self) -> AsyncIterator[F_co]:
        """Iterate over what comes from now on."""
        ...

    async def aclose(self) -> None:
        """Stop receiving these frames. Idempotent."""
        ...


class StreamInfo(Struct, frozen=True, kw_only=True):
    """The header of an incoming text or byte stream."""

    stream_id: str
    topic: str
    timestamp_ms: int = 0
    """Milliseconds since the epoch, by the sender's clock."""
    mime_type: str = ""
    size: int | None = None
    name: str = ""


class IncomingText(Protocol):
    """A text stream being received. Read it to its end, or close it."""

    @property
    def info(self) -> StreamInfo:
        """Its header."""
        ...

    @property
    def attributes(self) -> Mapping[str, str]:
        """The header's attributes; after the last chunk the trailer's too."""
        ...

    def __aiter__(self) -> AsyncIterator[str]:
        """Chunks as they come. `ConnectionError` when the stream breaks off."""
        ...

    def close(self) -> None:
        """Stop reading; idempotent."""
        ...


class IncomingBytes(Protocol):
    """A byte stream being received. Read it to its end, or close it."""

    @property
    def info(self) -> StreamInfo:
        """Its header."""
        ...

    @property
    def attributes(self) -> Mapping[str, str]:
        """The header's attributes; after the last chunk the trailer's too."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Chunks as they come. `ConnectionError` when the stream breaks off."""
        ...

    def close(self) -> None:
        """Stop reading; idempotent."""
        ...


TextHandler: TypeAlias = Callable[[IncomingText, str], None]
"""Called at once when a stream opens, with the sender's identity; must not block."""
BytesHandler: TypeAlias = Callable[[IncomingBytes, str], None]


class Packet(Struct, frozen=True, kw_only=True):
    """Data, text or bytes on their way out."""

    topic: str = ""
    destinations: tuple[str, ...] = ()
    attributes: Mapping[str, str] = {}
    reliable: bool = True
    compress: bool = True
    name: str = "unknown"
    mime_type: str = "application/octet-stream"


class Link(Protocol):
    """One connection to one LiveKit room. Used once: a rejoin makes a new one."""

    @property
    def raw(self) -> object:
        """LiveKit's room."""
        ...

    @property
    def raw_local(self) -> object:
        """LiveKit's local participant, None before the join."""
        ...

    @property
    def identity(self) -> str:
        """The local identity, empty before the join."""
        ...

    @property
    def permissions(self) -> Permissions:
        """What the local participant may do now."""
        ...

    @property
    def metadata(self) -> str:
        """The room's metadata now."""
        ...

    def participants(self) -> tuple[RemoteParticipant, ...]:
        """The others, in the order in which this side learned of them."""
        ...

    async def connect(self, url: str, token: str) -> None:
        """Join; `Connected` and `RoomMetadataChanged` have been told when this returns.

        Cancelling is safe: the attempt is abandoned and closed when it resolves.

        Raises:
            Unreachable: nobody answered, or no media came through, within `connect_timeout`.
            AuthRejected: the token was refused.
            ConnectError: the room is missing (`code` is `room_missing`) or would not take one
                more (`join_refused`).
        """
        ...

    async def disconnect(self) -> None:
        """Leave, tell `Disconnected` if nobody did, and free everything. Idempotent, bounded.

        A `connect` that is under way raises `ClosedByUs`.
        """
        ...

    async def publish_audio(self, source: Source, *, preconnect: bool) -> Sent[AudioFrame]:
        """Publish a sound track; the caller has checked the right.

        `PublishFailed` when the server refuses or does not answer in time. Cancelling is safe:
        what is published nevertheless is unpublished at once.
        """
        ...

    async def publish_video(self, source: Source, width: int, height: int) -> Sent[VideoFrame]:
        """Publish a picture track; as `publish_audio`."""
        ...

    def receive_audio(
        self, identity: str, source: Source, frame_ms: int
    ) -> Received[AudioFrame] | None:
        """Frames of somebody's track, or None while it is not received."""
        ...

    def receive_video(self, identity: str, source: Source) -> Received[VideoFrame] | None:
        """Frames of somebody's track, or None while it is not received."""
        ...

    def ask_for(self, identity: str, track_sid: str, *, wanted: bool, width: int | None) -> None:
        """Receive a track or not, and how wide its pictures are needed. Idempotent."""
        ...

    async def send_data(self, data: bytes, packet: Packet) -> None:
        """Send a data packet; the caller has checked right and size."""
        ...

    async def send_text(self, text: str, packet: Packet) -> str:
        """Send a text stream and return its id."""
        ...

    async def send_bytes(self, data: bytes, packet: Packet) -> str:
        """Send a byte stream and return its id."""
        ...

    def set_encryption(self, *, enabled: bool) -> None:
        """Switch encryption, of a joined connection that was made with it."""
        ...

    def serve_text(self, topic: str, handler: TextHandler | None) -> None:
        """Set or remove the handler of a topic."""
        ...

    def serve_bytes(self, topic: str, handler: BytesHandler | None) -> None:
        """Set or remove the handler of a topic."""
        ...


class Abandoned:
    """Owns what could not be cancelled: attempts to connect that nobody waits for any more."""

    def __init__(self, parent: "Abandoned | None" = None) -> None:
        """Start with nothing owned; a parent owns what comes here too."""
        self._parent = parent
        self._tasks: set[asyncio.Task[object]] = set()

    def __len__(self) -> int:
        """How many are still open."""
        return len(self._tasks)

    def adopt(self, ending: Coroutine[object, object, None]) -> None:
        """Run `ending` to its end, however long that takes."""
        self._own(asyncio.get_running_loop().create_task(ending, name="utd-abandoned-connect"))

    async def wait(self, timeout: float = ABANDONED_FOR) -> bool:  # noqa: ASYNC109 a stated bound
        """Wait until all are closed, at most `timeout` seconds; says whether they are."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)
        return not self._tasks

    def _own(self, task: asyncio.Task[object]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._parent is not None:
            self._parent._own(task)  # noqa: SLF001 of the same class


class OpenLink(Protocol):
    """Makes one connection, not joined yet. Called with a running loop."""

    def __call__(
        self,
        options: LinkOptions,
        on_event: Callable[[LiveKitEvent], None],
        abandoned: Abandoned,
    ) -> Link:
        """Make it; `on_event` is called on the loop's thread for everything that happens."""
        ...


def as_tuple(identities: Sequence[str] | None) -> tuple[str, ...]:
    """Destinations as LiveKit wants them: empty for everybody."""
    return tuple(identities or ())
