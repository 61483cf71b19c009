"""What the user says before the agent is there: recorded, and handed to the agent once."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Final

from utd_stream._errors import UTDStreamException
from utd_stream._media.frames import FRAME_SAMPLES, SAMPLE_RATE, AudioFrame, AudioInput, silence
from utd_stream._room.room import UTDRoom
from utd_stream.agents._agent import is_agent
from utd_stream.agents._ring import RingBuffer
from utd_stream.agents._surroundings import Surroundings

PRECONNECT_TOPIC: Final = "lk.agent.pre-connect-audio-buffer"
CAPACITY: Final = 10 * 1024 * 1024
"""Bytes: about 109 s of 48 kHz, mono, 16 bit."""
_BEHIND: Final = 0.1
"""Seconds that the recording may catch up with a source that was late."""
_log: Final = logging.getLogger("utd_stream.agents")


class Recorder:
    """A microphone that is recorded from before it is published: itself an `AudioInput`.

    The microphone is iterated once: by the recorder at first, at the pace of the clock, then by
    whoever publishes, so that no frame is taken from the other and none is missing between.
    """

    def __init__(self, microphone: AudioInput, *, capacity: int = CAPACITY) -> None:
        """Nothing is opened yet; `capacity` in bytes."""
        self._microphone = microphone
        self._buffer = RingBuffer(capacity)
        self._recording = False
        self._overflowed = False
        self._frames: AsyncIterator[AudioFrame] | None = None
        self._pump: asyncio.Task[AudioFrame | None] | None = None
        self._ending: set[asyncio.Task[AudioFrame | None]] = set()
        self._wanted = asyncio.Event()

    @property
    def is_recording(self) -> bool:
        """Whether what the microphone gives is being kept."""
        return self._recording

    @property
    def buffered_size(self) -> int:
        """Bytes that are kept."""
        return len(self._buffer)

    async def start(self) -> None:
        """Open the microphone and keep what it gives. Twice is harmless, with a warning.

        Raises:
            Exception: what the microphone raises when it cannot be opened.
        """
        if self._recording:
            _log.warning("the microphone is being recorded already")
            return
        self._buffer.take_bytes()
        self._recording, self._overflowed = True, False
        self._wanted.clear()
        self._frames = aiter(self._microphone)
        self._pump = asyncio.get_running_loop().create_task(
            self._record(self._frames), name="utd-preconnect"
        )
        await asyncio.sleep(0)  # a device that is not there fails in its first step
        if self._pump.done() and (broken := self._pump.exception()) is not None:
            self._pump = self._frames = None
            self.stop()
            raise broken

    def stop(self) -> bytes:
        """Keep nothing more and give what was kept; the microphone stays as it is."""
        self._recording = False
        return self._buffer.take_bytes()

    def reset(self) -> None:
        """Keep nothing more, forget everything, and let the microphone go. Idempotent."""
        self.stop()
        pump, self._pump = self._pump, None
        if pump is not None:
            self._frames = None
            pump.cancel()
            self._ending.add(pump)
            pump.add_done_callback(self._ended)

    async def settle(self) -> None:
        """Wait until what `reset` let go is closed; a recording that began since goes on."""
        if self._ending:
            await asyncio.wait(tuple(self._ending))

    async def __aiter__(self) -> AsyncGenerator[AudioFrame, None]:
        """Give what the microphone gives from now on."""
        pump, self._pump = self._pump, None
        frames = self._frames or aiter(self._microphone)
        self._frames = None
        try:
            if pump is not None:
                frame = await self._take_over(pump)
                if frame is not None:
                    yield frame
            async for frame in frames:
                self._keep(frame)
                yield frame
        finally:
            await _end(frames)

    async def _take_over(self, pump: "asyncio.Task[AudioFrame | None]") -> AudioFrame | None:
        """The last frame that the recorder took by itself; it takes no more then."""
        self._wanted.set()
        try:
            await asyncio.wait([pump])
        except asyncio.CancelledError:
            pump.cancel()
            await asyncio.wait([pump])
            raise
        return pump.result()

    async def _record(self, frames: AsyncIterator[AudioFrame]) -> AudioFrame | None:
        loop = asyncio.get_running_loop()
        until = loop.time()
        try:
            async for frame in frames:
                self._keep(frame)
                until = max(until, loop.time() - _BEHIND) + frame.duration
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(until):
                        await self._wanted.wait()
                if self._wanted.is_set():
                    return frame
        except asyncio.CancelledError:
            await _end(frames)
            raise
        return None

    def _ended(self, pump: "asyncio.Task[AudioFrame | None]") -> None:
        self._ending.discard(pump)
        if not pump.cancelled():
            pump.exception()  # taken note of: the microphone is not wanted any more

    def _keep(self, frame: AudioFrame) -> None:
        if not self._recording or not self._buffer.write(frame.data) or self._overflowed:
            return
        self._overflowed = True
        _log.warning("more was said before the join than is kept: the oldest is dropped")


async def _end(frames: AsyncIterator[AudioFrame]) -> None:
    """Free what an input holds: a device stays open as long as its iterator."""
    close: Any = getattr(frames, "aclose", None)
    if close is not None:
        await close()


class PreconnectAudio:
    """Sends the recording to the agent, once, as soon as it can be understood there.

    That is when the agent is active, and the track is published that the recording belongs to.
    """

    def __init__(
        self,
        room: UTDRoom,
        microphone: AudioInput,
        surroundings: Surroundings,
        *,
        timeout: float,
        ended: Callable[[], None],
    ) -> None:
        """Record nothing yet.

        Args:
            room: where the agent comes.
            microphone: what is recorded.
            surroundings: the timer.
            timeout: seconds from the start of the recording that the agent has to come.
            ended: called when the recording has come to its end.
        """
        self.recorder = Recorder(microphone)
        self._room = room
        self._surroundings = surroundings
        self._timeout = timeout
        self._ended = ended
        self._stop_timer: Callable[[], None] | None = None
        self._track_sid: str | None = None
        self._sending: asyncio.Task[None] | None = None

    @property
    def is_recording(self) -> bool:
        """Whether the microphone is being recorded."""
        return self.recorder.is_recording

    async def start(self) -> None:
        """Begin to record; raises what the microphone raises when it cannot be opened."""
        await self.recorder.start()
        self._stop_timer = self._surroundings.call_later(self._timeout, self.give_up)

    def published(self, track_sid: str) -> None:
        """The microphone has this id on the server."""
        self._track_sid = track_sid
        self.look()

    def look(self) -> None:
        """Something may have changed: send now if it can be done. Never twice."""
        if not self.is_recording or self._track_sid is None:
            return
        people = self._room.remote_participants.value
        agent = next((each for each in people if each.active and is_agent(each)), None)
        if agent is None:
            return
        # An agent is deaf for seconds while it waits for a recording: it gets one in any case.
        sound = self._stop() or silence(FRAME_SAMPLES).data
        self._sending = asyncio.get_running_loop().create_task(
            self._send(sound, agent.identity, self._track_sid), name="utd-preconnect-send"
        )
        self._ended()

    def give_up(self) -> None:
        """Nobody came in time: forget the recording, keep the microphone."""
        if self.is_recording:
            _log.info("no agent in time for what was said before the join: it is dropped")
            self._stop()
            self._ended()

    def reset(self) -> None:
        """Forget everything; a new start is possible."""
        self._track_sid = None
        if self._sending is not None:
            self._sending.cancel()
        self._stop()
        self.recorder.reset()

    async def settle(self) -> None:
        """Wait for what `reset` ended."""
        if self._sending is not None:
            await asyncio.wait([self._sending])
        await self.recorder.settle()

    def _stop(self) -> bytes:
        if self._stop_timer is not None:
            self._stop_timer()
            self._stop_timer = None
        return self.recorder.stop()

    async def _send(self, sound: bytes, agent: str, track_sid: str) -> None:
        try:
            await self._room.send_bytes(
                sound,
                topic=PRECONNECT_TOPIC,
                name="pre-connect-audio-buffer",
                destination_identities=[agent],
                attributes={
                    "sampleRate": str(SAMPLE_RATE),
                    "channels": "1",
                    "commonFormat": "int16",
                    "trackId": track_sid,
                },
                compress=False,
            )
        except UTDStreamException as failed:
            _log.warning("what was said before the join did not reach the agent: %s", failed)
