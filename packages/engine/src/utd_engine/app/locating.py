"""Which opening of a name a caller means, and whether they may still speak for themselves there."""

from typing import NamedTuple

from msgspec import structs

from utd_engine.app.admission import Admission, refuse_kicked, room_ended
from utd_engine.app.apps import Tenant
from utd_engine.app.bans import Bans
from utd_engine.app.naming import ban_place
from utd_engine.app.rooms import is_open
from utd_engine.app.snapshots import Snapshot, Snapshots
from utd_engine.app.tokens import UserClaims
from utd_engine.domain.refusal import Refused
from utd_engine.domain.state import generation, is_evicted, is_stranger
from utd_engine.domain.turn import Actor
from utd_engine.ports.rooms import Key
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

    def __init__(self, snapshots: Snapshots, admission: Admission, bans: Bans) -> None:
        self._snapshots = snapshots
        self._admission = admission
        self._bans = bans

    async def locate(
        self,
        tenant: Tenant,
        where: tuple[RoomType, str],
        actor: Actor,
        claims: UserClaims | None = None,
        room_id: str | None = None,
    ) -> Located:
        """The room of a path. A call is there for its parties only.

        A room bearer is good for its opening only; the app's backend may name one by `room_id`.

        Raises:
            Refused: `room_not_found`, `room_ended`, `not_allowed`, `banned`.
        """
        located = await self._located(tenant, where, actor, claims, room_id)
        if actor.kind == "user" and is_stranger(located.snapshot.state, actor.identity or ""):
            raise _not_open(where)
        return located

    async def _located(
        self,
        tenant: Tenant,
        where: tuple[RoomType, str],
        actor: Actor,
        claims: UserClaims | None,
        room_id: str | None,
    ) -> Located:
        room_type, name = where
        if claims is not None:
            await self._bans.refuse(tenant.app_id, claims.sub, ban_place(room_type, name))
        place = claims.room if claims else None
        if place is not None:
            if (place.type, place.name) != (str(room_type), name):
                raise Refused(
                    "not_allowed",
                    f"This bearer is for the room {place.type}:{place.name}.",
                    hint="Join the other room, or use its own bearer.",
                )
            located = await self._opening(tenant, place.id, where, actor)
            if located is None:
                raise room_ended(None)
            await self._refuse_reopened(tenant, where, located)
            return located
        if room_id is not None and claims is None:
            located = await self._opening(tenant, room_id, where, actor)
            if located is None:
                raise Refused("room_not_found", f"{name!r} had no such opening.")
            return located
        found = await self._admission.find(tenant, room_type, name)
        if found is None:
            raise _not_open(where)
        key, snapshot = found
        identity = actor.identity
        if claims is not None and identity and is_evicted(snapshot.state, identity):
            actor = structs.replace(actor, generation=NEVER)
        return Located(key, snapshot, actor)

    async def _refuse_reopened(
        self, tenant: Tenant, where: tuple[RoomType, str], located: Located
    ) -> None:
        """What has ended can be read by who was there, until its name means another room."""
        snapshot = located.snapshot
        if not is_open(snapshot.state) and await self._admission.find(tenant, *where) is not None:
            raise room_ended(snapshot)

    async def _opening(
        self, tenant: Tenant, room_id: str, where: tuple[RoomType, str], actor: Actor
    ) -> Located | None:
        """One opening of the name, as long as anything of it is kept."""
        key = Key(tenant.app_id, "room", room_id)
        snapshot = await self._snapshots.current(key)
        if snapshot is None:
            return None
        view = snapshot.state.view
        return Located(key, snapshot, actor) if (view.type, view.name) == where else None


def _not_open(where: tuple[RoomType, str]) -> Refused:
    return Refused("room_not_found", f"There is no open room {where[1]!r}.")


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
