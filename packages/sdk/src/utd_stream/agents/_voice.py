"""The agent's voice as one stream of frames, whoever the agent is at the moment."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from utd_stream._media.frames import AudioFrame
from utd_stream._room.room import UTDRoom
from utd_stream.agents._agent import Agent

_KEPT: Final = 5_000
"""Milliseconds of sound kept for a slow reader before the oldest is dropped."""


class Voices:
    """Everybody who listens to the agent."""

    def __init__(self, agent: Agent, room: UTDRoom) -> None:
        """Nobody listens yet."""
        self._agent = agent
        self._room = room
        self._moved: set[asyncio.Event] = set()
        self._ended = False
        agent.add_listener(self._wake)

    def end(self) -> None:
        """End all iterators, after what is there already."""
        self._ended = True
        self._agent.remove_listener(self._wake)
        self._wake()

    async def read(self, frame_ms: int) -> AsyncGenerator[AudioFrame, None]:
        """Frames of the agent's voice, going over to the next agent when there is one."""
        moved = asyncio.Event()
        self._moved.add(moved)
        frames: deque[AudioFrame] = deque(maxlen=max(2, _KEPT // frame_ms))
        speaker: str | None = None
        mover: asyncio.Task[None] | None = None
        try:
            while True:
                while frames:
                    yield frames.popleft()
                if self._ended or (mover is not None and mover.done()):
                    return
                if (now := self._agent._view.voice) != speaker:  # noqa: SLF001 ours
                    await _end(mover)
                    speaker, mover = now, self._move(now, frame_ms, frames, moved)
                moved.clear()
                await moved.wait()
        finally:
            self._moved.discard(moved)
            await _end(mover)

    def _move(
        self,
        speaker: str | None,
        frame_ms: int,
        frames: deque[AudioFrame],
        moved: asyncio.Event,
    ) -> asyncio.Task[None] | None:
        if speaker is None:
            return None

        async def move() -> None:
            try:
                async with aclosing(self._room.audio(speaker, frame_ms=frame_ms)) as heard:
                    async for frame in heard:
                        frames.append(frame)
                        moved.set()
            finally:
                moved.set()

        return asyncio.get_running_loop().create_task(move(), name="utd-agent-voice")

    def _wake(self) -> None:
        for moved in self._moved:
            moved.set()


async def _end(mover: asyncio.Task[None] | None) -> None:
    if mover is not None:
        mover.cancel()
        await asyncio.wait([mover])
