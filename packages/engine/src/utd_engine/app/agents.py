"""Agents: opens rooms for a user and the agents they want, and asks LiveKit for them (rule R51).

Which agent should be where is state. This service only carries it to LiveKit: whenever the state
says that an agent is wanted and its user is there, one dispatch is made; what fails, the sweep
brings back.
"""

import asyncio
from typing import Final

import structlog

from utd_engine.app.admission import Admission, Person
from utd_engine.app.apps import Tenant
from utd_engine.app.bans import Bans
from utd_engine.app.commits import Commit
from utd_engine.app.naming import ban_place, sfu_name
from utd_engine.app.rooms import Rooms, Taken, is_open
from utd_engine.app.snapshots import Snapshot
from utd_engine.domain.agents import Ask, to_ask
from utd_engine.domain.orders import AgentAsked
from utd_engine.domain.refusal import Refused
from utd_engine.ports.clock import Clock, Ids
from utd_engine.ports.media import MediaGateway, MediaUnavailable
from utd_engine.ports.rooms import Key
from utd_engine.ports.store import StoreUnavailable
from utd_engine.ports.tasks import Tasks
from utd_protocol import events as ev
from utd_protocol.answers import AgentTokenAnswer, AgentTokenRequest
from utd_protocol.types import Identity, Role, RoomId, RoomName, RoomType
from utd_protocol.types import RoomState as Phase

_log: Final = structlog.get_logger("utd.agents")


class Agents:
    """Agent rooms of all apps."""

    def __init__(
        self,
        rooms: Rooms,
        admission: Admission,
        bans: Bans,
        media: MediaGateway,
        *,
        clock: Clock,
        ids: Ids,
        tasks: Tasks,
    ) -> None:
        self._rooms = rooms
        self._admission = admission
        self._bans = bans
        self._media = media
        self._clock = clock
        self._ids = ids
        self._tasks = tasks
        self._asking: dict[Key, bool] = {}
        """Rooms for which dispatches are being made; True: look again afterwards."""

    async def open(
        self, tenant: Tenant, person: Person, wish: AgentTokenRequest
    ) -> AgentTokenAnswer:
        """A token for a room with the agents that were asked for.

        Every call opens a new room, unless a live one of the user's own is named: a room that an
        agent has served may hold one that never answers again.

        Raises:
            Refused: `not_allowed` for a name that is somebody else's, `banned`, `version_conflict`.
            MediaUnavailable: LiveKit cannot take the room now.
        """
        name = wish.room_name or self._ids.new("agent")
        await self._bans.refuse(tenant.app_id, person.identity, ban_place(RoomType.AGENT, name))
        key, snapshot = await self._room(tenant, person, wish, name)
        if snapshot.state.view.owner != person.identity:
            raise Refused(
                "not_allowed",
                f"The agent room {name!r} is somebody else's.",
                rule="R51",
                hint="Leave 'room_name' out to get a room of your own.",
            )
        admitted = await self._admission.admit(
            key,
            snapshot,
            person,
            Role.HOST,
            wish.participant_attributes,
            metadata=wish.participant_metadata,
        )
        return AgentTokenAnswer(server_url=admitted.url, participant_token=admitted.token)

    def new_identity(self) -> str:
        """A name for somebody who gave none."""
        return self._ids.new("user")

    def committed(self, commit: Commit) -> None:
        """Ask for whoever is wanted from now on."""
        if commit.after.view.agents:
            self.look(commit.key)

    def look(self, key: Key) -> None:
        """Ask LiveKit for every agent that is wanted in a room now; looks coalesce."""
        if key in self._asking:
            self._asking[key] = True
            return
        self._asking[key] = False
        self._tasks.create_task(self._ask_until_done(key), name=f"agents {key.id}")

    async def _ask_until_done(self, key: Key) -> None:
        try:
            while True:
                self._asking[key] = False
                await self._ask_all(key)
                if not self._asking[key]:
                    return
        except (MediaUnavailable, StoreUnavailable):
            _log.warning("agents.unavailable", room=key.id)
        except Exception:  # noqa: BLE001 one broken room must not stop the others
            _log.exception("agents.failed", room=key.id)
        finally:
            del self._asking[key]

    async def _ask_all(self, key: Key) -> None:
        snapshot = await self._rooms.peek(key)
        if snapshot is None or not is_open(snapshot.state):
            return
        room = sfu_name(key, snapshot.state.view.type)
        for ask in to_ask(snapshot.state):
            await self._ask(key, room, ask)

    async def _ask(self, key: Key, room: str, ask: Ask) -> None:
        """One dispatch. One whose job died is withdrawn first: only a new one starts a job."""
        if ask.withdraw is not None:
            await self._media.withdraw_agent(room, ask.withdraw)
        dispatch_id = await self._media.dispatch_agent(room, ask.agent_name, ask.metadata)
        try:
            order = AgentAsked(agent_name=ask.agent_name, dispatch_id=dispatch_id)
            await self._rooms.act(key, order)
        except (Refused, StoreUnavailable) as unsaved:
            # What the state does not know of would stay beside the next one.
            await asyncio.shield(self._media.withdraw_agent(room, dispatch_id))
            if isinstance(unsaved, StoreUnavailable):
                raise

    async def _room(
        self, tenant: Tenant, person: Person, wish: AgentTokenRequest, name: str
    ) -> tuple[Key, Snapshot]:
        found = await self._admission.find(tenant, RoomType.AGENT, name)
        if found is not None:
            return found
        identity = Identity(person.identity)
        opening = ev.RoomOpened(
            at=self._clock.now(),
            by=identity,
            room_id=RoomId(self._ids.new("rm")),
            room_type=RoomType.AGENT,
            name=RoomName(name),
            owner=identity,
            host=identity,
            state=Phase.OPEN,
            policy=tenant.policy(RoomType.AGENT),
            agents=tuple(
                ev.AgentWish(agent_name=agent.agent_name, metadata=agent.metadata)
                for agent in wish.agents
            ),
        )
        key = Key(tenant.app_id, "room", opening.room_id)
        opened = await self._rooms.open(key, opening)
        if isinstance(opened, Snapshot):
            return key, opened
        if isinstance(opened, Taken):
            found = await self._admission.find(tenant, RoomType.AGENT, name)
            if found is not None:
                return found
        raise Refused("version_conflict", f"{name!r} is opened and ended at this moment.")
