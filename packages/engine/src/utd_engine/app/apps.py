"""Apps: tenants, their keys, and which app a key opens."""

import hashlib
import re
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from utd_engine.domain.refusal import Refused
from utd_engine.domain.turn import Preset
from utd_engine.ports.clock import Clock, Ids
from utd_engine.ports.store import Store
from utd_engine.ports.tenants import AppRow, KeyRow
from utd_protocol.policy import Policy, PolicyPatch, default_policy, patched
from utd_protocol.types import RoomType

KEY_PREFIX_CHARS: Final = 11
CACHE_S: Final = 5.0
APP_ID_CHARS: Final = 14
APP_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
KeyKind = Literal["publishable", "secret"]


class AppSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An app's own defaults."""

    policy: PolicyPatch | None = None
    policies: dict[RoomType, PolicyPatch] = {}
    presets: dict[str, Preset] = {}
    """Seat grids by name (`mode_id`)."""
    development_identities: int = 1000
    """How many identities the publishable key alone mints for at once, in development."""


class Tenant(NamedTuple):
    """An app as the services need it."""

    app_id: str
    name: str
    mode: Literal["development", "production"]
    settings: AppSettings

    def policy(self, room_type: RoomType) -> Policy:
        """What a room of this type does in this app unless its host says otherwise."""
        policy = patched(default_policy(room_type), self.settings.policy)
        return patched(policy, self.settings.policies.get(room_type))


class NewKey(NamedTuple):
    """A key, shown once: only its hash is kept."""

    kind: KeyKind
    key: str
    prefix: str


class Apps:
    """Makes apps and keys, and tells which app a key opens. Keys are kept hashed."""

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._tenants: dict[str, tuple[float, Tenant]] = {}
        self._keys: dict[bytes, tuple[float, KeyRow | None]] = {}

    async def create(
        self,
        name: str,
        mode: Literal["development", "production"],
        settings: AppSettings | None = None,
        app_id: str | None = None,
    ) -> tuple[Tenant, NewKey, NewKey]:
        """A new app with a publishable and a secret key.

        Raises:
            Refused: `invalid_request` for an id that is taken or not of letters and digits.
        """
        app_id = app_id or _short(self._ids.new("ap"))
        if not APP_ID.fullmatch(app_id):
            raise _bad_id(f"{app_id!r} is not 1 to 64 letters, digits, '_' or '-'.")
        if await self._store.app(app_id) is not None:
            raise _bad_id(f"There is an app {app_id!r} already.")
        settings = settings or AppSettings()
        row = AppRow(app_id, name, mode, msgspec.json.encode(settings), self._clock.now())
        made = [self._new_key(app_id, kind) for kind in ("publishable", "secret")]
        await self._store.put_app(row, [key_row for _, key_row in made])
        self._forget()
        return Tenant(app_id, name, mode, settings), made[0][0], made[1][0]

    async def update(
        self,
        app_id: str,
        *,
        mode: Literal["development", "production"] | None = None,
        settings: AppSettings | None = None,
    ) -> Tenant:
        """Change an app's mode or defaults; rooms that are open keep their policy."""
        row = await self._store.app(app_id)
        if row is None:
            raise _no_app(app_id)
        encoded = row.settings if settings is None else msgspec.json.encode(settings)
        row = row._replace(mode=mode or row.mode, settings=encoded)
        await self._store.put_app(row, [])
        self._forget()
        return _tenant(row)

    async def all(self) -> list[Tenant]:
        """Every app, oldest first."""
        return [_tenant(row) for row in await self._store.apps()]

    async def add_key(self, app_id: str, kind: KeyKind) -> NewKey:
        """One more key; the others stay good until revoked."""
        if await self._store.app(app_id) is None:
            raise _no_app(app_id)
        key, row = self._new_key(app_id, kind)
        await self._store.add_key(row)
        self._forget()
        return key

    async def keys(self, app_id: str) -> list[KeyRow]:
        """All keys of an app, without the keys themselves."""
        if await self._store.app(app_id) is None:
            raise _no_app(app_id)
        return await self._store.keys(app_id)

    async def revoke_key(self, app_id: str, prefix: str) -> bool:
        """Stop honouring a key at once; False when it is unknown."""
        done = await self._store.revoke_key(app_id, prefix, self._clock.now())
        self._forget()
        return done

    async def get(self, app_id: str) -> Tenant | None:
        """One app."""
        now = self._clock.monotonic()
        known = self._tenants.get(app_id)
        if known is not None and known[0] > now:
            return known[1]
        row = await self._store.app(app_id)
        if row is None:
            return None
        tenant = _tenant(row)
        self._tenants[app_id] = (now + CACHE_S, tenant)
        return tenant

    async def by_publishable(self, app_id: str, key: str) -> Tenant:
        """The app that the pair of id and publishable key names.

        Raises:
            Refused: `token_invalid`, the same for an unknown app and a wrong key.
        """
        row = await self._key(key)
        if row is None or row.app_id != app_id or row.kind != "publishable":
            raise refused_key()
        return await self._tenant_of(row)

    async def by_secret(self, key: str) -> Tenant:
        """The app whose secret key this is.

        Raises:
            Refused: `token_invalid`.
        """
        row = await self._key(key)
        if row is None or row.kind != "secret":
            raise refused_key()
        return await self._tenant_of(row)

    async def _tenant_of(self, row: KeyRow) -> Tenant:
        tenant = await self.get(row.app_id)
        if tenant is None:
            raise refused_key()
        return tenant

    async def _key(self, key: str) -> KeyRow | None:
        digest = hashlib.sha256(key.encode("utf-8", "replace")).digest()
        now = self._clock.monotonic()
        known = self._keys.get(digest)
        if known is not None and known[0] > now:
            return known[1]
        row = await self._store.key_by_digest(digest)
        if row is None:
            return None
        row = row if row.revoked_at is None else None
        self._keys[digest] = (now + CACHE_S, row)
        return row

    def _new_key(self, app_id: str, kind: KeyKind) -> tuple[NewKey, KeyRow]:
        key = self._ids.new("pk" if kind == "publishable" else "sk")
        prefix = key[:KEY_PREFIX_CHARS]
        digest = hashlib.sha256(key.encode()).digest()
        row = KeyRow(app_id, kind, prefix, digest, self._clock.now(), None)
        return NewKey(kind, key, prefix), row

    def _forget(self) -> None:
        self._tenants.clear()
        self._keys.clear()


def _short(new_id: str) -> str:
    """An app's id is read and typed by people, and dots part the names of LiveKit rooms."""
    return re.sub(r"[^A-Za-z0-9]", "", new_id)[:APP_ID_CHARS]


def _tenant(row: AppRow) -> Tenant:
    settings = msgspec.json.decode(row.settings, type=AppSettings)
    return Tenant(row.app_id, row.name, row.mode, settings)


def refused_key() -> Refused:
    """The same for an unknown app, an unknown key and a revoked one."""
    return Refused(
        "token_invalid",
        "The app id or the key was refused.",
        hint="Check X-App-Id and X-App-Key, or the secret key, against `utd apps ls`.",
    )


def _no_app(app_id: str) -> Refused:
    return Refused("not_found", f"There is no app {app_id!r}.")


def _bad_id(detail: str) -> Refused:
    return Refused("invalid_request", detail, hint="Leave 'app_id' out to get one.", field="app_id")
