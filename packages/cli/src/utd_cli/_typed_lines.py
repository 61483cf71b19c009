"""Lines that somebody types, or that a file or pipe holds, for a program with an event loop."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Final

_CHUNK: Final = 65_536


class Lines:
    """Lines of standard input, without their ends. They end with the input.

    A thread of its own reads: a loop cannot watch a file, and what is set to non-blocking stays so
    for the shell. It is a daemon that holds no lock, so nobody has to press Return at the end.
    """

    def __init__(self) -> None:
        """Begin to read."""
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    async def __aiter__(self) -> AsyncGenerator[str]:
        while (line := await self._lines.get()) is not None:
            yield line

    def _read(self) -> None:
        for line in _raw_lines():
            self._give(line)
        self._give(None)

    def _give(self, line: str | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
        except RuntimeError:  # the loop is closed: nobody listens any more
            return


def _raw_lines() -> Iterator[str]:
    rest = b""
    while chunk := os.read(sys.stdin.fileno(), _CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace").rstrip("\r") for line in whole)
    if rest:
        yield rest.decode(errors="replace")
