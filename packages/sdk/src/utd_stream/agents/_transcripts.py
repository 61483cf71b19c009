"""Receives what agent and user say, as text streams of the room."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from utd_stream._errors import UTDStreamException
from utd_stream._room.connection import UTDConnectionState
from utd_stream._room.link import IncomingText
from utd_stream._room.room import UTDRoom
from utd_stream.agents._assembler import TranscriptAssembler, TranscriptStream
from utd_stream.agents._messages import OnError, OnMessage, Unsubscribe
from utd_stream.agents._surroundings import RealSurroundings, Surroundings

TRANSCRIPTION_TOPIC: Final = "lk.transcription"
SEGMENT: Final = "lk.segment_id"
FINAL: Final = "lk.transcription_final"
DOUBT: Final = 0.5
"""Seconds for a connection to say that it was the reason why a stream broke off."""
_REAL: Final = RealSurroundings()

_log: Final = logging.getLogger("utd_stream.agents")


class TranscriptionStreamReceiver:
    """Tells what agent and user say, each turn as one message that grows.

    The reference's class of this name. It takes the topic of the room at its first subscriber and
    gives it back with the last. Everybody but the local participant counts as the agent.
    """

    def __init__(
        self,
        room: UTDRoom,
        topic: str = TRANSCRIPTION_TOPIC,
        *,
        surroundings: Surroundings = _REAL,
    ) -> None:
        """Receive in this room, by this topic. `surroundings` is for tests."""
        self._room = room
        self._topic = topic
        self._assembler = TranscriptAssembler()
        self._subscribers: dict[object, tuple[OnMessage, OnError]] = {}
        self._registered = False
        self._reading: dict[asyncio.Task[None], IncomingText] = {}
        self._surroundings = surroundings
        self._doubts: set[Callable[[], None]] = set()
        """Ends of streams that may turn out to be the end of the connection."""

    def subscribe(self, on_message: OnMessage, on_error: OnError) -> Unsubscribe:
        """Tell of everything from now on.

        `on_error` is told when the room has another handler for the topic, and when a stream
        breaks off while the room is up.
        """
        key = object()
        self._subscribers[key] = (on_message, on_error)
        if not self._registered:
            self._register(key, on_error)

        def unsubscribe() -> None:
            if self._subscribers.pop(key, None) is not None and not self._subscribers:
                self._stop()

        return unsubscribe

    async def dispose(self) -> None:
        """Give the topic back and stop reading. Idempotent; a later `subscribe` starts afresh."""
        self._subscribers.clear()
        reading = tuple(self._reading)
        self._stop()
        if reading:
            await asyncio.wait(reading)

    def _register(self, key: object, on_error: OnError) -> None:
        try:
            self._room.register_text_stream_handler(self._topic, self._opened)
        except UTDStreamException as taken:
            del self._subscribers[key]
            on_error(taken)
        else:
            self._registered = True

    def _stop(self) -> None:
        if self._registered:
            self._registered = False
            self._room.unregister_text_stream_handler(self._topic)
        for task in self._reading:
            task.cancel()
        for forget in tuple(self._doubts):
            forget()
        self._assembler.clear()

    def _opened(self, incoming: IncomingText, identity: str) -> None:
        header = incoming.attributes
        stream = self._assembler.open(
            header.get(SEGMENT) or incoming.info.stream_id,
            identity,
            by_user=identity == self._room.identity,
            at=datetime.fromtimestamp(incoming.info.timestamp_ms / 1000, UTC),
            final=is_final(header),
        )
        task = asyncio.get_running_loop().create_task(
            self._read(incoming, stream), name="utd-transcript"
        )
        self._reading[task] = incoming
        task.add_done_callback(self._read_to_its_end)

    def _read_to_its_end(self, task: asyncio.Task[None]) -> None:
        self._reading.pop(task).close()

    async def _read(self, incoming: IncomingText, stream: TranscriptStream) -> None:
        chunks = aiter(incoming)
        try:
            while True:
                try:
                    chunk = await anext(chunks)
                except UnicodeDecodeError:
                    _log.warning("a piece of transcript %s is no text", stream.segment)
                    continue
                except StopAsyncIteration:
                    return
                self._tell(stream, chunk)
        except Exception as broken:  # noqa: BLE001 whatever breaks it, somebody has to know
            self._broke_off(broken)
        finally:
            self._assembler.close(stream)

    def _tell(self, stream: TranscriptStream, chunk: str) -> None:
        message = self._assembler.feed(stream, chunk)
        if message is not None:
            for on_message, _ in tuple(self._subscribers.values()):
                on_message(message)

    def _broke_off(self, broken: Exception) -> None:
        """Say so, unless our own connection turns out to be the reason: its state tells that.

        A stream breaks a moment before the room says that it is left or being built anew.
        """
        if self._room.connection.value is not UTDConnectionState.CONNECTED:
            return

        def forget() -> None:
            self._doubts.discard(forget)
            stop_listening()
            stop_timer()

        def believe() -> None:
            forget()
            for _, on_error in tuple(self._subscribers.values()):
                on_error(broken)

        stop_listening = self._room.connection.listen(lambda _: forget())
        stop_timer = self._surroundings.call_later(DOUBT, believe)
        self._doubts.add(forget)


def is_final(attributes: Mapping[str, str]) -> bool:
    """Whether a segment will not change any more."""
    return attributes.get(FINAL, "").lower() in {"true", "1"}
