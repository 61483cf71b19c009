"""Admission: who may come in, as whom, and the tokens they get (rules R1, R2, R6 and R42).

The same checks run at a join, at a rejoin and at a refresh.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from utd_engine.app.apps import Tenant
from utd_engine.app.bans import Bans
from utd_engine.app.commits import Commit, Context
from utd_engine.app.naming import ban_place, room_key_name, sfu_name
from utd_engine.app.presence import Presence
from utd_engine.app.rights import attributes_of
from utd_engine.app.rooms import Rooms, Taken, is_open
from utd_engine.app.snapshots import Snapshot, Snapshots
from utd_engine.app.tokens import Bearer, Place, UserClaims, UserTokens
from utd_engine.domain import orders
from utd_engine.domain.permissions import desired_permission
from utd_engine.domain.refusal import Refused
from utd_engine.domain.seats import DEFAULT_SEATS
from utd_engine.domain.state import RoomState, generation, watched
from utd_engine.domain.turn import ENGINE
from utd_engine.ports.clock import Clock, Ids
from utd_engine.ports.media import Join, MediaGateway, MediaUnavailable
from utd_engine.ports.rooms import Key
from utd_engine.ports.store import Store
from utd_protocol import events as ev
from utd_protocol.answers import OpenRequest, TokenAnswer, TokenRequest
from utd_protocol.policy import patched
from utd_protocol.types import Identity, Opens, Role, RoomId, RoomName, RoomType, SeatMode
from utd_protocol.types import RoomState as Phase

JOIN_TOKEN_S: Final = 600
OPEN_TRIES: Final = 8
"""A name that opens and ends faster than this many times in a row is not worth waiting for."""


class Person(NamedTuple):
    """Somebody whose identity is proven as well as the app's mode asks."""

    identity: str
    device: str
    name: str = ""
    hosts: tuple[str, ...] | None = None
    """Rooms they may open as host; None: any."""
    unproven: bool = False
    """Only the publishable key stands behind the identity."""


class Admission:
    """Lets people into rooms."""

    def __init__(  # noqa: PLR0913, PLR0917 each is a port or a service it joins
        self,
        store: Store,
        snapshots: Snapshots,
        rooms: Rooms,
        presence: Presence,
        media: MediaGateway,
        tokens: UserTokens,
        bans: Bans,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._rooms = rooms
        self._presence = presence
        self._media = media
        self._tokens = tokens
        self._bans = bans
        self._clock = clock
        self._ids = ids
        self._in_media: set[Key] = set()
        """Rooms that LiveKit is known to have."""
        self._names: dict[tuple[str, str], Key] = {}
        """Where names led last; good for as long as that room is open."""
        self.ws_url: str | None = None
        """Where inboxes are followed, once the engine listens."""
        self.on_expected: Callable[[Key], None] = lambda _key: None

    @property
    def remembered(self) -> int:
        """How many rooms something is kept of here: only ones that are open."""
        return len(self._in_media) + len(self._names)

    def forget_media(self, key: Key) -> None:
        """LiveKit may have lost this room: make sure at the next join."""
        self._in_media.discard(key)

    def committed(self, commit: Commit) -> None:
        """A room that is over leads nobody anywhere."""
        if not is_open(commit.after):
            self._in_media.discard(commit.key)
            view = commit.after.view
            self._names.pop((commit.key.app, room_key_name(view.type, view.name)), None)

    def forget_all_media(self) -> None:
        """LiveKit may have lost every room."""
        self._in_media.clear()

    async def join(self, tenant: Tenant, person: Person, wish: TokenRequest) -> TokenAnswer:
        """Admit somebody to a room by its name, opening it where the policy lets them (rule R1).

        Raises:
            Refused: `banned`, `room_not_found`, `room_full`, `not_allowed`, `unknown_seat_mode`.
            MediaUnavailable: LiveKit cannot take the room now.
        """
        place = ban_place(wish.type, wish.room_name)
        await self._bans.refuse(tenant.app_id, person.identity, place)
        key, snapshot = await self._room(tenant, person, wish)
        return await self.admit(key, snapshot, person, wish.role, wish.attributes)

    async def rejoin(self, tenant: Tenant, claims: UserClaims) -> TokenAnswer:
        """A new token for the room of a bearer, in the same role (for reconnects).

        Raises:
            Refused: `room_ended`, `kicked`, `banned`, `room_full`, `app_key_only`.
            MediaUnavailable: LiveKit cannot take the room now.
        """
        place = claims.room
        if place is None:
            raise Refused("invalid_request", "The bearer names no room.", hint="Join instead.")
        key = Key(tenant.app_id, "room", place.id)
        await self._readmit(tenant, claims)
        snapshot = await self._snapshots.current(key)
        if snapshot is None or not is_open(snapshot.state):
            raise room_ended(snapshot)
        if place.generation < generation(snapshot.state, claims.sub):
            refuse_kicked(snapshot.state, claims.sub)
        self.forget_media(key)
        person = Person(claims.sub, claims.device, claims.name, unproven=claims.unproven)
        return await self.admit(key, snapshot, person, Role.AUDIENCE, {})

    async def refresh(self, tenant: Tenant, claims: UserClaims) -> Bearer:
        """A new bearer for the same identity, device and room; admission runs again.

        Raises:
            Refused: `banned`, or `app_key_only` once the app is in production.
        """
        await self._readmit(tenant, claims)
        return self._tokens.mint(
            tenant.app_id,
            claims.sub,
            claims.device,
            name=claims.name,
            room=claims.room,
            unproven=claims.unproven,
        )

    async def open(
        self, tenant: Tenant, room_type: RoomType, name: str, wish: OpenRequest
    ) -> tuple[Key, Snapshot]:
        """Open a room for an owner who need not be there; an open one is returned as it is."""
        request = TokenRequest(
            type=room_type,
            room_name=name,
            identity=wish.owner,
            role=Role.HOST,
            seat_count=wish.seat_count,
            seat_mode=wish.seat_mode,
            mode_id=wish.mode_id,
            policy=wish.policy,
            metadata=wish.metadata,
        )
        key, snapshot = await self._room(tenant, Person(wish.owner, "server"), request, server=True)
        with suppress(MediaUnavailable):  # a join makes sure of it, and the sweep does
            await self._ensure_media(key)
        return key, snapshot

    async def find(
        self, tenant: Tenant, room_type: RoomType, name: str
    ) -> tuple[Key, Snapshot] | None:
        """The open room of this name."""
        known = (tenant.app_id, room_key_name(room_type, name))
        key = self._names.get(known)
        for resolved in (False, True):
            if resolved:
                key = await self._store.resolve(*known)
            snapshot = await self._snapshots.current(key) if key is not None else None
            if key is not None and snapshot is not None and is_open(snapshot.state):
                self._names[known] = key
                return key, snapshot
            self._names.pop(known, None)
        return None

    async def _room(
        self, tenant: Tenant, person: Person, wish: TokenRequest, *, server: bool = False
    ) -> tuple[Key, Snapshot]:
        for _ in range(OPEN_TRIES):
            found = await self.find(tenant, wish.type, wish.room_name)
            if found is not None:
                return found
            opening = self._opening(tenant, person, wish, server=server)
            key = Key(tenant.app_id, "room", opening.room_id)
            opened = await self._rooms.open(key, opening)
            if isinstance(opened, Snapshot):
                return key, opened
            if isinstance(opened, Taken) and opened.key is not None:
                self._snapshots.forget(opened.key)
                await self._snapshots.current(opened.key)
        raise Refused("version_conflict", f"{wish.room_name!r} is opened and ended all the time.")

    def _opening(
        self, tenant: Tenant, person: Person, wish: TokenRequest, *, server: bool
    ) -> ev.RoomOpened:
        """The first event of a new opening, or the reason why this person may not open it."""
        policy = tenant.policy(wish.type)
        claims_host = wish.role is Role.HOST
        allowed = server or policy.opens is Opens.ANYONE
        if not allowed and (policy.opens is Opens.SERVER or not claims_host):
            raise Refused(
                "room_not_found",
                f"There is no open room {wish.room_name!r}.",
                rule="R1",
                hint="A host opens it by joining as host; a listener comes after that.",
            )
        place = f"{wish.type}:{wish.room_name}"
        if not allowed and person.hosts is not None and place not in person.hosts:
            raise Refused(
                "not_allowed",
                f"Your identity token does not let you host {place!r}.",
                rule="R1",
                hint=f'The app\'s backend adds "{place}" to the claim "hosts".',
            )
        presets = tenant.settings.presets
        preset = presets.get(wish.mode_id) if wish.mode_id is not None else None
        if wish.mode_id is not None and preset is None:
            known = ", ".join(sorted(presets)) or "none"
            raise Refused(
                "unknown_seat_mode",
                f"The app has no preset {wish.mode_id!r}.",
                rule="R12",
                hint=f"Presets of this app: {known}.",
            )
        seated = wish.type is RoomType.AUDIO_ROOM
        count = wish.seat_count or (preset.count if preset else DEFAULT_SEATS)
        mode = wish.seat_mode or (preset.mode if preset else SeatMode.FREE)
        reserved = preset.reserved if preset else {}
        identity = Identity(person.identity)
        return ev.RoomOpened(
            at=self._clock.now(),
            by=None if server else identity,
            room_id=RoomId(self._ids.new("rm")),
            room_type=wish.type,
            name=RoomName(wish.room_name),
            owner=identity,
            host=identity,
            state=Phase.OPEN if seated else Phase.BACKSTAGE,
            policy=patched(policy, wish.policy),
            seat_count=count if seated else 0,
            seat_mode=mode,
            mode_id=wish.mode_id,
            reserved={index: role for index, role in reserved.items() if index < count},
            metadata=wish.metadata,
        )

    async def admit(
        self,
        key: Key,
        snapshot: Snapshot,
        person: Person,
        claim: Role,
        attributes: dict[str, str],
        *,
        metadata: str = "",
    ) -> TokenAnswer:
        """Tokens for somebody who may come into this room.

        Raises:
            Refused: `room_full` or `room_ended`.
            MediaUnavailable: LiveKit cannot take the room now.
        """
        identity = Identity(person.identity)
        await self._refuse_full(key, snapshot, identity)
        order = orders.Join(identity=identity, claim=claim, device=person.device)
        if not self._rooms.fulfils(key, order):
            await self._rooms.handle(key, order, Context(ENGINE))
        await self._ensure_media(key)
        now = await self._snapshots.current(key) or snapshot
        state = now.state
        if not is_open(state):
            raise room_ended(now)
        self.on_expected(key)
        view = state.view
        role = view.role_of(identity)
        place = Place(key.id, str(view.type), view.name, generation(state, identity))
        join = Join(
            room=sfu_name(key, view.type),
            identity=identity,
            permission=desired_permission(state, identity),
            name=person.name,
            attributes=attributes | attributes_of(state, identity),
            metadata=metadata,
            agents=tuple((one, job.metadata) for one, job in state.agents.items()),
        )
        bearer = self._tokens.mint(
            key.app,
            identity,
            person.device,
            name=person.name,
            room=place,
            unproven=person.unproven,
        )
        return TokenAnswer(
            token=self._media.mint_token(join, now=self._clock.now(), ttl_s=JOIN_TOKEN_S),
            url=self._media.url,
            room_name=view.name,
            user_token=bearer.token,
            ws_url=self.ws_url,
            role=role,
            role_clamped=claim is Role.HOST and role is not Role.HOST,
            room=view,
            seq=now.seq,
        )

    async def _refuse_full(self, key: Key, snapshot: Snapshot, identity: str) -> None:
        limit = snapshot.state.view.policy.max_audience
        if limit is None or identity in watched(snapshot.state):
            return
        if await self._store.count(key) < limit:
            return
        if await self._store.present_one(key, identity) is None:
            raise Refused(
                "room_full", f"The room has its {limit} people.", hint="Try later.", retry_after=10
            )

    async def _ensure_media(self, key: Key) -> None:
        if key not in self._in_media:
            await self._presence.ensure(key)
            self._in_media.add(key)

    async def _readmit(self, tenant: Tenant, claims: UserClaims) -> None:
        """What a join asks of somebody, asked again of who is in already."""
        await self._bans.refuse(tenant.app_id, claims.sub, claims.place)
        if claims.unproven and tenant.mode == "production":
            raise Refused(
                "app_key_only",
                "This bearer was made in development, from the publishable key alone.",
                hint="Join again with an identity token of the app's backend.",
            )


def room_ended(snapshot: Snapshot | None) -> Refused:
    """The bearer's opening is over; its name may be open anew."""
    reason = snapshot.state.view.ended_reason if snapshot is not None else None
    said = f" ({reason})" if reason else ""
    return Refused(
        "room_ended",
        f"The room has ended{said}.",
        hint="Join again to open it anew.",
        reason=reason,
    )


def refuse_kicked(state: RoomState, identity: str) -> None:
    """Who was put out comes back by joining anew, not by going on.

    Raises:
        Refused: `kicked`, with the reason that was given.
    """
    past = state.evicted.get(identity)
    if past is not None and past.kicked:
        said = f": {past.reason}" if past.reason else "."
        raise Refused(
            "kicked",
            f"You were put out of this room{said}",
            rule="R42",
            hint="Join again.",
            reason=past.reason,
        )
