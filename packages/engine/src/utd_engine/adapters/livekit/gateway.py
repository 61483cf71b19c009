"""LiveKit over its server API: Twirp calls with a deadline. The engine's only use of `livekit`.

Everything is level-triggered, so a call that may have been lost is simply made again; only
dispatching an agent is not.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

import aiohttp
import orjson
from google.protobuf.message import DecodeError, Message
from livekit.protocol.agent_dispatch import (
    AgentDispatch,
    CreateAgentDispatchRequest,
    DeleteAgentDispatchRequest,
)
from livekit.protocol.models import ParticipantInfo, ParticipantPermission, Room, TrackSource
from livekit.protocol.room import (
    CreateRoomRequest,
    DeleteRoomRequest,
    DeleteRoomResponse,
    ListParticipantsRequest,
    ListParticipantsResponse,
    ListRoomsRequest,
    ListRoomsResponse,
    RemoveParticipantResponse,
    RoomParticipantIdentity,
    UpdateParticipantRequest,
    UpdateRoomMetadataRequest,
)

from utd_engine.adapters.livekit.permissions import (
    LIVEKIT_ORDER,
    livekit_sources,
    observed_permission,
)
from utd_engine.adapters.livekit.tokens import ApiKey, ApiTokens, Signer, mint_join
from utd_engine.domain.permissions import Permission
from utd_engine.ports.clock import Clock
from utd_engine.ports.media import Incarnation, Join, MediaUnavailable, Observed
from utd_protocol.types import Source

CALL_WITHIN_S: Final = 2.0
RETRY_AFTER_S: Final = 0.05
EMPTY_TIMEOUT_S: Final = 86_400
DEPARTURE_TIMEOUT_S: Final = 3_600
"""LiveKit must never close a room before the room's policy does."""

Observe = Callable[[str, str, float], None]
"""Told of each attempt: the method, its outcome (`ok` or an error code) and its seconds."""

Answer = TypeVar("Answer", bound=Message)

_NUMBERS: Final[Mapping[Source, TrackSource]] = {
    Source.CAMERA: TrackSource.CAMERA,
    Source.MICROPHONE: TrackSource.MICROPHONE,
    Source.SCREEN_SHARE: TrackSource.SCREEN_SHARE,
    Source.SCREEN_SHARE_AUDIO: TrackSource.SCREEN_SHARE_AUDIO,
}
_TOKEN: Final = re.compile(r"eyJ[\w.-]+")


class LiveKitGateway:
    """Implements `MediaGateway`. Made inside a running loop, for its connections.

    Args:
        url: where clients connect, `ws://…` or `wss://…`.
        api_key: signs the tokens of clients and our own.
        clock: for deadlines and the life of tokens.
        api_url: where the engine reaches the server, when that is another address.
        call_within_s: the deadline of each call, its one retry included.
        observe: told of each attempt, for metrics.
    """

    def __init__(
        self,
        url: str,
        api_key: ApiKey,
        clock: Clock,
        *,
        api_url: str | None = None,
        call_within_s: float = CALL_WITHIN_S,
        observe: Observe = lambda _method, _code, _seconds: None,
    ) -> None:
        self.url = url
        self._signer = Signer(api_key)
        self._tokens = ApiTokens(self._signer)
        self._clock = clock
        self._api_url = re.sub("^ws", "http", api_url or url).rstrip("/")
        self._call_within_s = call_within_s
        self._observe = observe
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))

    async def ensure_room(self, room: str, *, metadata: str = "", max_participants: int = 0) -> str:
        """Create the room unless it is there; LiveKit then ignores metadata and size."""
        request = CreateRoomRequest(
            name=room,
            empty_timeout=EMPTY_TIMEOUT_S,
            departure_timeout=DEPARTURE_TIMEOUT_S,
            max_participants=max_participants,
            metadata=metadata,
        )
        return (await self._call("CreateRoom", request, Room)).sid

    async def remove_room(self, room: str) -> None:
        await self._find("DeleteRoom", DeleteRoomRequest(room=room), DeleteRoomResponse)
        self._tokens.forget(room)

    async def list_rooms(self) -> list[str]:
        answer = await self._call("ListRooms", ListRoomsRequest(), ListRoomsResponse)
        return [room.name for room in answer.rooms]

    async def push_member(
        self,
        room: str,
        identity: str,
        permission: Permission,
        *,
        attributes: dict[str, str] | None = None,
    ) -> bool:
        request = UpdateParticipantRequest(
            room=room,
            identity=identity,
            permission=_to_livekit(permission),
            attributes=attributes or {},
        )
        return await self._find("UpdateParticipant", request, ParticipantInfo, room) is not None

    async def remove_member(self, room: str, identity: str) -> bool:
        request = RoomParticipantIdentity(room=room, identity=identity)
        answer = await self._find("RemoveParticipant", request, RemoveParticipantResponse, room)
        return answer is not None

    async def list_members(self, room: str) -> Incarnation:
        """Two calls: the list of a missing room is empty too, so the room itself is asked for.

        It is asked for last. If the room was opened again in between, the list is the older one:
        somebody may be reported who has left, which the next list corrects, but nobody is
        reported absent from a room that was never looked at.
        """
        listed = await self._call(
            "ListParticipants", ListParticipantsRequest(room=room), ListParticipantsResponse, room
        )
        sid = await self._sid(room)
        if sid is None:
            return Incarnation(None, ())
        gone = ParticipantInfo.State.DISCONNECTED
        present = tuple(_observed(who) for who in listed.participants if who.state != gone)
        return Incarnation(sid, present)

    async def publish_events(self, room: str, metadata: str) -> bool:
        request = UpdateRoomMetadataRequest(room=room, metadata=metadata)
        return await self._find("UpdateRoomMetadata", request, Room, room) is not None

    async def dispatch_agent(self, room: str, agent_name: str, metadata: str) -> str:
        if await self._sid(room) is None:  # LiveKit itself would think about it for 3 s
            raise MediaUnavailable(f"LiveKit has no room {room}.", code="not_found")
        request = CreateAgentDispatchRequest(room=room, agent_name=agent_name, metadata=metadata)
        return (await self._call("CreateDispatch", request, AgentDispatch, room)).id

    async def withdraw_agent(self, room: str, dispatch_id: str) -> None:
        if await self._sid(room) is not None:
            request = DeleteAgentDispatchRequest(room=room, dispatch_id=dispatch_id)
            await self._find("DeleteDispatch", request, AgentDispatch, room)

    def mint_token(self, join: Join, *, now: datetime, ttl_s: int) -> str:
        return mint_join(join, self._signer, now=now, ttl_s=ttl_s)

    async def healthy(self) -> bool:
        try:
            return await self._clock.within(self._call_within_s, self._answers())
        except (TimeoutError, aiohttp.ClientError):
            return False

    async def aclose(self) -> None:
        await self._http.close()

    async def _answers(self) -> bool:
        async with self._http.get(self._api_url) as answer:
            return answer.status == 200  # noqa: PLR2004  # OK

    async def _sid(self, room: str) -> str | None:
        request = ListRoomsRequest(names=[room])
        rooms = (await self._call("ListRooms", request, ListRoomsResponse)).rooms
        return rooms[0].sid if rooms else None

    async def _find(
        self, method: str, request: Message, answer: type[Answer], room: str | None = None
    ) -> Answer | None:
        """Call about something that need not be there: None when it is not."""
        try:
            return await self._call(method, request, answer, room)
        except MediaUnavailable as failure:
            if failure.code == "not_found":
                return None
            raise

    async def _call(
        self, method: str, request: Message, answer: type[Answer], room: str | None = None
    ) -> Answer:
        """Call with a token for this room, or for all rooms; within the deadline."""
        now = self._clock.now()
        token = self._tokens.for_rooms(now) if room is None else self._tokens.for_room(room, now)
        try:
            body = await self._clock.within(
                self._call_within_s, self._attempts(method, request.SerializeToString(), token)
            )
            return answer.FromString(body)
        except TimeoutError as late:
            message = f"LiveKit did not answer {method} within {self._call_within_s} s."
            raise MediaUnavailable(message, code="timeout") from late
        except DecodeError as broken:
            message = f"LiveKit's answer to {method} cannot be read."
            raise MediaUnavailable(message, code="malformed") from broken

    async def _attempts(self, method: str, body: bytes, token: str) -> bytes:
        """Twice when the first was refused for now or cut: a dispatch alone is not repeatable."""
        try:
            return await self._attempt(method, body, token)
        except MediaUnavailable as failure:
            if failure.code not in {"unavailable", "connection"} or method == "CreateDispatch":
                raise
        await self._clock.sleep(RETRY_AFTER_S)
        return await self._attempt(method, body, token)

    async def _attempt(self, method: str, body: bytes, token: str) -> bytes:
        started = self._clock.monotonic()
        code = "timeout"  # whatever ends it otherwise: the deadline, or a caller who gave up
        try:
            answer = await self._post(method, body, token)
            code = "ok"
        except MediaUnavailable as failure:
            code = failure.code
            raise
        except aiohttp.ClientError as error:
            code = "connection"
            message = f"LiveKit cannot be reached for {method}: {_scrub(str(error))}"
            raise MediaUnavailable(message, code=code) from None
        finally:
            self._observe(method, code, self._clock.monotonic() - started)
        return answer

    async def _post(self, method: str, body: bytes, token: str) -> bytes:
        service = "AgentDispatchService" if method.endswith("Dispatch") else "RoomService"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/protobuf"}
        url = f"{self._api_url}/twirp/livekit.{service}/{method}"
        async with self._http.post(url, data=body, headers=headers) as answer:
            content = await answer.read()
            if answer.status == 200:  # noqa: PLR2004  # OK
                return content
            code, text = _twirp_error(content)
            message = f"LiveKit refused {method} with status {answer.status} ({code}): {text}"
            raise MediaUnavailable(message, code=code)


def _twirp_error(content: bytes) -> tuple[str, str]:
    try:
        error = orjson.loads(content)
        return str(error["code"]), _scrub(str(error["msg"]))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "unknown", "no reason given"


def _scrub(text: str) -> str:
    """LiveKit's error texts echo whole tokens."""
    return _TOKEN.sub("[token]", text)[:500]


def _to_livekit(permission: Permission) -> ParticipantPermission:
    """All fields: what is left out becomes false, and no sources at all would mean every source."""
    return ParticipantPermission(
        can_subscribe=permission.can_subscribe,
        can_publish=permission.can_publish,
        can_publish_data=permission.can_publish_data,
        can_publish_sources=[_NUMBERS[source] for source in livekit_sources(permission)],
        hidden=permission.hidden,
        recorder=False,
        can_update_metadata=False,
        agent=False,
        can_subscribe_metrics=False,
        can_manage_agent_session=False,
    )


def _observed(who: ParticipantInfo) -> Observed:
    permission = who.permission
    joined_at_ms = who.joined_at_ms or who.joined_at * 1000
    return Observed(
        identity=who.identity,
        sid=who.sid,
        joined_at=datetime.fromtimestamp(joined_at_ms / 1000, UTC),
        active=who.state == ParticipantInfo.State.ACTIVE,
        agent=who.kind == ParticipantInfo.Kind.AGENT,
        hidden=permission.hidden,
        permission=observed_permission(
            can_publish=permission.can_publish,
            sources=[s for s in LIVEKIT_ORDER if _NUMBERS[s] in permission.can_publish_sources],
            can_subscribe=permission.can_subscribe,
            can_publish_data=permission.can_publish_data,
            hidden=permission.hidden,
        ),
        agent_name=who.attributes.get("lk.agent.name") or who.attributes.get("lk.agent_name", ""),
    )
