"""Supervise one livekit-server: start it, know when it serves, stop it, leave no orphan.

What its ways cost us: it exits with code 0 and a line on stdout when its configuration is bad, it
never ends on one SIGTERM while somebody is connected, and it outlives a killed parent.
"""

import asyncio
import json
import math
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self

import aiohttp

from utd_cli.media_server import die_with_parent
from utd_cli.media_server.config import ServerKeys, server_config
from utd_cli.media_server.folder import ServerFailed, ServerFolder

__all__ = ["LiveKitServer", "ServerFailed"]

START_WITHIN_S: Final = 30.0
STOP_GRACE_S: Final = 1.0
DEAF_FOR_S: Final = 0.15
"""The server forgets a SIGTERM that comes in the first 100 ms of its serving."""
POLL_S: Final = 0.01
WATCH_EVERY_S: Final = 0.2
PORT_TRIES: Final = 5
SERVING: Final = "starting LiveKit server"
"""The server logs this once the port is its own. A 200 alone could come from another program."""
TAKEN: Final = "address already in use"


class LiveKitServer:
    """A running livekit-server. Made by `start`, which also stops it.

    It belongs to no event loop: its methods may be awaited from any, one at a time.
    """

    def __init__(
        self,
        binary: Path,
        folder: ServerFolder,
        keys: ServerKeys,
        webhook_url: str | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        self._binary = binary
        self._folder = folder
        self._keys = keys
        self._webhook_url = webhook_url
        self._overrides = overrides or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._serving_since = 0.0
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        binary: Path,
        state_dir: Path,
        *,
        webhook_url: str | None = None,
        key: str = "utd",
        secret: str | None = None,
        port: int = 0,
        overrides: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Self]:
        """A server that answers, for the length of the block.

        Args:
            binary: the program, see `find_server`.
            state_dir: its configuration, logs and process id; one running server a folder. A
                server left there by a killed parent is ended first.
            webhook_url: where it reports joins and leaves.
            key: the API key.
            secret: at least 32 characters; left out, a random one.
            port: of HTTP and signalling; 0 takes a free one.
            overrides: top-level entries of the server's configuration that replace ours.

        Raises `ServerFailed`.
        """
        keys = ServerKeys(key, secret or secrets.token_urlsafe(32))
        with ServerFolder.hold(state_dir) as folder:
            server = cls(binary, folder, keys, webhook_url, overrides)
            try:
                await server._launch_somewhere(port)
                yield server
                await server.stop()
            finally:
                server.kill()

    @property
    def key(self) -> str:
        """The API key."""
        return self._keys.key

    @property
    def secret(self) -> str:
        """The API secret."""
        return self._keys.secret

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def http_url(self) -> str:
        """Where the server API answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Of the process; None while it is down."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def log_path(self) -> Path:
        """What the server writes."""
        return self._folder.log_path

    async def launch(self) -> None:
        """Start it again on its port, after `stop` or `kill`. Raises `ServerFailed`."""
        if self.pid is not None:
            raise ServerFailed(f"livekit-server is running already as process {self.pid}.")
        self._spawn()
        try:
            async with asyncio.timeout(START_WITHIN_S):
                await self._wait_serving()
                self._serving_since = time.monotonic()
        except TimeoutError:
            self.kill()
            raise ServerFailed(self._failure(f"no answer in {START_WITHIN_S:.0f} s")) from None
        except BaseException:
            self.kill()
            raise

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Ask twice, then kill. The second asking disconnects everybody, and they do not retry."""
        await asyncio.sleep(self._serving_since + DEAF_FOR_S - time.monotonic())
        for _ in range(2):
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()
                await self._wait_exit_for(grace_s)
        self.kill()

    def kill(self) -> None:
        """End it at once, as a crash does: its clients try to come back."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()  # SIGKILL: a moment, not a wait
            self._process = None
            self._folder.forget()

    async def restart(self, *, kill: bool = False) -> None:
        """End it and start it on the same port; with `kill` as a crash. It forgets all rooms."""
        if kill:
            self.kill()
        else:
            await self.stop()
        await self.launch()

    async def wait_exit(self) -> str:
        """Return when it is down, with what it said last. Cancelling is safe."""
        await self._wait_exit_for(math.inf, WATCH_EVERY_S)
        return self._failure("it ended")

    async def _launch_somewhere(self, port: int) -> None:
        for tries_left in reversed(range(PORT_TRIES if port == 0 else 1)):
            self.port = port or _free_port()
            try:
                await self.launch()
            except ServerFailed as failure:
                if not tries_left or TAKEN not in str(failure):
                    raise
            else:
                return

    def _spawn(self) -> None:
        config = server_config(self.port, self._keys, self._webhook_url, self._overrides)
        self._folder.write_config(json.dumps(config, indent=1))
        program = [str(self._binary), "--config", str(self._folder.config_path)]
        if sys.platform == "linux":
            guard = [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid())]
            program = guard + program
        with self._folder.open_logs() as (out, log):
            try:
                self._process = subprocess.Popen(  # noqa: S603  # our own program and arguments
                    program, stdin=subprocess.DEVNULL, stdout=out, stderr=log
                )
            except OSError as error:
                raise ServerFailed(f"{program[0]} cannot be started: {error.strerror}") from error
        self._folder.remember(self._process.pid, self.port)

    async def _wait_serving(self) -> None:
        async with aiohttp.ClientSession() as http:
            while not (self._has_bound() and await self._answers(http)):
                if self.pid is None:
                    raise ServerFailed(self._failure("it ended while starting"))
                await asyncio.sleep(POLL_S)

    def _has_bound(self) -> bool:
        return SERVING in self._folder.read_log()

    async def _answers(self, http: aiohttp.ClientSession) -> bool:
        try:
            async with http.get(self.http_url) as answer:
                return answer.status == 200  # noqa: PLR2004  # OK
        except aiohttp.ClientError:
            return False

    async def _wait_exit_for(self, seconds: float, every_s: float = POLL_S) -> None:
        until = time.monotonic() + seconds
        while self.pid is not None and time.monotonic() < until:  # noqa: ASYNC110  # a process
            await asyncio.sleep(every_s)

    def _failure(self, what: str) -> str:
        said = self._folder.read_out().strip() or self._folder.last_log_lines()
        return f"livekit-server on port {self.port}: {what}. It said:\n{said}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
