import wave
from importlib import resources

import numpy as np
import pytest

from utd_cli.demos.sound import (
    FLOOR_DBFS,
    RATE,
    Sound,
    dbfs,
    likeness,
    strongest_hz,
    without_silence,
)

PAUSE = np.zeros(RATE)


def tone(hz: float, seconds: float = 1.0, volume: float = 0.3) -> Sound:
    return volume * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


@pytest.fixture(scope="module")
def speech() -> Sound:
    with (
        resources.as_file(resources.files("utd_cli") / "speech.wav") as path,
        wave.open(str(path)) as file,
    ):
        assert file.getparams()[:3] == (1, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768


def test_the_shipped_speech_is_short_and_begins_at_once(speech: Sound) -> None:
    assert 3 < len(speech) / RATE <= 6
    assert len(without_silence(speech)) > len(speech) - 0.1 * RATE
    assert -30 < dbfs(speech) < -10


@pytest.mark.parametrize("hz", [220.0, 439.5, 440.0, 440.3, 660.0, 1234.5])
@pytest.mark.parametrize("seconds", [0.95, 1.0, 1.03])
def test_a_pitch_is_found_between_bins(hz: float, seconds: float) -> None:
    assert strongest_hz(tone(hz, seconds)) == pytest.approx(hz, abs=0.05)


def test_a_pitch_is_found_in_noise() -> None:
    noise = np.random.default_rng(1).normal(0, 0.05, RATE)
    assert strongest_hz(tone(440) + noise) == pytest.approx(440, abs=0.1)


def test_silence_has_no_pitch_and_a_floor() -> None:
    assert strongest_hz(PAUSE) == 0
    assert dbfs(PAUSE) == dbfs(np.zeros(0)) == FLOOR_DBFS


def test_levels() -> None:
    assert dbfs(np.ones(RATE)) == pytest.approx(0)
    assert dbfs(tone(440, volume=1)) == pytest.approx(-3.01, abs=0.01)
    assert dbfs(tone(440, volume=0.001)) == pytest.approx(-63.01, abs=0.01)


def test_the_same_speech_is_alike_wherever_it_is(speech: Sound) -> None:
    assert likeness(speech, speech) == pytest.approx(1)
    assert likeness(speech, 0.1 * np.concatenate([PAUSE, speech, PAUSE])) > 0.99


def test_speech_is_alike_after_what_a_network_does(speech: Sound) -> None:
    noise = np.random.default_rng(1).normal(0, 0.005, len(speech))
    gap = np.concatenate([speech[: 2 * RATE], speech[2 * RATE + 960 :]])
    faster = np.interp(np.arange(0, len(speech), 1.005), np.arange(len(speech)), speech)
    late = speech[round(0.4 * RATE) :]
    for heard in (speech + noise, gap, faster, late):
        assert likeness(speech, heard) > 0.85


def test_other_sound_is_not_alike(speech: Sound) -> None:
    rng = np.random.default_rng(1)
    syllables = np.repeat(rng.integers(0, 2, 30), RATE // 5)[: len(speech)]
    others = {
        "silence": PAUSE,
        "a tone": tone(440, 6),
        "a tone that begins and ends": np.concatenate([PAUSE, tone(440, 4), PAUSE]),
        "noise": rng.normal(0, 0.1, 6 * RATE),
        "noise in the rhythm of speech": rng.normal(0, 0.1, len(syllables)) * syllables,
        "the speech backwards": speech[::-1],
    }
    alike = {name: likeness(speech, sound) for name, sound in others.items()}
    assert max(alike.values()) < 0.3, alike


def test_half_of_the_speech_is_half_alike(speech: Sound) -> None:
    half = likeness(speech, speech[: len(speech) // 2])
    assert 0.3 < half < 0.8


def test_silence_at_both_ends_goes(speech: Sound) -> None:
    assert len(without_silence(np.concatenate([PAUSE, speech, PAUSE]))) <= len(speech)
    assert len(without_silence(PAUSE)) == 0
