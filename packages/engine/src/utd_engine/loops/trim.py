"""Trim: drops events, answers and rooms that are older than the operator keeps them."""

from datetime import timedelta
from typing import Final

import structlog

from utd_engine.ports.clock import Clock
from utd_engine.ports.store import Store, StoreUnavailable

HISTORY_KEPT: Final = timedelta(days=90)
EVERY_S: Final = 3600.0
_log: Final = structlog.get_logger("utd.trim")


class Trim:
    """Once an hour."""

    def __init__(self, store: Store, clock: Clock, keep_days: int) -> None:
        self._store = store
        self._clock = clock
        self._keep = timedelta(days=keep_days)

    async def serve(self) -> None:
        """Until cancelled."""
        while True:
            try:
                now = self._clock.now()
                gone = await self._store.trim(now - self._keep, history_before=now - HISTORY_KEPT)
                _log.info("store.trimmed", rows=gone)
            except StoreUnavailable:
                _log.warning("trim.store_unavailable")
            await self._clock.sleep(EVERY_S)
