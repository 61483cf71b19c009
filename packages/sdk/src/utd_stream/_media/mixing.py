"""The sum of many voices in step with the clock, for listening and for recording."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Final

from utd_stream._media.frames import SAMPLE_RATE, AudioFrame, mix
from utd_stream._media.wav import WavWriter

_AHEAD_MS: Final = 40
"""Sound that a voice gathers before it is heard, so that an uneven network makes no gaps."""
_BEHIND_MS: Final = 400
"""Sound that may wait in one voice before the oldest is dropped."""
_TOO_LATE: Final = 1.0
"""Seconds that the event loop may be late before time is skipped, not caught up with."""


class Voice:
    """One person's sound on its way into the mix."""

    def __init__(self, frames: AsyncGenerator[AudioFrame, None], frame_ms: int) -> None:
        """Read `frames` in the background."""
        self._ahead = max(1, -(-_AHEAD_MS // frame_ms))
        self._waiting: deque[AudioFrame] = deque(
            maxlen=max(self._ahead + 2, _BEHIND_MS // frame_ms)
        )
        self._playing = False
        self._reader = asyncio.get_running_loop().create_task(self._read(frames), name="utd-voice")

    def take(self) -> AudioFrame | None:
        """The frame that is due, or None while there is too little."""
        self._playing = len(self._waiting) >= (1 if self._playing else self._ahead)
        return self._waiting.popleft() if self._playing else None

    async def aclose(self) -> None:
        """Stop reading."""
        self._reader.cancel()
        await asyncio.wait([self._reader])

    async def _read(self, frames: AsyncGenerator[AudioFrame, None]) -> None:
        async with aclosing(frames):
            async for frame in frames:
                self._waiting.append(frame)


async def mixed(
    voices: Callable[[], set[str]],
    listen: Callable[[str], AsyncGenerator[AudioFrame, None]],
    frame_ms: int,
    closed: Callable[[], bool],
) -> AsyncGenerator[AudioFrame, None]:
    """Sum up the voices of now, a frame each `frame_ms`, silence included.

    Args:
        voices: the identities to hear, asked before every frame.
        listen: gives somebody's frames.
        frame_ms: milliseconds of a frame.
        closed: ends the iteration when true.
    """
    loop = asyncio.get_running_loop()
    samples = SAMPLE_RATE * frame_ms // 1000
    heard: dict[str, Voice] = {}
    due = loop.time()
    try:
        while not closed():
            wanted = voices()
            for gone in heard.keys() - wanted:
                await heard.pop(gone).aclose()
            for new in wanted - heard.keys():
                heard[new] = Voice(listen(new), frame_ms)
            frames = [frame for voice in heard.values() if (frame := voice.take()) is not None]
            yield mix(frames, samples)
            due = max(due + frame_ms / 1000, loop.time() - _TOO_LATE)
            await asyncio.sleep(max(0.0, due - loop.time()))
    finally:
        for voice in heard.values():
            await voice.aclose()


async def write_wav(
    frames: AsyncGenerator[AudioFrame, None], path: str | Path, seconds: float | None
) -> float:
    """Write frames to a file until they end or `seconds` are full; the seconds written."""
    limit = None if seconds is None else round(seconds * SAMPLE_RATE)
    with WavWriter(path) as file:
        async with aclosing(frames):
            async for frame in frames:
                rest = len(frame.samples) if limit is None else limit - file.samples
                file.write(AudioFrame(frame.samples[:rest]))
                if limit is not None and file.samples >= limit:
                    break
        return file.seconds
