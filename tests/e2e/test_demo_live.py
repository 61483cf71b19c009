"""`utd demo live` whole: clients in processes of their own, and what they saw and heard."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from utd_cli.demos.live import LiveOutcome
from utd_cli.demos.live_eye import NOWHERE, has_bars, square_of
from utd_stream import TestPattern, VideoFrame

pytestmark = [pytest.mark.e2e, pytest.mark.slow]  # it goes live in real time

GOOD = LiveOutcome(
    heard_hz=440.0,
    seen_frames=15,
    picture_correct=True,
    guest_hz=660.0,
    guest_frames=15,
    frames_backstage=0,
    frames_after_removal=0,
    host_frames_meanwhile=15,
    frames_while_paused=0,
    publish_refused=100,
    all_refused=True,
    heard_again_hz=440.0,
    go_live_to_first_frame_ms=400.0,
)


def test_all_that_is_live_is_received_and_nothing_else(
    tmp_path: Path, livekit_binary: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "utd_cli", "demo", "live"],
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
    for name in ("heard_hz", "heard_again_hz"):
        assert line[name] == pytest.approx(440, abs=2)
    assert line["guest_hz"] == pytest.approx(660, abs=2)
    assert line["picture_correct"] is True
    for name in ("seen_frames", "guest_frames", "host_frames_meanwhile"):
        assert line[name] >= 5
    for name in ("frames_backstage", "frames_after_removal", "frames_while_paused"):
        assert line[name] == 0
    assert line["all_refused"] is True
    assert line["publish_refused"] >= 30
    assert 0 < line["go_live_to_first_frame_ms"] < 5000
    assert line["livekit"] == "1.13.5"
    assert "ana goes live" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"heard_hz": 660.0}, "the host was heard as 660.0 Hz"),
        ({"frames_while_paused": 1}, "1 frames in the pause"),
        ({"frames_after_removal": 3}, "3 frames of the removed"),
        ({"frames_backstage": 2}, "2 frames from backstage"),
        ({"picture_correct": False}, "a picture was not the test pattern, or it stood still"),
        ({"host_frames_meanwhile": 0}, "the host was not seen meanwhile"),
    ],
)
def test_what_is_wrong_is_said(wrong: dict[str, object], said: str) -> None:
    assert GOOD.failures() == []
    assert structs.replace(GOOD, **wrong).failures() == [said]


async def test_the_eye_knows_the_pattern_and_where_its_square_is() -> None:
    pictures = aiter(TestPattern(fps=60))
    seen = [await anext(pictures) for _ in range(6)]
    await pictures.aclose()
    assert all(has_bars(one) for one in seen)
    places = [square_of(one) for one in seen]
    assert len(set(places)) > 3
    assert places[2:] == sorted(places[2:])
    mirrored = VideoFrame(np.ascontiguousarray(seen[0].pixels[:, ::-1]))
    assert not has_bars(mirrored)
    black = VideoFrame(np.zeros((240, 320, 4), np.uint8))
    assert (has_bars(black), square_of(black)) == (False, NOWHERE)
