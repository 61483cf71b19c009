"""What the demos of live streams and calls share: stack, cast, one line of JSON, exit code."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, TypeAlias

import click
import msgspec
from msgspec import Struct, structs
from rich.console import Console

from utd_cli._state import RunningStack
from utd_cli.demos.cast import Client, ClientFailed
from utd_cli.demos.stage import Stage
from utd_cli.dev import Stack, StackFailed, configure_logs
from utd_cli.livekit import progress
from utd_cli.media_server.binary import ServerNotFound, get_server
from utd_cli.media_server.pin import VERSION
from utd_cli.serve import fast_loop
from utd_stream import UTDStreamException

HZ_OFF: Final = 2.0


class Outcome(Struct, frozen=True, kw_only=True):
    """What was measured."""

    def failures(self) -> list[str]:
        """What is not as it must be."""
        return [what for what, is_right in self.checks().items() if not is_right]

    def checks(self) -> Mapping[str, bool]:
        """Each thing that may be wrong, in words, and whether it is right."""
        raise NotImplementedError


Cast: TypeAlias = Mapping[str, Client]


class Show(NamedTuple):
    """A demo: who plays, in which program, and the screenplay."""

    people: Mapping[str, str]
    """By name, what each one is."""
    place: str
    """What the picture calls the place that one may have."""
    module: str
    """The program of each process."""
    play: Callable[[Cast, Stage, RunningStack], Awaitable[Outcome]]


def present(show: Show) -> NoReturn:
    """Perform, print the facts, or the reason of a failure, as one line of JSON, and exit."""
    configure_logs()
    line = _verdict(show, Console(stderr=True, highlight=False))
    click.echo(msgspec.json.encode(line).decode())
    sys.exit(0 if line["ok"] else 1)


def near(hz: float, wanted: float) -> bool:
    """Whether this pitch is that one, as a codec keeps it."""
    return abs(hz - wanted) <= HZ_OFF


def ms(seconds: float) -> float:
    """Milliseconds, as they are shown."""
    return round(seconds * 1000, 1)


def _verdict(show: Show, console: Console) -> Mapping[str, object]:
    try:
        binary = get_server(progress())
        with asyncio.Runner(loop_factory=fast_loop()) as runner:
            return runner.run(_perform(show, binary, console))
    except (StackFailed, ServerNotFound, ClientFailed, UTDStreamException) as failure:
        console.print(f"The demo failed: {failure}", style="red", markup=False)
        return {"ok": False, "reason": str(failure)}


async def _perform(show: Show, binary: Path, console: Console) -> Mapping[str, object]:
    started = time.monotonic()
    async with AsyncExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="utd-demo-")))
        stack = await exits.enter_async_context(Stack.start(folder / "stack", binary))
        stage = exits.enter_context(Stage(console, show.people, show.place))
        cast = {
            name: await exits.enter_async_context(
                Client.start(name, folder / f"{name}.log", stage.news, module=show.module)
            )
            for name in show.people
        }
        setup_s = round(time.monotonic() - started, 2)
        stage.step(f"the stack is up after {setup_s} s, {len(cast)} processes begin")
        outcome = await show.play(cast, stage, stack.running)
        reason = "; ".join(outcome.failures())
        stage.step(reason or "everything was as it must be", "bold")
    line = {"ok": not reason} | structs.asdict(outcome) | {"livekit": VERSION, "setup_s": setup_s}
    return line | ({"reason": reason} if reason else {})
