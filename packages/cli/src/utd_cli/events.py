"""`utd events`: the app's whole log, as the engine's database has it."""

import time
from collections import deque
from collections.abc import Iterator
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.text import Text

from utd_cli._engine_api import EngineAPI
from utd_cli._narration import describe, printable
from utd_cli._reach import with_engine
from utd_protocol.answers import LogAnswer, LogEntry
from utd_protocol.codec import decode_event
from utd_protocol.events import UnknownEvent

PAGE: Final = 500
LOOK_EVERY_S: Final = 0.5


@click.group()
def events() -> None:
    """Read what happened. A running `utd dev` is found by itself."""


@events.command()
@click.option(
    "--after",
    type=click.IntRange(min=0),
    help="Show everything after this position of the log; 0 is its beginning.",
)
@click.option(
    "-n",
    "last",
    default=20,
    show_default=True,
    type=click.IntRange(min=0),
    help="Without --after: show so many of the newest.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens now, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_engine
def tail(api: EngineAPI, after: int | None, last: int, *, follow: bool, as_json: bool) -> None:
    """Show events, oldest first: position, time, room, what happened."""
    console = Console(highlight=False)
    log = Log(api, after or 0)
    shown: Iterator[LogEntry] = log.rest()
    if after is None:
        shown = iter(deque(shown, maxlen=last))
    while True:
        for entry in shown:
            if as_json:
                click.echo(msgspec.json.encode(entry).decode())
            else:
                console.print(_line(entry), soft_wrap=True)
        if not follow:
            return
        time.sleep(LOOK_EVERY_S)
        shown = log.rest()


class Log:
    """A place in the log."""

    def __init__(self, api: EngineAPI, after: int) -> None:
        self._api = api
        self._after = after

    def rest(self) -> Iterator[LogEntry]:
        """What is there after the place, which moves on."""
        while True:
            answer = self._api.get("/api/v1/events", LogAnswer, after=self._after, limit=PAGE)
            yield from answer.events
            if answer.next_after == self._after:
                return
            self._after = answer.next_after


def _line(entry: LogEntry) -> Text:
    event = decode_event(entry.event)
    when = "" if isinstance(event, UnknownEvent) else f"{event.at.astimezone():%H:%M:%S}"
    room = printable(entry.room_name)
    return Text.assemble(
        (f"{entry.pos:>7}  {when:8}  ", "dim"), (f"{room}  ", "cyan"), describe(event)
    )
