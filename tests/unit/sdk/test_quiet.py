"""A library does not print."""

import subprocess
import sys


def test_livekits_client_does_not_print() -> None:
    program = (
        "import logging, utd_stream._livekit\n"
        "logging.getLogger('livekit').error('channel closed unexpectedly')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stderr == ""
