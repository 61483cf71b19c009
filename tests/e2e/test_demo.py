"""`utd demo` whole: three clients in processes of their own, and numbers from what they heard."""

import json
import os
import subprocess
import sys
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]  # it speaks, sings and listens in real time


def demo(
    folder: Path, binary: Path, *options: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "utd_cli", "demo", *options],
        cwd=folder,
        env={**os.environ, "LIVEKIT_SERVER": str(binary)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done
    return done, json.loads(lines[0])


def read(path: Path) -> tuple[int, "np.ndarray[Any, Any]"]:
    with wave.open(str(path)) as file:
        assert file.getparams()[:3] == (1, 2, 48_000)
        return file.getnframes(), np.frombuffer(file.readframes(file.getnframes()), "<i2")


def test_everything_that_is_said_is_heard_and_nothing_else(
    tmp_path: Path, livekit_binary: Path
) -> None:
    started = time.monotonic()
    done, line = demo(tmp_path, livekit_binary, "--out", "what-cal-heard.wav")
    assert done.returncode == 0, (line, done.stderr)
    assert line["ok"] is True
    assert "reason" not in line
    assert line["heard_hz"] == pytest.approx(440, abs=1)
    assert line["heard_again_hz"] == pytest.approx(440, abs=1)
    assert line["answer_hz"] == pytest.approx(660, abs=1)
    assert 0.7 <= line["speech_correlation"] <= 1
    assert line["silence_after_removal"] is True
    assert line["silence_dbfs"] < -60
    assert line["publish_refused"] >= 5
    assert 0 < line["take_to_permission_ms"] < 1000
    assert line["take_to_permission_ms"] < line["take_to_first_audio_ms"] < 3000
    assert 0 <= line["removal_to_silence_ms"] < 500
    assert line["livekit"] == "1.13.5"
    assert line["setup_s"] < 10
    assert time.monotonic() - started - line["setup_s"] < 40
    frames, samples = read(tmp_path / "what-cal-heard.wav")
    assert frames > 10 * 48_000
    assert np.abs(samples).max() > 5000
    assert "ana took seat 0" in done.stderr
    assert not (tmp_path / ".utd" / "dev.json").exists()


def test_a_file_without_speech_is_refused_at_once(tmp_path: Path, livekit_binary: Path) -> None:
    path = tmp_path / "silent.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 48_000 * 2))
    done, line = demo(tmp_path, livekit_binary, "--wav", str(path))
    assert done.returncode == 1
    assert line["ok"] is False
    assert "silent.wav" in line["reason"]


def test_a_file_that_is_no_wav_is_named(tmp_path: Path, livekit_binary: Path) -> None:
    (tmp_path / "text.wav").write_text("not a sound")
    done, line = demo(tmp_path, livekit_binary, "--wav", "text.wav")
    assert (done.returncode, line["ok"]) == (1, False)
    assert "text.wav" in line["reason"]
