"""Bans: who is refused at every door (rule R6). Who comes often costs one look."""

from typing import Final

from utd_engine.app.commits import Commit
from utd_engine.domain.refusal import Refused
from utd_engine.ports.bans import BanRow
from utd_engine.ports.clock import Clock
from utd_engine.ports.store import Store

TRUSTED_S: Final = 5.0
"""Another replica's ban is noticed after this long; the sweep puts out who slipped in meanwhile."""
TRUSTED: Final = 50_000
_CHANGES: Final = frozenset({"member.banned", "member.unbanned"})


class Bans:
    """Remembers for a moment who was found to have no ban."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._free: dict[tuple[str, str], float] = {}
        self._changes = 0

    async def of(self, app: str, identity: str, place: str) -> BanRow | None:
        """The ban that keeps somebody from a place now, or None."""
        who = (app, identity)
        if self._free.get(who, 0.0) > self._clock.monotonic():
            return None
        changes = self._changes
        bans = await self._store.bans_of(app, identity, self._clock.now())
        if not bans and changes == self._changes:  # else the answer may be from before a ban
            if len(self._free) >= TRUSTED:
                self._free.clear()
            self._free[who] = self._clock.monotonic() + TRUSTED_S
        return next((ban for ban in bans if ban.place in {"", place}), None)

    async def refuse(self, app: str, identity: str, place: str) -> None:
        """Keep a banned identity out.

        Raises:
            Refused: `banned`, with `until` and `reason`.
        """
        ban = await self.of(app, identity, place)
        if ban is not None:
            until = ban.until.isoformat() if ban.until else None
            raise Refused(
                "banned",
                f"{identity!r} is banned" + (f" until {until}." if until else "."),
                rule="R6",
                hint="A moderator or the app's backend lifts a ban.",
                until=until,
                reason=ban.reason,
            )

    def committed(self, commit: Commit) -> None:
        """A ban of this process counts at once."""
        if any(event.type in _CHANGES for event in commit.events):
            self._changes += 1
            self._free.clear()
