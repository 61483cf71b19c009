"""The database as a whole: the ports of every noun in one, and its life."""

from datetime import datetime
from typing import Protocol

from utd_engine.ports.audit import AuditStore
from utd_engine.ports.bans import BanStore
from utd_engine.ports.history import HistoryStore
from utd_engine.ports.presence import PresenceStore
from utd_engine.ports.rooms import RoomStore
from utd_engine.ports.tenants import TenantStore


class StoreUnavailable(Exception):
    """The database cannot answer now (locked, full, gone).

    Nothing was changed by this call, unless its text says that the outcome is not known yet.
    """


class Store(RoomStore, PresenceStore, TenantStore, BanStore, AuditStore, HistoryStore, Protocol):
    """One database behind every port."""

    async def trim(self, before: datetime, *, history_before: datetime | None = None) -> int:
        """Drop events, answers and closed aggregates older than this; how many rows went."""
        ...

    async def ping(self) -> None:
        """Prove that a write would succeed; raises `StoreUnavailable`."""
        ...

    async def aclose(self) -> None:
        """Finish what is queued and free everything."""
        ...
