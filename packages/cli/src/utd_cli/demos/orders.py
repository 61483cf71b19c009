"""What the director of the demo tells its three clients, and what they answer. One JSON a line.

Moments are seconds of CLOCK_MONOTONIC, which all processes of a machine share.
"""

from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

EVERYBODY: Final = ""
"""Whom to listen to: all others together."""


class Order(Struct, frozen=True, kw_only=True, tag_field="do", tag=str.lower):
    """One thing to do. It is answered when it is done."""


class Join(Order, frozen=True, kw_only=True):
    """Join the room. The microphone will give a tone, or after a soft tone the `speech`."""

    base_url: str
    app_id: str
    app_key: str
    identity: str
    room: str
    as_host: bool
    hz: float
    speech: str = ""
    """A WAV file."""


class Hear(Order, frozen=True, kw_only=True):
    """Listen from now on to one person, or to EVERYBODY."""

    who: str


class TakeSeat(Order, frozen=True, kw_only=True):
    """Sit down and speak. Answered with `Taken`."""

    index: int


class Speak(Order, frozen=True, kw_only=True):
    """Speak the file, and wait until it is spoken to its end. Answered with `At`, of its start."""


class Sing(Order, frozen=True, kw_only=True):
    """Give a tone instead of what was given before."""

    hz: float


class Hush(Order, frozen=True, kw_only=True):
    """Switch the microphone off and stay on the seat."""


class Ask(Order, frozen=True, kw_only=True):
    """Ask to speak."""


class Approve(Order, frozen=True, kw_only=True):
    """Wait until this person asks, and approve. Answered with `At`, of the call."""

    who: str


class Remove(Order, frozen=True, kw_only=True):
    """Take the seat away from this person. Answered with `At`, of the call."""

    who: str


class Insist(Order, frozen=True, kw_only=True):
    """Try to speak, again and again, for so long. Answered with `Insisted`."""

    seconds: float


class FirstSound(Order, frozen=True, kw_only=True):
    """Wait for the first audible moment of this person after another. Answered with `At`."""

    who: str
    after: float


class LastSound(Order, frozen=True, kw_only=True):
    """The last audible moment of this person. Answered with `At`."""

    who: str


class Measure(Order, frozen=True, kw_only=True):
    """Measure what was heard of this person between two moments. Answered with `Measured`."""

    who: str
    start: float
    end: float
    speech: str = ""
    """A WAV file to compare with."""


class Save(Order, frozen=True, kw_only=True):
    """Write all that was heard of everybody to a WAV file."""

    path: str


class Leave(Order, frozen=True, kw_only=True):
    """Leave; a host ends the room."""

    end: bool = False


Act: TypeAlias = Join | Hear | Sing | Hush | Ask | Save | Leave
Question: TypeAlias = (
    TakeSeat | Speak | Approve | Remove | Insist | FirstSound | LastSound | Measure
)
AnyOrder: TypeAlias = Act | Question


class At(Struct, frozen=True):
    """A moment."""

    at: float


class Taken(Struct, frozen=True):
    """When the seat was asked for, and when LiveKit said that publishing is allowed."""

    called: float
    permitted: float


class Insisted(Struct, frozen=True):
    """How often publishing was tried, and how often it was refused."""

    tried: int
    refused: int


class Measured(Struct, frozen=True):
    """What was heard in a stretch of time."""

    dbfs: float
    hz: float
    likeness: float = 0.0


class Line(Struct, frozen=True, tag_field="line", tag=str.lower):
    """What a client writes."""


class Done(Line, frozen=True):
    """The order is carried out; the answer to it."""

    answer: msgspec.Raw


class Failed(Line, frozen=True):
    """The order could not be carried out, and why."""

    reason: str


class Seats(Line, frozen=True):
    """Who sits where now."""

    occupants: tuple[str | None, ...]


class Speakers(Line, frozen=True):
    """Who speaks now, as LiveKit says."""

    identities: tuple[str, ...]


class Level(Line, frozen=True):
    """How loud somebody is heard now."""

    who: str
    dbfs: float


News: TypeAlias = Seats | Speakers | Level
AnyLine: TypeAlias = Done | Failed | Seats | Speakers | Level
