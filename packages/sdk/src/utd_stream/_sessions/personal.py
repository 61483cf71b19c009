"""The half of a client that is about its user: signing in, calls, and the inbox."""

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeAlias

from utd_protocol.answers import Page, SessionAnswer, SessionRequest
from utd_stream._engine.backoff import Jitter
from utd_stream._engine.bearer import Bearer
from utd_stream._engine.calls import Calls
from utd_stream._engine.http import EngineHTTP, decode, write
from utd_stream._engine.inbox import Inbox, InboxEvent
from utd_stream._errors import ClosedByUs, NotAuthenticated
from utd_stream._models import UTDCall, UTDStreamType, UTDTokenResponse
from utd_stream._room.encryption import E2EEOptions
from utd_stream._room.room import UTDRoom
from utd_stream._sessions.call import UTDCallSession
from utd_stream._sessions.door import Door
from utd_stream._sessions.incoming import Doorbell, IncomingCall
from utd_stream._sessions.session import UTDSession
from utd_stream._sessions.user import User

IdentityToken: TypeAlias = str | Callable[[], Awaitable[str]]
"""A token of the app's backend that says who the user is, or what fetches a new one."""
MakeRoom: TypeAlias = Callable[[E2EEOptions | None], UTDRoom]


class PersonalClient:
    """Knows who is signed in. `UTDStreamClient` adds rooms and agents."""

    def __init__(
        self,
        http: EngineHTTP,
        make_room: MakeRoom,
        *,
        identity_token: IdentityToken | None,
        reconnect_for: float,
        jitter: Jitter,
    ) -> None:
        self._http = http
        self._make_room = make_room
        self._identity_token = identity_token
        self._reconnect_for = reconnect_for
        self._jitter = jitter
        self._device_id = uuid.uuid4().hex
        self._identity: str | None = None
        self._bell: Doorbell | None = None
        self._sessions: set[UTDSession] = set()

    @property
    def identity(self) -> str | None:
        """Who joined or authenticated last, None before. The reference's `identity`."""
        return self._identity

    @property
    def sessions(self) -> tuple[UTDSession, ...]:
        """The sessions that are not disposed."""
        return tuple(self._sessions)

    async def authenticate(
        self, *, identity: str, name: str | None = None, device_id: str | None = None
    ) -> str:
        """Sign in without joining a room. The reference's `authenticate`.

        Calls, the inbox and incoming calls need it; a join signs in, too.

        Args:
            identity: who, in the app's words, 1 to 256 bytes.
            name: for display.
            device_id: this installation; one for the life of the client by default.

        Returns:
            The user token. A secret.

        Raises:
            ValueError: sessions of another identity are still there.
            AuthRejected: the credentials were refused.
            Banned: this identity may not use the app.
            Unreachable: the engine did not answer in time. Cancelling is safe.
        """
        self._become(identity)
        body = SessionRequest(
            identity=identity,
            name=name,
            device_id=device_id or self._device_id,
            identity_token=await self._fetch_identity_token(),
        )
        raw = await self._http.send(write("POST", "/auth/session", body, mints=True))
        answer = decode(raw, SessionAnswer)
        self._become(identity)
        await self._sign_in(
            identity, device_id or self._device_id, answer.user_token, answer.ws_url
        )
        return answer.user_token

    # Calls.

    def call_session(self, type: UTDStreamType | str) -> UTDCallSession:  # noqa: A002 the reference's argument
        """A session for calls between two. The reference's `callSession`.

        Nothing is asked of the engine before its `start` or `accept`, which need a user who is
        signed in.

        Args:
            type: `AUDIO_CALL` or `VIDEO_CALL`.

        Raises:
            ValueError: it is no type of call.
            ClosedByUs: the client is closed.
        """
        self._check_open()
        kind = UTDStreamType(type)
        if not kind.is_call:
            message = f"type: {kind.value!r} is no call; it is 'audio_call' or 'video_call'"
            raise ValueError(message)
        door = self._door(kind, identity=self._identity or "", mint=_no_room)
        session = UTDCallSession(door, self._require_user)
        self._sessions.add(session)
        return session

    async def calls(self, *, cursor: str | None = None, limit: int | None = None) -> Page[UTDCall]:
        """One's own calls, newest first, as far back as the engine keeps them.

        Args:
            cursor: `next_cursor` of the page before.
            limit: how many at most.

        Returns:
            A page; it is the last one when its `next_cursor` is None.

        Raises:
            NotAuthenticated: nobody is signed in.
        """
        return await self._require_user().calls.history(cursor, limit)

    async def get_call(self, call_id: str) -> UTDCall:
        """Look one of one's own calls up.

        Raises:
            NotAuthenticated: nobody is signed in.
            NotFound: there is no such call of this user's.
        """
        return await self._require_user().calls.get(call_id)

    def incoming_calls(self, *, auto_ring: bool = True) -> AsyncGenerator[IncomingCall, None]:
        """Every call that rings for this user now or later, once, until the client is closed.

        Leave it with `contextlib.aclosing`, or dispose the client. What was given keeps telling
        by its `rings` whether it still rings, also after that.

        Args:
            auto_ring: tell the engine of each that this device rings.

        Raises:
            NotAuthenticated: at once, when nobody is signed in.
            Replaced: this device of this user has connected anew elsewhere.
            Banned: this user may not use the app any more.
        """
        return self._require_bell().incoming(auto_ring=auto_ring)

    # The inbox.

    def inbox(self, after: int | None = None) -> AsyncGenerator[InboxEvent, None]:
        """Everything that reaches this user on all devices, in order, each event once.

        It survives reconnects and restarts of the engine, and ends when the client is closed.
        Events are kept for seven days. Leave it with `contextlib.aclosing`.

        Args:
            after: the `seq` of the last event that is known; `await client.inbox_head()` is the
                one of now. By default it begins when the first read has connected.

        Raises:
            NotAuthenticated: at once, when nobody is signed in.
            Lagged: events after `after` are no longer kept.
            Replaced: this device of this user has connected anew elsewhere.
            Banned: this user may not use the app any more.
        """
        return self._require_user().inbox.events(after)

    async def inbox_head(self) -> int:
        """The `seq` of the inbox's last event, 0 when there was none.

        Raises:
            NotAuthenticated: nobody is signed in.
        """
        return await self._require_user().inbox.head()

    # Inside.

    async def _sign_in(self, identity: str, device_id: str, token: str, ws_url: str | None) -> None:
        """This user from now on; whoever follows the inbox of another one comes to the end."""
        self._identity = identity
        known = self._bell.user if self._bell is not None else None
        if known is not None and (known.identity, known.device_id) == (identity, device_id):
            known.bearer.replace(token)
            return
        bearer = Bearer(self._http, token)
        user = User(
            identity=identity,
            device_id=device_id,
            bearer=bearer,
            calls=Calls(bearer),
            inbox=Inbox(self._http, bearer, ws_url, self._jitter),
        )
        self._bell = Doorbell(user, self.call_session)
        if known is not None:
            await known.inbox.aclose()

    def _require_bell(self) -> Doorbell:
        self._check_open()
        if self._bell is None:
            raise NotAuthenticated("nobody is signed in: await client.authenticate(identity=…)")
        return self._bell

    def _require_user(self) -> User:
        return self._require_bell().user

    def _door(
        self,
        kind: UTDStreamType,
        *,
        identity: str,
        mint: Callable[[], Awaitable[UTDTokenResponse]],
        room_name: str = "",
        name: str | None = None,
    ) -> Door:
        return Door(
            http=self._http,
            room=self._make_room(None),
            identity=identity,
            type=kind,
            room_name=room_name,
            name=name,
            mint=mint,
            gone=self._sessions.discard,
            reconnect_for=self._reconnect_for,
            jitter=self._jitter,
        )

    async def _fetch_identity_token(self) -> str | None:
        token = self._identity_token
        return await token() if callable(token) else token

    def _check_open(self) -> None:
        if self._http.closed:
            raise ClosedByUs("the client is closed: make a new UTDStreamClient")

    def _become(self, identity: str) -> None:
        self._check_open()
        others = {session.identity for session in self._sessions} - {"", identity}
        if others:
            message = (
                f"this client has sessions of {min(others)!r}: dispose them first, "
                f"or make a second UTDStreamClient for {identity!r}"
            )
            raise ValueError(message)


async def _no_room() -> UTDTokenResponse:
    raise ClosedByUs("there is no call yet: start() or accept() one")
