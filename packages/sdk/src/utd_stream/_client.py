"""The way in: credentials, one HTTP pool, and the sessions that are made of them."""

import asyncio
import os
from typing import Final, Self, TypeVar

from msgspec import structs

from utd_protocol.answers import TokenRequest
from utd_protocol.policy import PolicyPatch
from utd_protocol.types import Role, RoomType, SeatMode
from utd_stream._engine.backoff import Jitter, even_jitter
from utd_stream._engine.http import DEADLINE, EngineHTTP, decode, write
from utd_stream._media.frames import MediaInputs
from utd_stream._models import UTDStreamType, UTDTokenResponse
from utd_stream._room.encryption import E2EEOptions
from utd_stream._room.link import ABANDONED_FOR, Abandoned, OpenLink
from utd_stream._room.room import UTDRoom
from utd_stream._sessions.audio_room import UTDAudioRoomSession
from utd_stream._sessions.live_stream import UTDLiveStreamSession
from utd_stream._sessions.personal import IdentityToken, PersonalClient
from utd_stream._sessions.session import UTDSession
from utd_stream.agents._engine import EngineTokenSource
from utd_stream.agents._options import SessionOptions
from utd_stream.agents._session import Session
from utd_stream.agents._tokens import TokenRequestOptions

S = TypeVar("S", bound=UTDSession)

RECONNECT_FOR: Final = 60.0
_LOCAL_ENGINE: Final = "http://127.0.0.1:8080"


class UTDStreamClient(PersonalClient):
    """The entry: one for each signed-in user, shared by all their sessions.

    The reference's `UTDStreamClient`. Made without a running loop. As `async with` it disposes
    the sessions that are still there when the block ends; `dispose` alone leaves them be.
    """

    def __init__(  # noqa: PLR0913 all are named
        self,
        *,
        app_id: str,
        app_key: str,
        base_url: str | None = None,
        token_base_url: str | None = None,
        identity_token: IdentityToken | None = None,
        media: MediaInputs | None = None,
        timeout: float = DEADLINE,
        reconnect_for: float = RECONNECT_FOR,
        roaming: bool = False,
        single_peer_connection: bool | None = None,
        open_link: OpenLink | None = None,
        jitter: Jitter = even_jitter,
    ) -> None:
        """Keep the options; nothing is opened yet.

        Args:
            app_id: the app.
            app_key: its publishable key (`pk_…`).
            base_url: where the engine answers; `$UTD_BASE_URL`, or the local engine, by default.
            token_base_url: where tokens are made, when that is another address.
            identity_token: who the user is, signed by the app's backend, or an async function
                that fetches such a token. Apps in development need none.
            media: microphone and camera of all sessions; silent and dark by default, one for
                each session. A given one feeds one session at a time: where several run at once,
                give each a source of its own with `set_microphone(True, source)`.
            timeout: seconds for each call, with all its retries, and for joining LiveKit.
            reconnect_for: seconds for which a session tries to come back when LiveKit gave up.
            roaming: for devices that change networks; see `UTDRoom`.
            single_peer_connection: see `UTDRoom`.
            open_link: makes LiveKit connections; a fake of `utd_stream.testing` in tests.
            jitter: the chance in delays between retries.

        Raises:
            ValueError: an address is not an absolute http(s) URL.
        """
        base_url = base_url or os.environ.get("UTD_BASE_URL") or _LOCAL_ENGINE
        self._abandoned = Abandoned()
        self._agent_sessions: set[Session] = set()

        def make_room(encryption: E2EEOptions | None) -> UTDRoom:
            room = UTDRoom(
                encryption=encryption,
                roaming=roaming,
                single_peer_connection=single_peer_connection,
                timeout=timeout,
                media=media,
                open_link=open_link,
            )
            room._leave_abandoned_to(self._abandoned)  # noqa: SLF001 it is this client's
            return room

        http = EngineHTTP(
            app_id=app_id,
            app_key=app_key,
            base_url=base_url,
            token_base_url=token_base_url,
            timeout=timeout,
            jitter=jitter,
        )
        super().__init__(
            http,
            make_room,
            identity_token=identity_token,
            reconnect_for=reconnect_for,
            jitter=jitter,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await asyncio.gather(
                *(session.dispose() for session in self._sessions),
                *(session.__aexit__() for session in self._agent_sessions),
            )
        finally:
            await self.dispose()

    async def join_audio_room(  # noqa: PLR0913 the reference's arguments, all named
        self,
        *,
        identity: str,
        room_name: str,
        as_host: bool = False,
        name: str | None = None,
        device_id: str | None = None,
        seat_count: int | None = None,
        seat_mode: SeatMode | str | None = None,
        mode_id: str | None = None,
        policy: PolicyPatch | None = None,
        metadata: str = "",
    ) -> UTDAudioRoomSession:
        """Join an audio room, and connect. The reference's `joinAudioRoom`.

        Also usable as `async with await client.join_audio_room(…) as room:`. When it fails or is
        cancelled, nothing of it stays behind on this side.

        Args:
            identity: who joins, in the app's words, 1 to 256 bytes.
            room_name: the room's name, 1 to 128 bytes.
            as_host: open the room if it is not, and own it. `session.role` tells what one got.
            name: for display.
            device_id: this installation; one for the life of the client by default.
            seat_count: 1 to 64 seats, if this join opens the room; 8 by default.
            seat_mode: `free`, `request` or `invite`, if this join opens the room.
            mode_id: a preset of the app, if this join opens the room.
            policy: rules of the room, if this join opens it; durations in seconds.
            metadata: the room's own text, if this join opens it.

        Returns:
            The connected session, its view caught up with the engine's.

        Raises:
            ValueError: an argument is not as above (the message names it), or sessions of
                another identity are still there.
            NotFound: nobody has opened a room of this name (`room_not_found`).
            Banned: this identity may not come in.
            AuthRejected: the credentials were refused.
            Unreachable: the engine or LiveKit did not answer in time.
        """
        request = TokenRequest(
            type=RoomType.AUDIO_ROOM,
            room_name=room_name,
            identity=identity,
            role=Role.HOST if as_host else Role.AUDIENCE,
            name=name,
            device_id=device_id or self._device_id,
            seat_count=seat_count,
            seat_mode=None if seat_mode is None else SeatMode(seat_mode),
            mode_id=mode_id,
            policy=policy,
            metadata=metadata,
        )
        return await self._join(request, UTDAudioRoomSession)

    async def join_live_stream(
        self,
        *,
        identity: str,
        room_name: str,
        as_host: bool = False,
        name: str | None = None,
        device_id: str | None = None,
        policy: PolicyPatch | None = None,
        metadata: str = "",
    ) -> UTDLiveStreamSession:
        """Join a live stream, and connect. The reference's `joinLiveStream`.

        Also usable as `async with await client.join_live_stream(…) as live:`. A stream begins
        backstage: nobody is heard or seen before its host goes live, and viewers may wait. When
        it fails or is cancelled, nothing of it stays behind on this side.

        Args:
            identity: who joins, in the app's words, 1 to 256 bytes.
            room_name: the stream's name, 1 to 128 bytes.
            as_host: open the stream if it is not, and own it. `session.role` tells what one got.
            name: for display.
            device_id: this installation; one for the life of the client by default.
            policy: rules of the room, if this join opens it; durations in seconds.
            metadata: the room's own text, if this join opens it.

        Returns:
            The connected session, its view caught up with the engine's.

        Raises:
            ValueError: an argument is not as above (the message names it), or sessions of
                another identity are still there.
            NotFound: nobody has opened a stream of this name (`room_not_found`).
            Banned: this identity may not come in.
            AuthRejected: the credentials were refused.
            Unreachable: the engine or LiveKit did not answer in time.
        """
        request = TokenRequest(
            type=RoomType.LIVE_STREAM,
            room_name=room_name,
            identity=identity,
            role=Role.HOST if as_host else Role.AUDIENCE,
            name=name,
            device_id=device_id or self._device_id,
            policy=policy,
            metadata=metadata,
        )
        return await self._join(request, UTDLiveStreamSession)

    def agent_session(
        self,
        *,
        agent_name: str | None = None,
        identity: str | None = None,
        name: str | None = None,
        agent_metadata: str | None = None,
        room_name: str | None = None,
        options: SessionOptions | None = None,
    ) -> Session:
        """A `Session` with an AI agent, in a room that the engine opens for it.

        Nothing is asked of the engine yet: that is done by `start`, or by
        `async with client.agent_session(agent_name="…") as session:`. The reference's
        `Session.withAgent`, with the engine's `/agents/token` as its token source.

        Args:
            agent_name: as its worker is registered; without one no agent is asked for.
            identity: who the user is; by default whoever joined or authenticated last, or, if
                nobody did, what the engine chooses.
            name: for display.
            agent_metadata: for the agent, as `job.metadata` there.
            room_name: a live agent room of this user's own; by default a new one at each start.
            options: microphone, timeouts, encryption.

        Raises:
            ClosedByUs: the client is closed.
        """
        self._check_open()
        options = options or SessionOptions()
        source = EngineTokenSource(self._http, self._fetch_identity_token)
        wanted = TokenRequestOptions(
            room_name=room_name,
            participant_identity=identity or self._identity,
            participant_name=name,
            agent_name=agent_name,
            agent_metadata=agent_metadata,
        )
        session = Session(
            lambda: source.fetch(wanted), options=options, room=self._make_room(options.encryption)
        )
        self._agent_sessions.add(session)

        async def forget() -> None:
            self._agent_sessions.discard(session)

        session.on_dispose(forget)
        return session

    async def dispose(self) -> None:
        """Free the HTTP pool; every later call raises `ClosedByUs`. The reference's `dispose`.

        Iterators over the inbox and over incoming calls end. Sessions are disposed separately,
        and first: without the client they cannot tell the engine that they leave. Idempotent. It
        waits for LiveKit connections that were given up while they were being made, which end
        after 60 s at the latest.
        """
        if self._bell is not None:
            await self._bell.user.inbox.aclose()
        await self._http.aclose()
        await self._abandoned.wait(ABANDONED_FOR)

    async def aclose(self) -> None:
        """The same as `dispose`."""
        await self.dispose()

    async def _join(self, request: TokenRequest, kind: type[S]) -> S:
        self._become(request.identity)

        async def mint() -> UTDTokenResponse:
            return await self._mint(request)

        answer = await mint()
        self._become(request.identity)
        door = self._door(
            UTDStreamType(request.type.value),
            identity=request.identity,
            mint=mint,
            room_name=request.room_name,
            name=request.name,
        )
        session = kind(door, answer)
        self._sessions.add(session)
        try:
            await self._sign_in_by(request, answer)
            await session._enter(answer)  # noqa: SLF001 it is made for its client
        except BaseException:
            await session.dispose()
            raise
        return session

    async def _sign_in_by(self, request: TokenRequest, answer: UTDTokenResponse) -> None:
        """A join says who the user is, unless that is known already."""
        if self._bell is None or self._bell.user.identity != request.identity:
            device_id = request.device_id or self._device_id
            await self._sign_in(request.identity, device_id, answer.user_token, answer.ws_url)

    async def _mint(self, request: TokenRequest) -> UTDTokenResponse:
        body = structs.replace(request, identity_token=await self._fetch_identity_token())
        raw = await self._http.send(write("POST", "/token", body, mints=True))
        return decode(raw, UTDTokenResponse)
