"""Which opening of a name a caller means, and whether they may still speak for themselves there."""

from typing import NamedTuple

from utd_engine.app.admission import Admission, refuse_kicked, room_ended
from utd_engine.app.apps import Tenant
from utd_engine.app.ports import Key
from utd_engine.app.snapshots import Snapshot, Snapshots
from utd_engine.app.tokens import UserClaims
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import generation, is_evicted
from utd_engine.domain.turn import Actor
from utd_protocol.types import RoomType

NEVER = -1
"""The generation of a token that names no room, of somebody who was put out of it."""


class Located(NamedTuple):
    """A room that is open or has just ended, and the actor as its rules see them."""

    key: Key
    snapshot: Snapshot
    actor: Actor


class Locator:
    """Finds rooms for requests."""

    def __init__(self, snapshots: Snapshots, admission: Admission) -> None:
        self._snapshots = snapshots
        self._admission = admission

    async def locate(
        self,
        tenant: Tenant,
        where: tuple[RoomType, str],
        actor: Actor,
        claims: UserClaims | None = None,
        room_id: str | None = None,
    ) -> Located:
        """The room of a path.

        A room bearer is good for its opening only; the app's backend may name one by `room_id`.

        Raises:
            Refused: `room_not_found`, `room_ended`, `not_allowed`.
        """
        room_type, name = where
        place = claims.room if claims else None
        if place is not None:
            if (place.type, place.name) != (str(room_type), name):
                raise Refused(
                    "not_allowed",
                    f"This bearer is for the room {place.type}:{place.name}.",
                    hint="Join the other room, or use its own bearer.",
                )
            return await self._opening(tenant, place.id, where, actor)
        if room_id is not None and actor.kind == "server":
            return await self._opening(tenant, room_id, where, actor)
        found = await self._admission.find(tenant, room_type, name)
        if found is None:
            raise Refused("room_not_found", f"There is no open room {name!r}.")
        key, snapshot = found
        identity = actor.identity
        if claims is not None and identity and is_evicted(snapshot.state, identity):
            actor = Actor(kind="user", identity=identity, generation=NEVER)
        return Located(key, snapshot, actor)

    async def _opening(
        self, tenant: Tenant, room_id: str, where: tuple[RoomType, str], actor: Actor
    ) -> Located:
        key = Key(tenant.app_id, "room", room_id)
        snapshot = await self._snapshots.current(key)
        if snapshot is None:
            raise room_ended(None)
        view = snapshot.state.view
        if (view.type, view.name) != where:
            raise Refused("room_not_found", f"There is no open room {where[1]!r}.")
        return Located(key, snapshot, actor)


def refuse_stale_reader(located: Located) -> None:
    """Who was put out reads nothing more with the token of before.

    Raises:
        Refused: `kicked`, with the reason that was given.
    """
    actor, state = located.actor, located.snapshot.state
    if actor.kind != "user" or actor.identity is None or actor.generation is None:
        return
    if actor.generation < generation(state, actor.identity):
        refuse_kicked(state, actor.identity)
