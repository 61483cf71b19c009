"""The clients of the demo, each a process of its own, as the director sees them."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Self, TypeVar

import msgspec

from utd_cli.demos.orders import AnyLine, Done, Failed, News, Order

T = TypeVar("T")

ANSWER_WITHIN_S: Final = 30.0
END_WITHIN_S: Final = 5.0
LOG_SHOWN: Final = 2000
"""Characters of a client's log in the message of its failure."""


class ClientFailed(Exception):
    """A client could not do what it was told. The message says which, what and why."""


class Client:
    """One process that plays one person. Made by `start`, which also ends it."""

    def __init__(
        self,
        name: str,
        process: asyncio.subprocess.Process,
        log: Path,
        on_news: Callable[[str, News], None],
    ) -> None:
        self.name = name
        self._process = process
        self._log = log
        self._on_news = on_news
        self._answers: asyncio.Queue[Done | Failed] = asyncio.Queue()
        self._ended: Failed | None = None

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        name: str,
        log: Path,
        on_news: Callable[[str, News], None],
        *,
        module: str = "utd_cli.demos.client",
    ) -> AsyncGenerator[Self]:
        """A client until the block ends.

        Args:
            name: who it plays.
            log: where its stderr goes.
            on_news: called with the name and what the client reports by itself.
            module: the program of the process.
        """
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
                start_new_session=True,  # Ctrl-C is for the director, who lets everybody leave
            )  # fmt: skip
        client = cls(name, process, log, on_news)
        reading = asyncio.create_task(client._read(), name=f"read {name}")
        try:
            yield client
        finally:
            await client._end()
            await reading

    async def tell(self, order: Order) -> None:
        """Give an order and wait until it is carried out. Raises `ClientFailed`."""
        await self._give(order)

    async def ask(self, order: Order, kind: type[T]) -> T:
        """Give an order that has an answer. Raises `ClientFailed`."""
        return msgspec.json.decode(await self._give(order), type=kind)

    async def kill(self) -> None:
        """End the process with SIGKILL: it can say goodbye to nobody."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _give(self, order: Order) -> bytes:
        pipe = self._process.stdin
        if pipe is not None:
            with suppress(RuntimeError, ConnectionError):  # it has ended: the reader says why
                pipe.write(msgspec.json.encode(order) + b"\n")
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                line = self._ended or await self._answers.get()
        except TimeoutError:
            what = type(order).__name__
            raise ClientFailed(f"{self.name}: {what}: no answer in {ANSWER_WITHIN_S:g} s") from None
        if isinstance(line, Failed):
            raise ClientFailed(f"{self.name}: {line.reason}")
        return bytes(line.answer)

    async def _read(self) -> None:
        lines = self._process.stdout
        while lines is not None and (raw := await lines.readline()):
            line = msgspec.json.decode(raw, type=AnyLine)
            if isinstance(line, Done | Failed):
                self._answers.put_nowait(line)
            else:
                self._on_news(self.name, line)
        said = self._log.read_text(errors="replace")[-LOG_SHOWN:].strip()
        self._ended = Failed(f"its process ended. It said:\n{said}")
        self._answers.put_nowait(self._ended)

    async def _end(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(END_WITHIN_S):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
