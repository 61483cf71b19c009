"""Rules R3, R4 and R17: who may give which command about whom, against a checked-in table.

A cell is `ok` or the code of the refusal. Run `PYTHONPATH=tests python` on this file to write the
table anew, then read the difference.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, get_args

from support import tables
from support.rooms import SERVER_API, Room

from utd_protocol import commands as c
from utd_protocol.policy import PolicyPatch
from utd_protocol.types import Role

GOLDEN: Final = Path(__file__).with_name("role_matrix.txt")
SEATS: Final = {"host": 0, "adm": 1, "adm2": 2, "ana": 3, "ana2": 4}
ACTORS: Final = {"host": "host", "admin": "adm", "audience": "ana", "server": SERVER_API}
TARGETS: Final = ("self", "host", "admin", "audience")

ABOUT_NOBODY: Final[tuple[c.RoomCommand, ...]] = (
    c.ConfigureSeats(count=9),
    c.TakeSeat(index=6),
    c.LeaveSeat(),
    c.MoveSeat(index=6),
    c.SwapSeats(a=5, b=5),
    c.LockSeats(indices=(6,)),
    c.UnlockSeats(indices=(6,)),
    c.MuteSeat(index=6),
    c.UnmuteSeat(index=6),
    c.ReserveSeat(index=6),
    c.CreateRequest(),
    c.ApproveRequest(id=1),
    c.RejectRequest(id=1),
    c.CancelRequest(id=1),
    c.AcceptInvite(id=2),
    c.DeclineInvite(id=2),
    c.CancelInvite(id=2),
    c.Leave(),
    c.EndRoom(),
    c.ChangePolicy(policy=PolicyPatch()),
    c.ChangeSettings(metadata="x"),
    c.MuteAll(),
)
ABOUT_SOMEBODY: Final[dict[str, Callable[[str], c.RoomCommand]]] = {
    "AssignSeat": lambda who: c.AssignSeat(identity=who),
    "ConfigureSeats(evict)": lambda who: c.ConfigureSeats(count=max(SEATS[who], 1), evict=True),
    "SwapSeats": lambda who: c.SwapSeats(a=SEATS[who], b=6),
    "LockSeats(evict)": lambda who: c.LockSeats(indices=(SEATS[who],), evict=True),
    "MuteSeat": lambda who: c.MuteSeat(index=SEATS[who]),
    "RemoveFromSeat": lambda who: c.RemoveFromSeat(identity=who),
    "CreateInvite": lambda who: c.CreateInvite(identity=who),
    "SetRole(admin)": lambda who: c.SetRole(identity=who, role=Role.ADMIN),
    "SetRole(audience)": lambda who: c.SetRole(identity=who, role=Role.AUDIENCE),
    "TransferHost": lambda who: c.TransferHost(identity=who),
    "Kick": lambda who: c.Kick(identity=who),
    "AskMute": lambda who: c.AskMute(identity=who),
    "HardMute": lambda who: c.HardMute(identity=who),
    "LiftMute": lambda who: c.LiftMute(identity=who),
    "Ban": lambda who: c.Ban(identity=who),
    "Unban": lambda who: c.Unban(identity=who),
}


WANTS_A_SEAT: Final = (c.TakeSeat, c.CreateRequest, c.CreateInvite, c.AssignSeat)


def setting(command: c.RoomCommand) -> Room:
    """Two of every role but host sit, where that matters; eve asks (1) and eva is invited (2)."""
    seated = {} if isinstance(command, WANTS_A_SEAT) else SEATS
    room = Room(seats=8, admins=("adm", "adm2"), seated=seated)
    room.act("eve", c.CreateRequest())
    room.act("host", c.CreateInvite(identity="eva"))
    return room


def outcome(actor: str, command: c.RoomCommand) -> str:
    """`ok`, or why not."""
    return tables.outcome(lambda: setting(command).act(actor, command))


def other(actor: str, target: str) -> str | None:
    """Somebody of that role who is not the actor; None where there is nobody."""
    people = {"self": actor, "host": "host", "admin": "adm", "audience": "ana"}
    who = people[target]
    if who == SERVER_API or (target == "host" and actor == "host"):
        return None
    return f"{who}2" if target != "self" and who == actor else who


def rows() -> list[list[str]]:
    """The whole table, head first."""
    table = [["command", "about", *ACTORS]]
    for command in ABOUT_NOBODY:
        cells = [outcome(actor, command) for actor in ACTORS.values()]
        table.append([type(command).__name__, "-", *cells])
    for name, make in ABOUT_SOMEBODY.items():
        for target in TARGETS:
            people = [(actor, other(actor, target)) for actor in ACTORS.values()]
            cells = ["-" if who is None else outcome(actor, make(who)) for actor, who in people]
            table.append([name, target, *cells])
    return table


def text() -> str:
    """The table in columns."""
    return tables.columns(rows())


def test_r3_r4_who_may_do_what_to_whom() -> None:
    assert text().splitlines() == GOLDEN.read_text().splitlines()


def test_r3_the_table_has_every_command() -> None:
    named = {type(command).__name__ for command in ABOUT_NOBODY}
    named |= {name.partition("(")[0] for name in ABOUT_SOMEBODY}
    elsewhere = {*get_args(c.StreamCommand), *get_args(c.CallCommand)}
    every = {kind.__name__ for kind in get_args(c.RoomCommand) if kind not in elsewhere}
    assert named == every


if __name__ == "__main__":
    GOLDEN.write_text(text())
