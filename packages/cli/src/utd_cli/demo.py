"""`utd demo`: three SDK clients, each a process, talk in a room, and what is heard is measured."""

import asyncio
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

import click
import msgspec
from msgspec import structs
from rich.console import Console

from utd_cli._engine_api import EngineAPI
from utd_cli._state import DEFAULT, RunningStack, read_running
from utd_cli.demos import orders as o
from utd_cli.demos.agent import agent
from utd_cli.demos.call import call
from utd_cli.demos.cast import Client, ClientFailed
from utd_cli.demos.live import live
from utd_cli.demos.play import ANSWER_HZ, PEOPLE, Cast, play
from utd_cli.demos.sound import RATE, without_silence
from utd_cli.demos.stage import Stage
from utd_cli.demos.wav import read_wav, write_wav
from utd_cli.dev import Stack, StackFailed, configure_logs
from utd_cli.livekit import progress
from utd_cli.media_server.binary import ServerNotFound, get_server
from utd_cli.media_server.pin import VERSION
from utd_cli.serve import fast_loop
from utd_stream import UTDStreamException

SPEECH_MOST_S: Final = 10.0
SPEECH_LEAST_S: Final = 1.0


class Wish(NamedTuple):
    """What was asked for on the command line."""

    wav: Path
    out: Path
    state: Path
    keep: bool


class Unfit(Exception):
    """A file that was given cannot be used. The message says why."""


@click.group(invoke_without_command=True)
@click.option(
    "--wav",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Speech of your own for the host, a WAV file; at most its first 10 s are spoken.",
)
@click.option(
    "--out",
    default=Path("heard.wav"),
    show_default=True,
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Where to write what a listener heard.",
)
@click.option("--keep", is_flag=True, help="Leave room and stack running afterwards, until Ctrl-C.")
@click.option(
    "--state",
    default=DEFAULT,
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the stack. One that runs there is used; else one is started.",
)
@click.pass_context
def demo(ctx: click.Context, wav: Path | None, out: Path, state: Path, *, keep: bool) -> None:
    """Let a host and two listeners talk, measure what is heard, and print it as one JSON line.

    The options are for this one; other demos are commands of their own.
    """
    if ctx.invoked_subcommand is not None:
        return
    if not out.absolute().parent.is_dir():
        raise click.BadParameter(f"{out.parent} is not a folder.", param_hint="--out")
    configure_logs()
    console = Console(stderr=True, highlight=False)
    with resources.as_file(resources.files("utd_cli") / "speech.wav") as ours:
        line = _verdict(Wish(wav or ours, out, state, keep), console)
    console.print(_others(ctx), style="dim", soft_wrap=True)
    click.echo(msgspec.json.encode(line).decode())
    sys.exit(0 if line["ok"] else 1)


demo.add_command(agent)
demo.add_command(live)
demo.add_command(call)


def _others(ctx: click.Context) -> str:
    """How to run the other demos, with this program as it was called."""
    utd = sys.argv[0] if Path(sys.argv[0]).name == "utd" else "utd"
    names = demo.list_commands(ctx)
    return "Other demos: " + ", ".join(f"{utd} demo {name}" for name in names)


def _verdict(wish: Wish, console: Console) -> Mapping[str, object]:
    """Perform, and put everything that was measured, or the reason of a failure, into one line."""
    started = time.monotonic()
    try:
        stack = _find_stack(wish.state)
        with asyncio.Runner(loop_factory=fast_loop()) as runner:
            return runner.run(_perform(wish, stack, console, started))
    except (
        StackFailed, ServerNotFound, ClientFailed, Unfit, UTDStreamException
    ) as failure:  # fmt: skip
        console.print(f"The demo failed: {failure}", style="red", markup=False)
        return {"ok": False, "reason": str(failure)}


async def _perform(
    wish: Wish, found: RunningStack | Path, console: Console, started: float
) -> Mapping[str, object]:
    async with AsyncExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="utd-demo-")))
        speech = await _fit_speech(wish.wav, folder / "speech.wav")
        stack = await exits.enter_async_context(_running(found, wish.state))
        stage = exits.enter_context(Stage(console, PEOPLE))
        cast = await _gather_cast(exits, folder, stage)
        await _enter_room(cast, stack, speech)
        setup_s = round(time.monotonic() - started, 2)
        stage.step(f"all three are in the room after {setup_s} s")
        outcome = await play(cast, stage, speech)
        await cast.cal.tell(o.Save(path=str(wish.out.absolute())))
        reason = "; ".join(outcome.failures())
        stage.step(reason or "everything was as it must be", "bold")
        if wish.keep:
            stage.step(f"room and stack stay at {stack.base_url} until Ctrl-C")
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        for client in reversed(cast):
            await client.tell(o.Leave(end=client is cast.ana))
    facts = {"livekit": VERSION, "setup_s": setup_s, "heard_wav": str(wish.out)}
    line = {"ok": not reason} | structs.asdict(outcome) | facts
    return line | ({"reason": reason} if reason else {})


def _find_stack(state: Path) -> RunningStack | Path:
    """The stack that runs on this folder; without one, the program that one needs."""
    running = read_running(state)
    if running is not None:
        api = EngineAPI(running.base_url, running.secret_key)
        with suppress(click.ClickException):
            api.get("/api/v1/rooms", dict[str, object])
            return running
    return get_server(progress())


@asynccontextmanager
async def _running(found: RunningStack | Path, state: Path) -> AsyncGenerator[RunningStack]:
    if isinstance(found, RunningStack):
        yield found
        return
    async with Stack.start(state, found) as stack:
        yield stack.running


async def _gather_cast(exits: AsyncExitStack, folder: Path, stage: Stage) -> Cast:
    starting = [Client.start(name, folder / f"{name}.log", stage.news) for name in PEOPLE]
    return Cast(*[await exits.enter_async_context(client) for client in starting])


async def _enter_room(cast: Cast, stack: RunningStack, speech: Path) -> None:
    """The host first, since joining as host opens the room."""
    room = f"demo-{secrets.token_hex(3)}"

    async def join(client: Client, speech: str = "") -> None:
        await client.tell(
            o.Join(
                base_url=stack.base_url,
                app_id=stack.app_id,
                app_key=stack.app_key,
                identity=client.name,
                room=room,
                as_host=client is cast.ana,
                hz=ANSWER_HZ,
                speech=speech,
            )
        )

    await join(cast.ana, str(speech))
    await asyncio.gather(join(cast.bea), join(cast.cal))


async def _fit_speech(wav: Path, target: Path) -> Path:
    """The speech without silence at its ends and not too long, for a demo of half a minute."""
    sound = without_silence(await read_wav(wav))[: round(SPEECH_MOST_S * RATE)]
    if len(sound) < SPEECH_LEAST_S * RATE:
        raise Unfit(f"{wav} has {len(sound) / RATE:.1f} s of audible sound; give a second or more.")
    write_wav(target, sound)
    return target
