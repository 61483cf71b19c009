"""WAV files as the demo needs them: any kind is read through the SDK, one kind is written."""

import wave
from pathlib import Path

import numpy as np

from utd_cli.demos.ear import joined
from utd_cli.demos.sound import RATE, Sound
from utd_stream import WavFile


async def read_wav(path: Path | str) -> Sound:
    """The file as the SDK would publish it. Raises `DeviceFailed` when it cannot be read."""
    return joined([frame.samples / 32768 async for frame in WavFile(path)])


def write_wav(path: Path | str, sound: Sound) -> None:
    """Write 48 kHz, mono, 16 bit."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
        file.writeframes(np.rint(sound * 32767).clip(-32768, 32767).astype("<i2").tobytes())
