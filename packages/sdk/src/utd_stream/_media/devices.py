"""The sound card, through the optional package `sounddevice`, which is imported when needed."""

import asyncio
import importlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from utd_stream._errors import DeviceFailed
from utd_stream._media.frames import FRAME_SAMPLES, SAMPLE_RATE, AudioFrame

_LATE: Final = 20
"""Frames that may wait for a busy event loop before the oldest is dropped."""


class Microphone:
    """A microphone of this machine. It is open only while the track is live."""

    def __init__(self, device: int | str | None = None) -> None:
        """Choose a device by number or name, as `sounddevice` lists them; None is the default."""
        self._device = device

    async def __aiter__(self) -> AsyncGenerator[AudioFrame, None]:
        """Give what is heard; `DeviceFailed` when there is no such device, or no library."""
        loop = asyncio.get_running_loop()
        frames: asyncio.Queue[AudioFrame] = asyncio.Queue()

        def heard(data: Any, *_: object) -> None:  # noqa: ANN401 a buffer of the library
            frame = AudioFrame(np.frombuffer(bytes(data), np.int16))
            loop.call_soon_threadsafe(take, frame)

        def take(frame: AudioFrame) -> None:
            if frames.qsize() >= _LATE:
                frames.get_nowait()
            frames.put_nowait(frame)

        with _stream("RawInputStream", "microphone", self._device, callback=heard):
            while True:
                yield await frames.get()


class Speakers:
    """The loudspeakers of this machine, for what a room's `audio` or `mixed_audio` gives."""

    def __init__(self, device: int | str | None = None) -> None:
        """Choose a device by number or name, as `sounddevice` lists them; None is the default."""
        self._device = device

    async def play(self, frames: AsyncIterable[AudioFrame]) -> None:
        """Play until the frames end. Cancelling is safe; `DeviceFailed` without a device."""
        with _stream("RawOutputStream", "loudspeaker", self._device) as stream:
            async for frame in frames:
                try:
                    await asyncio.to_thread(stream.write, frame.data)
                except Exception as broken:
                    raise DeviceFailed(f"the loudspeaker stopped: {broken}") from broken


@contextmanager
def _stream(
    kind: str,
    noun: str,
    device: int | str | None,
    callback: Callable[..., None] | None = None,
) -> Generator[Any]:
    library = _library()
    try:
        stream: Any = getattr(library, kind)(
            samplerate=SAMPLE_RATE,
            blocksize=FRAME_SAMPLES,
            channels=1,
            dtype="int16",
            device=device,
            callback=callback,
        )
        stream.start()
    except Exception as broken:
        name = "the default device" if device is None else f"device {device!r}"
        raise DeviceFailed(f"no {noun}: {name} cannot be opened: {broken}") from broken
    try:
        yield stream
    finally:
        stream.close()


def _library() -> Any:  # noqa: ANN401 the package has no types
    try:
        return importlib.import_module("sounddevice")
    except (ImportError, OSError) as missing:  # OSError: PortAudio itself is not installed
        raise DeviceFailed(
            f"sound devices need the extra `devices` (pip install 'utd-stream[devices]') and the "
            f"PortAudio library: {missing}"
        ) from missing
