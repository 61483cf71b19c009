"""What the director of `utd demo live` tells its clients beyond the orders of every demo."""

from typing import TypeAlias

from msgspec import Struct

from utd_cli.demos import orders as o


class Watch(o.Order, frozen=True, kw_only=True):
    """See and hear this person from now on."""

    who: str


class GoLive(o.Order, frozen=True, kw_only=True):
    """Begin, with sound and picture. Answered with `At`, of the call."""


class Pause(o.Order, frozen=True, kw_only=True):
    """Let nobody be seen or heard. Answered with `At`, of the call."""


class Resume(o.Order, frozen=True, kw_only=True):
    """Go on. Answered with `At`, of the call."""


class Invite(o.Order, frozen=True, kw_only=True):
    """Put this viewer on the stage. Answered with `At`, of the call."""

    who: str


class Publish(o.Order, frozen=True, kw_only=True):
    """Wait for the right, and open microphone and camera."""


class FirstPicture(o.Order, frozen=True, kw_only=True):
    """Wait for the first picture of this person after a moment. Answered with `At`."""

    who: str
    after: float


class Count(o.Order, frozen=True, kw_only=True):
    """Count what came from this person between two moments. Answered with `Counted`."""

    who: str
    start: float
    end: float


AnyOrder: TypeAlias = (
    o.Join
    | o.Leave
    | o.Insist
    | o.FirstSound
    | o.Measure
    | o.Remove
    | Watch
    | GoLive
    | Pause
    | Resume
    | Invite
    | Publish
    | FirstPicture
    | Count
)


class Counted(Struct, frozen=True):
    """What was received of somebody in a stretch of time."""

    pictures: int
    correct: int
    """Pictures that are the test pattern."""
    moved: int
    """At how many places its square was seen: more than one in a picture that moves."""
    sounds: int
    """Frames of sound of 10 ms, silent ones too."""
