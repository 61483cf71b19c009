"""`utd dev` as a process of its own, as a person starts it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

UTD = [sys.executable, "-m", "utd_cli"]
READY_WITHIN_S = 20.0


class DevStack:
    """A started `utd dev --json`. `ready` is its line, None when it ended without one."""

    def __init__(self, folder: Path, binary: Path, *options: str) -> None:
        self.folder = folder
        self.environment = {**os.environ, "LIVEKIT_SERVER": str(binary)}
        self._errors = (folder / "errors.txt").open("wb")
        self.process = subprocess.Popen(
            [*UTD, "dev", "--json", *options],
            cwd=folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.ready: dict[str, Any] | None = json.loads(line) if line else None

    @property
    def errors(self) -> str:
        return (self.folder / "errors.txt").read_text()

    def stop(self, name: signal.Signals = signal.SIGINT) -> float:
        """Send a signal and wait for the end; the seconds that took."""
        started = time.monotonic()
        self.process.send_signal(name)
        self.process.wait(READY_WITHIN_S)
        return time.monotonic() - started

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command of `utd` in the same folder."""
        return subprocess.run(
            [*UTD, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Another command that goes on, with its stdout in a pipe."""
        return await asyncio.create_subprocess_exec(
            *UTD, *arguments, cwd=self.folder, env=self.environment, stdout=asyncio.subprocess.PIPE
        )

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._errors.close()


@contextmanager
def dev_stack(folder: Path, binary: Path, *options: str) -> Iterator[DevStack]:
    """Start `utd dev` in a folder; it is killed at the end of the block if it still runs."""
    stack = DevStack(folder, binary, *options)
    try:
        yield stack
    finally:
        stack.close()
