"""`utd demo call` whole: devices in processes of their own, and what each was told and heard."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from utd_cli.demos.call import CallOutcome

pytestmark = [pytest.mark.e2e, pytest.mark.slow]  # it rings in real time

GOOD = CallOutcome(
    answered_by="phone",
    other_device="answered_elsewhere",
    caller_hz=440.0,
    callee_hz=660.0,
    ended="ended",
    duration_s=2.1,
    timed_s=2.0,
    reject="rejected",
    busy="busy",
    missed="missed",
    missed_s=5.1,
    caller_died="missed",
    caller_died_s=4.8,
)


def test_calls_that_end_in_every_way(tmp_path: Path, livekit_binary: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "utd_cli", "demo", "call"],
        cwd=tmp_path,
        env={**os.environ, "LIVEKIT_SERVER": str(livekit_binary)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    [out] = done.stdout.splitlines()
    line = json.loads(out)
    assert done.returncode == 0, (line, done.stderr)
    assert line["ok"] is True
    assert "reason" not in line
    assert (line["answered_by"], line["other_device"]) == ("phone", "answered_elsewhere")
    assert line["caller_hz"] == pytest.approx(440, abs=2)
    assert line["callee_hz"] == pytest.approx(660, abs=2)
    assert (line["ended"], line["reject"], line["busy"]) == ("ended", "rejected", "busy")
    assert line["missed"] == "missed"
    assert 5 <= line["missed_s"] < 7
    assert line["caller_died"] in {"missed", "cancelled"}
    assert 0 < line["caller_died_s"] < 7
    assert line["duration_s"] == pytest.approx(line["timed_s"], abs=1)
    assert line["livekit"] == "1.13.5"
    assert "phone and tablet ring" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"answered_by": "tablet"}, "'tablet' has the call"),
        ({"other_device": ""}, "the tablet: ''"),
        ({"callee_hz": 880.0}, "the callee was heard as 880.0 Hz"),
        ({"busy": "ringing"}, "calling one who talks gave 'ringing'"),
        ({"missed_s": 4.0}, "it rang 4.0 s"),
        ({"caller_died": "active"}, "a dead caller gave 'active'"),
        ({"duration_s": 0.0, "timed_s": 0.5}, "it lasted 0.0 s and not 0.5 s"),
    ],
)
def test_what_is_wrong_is_said(wrong: dict[str, object], said: str) -> None:
    assert GOOD.failures() == []
    assert structs.replace(GOOD, **wrong).failures() == [said]
