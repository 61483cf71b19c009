"""A closed loop of HTTP requests, as cheap as Python can: bytes out, whole answers in."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple, Self

CONNECTIONS = 8


class Refused(Exception):
    """The server answered with something else than 200."""


def request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """One request, ready to be written."""
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", "accept: */*", "user-agent: bench"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += ["content-type: application/json", f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


class Tally(NamedTuple):
    """What came of a window."""

    seconds: list[float]
    """From each request to the whole of its answer."""
    size: int
    """Bytes of the last answer's body."""

    def percentile(self, percent: float) -> float:
        """So many of them were answered within."""
        return sorted(self.seconds)[int(len(self.seconds) * percent / 100)]


async def load(
    port: int, requests: Iterator[bytes], window: float, connections: int = CONNECTIONS
) -> Tally:
    """Keep one request a connection in flight for so many seconds."""
    until = time.perf_counter() + window
    callers = [Caller(requests, until) for _ in range(connections)]
    loop = asyncio.get_running_loop()
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, "127.0.0.1", port)
    await asyncio.gather(*(caller.done for caller in callers))
    seconds = [one for caller in callers for one in caller.seconds]
    return Tally(seconds, callers[0].size)


class Exchange(asyncio.Protocol):
    """One connection: bytes out, and `answered` is called with each whole answer."""

    def __init__(self) -> None:
        self._left = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        self._left += data
        head, ended, body = self._left.partition(b"\r\n\r\n")
        if not ended:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._left = b""
        if head.startswith(b"HTTP/1.1 200"):
            self.answered(body)
        else:
            self.failed(Refused(body.decode()))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, perhaps because we closed it."""
        self.failed(exc or ConnectionResetError("the server closed"))

    def answered(self, body: bytes) -> None:
        """The body of an answer."""
        raise NotImplementedError

    def failed(self, error: Exception) -> None:
        """There will be no answer, or it was a refusal."""
        raise NotImplementedError


class Client(Exchange):
    """One question at a time, each awaited."""

    def __init__(self) -> None:
        super().__init__()
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    @classmethod
    @asynccontextmanager
    async def connected(cls, port: int) -> AsyncGenerator[Self]:
        """A connection to this machine, for the length of the block."""
        client = cls()
        await asyncio.get_running_loop().create_connection(lambda: client, "127.0.0.1", port)
        try:
            yield client
        finally:
            client.transport.close()

    async def ask(self, asked: bytes) -> bytes:
        """The body of the answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(asked)
        return await self._answer

    def answered(self, body: bytes) -> None:
        self._answer.set_result(body)

    def failed(self, error: Exception) -> None:
        if not self._answer.done() and not self.transport.is_closing():
            self._answer.set_exception(error)


class Caller(Exchange):
    """The next request follows on the answer, until it is time."""

    def __init__(self, requests: Iterator[bytes], until: float) -> None:
        super().__init__()
        self._requests = requests
        self._until = until
        self._sent = 0.0
        self.seconds: list[float] = []
        self.size = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._send()

    def answered(self, body: bytes) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self._sent)
        self.size = len(body)
        if now < self._until:
            self._send()
        else:
            self.done.set_result(None)
            self.transport.close()

    def failed(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
            self.transport.close()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self.transport.write(next(self._requests))
