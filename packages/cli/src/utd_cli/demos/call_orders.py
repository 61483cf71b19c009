"""What the director of `utd demo call` tells its clients beyond the orders of every demo."""

from typing import TypeAlias

from msgspec import Struct

from utd_cli.demos import orders as o


class SignIn(o.Order, frozen=True, kw_only=True):
    """Sign in on a device and be ready for calls. The microphone will give a tone."""

    base_url: str
    app_id: str
    app_key: str
    identity: str
    device: str
    hz: float


class Call(o.Order, frozen=True, kw_only=True):
    """Call somebody. Answered with `Began`."""

    who: str
    ring_timeout_s: float = 30.0


class Ring(o.Order, frozen=True, kw_only=True):
    """Wait until this call rings here. Answered with `At`."""

    call_id: str


class Accept(o.Order, frozen=True, kw_only=True):
    """Answer it on this device. Answered with `At`, of the moment at which it was done."""

    call_id: str


class Reject(o.Order, frozen=True, kw_only=True):
    """Say no."""

    call_id: str


class RingOver(o.Order, frozen=True, kw_only=True):
    """Wait until it rings here no more. Answered with `Silent`."""

    call_id: str


class HangUp(o.Order, frozen=True, kw_only=True):
    """End the call that this device is in. Answered with `At`, of the call to do it."""


class Over(o.Order, frozen=True, kw_only=True):
    """Wait until the call of this device is over. Answered with its status, a text."""


class Look(o.Order, frozen=True, kw_only=True):
    """Ask the engine about a call. Answered with `Record`."""

    call_id: str


AnyOrder: TypeAlias = (
    SignIn
    | Call
    | Ring
    | Accept
    | Reject
    | RingOver
    | HangUp
    | Over
    | Look
    | o.Hear
    | o.FirstSound
    | o.Measure
)


class Began(Struct, frozen=True):
    """A call that was started, and how it stands."""

    call_id: str
    status: str


class Silent(Struct, frozen=True):
    """Why a device rings no more, as it was told, and which device answered instead."""

    at: float
    reason: str
    answered_by: str


class Record(Struct, frozen=True):
    """What the engine keeps of a call."""

    status: str
    reason: str
    duration_s: float
