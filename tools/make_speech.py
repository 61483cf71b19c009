"""Make the speech that `utd demo` plays: espeak-ng says our own text, 48 kHz mono 16 bit.

`python tools/make_speech.py packages/cli/src/utd_cli/speech.wav`
"""

import io
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np

TEXT = "Hello, and welcome. A seat in this room is the right to speak. Whoever sits is heard."
COMMAND = ["espeak-ng", "-v", "en-us", "-s", "165", "--stdout", TEXT]
RATE = 48_000
AUDIBLE = 0.02


def main(target: Path) -> None:
    """Say it, change the rate without loss, cut silence off both ends, and set the loudness."""
    said = subprocess.run(COMMAND, check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(said)) as file:
        spoken_rate = file.getframerate()
        spoken = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    spoken = spoken[: len(spoken) // 147 * 147]  # 22,050 to 48,000 is 147 to 320
    spectrum = np.fft.rfft(spoken)
    length = len(spoken) * RATE // spoken_rate
    samples = np.fft.irfft(spectrum, length) * (length / len(spoken))
    loud = np.flatnonzero(np.abs(samples) > AUDIBLE)
    samples = samples[loud[0] : loud[-1]]
    samples = samples / np.abs(samples).max() * 0.7
    with wave.open(str(target), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
