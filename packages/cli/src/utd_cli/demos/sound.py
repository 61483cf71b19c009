"""Measurements on received sound: how loud, which pitch, is it that speech. Pure numbers, no I/O.

Sound is mono at 48 kHz with values from -1 to 1.
"""

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Sound: TypeAlias = NDArray[np.float64]

RATE: Final = 48_000
FLOOR_DBFS: Final = -120.0
"""What complete silence is given as, since its logarithm is not a number."""
AUDIBLE_DBFS: Final = -50.0
"""Sound above this is somebody; rooms without sound stay below it."""

_LACKING: Final = RATE
_HOP: Final = RATE // 100
_WINDOW: Final = 8 * _HOP
"""80 ms: receivers shift sound by some 10 ms to even out the network, which must not matter."""
_BANDS_HZ: Final = np.geomspace(150, 6000, 21)
"""20 bands in which speech lives and which every codec keeps."""
_LOUDNESS: Final = 0.25
"""Power to this exponent is near to how loud it seems, so that soft sounds count too."""


def dbfs(sound: Sound) -> float:
    """The root mean square in decibels, where 0 is a square wave of full scale."""
    power = float(np.mean(np.square(sound))) if len(sound) else 0.0
    return max(FLOOR_DBFS, 10 * float(np.log10(power))) if power > 0 else FLOOR_DBFS


def strongest_hz(sound: Sound) -> float:
    """The frequency that holds the most energy, 0 for silence.

    A parabola through the logarithms of the highest bin and its neighbours finds it to a small
    part of the distance between bins, which is 1 Hz for a second of sound.
    """
    if dbfs(sound) <= FLOOR_DBFS:
        return 0.0
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    top = int(np.argmax(spectrum[1:-1])) + 1
    left, middle, right = np.log(spectrum[top - 1 : top + 2] + 1e-12)
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend else 0.0
    return float((top + shift) * RATE / len(sound))


def likeness(speech: Sound, heard: Sound) -> float:
    """How much of what was heard is this speech: 1 is all of it, near 0 is something else.

    It compares the loudness of 20 bands over time, at the delay that fits best (normalised
    cross-correlation). Codecs keep those; they do not keep the waveform. What was heard may lack
    the beginning or the end, which counts as silence.
    """
    wanted = _bands(speech)
    around = max(_LACKING, len(speech) - len(heard))
    found = _bands(np.pad(heard, (_LACKING, around)))
    pattern = wanted - wanted.mean(axis=0)
    starts = range(len(found) - len(pattern) + 1)
    return max(_correlation(pattern, found[at : at + len(pattern)]) for at in starts)


def without_silence(sound: Sound) -> Sound:
    """The sound from its first to its last audible moment; empty when there is none."""
    loud = np.flatnonzero(np.abs(sound) > 10 ** (AUDIBLE_DBFS / 20))
    return sound[loud[0] : loud[-1] + 1] if len(loud) else sound[:0]


def _bands(sound: Sound) -> Sound:
    """The loudness of each band, every 10 ms."""
    padded = np.pad(sound, (0, max(0, _WINDOW - len(sound))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    power = np.square(np.abs(np.fft.rfft(windows * np.hanning(_WINDOW), axis=1)))
    edges = np.searchsorted(np.fft.rfftfreq(_WINDOW, 1 / RATE), _BANDS_HZ)
    bands = np.add.reduceat(power, edges, axis=1)[:, :-1]
    return np.asarray(bands**_LOUDNESS, np.float64)


def _correlation(pattern: Sound, found: Sound) -> float:
    """Of values around their mean. Without BLAS, whose threads are slow on a busy machine."""
    centred = found - found.mean(axis=0)
    scale = float(np.sqrt(np.sum(np.square(pattern)) * np.sum(np.square(centred))))
    return float(np.sum(pattern * centred)) / scale if scale > 0 else 0.0
