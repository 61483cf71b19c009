"""The tables beside the logs, in this process: tenants, keys, bans and audit of `MemoryStore`."""

from collections.abc import Sequence
from datetime import datetime

from utd_engine.adapters.sqlite.rows import check_key
from utd_engine.ports.audit import AuditEntry
from utd_engine.ports.bans import BanLift, BanRow
from utd_engine.ports.store import StoreUnavailable
from utd_engine.ports.tenants import AppRow, KeyRow


class MemoryTables:
    """The half of `MemoryStore` that knows no aggregates."""

    def __init__(self) -> None:
        self._closed = False
        self._audit: list[AuditEntry] = []
        self._bans: dict[tuple[str, str, str], BanRow] = {}
        self._apps: dict[str, AppRow] = {}
        self._keys: dict[bytes, KeyRow] = {}

    async def put_app(self, app: AppRow, keys: Sequence[KeyRow]) -> None:
        """Create or replace an app, and add keys."""
        self._check_open()
        for key in keys:
            self._check_key(key, is_app=key.app_id == app.app_id or key.app_id in self._apps)
        self._apps[app.app_id] = app
        for key in keys:
            self._keys.setdefault(key.digest, key)

    async def app(self, app_id: str) -> AppRow | None:
        """One tenant."""
        self._check_open()
        return self._apps.get(app_id)

    async def apps(self) -> list[AppRow]:
        """All tenants, oldest first."""
        self._check_open()
        return sorted(self._apps.values(), key=lambda app: (app.created_at, app.app_id))

    async def keys(self, app_id: str) -> list[KeyRow]:
        """All keys of an app, revoked ones too."""
        self._check_open()
        found = [key for key in self._keys.values() if key.app_id == app_id]
        return sorted(found, key=lambda key: (key.created_at, key.prefix))

    async def key_by_digest(self, digest: bytes) -> KeyRow | None:
        """The key with this digest, revoked or not."""
        self._check_open()
        return self._keys.get(digest)

    async def add_key(self, row: KeyRow) -> None:
        """One more key for an app; `ValueError` when there is no such app."""
        self._check_open()
        self._check_key(row, is_app=row.app_id in self._apps)
        self._keys.setdefault(row.digest, row)

    async def revoke_key(self, app_id: str, prefix: str, at: datetime) -> bool:
        """Stop honouring a key; False when it is unknown."""
        found = [key for key in await self.keys(app_id) if key.prefix == prefix]
        for key in found:
            self._keys[key.digest] = key._replace(revoked_at=key.revoked_at or at)
        return bool(found)

    async def bans_of(self, app: str, identity: str, now: datetime) -> list[BanRow]:
        """Bans of one identity that hold now, of any place."""
        self._check_open()
        found = [
            ban
            for ban in self._bans.values()
            if (ban.app, ban.identity) == (app, identity) and _holds(ban, now)
        ]
        return sorted(found, key=lambda ban: ban.place)

    async def banned(self, app: str, place: str, now: datetime) -> frozenset[str]:
        """Identities that may not be at a place now."""
        self._check_open()
        return frozenset(ban.identity for ban in self._reaching(app, place) if _holds(ban, now))

    async def bans(
        self, app: str, place: str, *, after: str = "", limit: int = 100
    ) -> list[BanRow]:
        """Bans of a place and of the app; one more than the limit rather than half an identity."""
        self._check_open()
        found = [ban for ban in self._reaching(app, place) if ban.identity > after]
        page = found[:limit]
        cut = page and len(found) > limit and found[limit].identity == page[-1].identity
        return found[: limit + 1] if cut else page

    async def audit(
        self, app: str, room: str, *, after: int = 0, limit: int = 100
    ) -> list[AuditEntry]:
        """Audit records, oldest first; an empty room means the whole app."""
        self._check_open()
        found = [
            entry
            for entry in self._audit
            if entry.app == app and room in {"", entry.room} and entry.id > after
        ]
        return found[:limit]

    async def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        """Records of refusals, which have no append to ride in."""
        self._check_open()
        self._put_audit(entries)

    async def ping(self) -> None:
        """Always ready until closed."""
        self._check_open()

    async def aclose(self) -> None:
        """Refuse every later call."""
        self._closed = True

    def _put_audit(self, entries: Sequence[AuditEntry]) -> None:
        first = len(self._audit) + 1
        self._audit += [entry._replace(id=first + n) for n, entry in enumerate(entries)]

    def _put_bans(self, bans: Sequence[BanRow | BanLift]) -> None:
        for ban in bans:
            name = (ban.app, ban.identity, ban.place)
            if isinstance(ban, BanRow):
                self._bans[name] = ban
            else:
                self._bans.pop(name, None)

    def _reaching(self, app: str, place: str) -> list[BanRow]:
        found = [ban for ban in self._bans.values() if ban.app == app and ban.place in {place, ""}]
        return sorted(found, key=lambda ban: (ban.identity, ban.place))

    def _check_key(self, row: KeyRow, *, is_app: bool) -> None:
        known = self._keys.get(row.digest)
        check_key(row, known.app_id if known else row.app_id, is_app=is_app)

    def _check_open(self) -> None:
        if self._closed:
            message = "The store is closed."
            raise StoreUnavailable(message)


def _holds(ban: BanRow, now: datetime) -> bool:
    return ban.until is None or ban.until > now
