"""Rules R35 to R38: who may give which command about a call, and when.

A cell is where the call is after it, in `(…)` when nothing changed, or the code of the refusal. Run
`PYTHONPATH=tests python` on this file to write the table anew, then read the difference.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, get_args

from support import tables
from support.calls import CALLER, Call, device
from support.rooms import SERVER_API

from utd_engine.domain.orders import Join
from utd_engine.domain.refusal import Refused
from utd_engine.domain.turn import ENGINE, Actor
from utd_protocol import commands as c
from utd_protocol.types import Identity, RoomType

GOLDEN: Final = Path(__file__).with_name("call_matrix.txt")
ACTORS: Final[dict[str, Actor]] = {
    "caller": device(CALLER),
    "callee": device("bob/phone"),
    "callee's other": device("bob/tablet"),
    "stranger": device("eve"),
    "server": device(SERVER_API),
    "server as callee": Actor(kind="server", identity=Identity("bob")),
}
COMMANDS: Final[tuple[c.RoomCommand, ...]] = (
    c.CallRinging(), c.AcceptCall(), c.RejectCall(), c.IgnoreCall(), c.BusyCall(), c.EndCall(),
    c.Leave(),
)  # fmt: skip
BEFORE: Final[dict[str, Callable[[Call], object]]] = {
    "initiating": lambda _: None,
    "ringing": lambda call: call.act("bob/phone", c.CallRinging()),
    "active": lambda call: call.act("bob/phone", c.AcceptCall()),
    "hung up": lambda call: [call.act(who, command) for who, command in HUNG_UP],
    "cancelled": lambda call: call.act(CALLER, c.EndCall()),
    "rejected": lambda call: call.act("bob/phone", c.RejectCall()),
    "busy": lambda call: call.act("bob/phone", c.BusyCall()),
    "missed": lambda call: call.later(45),
}
HUNG_UP: Final = (("bob/phone", c.AcceptCall()), (CALLER, c.EndCall()))


def setting(before: str) -> Call:
    """A call that is there already."""
    call = Call(RoomType.VIDEO_CALL)
    BEFORE[before](call)
    return call


def cell(before: str, who: Actor, command: c.RoomCommand) -> str:
    """What becomes of the call, or why not."""
    call = setting(before)
    try:
        facts = call.give(who, command)
    except Refused as refusal:
        return refusal.code
    reason = "" if call.view.reason is None else f" {call.view.reason}"
    return f"{call.view.status}{reason}" if facts else f"({call.view.status})"


def token(before: str, who: Actor) -> str:
    """Whether somebody is let into the media room."""
    if who.identity is None:
        return "-"
    order = Join(identity=who.identity, device=who.device)
    return tables.outcome(lambda: setting(before).give(ENGINE, order))


def text() -> str:
    """The whole table."""
    rows = [["command", "call is", *ACTORS]]
    for command in COMMANDS:
        for before in BEFORE:
            cells = [cell(before, who, command) for who in ACTORS.values()]
            rows.append([type(command).__name__, before, *cells])
    rows += [
        ["a token", before, *(token(before, who) for who in ACTORS.values())] for before in BEFORE
    ]
    return tables.columns(rows)


def test_r35_r36_r37_r38_who_may_do_what_when() -> None:
    assert text().splitlines() == GOLDEN.read_text().splitlines()


def test_r3_the_table_has_every_command_of_a_call() -> None:
    assert {type(command) for command in COMMANDS} >= set(get_args(c.CallCommand))


if __name__ == "__main__":
    GOLDEN.write_text(text())
