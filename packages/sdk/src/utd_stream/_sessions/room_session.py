"""What audio rooms and live streams share: roles, members, moderation, policy, the room's end."""

from datetime import datetime
from typing import Final

from utd_protocol.answers import BanRecord, Page, Present
from utd_protocol.policy import PolicyPatch
from utd_protocol.types import BanScope, Role, Source
from utd_stream._engine.http import read, segment
from utd_stream._models import UTDTokenResponse
from utd_stream._observable import Observable
from utd_stream._room.connection import SourceName
from utd_stream._sessions.door import Door
from utd_stream._sessions.session import UTDSession
from utd_stream._sessions.updates import Update

_MODERATORS: Final = frozenset({Role.HOST, Role.ADMIN})


class RoomSession(UTDSession):
    """One user in a room with roles and moderation.

    Every command returns when the engine has committed it and `view` shows it. All of them
    raise `NotAllowed` when the role gives no right to it, `Unreachable` and `EngineError` when
    the engine does not answer, and `Closed` when the session is not in its room. Cancelling a
    command is safe; whether the engine carried it out is then not known.
    """

    def __init__(self, door: Door, answer: UTDTokenResponse) -> None:
        super().__init__(door, answer)
        self._role = Observable(answer.room.role_of(door.identity))
        self._role_clamped = answer.role_clamped
        self._audience: Observable[int | None] = Observable(None)
        self._follower.signals.listen(self._take_signals)

    @property
    def audience(self) -> Observable[int | None]:
        """How many people are in the room, about once a second; None until it is told."""
        return self._audience

    @property
    def role(self) -> Observable[Role]:
        """This user's role now: `host`, `admin` or `audience`."""
        return self._role

    @property
    def role_clamped(self) -> bool:
        """Whether the join claimed to be host and was admitted as less."""
        return self._role_clamped

    @property
    def is_host(self) -> bool:
        """Whether this user is the host now. The reference's `isHost`."""
        return self._role.value is Role.HOST

    async def members(
        self,
        *,
        role: Role | str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page[Present]:
        """Ask who is in the room.

        Args:
            role: only these.
            cursor: `next_cursor` of the page before.
            limit: how many at most.

        Returns:
            A page; it is the last one when its `next_cursor` is None.
        """
        call = read(f"{self._door.path}/members", role=role, cursor=cursor, limit=limit)
        return await self._ask(call, Page[Present])

    async def set_role(self, identity: str, role: Role | str) -> None:
        """Make somebody `admin`, or `audience` again. Host only, but for stepping down oneself."""
        await self._order("PATCH", f"/members/{segment(identity)}", {"role": role})

    async def transfer_host(self, identity: str) -> None:
        """Hand the room over. Host only.

        Raises:
            NotFound: they are not in the room.
        """
        await self._order("POST", "/transfer-host", {"identity": identity})

    async def kick(self, identity: str, reason: str = "") -> None:
        """Put somebody out; everything they had is free, and they may return.

        Args:
            identity: who. Their role must be below one's own.
            reason: reaches them.
        """
        await self._order("POST", f"/members/{segment(identity)}/kick", {"reason": reason})

    async def ban(
        self,
        identity: str,
        *,
        scope: BanScope | str = BanScope.ROOM,
        until: datetime | None = None,
        reason: str = "",
    ) -> None:
        """Put somebody out and refuse them from now on.

        Args:
            identity: who. Their role must be below one's own.
            scope: `room` (this name) or `app`.
            until: when it ends, with a time zone; never by default.
            reason: for moderators.

        Raises:
            ValueError: `until` has no time zone.
        """
        if until is not None and until.tzinfo is None:
            message = "until needs a time zone, such as datetime.now(UTC) + timedelta(hours=1)"
            raise ValueError(message)
        body = given(scope=scope, until=until, reason=reason)
        await self._order("PUT", f"/bans/{segment(identity)}", body)

    async def unban(self, identity: str, *, scope: BanScope | str = BanScope.ROOM) -> None:
        """Let somebody come back. Nobody banned is fine."""
        await self._order("DELETE", f"/bans/{segment(identity)}", {"scope": scope})

    async def bans(self, *, cursor: str | None = None, limit: int | None = None) -> Page[BanRecord]:
        """Ask who is banned, by whom, since when and why. For moderators.

        Args:
            cursor: `next_cursor` of the page before.
            limit: how many at most.
        """
        return await self._ask(
            read(f"{self._door.path}/bans", cursor=cursor, limit=limit), Page[BanRecord]
        )

    async def ask_mute(self, identity: str, source: SourceName = Source.MICROPHONE) -> None:
        """Ask somebody to mute. They see it; nothing is enforced."""
        await self._member(identity, "ask-mute", source)

    async def hard_mute(self, identity: str, source: SourceName = Source.MICROPHONE) -> None:
        """Take a source away from somebody until it is lifted."""
        await self._member(identity, "hard-mute", source)

    async def lift_mute(self, identity: str, source: SourceName = Source.MICROPHONE) -> None:
        """Let somebody publish a source again. It is never opened for them."""
        await self._member(identity, "lift-mute", source)

    async def mute_all(
        self, source: SourceName = Source.MICROPHONE, *, except_: tuple[str, ...] = ()
    ) -> None:
        """Take a source away from everybody who publishes, but moderators.

        Args:
            source: what to take.
            except_: identities that keep it.
        """
        await self._order("POST", "/mute-all", {"source": source, "except_": except_})

    async def change_policy(self, policy: PolicyPatch, *, if_version: int | None = None) -> None:
        """Replace the fields of the room's policy that are named. Host only.

        Args:
            policy: the fields; durations in seconds.
            if_version: the `policy_version` that this is meant to change.

        Raises:
            Conflict: it has another version by now (`version_conflict`).
        """
        await self._order("PATCH", "/policy", given(policy=policy, if_version=if_version))

    async def change_settings(self, *, metadata: str) -> None:
        """Change the room's own text (4 KB at most). Host only."""
        await self._order("PATCH", "/settings", {"metadata": metadata})

    async def end(self, reason: str = "ended") -> None:
        """End the room for everybody, for good. Host only. This session is then over too.

        Args:
            reason: what the others are told.
        """
        self._ended_by_us = True
        try:
            await self._order("POST", "/end", {"reason": reason})
        except BaseException:
            self._ended_by_us = False
            raise

    def _may(self, capability: str) -> bool:
        """Whether this user's role has a capability that by default moderators have."""
        view, role = self._view.value, self._role.value
        replaced = view.policy.capabilities.get(role)
        if role is Role.HOST or replaced is None:
            return role in _MODERATORS
        return capability in replaced

    def _accept(self, answer: UTDTokenResponse) -> None:
        super()._accept(answer)
        self._role_clamped = answer.role_clamped

    def _changed(self, updates: tuple[Update, ...]) -> None:
        super()._changed(updates)
        self._role._set(self._view.value.role_of(self.identity))  # noqa: SLF001 its owner sets it

    def _take_signals(self, signals: tuple[dict[str, object], ...]) -> None:
        for signal in signals:
            count = signal.get("count")
            if signal.get("kind") == "audience" and isinstance(count, int):
                self._audience._set(count)  # noqa: SLF001 its owner sets it

    def _close_values(self) -> None:
        super()._close_values()
        self._role._close()  # noqa: SLF001
        self._audience._close()  # noqa: SLF001

    async def _member(self, identity: str, act: str, source: SourceName) -> None:
        await self._order("POST", f"/members/{segment(identity)}/{act}", {"source": source})


def given(**fields: object) -> dict[str, object]:
    """The fields that are not None: what is absent stays as it is."""
    return {name: value for name, value in fields.items() if value is not None}
