"""`utd dev`: the whole stack on this machine, for those who build an app: engine and LiveKit."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import click
import msgspec
from msgspec import structs
from rich.console import Console, Group
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from utd_cli._narration import describe, printable
from utd_cli._state import DEFAULT, FolderInUse, RunningStack, Secrets, StateFolder
from utd_cli.livekit import progress
from utd_cli.media_server.binary import ServerNotFound, get_server
from utd_cli.media_server.process import LiveKitServer, ServerFailed
from utd_cli.serve import fast_loop
from utd_engine import logs
from utd_engine.adapters.sqlite.migrate import SchemaError
from utd_engine.app.apps import Apps
from utd_engine.app.commits import Commit
from utd_engine.config import HTTP, Admin, Config, ConfigError, LiveKit, Security, Store
from utd_engine.domain.refusal import Refused
from utd_engine.main import HOOK_PATH, Serving, serving
from utd_engine.ports.store import StoreUnavailable
from utd_protocol.codec import decode_event

APP_ID: Final = "dev"
PORT_TRIES: Final = 5
STOP_WITHIN_S: Final = 4.5


class StackFailed(Exception):
    """The stack did not start, or a part of it ended by itself. The message says why."""


class Stack(NamedTuple):
    """A running engine with its LiveKit and a development app. Made by `Stack.start`."""

    running: RunningStack
    serving: Serving
    livekit: LiveKitServer

    @classmethod
    @asynccontextmanager
    async def start(cls, state: Path, binary: Path, *, port: int = 0) -> AsyncGenerator[Self]:
        """Everything up, until the block ends.

        Args:
            state: the folder that keeps secrets, database and logs. One stack at a time.
            binary: livekit-server.
            port: of the engine on 127.0.0.1; 0 takes any free one.

        Raises:
            StackFailed: with what to do about it.
        """
        async with AsyncExitStack() as parts:
            try:
                folder = parts.enter_context(StateFolder.hold(state))
                secrets = folder.secrets()
                livekit, engine = await _start_somewhere(parts, folder, secrets, binary, port)
                secrets = await _development_app(engine.engine.services.apps, folder, secrets)
            except (
                FolderInUse, ServerFailed, StoreUnavailable, SchemaError
            ) as problem:  # fmt: skip
                raise StackFailed(str(problem)) from problem
            running = RunningStack(
                base_url=engine.base_url,
                app_id=APP_ID,
                app_key=secrets.app_key,
                secret_key=secrets.secret_key,
                admin_url=engine.admin_url,
                admin_token=secrets.admin_token,
                livekit_url=livekit.url,
            )
            folder.announce(running)
            yield cls(running, engine, livekit)

    def follow(self, follower: Callable[[Commit], None]) -> None:
        """Call `follower` soon after every commit; its failure fails no command."""
        loop = asyncio.get_running_loop()

        def later(commit: Commit) -> None:
            loop.call_soon(follower, commit)

        self.serving.engine.services.rooms.follow(later)

    async def wait_broken(self) -> str:
        """Return when a part ended by itself, with what it said. Cancelling is safe."""
        crashed = self.serving.engine.background.crashed
        livekit = asyncio.ensure_future(self.livekit.wait_exit())
        try:
            ends: set[asyncio.Future[Any]] = {crashed, livekit}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            return livekit.result() if livekit.done() else f"The engine: {crashed.exception()!r}"
        finally:
            livekit.cancel()


@click.command()
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port of the engine on 127.0.0.1; 0 takes any free one.",
)
@click.option(
    "--state",
    default=DEFAULT,
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the database, the secrets and LiveKit's log.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one line of JSON on stdout when ready."
)
@click.option("--verbose", is_flag=True, help="Show the engine's own log too.")
def dev(port: int, state: Path, *, as_json: bool, verbose: bool) -> None:
    """Run the whole stack on this machine: engine, LiveKit, and an app in development."""
    configure_logs(verbose=verbose)
    try:
        binary = get_server(progress())
        with asyncio.Runner(loop_factory=fast_loop()) as runner:
            runner.run(_run(state, binary, port, as_json=as_json))
    except (StackFailed, ServerNotFound) as problem:
        raise click.ClickException(str(problem)) from problem
    except asyncio.CancelledError:
        raise click.Abort from None


def configure_logs(*, verbose: bool = False) -> None:
    """Send the engine's own log to stderr: warnings, or all of it."""
    logs.configure("info" if verbose else "warning", "text")


async def _run(state: Path, binary: Path, port: int, *, as_json: bool) -> None:
    loop = asyncio.get_running_loop()
    console = Console(stderr=True, highlight=False)
    stop = asyncio.Event()
    task = asyncio.current_task()
    if task is not None:
        _on_signals(task.cancel)  # a start that hangs can be broken off
    async with Stack.start(state, binary, port=port) as stack:
        _on_signals(stop.set)
        stack.follow(lambda commit: _tell(console, commit))
        if as_json:
            click.echo(msgspec.json.encode(stack.running).decode())
        else:
            console.print(_banner(stack.running, state))
        broken = await _first(stop, stack)
        stack.serving.engine.probes.is_draining = True
        giving_up = loop.call_later(STOP_WITHIN_S, _give_up, stack.livekit)
    giving_up.cancel()
    if broken is not None:
        raise StackFailed(broken)


async def _first(stop: asyncio.Event, stack: Stack) -> str | None:
    """Wait for a signal (None), or for the end of a part (what it said)."""
    stopped = asyncio.ensure_future(stop.wait())
    broken = asyncio.ensure_future(stack.wait_broken())
    await asyncio.wait({stopped, broken}, return_when=asyncio.FIRST_COMPLETED)
    said = broken.result() if broken.done() else None
    for waiter in (stopped, broken):
        waiter.cancel()
    await asyncio.gather(stopped, broken, return_exceptions=True)
    return said


def _on_signals(act: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(name, act)


def _give_up(livekit: LiveKitServer) -> None:
    """Something does not let go: nothing of ours outlives a stop."""
    with suppress(Exception):
        livekit.kill()
    os._exit(1)


# --- parts ----------------------------------------------------------------------------------------


async def _start_somewhere(
    parts: AsyncExitStack, folder: StateFolder, secrets: Secrets, binary: Path, port: int
) -> tuple[LiveKitServer, Serving]:
    """Both servers. LiveKit must know the engine's port first, so a free one is tried, not held."""
    tries = PORT_TRIES if port == 0 else 1
    while True:
        tries -= 1
        chosen = port or _free_port()
        try:
            return await parts.enter_async_context(_both(folder, secrets, binary, chosen))
        except ConfigError as problem:
            if not tries:
                raise StackFailed(
                    f"Port {chosen} on 127.0.0.1 is taken by another program. "
                    "Stop that one, or choose another port with --port (0 takes any free one)."
                ) from problem


@asynccontextmanager
async def _both(
    folder: StateFolder, secrets: Secrets, binary: Path, port: int
) -> AsyncGenerator[tuple[LiveKitServer, Serving]]:
    hook = f"http://127.0.0.1:{port}{HOOK_PATH}"
    async with LiveKitServer.start(
        binary, folder.path / "livekit", webhook_url=hook, secret=secrets.livekit_secret
    ) as livekit:
        config = Config(
            http=HTTP(port=port),
            admin=Admin(port=0, token=secrets.admin_token),
            store=Store(path=str(folder.path / "utd.db")),
            livekit=LiveKit(url=livekit.url, api_key=livekit.key, api_secret=livekit.secret),
            security=Security(master_secrets=(secrets.master_secret,)),
        )
        async with serving(config) as engine:
            yield livekit, engine


async def _development_app(apps: Apps, folder: StateFolder, secrets: Secrets) -> Secrets:
    """The app of the last start. What was lost of it, the app or its keys, is made anew."""
    if await apps.get(APP_ID) is None:
        _, publishable, secret = await apps.create("Development", "development", app_id=APP_ID)
    elif await _opens(apps, secrets):
        return secrets
    else:
        publishable = await apps.add_key(APP_ID, "publishable")
        secret = await apps.add_key(APP_ID, "secret")
    secrets = structs.replace(secrets, app_key=publishable.key, secret_key=secret.key)
    folder.keep_secrets(secrets)
    return secrets


async def _opens(apps: Apps, secrets: Secrets) -> bool:
    try:
        await apps.by_publishable(APP_ID, secrets.app_key)
        return (await apps.by_secret(secrets.secret_key)).app_id == APP_ID
    except Refused:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# --- what is shown --------------------------------------------------------------------------------


def _banner(running: RunningStack, state: Path) -> Panel:
    facts = Table.grid(padding=(0, 2))
    for name in ("base_url", "app_id", "app_key", "secret_key", "admin_url", "livekit_url"):
        facts.add_row(Text(name, style="dim"), Text(getattr(running, name), style="bold"))
    snippet = (
        "from utd_stream import UTDStreamClient\n\n"
        "async with UTDStreamClient(\n"
        f'    app_id="{running.app_id}",\n'
        f'    app_key="{running.app_key}",\n'
        f'    base_url="{running.base_url}",\n'
        ") as client:\n"
        "    room = await client.join_audio_room(\n"
        '        identity="ana", room_name="lobby", as_host=True\n'
        "    )\n"
        "    await room.take_seat(0)"
    )
    elsewhere = "" if state == DEFAULT else f" --state {state}"
    return Panel(
        Group(
            facts,
            Text("\nTry it, in another terminal:", style="dim"),
            Text(f"  utd demo{elsewhere}\n  utd rooms ls{elsewhere}", style="cyan"),
            Text("\nor in Python:", style="dim"),
            Syntax(snippet, "python", background_color="default", word_wrap=True),
        ),
        title="utd dev is ready",
        subtitle="Ctrl-C stops everything",
        border_style="green",
        expand=False,
    )


def _tell(console: Console, commit: Commit) -> None:
    place = printable(commit.after.view.name)
    for new in commit.events:
        event = decode_event(new.data)
        line = Text.assemble(
            (f"{new.at.astimezone():%H:%M:%S} ", "dim"), (f"{place}  ", "cyan"), describe(event)
        )
        console.print(line)
