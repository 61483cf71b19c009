"""Which livekit-server is ours, and how to tell that a program is it."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

VERSION: Final = "1.13.5"
"""The same as in the Go module `livekit_module`, whose go.sum fixes every byte."""

Report: TypeAlias = Callable[[str], None]
"""Told what happens now, one line each."""


class Unobtainable(Exception):
    """A program is not the server, or a way of getting it did not work. The message says why."""


def check(program: Path) -> None:
    """Raise `Unobtainable` unless this is the pinned livekit-server."""
    try:
        answer = subprocess.run(  # noqa: S603  # a program of ours or of the user's own choice
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unobtainable(f"{program} cannot be run ({error})") from error
    said = answer.stdout.strip()
    if said != f"livekit-server version {VERSION}":
        raise Unobtainable(f"{program} is not livekit-server {VERSION}: it says {said[:80]!r}")
