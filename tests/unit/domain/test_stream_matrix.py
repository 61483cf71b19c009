"""Rules R3, R4 and R22 to R26: who may give which command of a live stream about whom.

A cell is `ok` or the code of the refusal. Run `PYTHONPATH=tests python` on this file to write the
table anew, then read the difference.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, get_args

from support import tables
from support.rooms import SERVER_API, Room, stream

from utd_protocol import commands as c
from utd_protocol.types import Source, Target

GOLDEN: Final = Path(__file__).with_name("stream_matrix.txt")
ACTORS: Final = {
    "host": "host", "admin": "adm", "co-host": "ana", "viewer": "eve", "server": SERVER_API,
}  # fmt: skip
TARGETS: Final = {"self": "", "host": "host", "admin": "adm", "co-host": "ana", "viewer": "eve"}
MICROPHONE: Final = (Source.MICROPHONE,)

ABOUT_NOBODY: Final[tuple[c.RoomCommand, ...]] = (
    c.GoLive(),
    c.PauseStream(),
    c.ResumeStream(),
    c.ScheduleStream(),
    c.LeaveStage(),
    c.CreateRequest(target=Target.STAGE),
    c.ApproveRequest(id=1),
    c.RejectRequest(id=1),
    c.CancelRequest(id=1),
    c.AcceptInvite(id=2),
    c.DeclineInvite(id=2),
    c.CancelInvite(id=2),
    c.MuteAll(),
    c.Leave(),
    c.EndRoom(),
    c.TakeSeat(),
    c.EndCall(),
)
ABOUT_SOMEBODY: Final[dict[str, Callable[[str], c.RoomCommand]]] = {
    "InviteToStage": lambda who: c.InviteToStage(identity=who),
    "CreateInvite": lambda who: c.CreateInvite(identity=who, target=Target.STAGE),
    "RemoveFromStage": lambda who: c.RemoveFromStage(identity=who),
    "SetStageSources": lambda who: c.SetStageSources(identity=who, sources=MICROPHONE),
    "TransferHost": lambda who: c.TransferHost(identity=who),
    "Kick": lambda who: c.Kick(identity=who),
    "HardMute": lambda who: c.HardMute(identity=who),
}


def setting() -> Room:
    """On air: an admin off stage, a co-host, a viewer; bob raises a hand (1), cem is asked (2)."""
    room = stream(admins=("adm", "adm2"))
    for guest in ("ana", "ana2"):
        room.act("host", c.InviteToStage(identity=guest))
    room.act("bob", c.CreateRequest(target=Target.STAGE))
    room.act("host", c.CreateInvite(identity="cem", target=Target.STAGE))
    return room


def cell(actor: str, target: str, make: Callable[[str], c.RoomCommand]) -> str:
    """What an actor is told; another of the same kind stands in where both are one person."""
    who = actor if target == "self" else TARGETS[target]
    if who == SERVER_API or (who == actor == "host" and target != "self"):
        return "-"
    about = f"{who}2" if who == actor and target != "self" else who
    return tables.outcome(lambda: setting().act(actor, make(about)))


def text() -> str:
    """The whole table."""
    rows = [["command", "about", *ACTORS]]
    for command in ABOUT_NOBODY:
        cells = [
            tables.outcome(lambda who=who, it=command: setting().act(who, it))
            for who in ACTORS.values()
        ]
        rows.append([type(command).__name__, "-", *cells])
    for name, make in ABOUT_SOMEBODY.items():
        rows += [
            [name, target, *(cell(who, target, make) for who in ACTORS.values())]
            for target in TARGETS
        ]
    return tables.columns(rows)


def test_r3_r4_who_may_do_what_to_whom_in_a_stream() -> None:
    assert text().splitlines() == GOLDEN.read_text().splitlines()


def test_r3_the_table_has_every_command_of_a_stream() -> None:
    named = {type(command).__name__ for command in ABOUT_NOBODY} | set(ABOUT_SOMEBODY)
    assert named >= {kind.__name__ for kind in get_args(c.StreamCommand)}


if __name__ == "__main__":
    GOLDEN.write_text(text())
