"""Starts the programs that a bench measures, and reads their processor time and memory.

Such a program says one line of JSON once it serves, and ends with its standard input.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

HERE = Path(__file__).parent
BACKLOG = 4096


class Program(NamedTuple):
    """One that runs."""

    pid: int
    said: dict[str, Any]
    """Its first line: ports, keys, whatever its callers need."""

    @property
    def port(self) -> int:
        """Where it serves."""
        return int(self.said["port"])

    def cpu_s(self) -> float:
        """Seconds of processor time of all its threads so far, in nanosecond steps."""
        return time.clock_gettime((~self.pid << 3) | 2)  # clock_getcpuclockid(3), on Linux

    def memory(self) -> int:
        """Bytes of it that are in memory now."""
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise ProcessLookupError(self.pid)


@contextmanager
def program(name: str, *arguments: str) -> Generator[Program]:
    """`bench/<name>.py` in a process of its own, for the length of the block."""
    command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdin is None or process.stdout is None:
            raise ProcessLookupError(name)
        try:
            line = process.stdout.readline()
            if not line:
                raise ProcessLookupError(f"{name} ended before it served")
            yield Program(process.pid, json.loads(line))
        finally:
            process.stdin.close()
            process.wait(10)


async def until_stdin_ends(**said: object) -> None:
    """Of such a program: say that it serves, and return when it is to end."""
    print(json.dumps(said), flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    loop.remove_reader(sys.stdin.fileno())


def run_program(main: Any) -> None:
    """Run such a program the way `utd serve` runs."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
