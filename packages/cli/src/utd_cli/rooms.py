"""`utd rooms`: which rooms are open, and who sits, asks and listens in one."""

import time
from collections.abc import Iterator
from typing import Final, TypeVar
from urllib.parse import quote

import click
import msgspec
from msgspec import Struct
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from utd_cli._engine_api import NOT_FOUND, EngineAPI, Refused
from utd_cli._narration import printable
from utd_cli._reach import with_engine
from utd_protocol.answers import Page, Present, RoomSummary, ViewAnswer
from utd_protocol.types import RoomState, RoomType
from utd_protocol.views import RoomView, Seat

T = TypeVar("T")

LOOK_EVERY_S: Final = 0.5
PAGE: Final = 200

type_option = click.option(
    "--type",
    "room_type",
    default=RoomType.AUDIO_ROOM.value,
    show_default=True,
    type=click.Choice([kind.value for kind in RoomType]),
    help="Kind of room.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")


class Look(Struct, frozen=True, kw_only=True):
    """A room at one moment, with everybody in it."""

    seq: int
    view: RoomView
    present: tuple[Present, ...]


@click.group()
def rooms() -> None:
    """Look at open rooms. A running `utd dev` is found by itself."""


@rooms.command(name="ls")
@click.option(
    "--type",
    "room_type",
    type=click.Choice([kind.value for kind in RoomType]),
    help="Only rooms of this kind.",
)
@json_option
@with_engine
def ls(api: EngineAPI, room_type: str | None, *, as_json: bool) -> None:
    """List the open rooms of the app."""
    found = list(_pages(api, "/api/v1/rooms", Page[RoomSummary], type=room_type))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    table = Table("room", "type", "host", "seats", "present", "open since", box=None)
    for room in found:
        table.add_row(
            Text(printable(room.name), "bold"),
            room.type,
            Text(printable(room.host or "-")),
            f"{room.seats_taken}/{room.seat_count}",
            str(room.present),
            f"{room.opened_at.astimezone():%Y-%m-%d %H:%M:%S}",
        )
    Console().print(table if found else "No room is open.")


@rooms.command()
@click.argument("name")
@type_option
@json_option
@with_engine
def show(api: EngineAPI, name: str, room_type: str, *, as_json: bool) -> None:
    """Show the room NAME: its seats, who asks, and who is there."""
    look = _look(api, room_type, name)
    if as_json:
        click.echo(msgspec.json.encode(look).decode())
    else:
        Console().print(_picture(look))


@rooms.command()
@click.argument("name")
@type_option
@json_option
@with_engine
def watch(api: EngineAPI, name: str, room_type: str, *, as_json: bool) -> None:
    """Show the room NAME and every change of it, until it ends or Ctrl-C."""
    looks = _changes(api, room_type, name)
    if as_json:
        for look in looks:
            click.echo(msgspec.json.encode(look).decode())
        return
    console = Console()
    if not console.is_terminal:
        for look in looks:
            console.print(_picture(look))
        return
    with Live(console=console, auto_refresh=False) as live:
        for look in looks:
            live.update(_picture(look), refresh=True)


def _changes(api: EngineAPI, room_type: str, name: str) -> Iterator[Look]:
    """The room now, and again after each change, until it is over."""
    seen: Look | None = None
    while True:
        try:
            look = _look(api, room_type, name)
        except Refused as refusal:
            if seen is not None and refusal.status == NOT_FOUND:
                return
            raise
        if look != seen:
            yield look
            seen = look
        if look.view.state is RoomState.ENDED:
            return
        time.sleep(LOOK_EVERY_S)


def _look(api: EngineAPI, room_type: str, name: str) -> Look:
    path = f"/api/v1/rooms/{room_type}/{quote(name, safe='')}"
    answer = api.get(path, ViewAnswer)
    present = tuple(_pages(api, f"{path}/members", Page[Present]))
    return Look(seq=answer.seq, view=answer.view, present=present)


def _pages(api: EngineAPI, path: str, kind: type[Page[T]], **query: object) -> Iterator[T]:
    cursor: str | None = None
    while True:
        page = api.get(path, kind, limit=PAGE, cursor=cursor, **query)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _picture(look: Look) -> RenderableType:
    view = look.view
    host = printable(view.host or "nobody")
    head = Text.assemble(
        (printable(view.name), "bold"),
        f"  {view.type}, {view.state}, seats {view.seat_mode}, host {host}, event {look.seq}",
    )
    listeners = [one.identity for one in look.present if one.seat is None]
    lines = [Text(f"{printable(request.identity or 'somebody')} asks", "yellow")
             for request in view.requests]  # fmt: skip
    lines += [Text(f"{printable(invite.identity or 'somebody')} is invited", "yellow")
              for invite in view.invites]  # fmt: skip
    without = ", ".join(printable(identity) for identity in listeners) or "nobody"
    return Group(head, _seats(view), *lines, Text(f"without a seat: {without}", "dim"))


def _seats(view: RoomView) -> Table:
    table = Table("seat", "state", "who", "", box=None)
    for seat in view.seats:
        who = Text(printable(seat.identity or "-"), "bold" if seat.identity else "dim")
        table.add_row(str(seat.index), seat.state, who, Text(_remarks(seat), "dim"))
    return table


def _remarks(seat: Seat) -> str:
    remarks: list[str] = []
    if seat.mic_locked:
        remarks.append("microphone locked")
    if seat.held_until is not None:
        remarks.append(f"held until {seat.held_until.astimezone():%H:%M:%S}")
    if seat.reserved_for or seat.reserved_role:
        remarks.append(f"for {printable(seat.reserved_for or str(seat.reserved_role))}")
    return ", ".join(remarks)
