"""One decision in the making: who wants something of which state, and when."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import RoomState, Watched
from utd_protocol.types import Identity, Role, RoomType, SeatCount, SeatMode
from utd_protocol.views import RoomView


class Actor(Struct, frozen=True, kw_only=True):
    """Who gives a command: a user of a room, the app's own backend, or the engine itself."""

    kind: Literal["user", "server", "engine"]
    identity: Identity | None = None
    generation: int | None = None
    """The user's evictions when their token was made; after another one it is worth nothing."""
    device: str | None = None
    """Which installation of their client gives it; a call is answered by one."""

    @property
    def label(self) -> str:
        """For records: the identity, or the kind where there is none."""
        return self.identity or self.kind


ENGINE = Actor(kind="engine")
SERVER = Actor(kind="server")


class Preset(Struct, frozen=True, kw_only=True):
    """A seat grid that an app has given a name (`mode_id`)."""

    count: SeatCount
    mode: SeatMode = SeatMode.FREE
    reserved: dict[int, Role] = {}


def hold_s(view: RoomView) -> float:
    """How long a place of the room waits for its owner: a seat, or one on the stage, in seconds."""
    return (
        view.policy.stage_hold_s if view.type is RoomType.LIVE_STREAM else view.policy.seat_hold_s
    )


class Turn(Struct, frozen=True, kw_only=True):
    """The arguments that every rule takes."""

    state: RoomState
    actor: Actor
    now: datetime
    presets: Mapping[str, Preset] = {}
    absent: frozenset[str] = frozenset()
    """People named by the command whom LiveKit does not report, as far as was looked."""

    @property
    def view(self) -> RoomView:
        """The public half of the state."""
        return self.state.view

    @property
    def by(self) -> Identity | None:
        """Whom the events name as their author."""
        return self.actor.identity

    def person(self) -> Identity:
        """The person whom the command is about when it names nobody.

        Raises:
            Refused: `invalid_request`, when a backend acts for no user.
        """
        if self.actor.identity is None:
            raise Refused(
                "invalid_request",
                "The command is about whoever gives it, and nobody is named.",
                hint="Act for a user with X-Act-As.",
                field="X-Act-As",
            )
        return self.actor.identity

    def watch(self, identity: Identity) -> list[Watched]:
        """Who is not known to be there gets the time of a held place to appear (rule R13a).

        The clock of a fresh loss runs on: it is the shorter one.
        """
        known = self.state.presence.get(identity)
        if known is not None and not (known.awaited or known.declared):
            return []
        return [Watched(identity=identity, away_at=self.after(self.hold_s))]

    @property
    def hold_s(self) -> float:
        """How long a place of this room waits for somebody who is not there."""
        return hold_s(self.view)

    def after(self, seconds: float) -> datetime:
        """A moment this many seconds from now."""
        return self.now + timedelta(seconds=seconds)
