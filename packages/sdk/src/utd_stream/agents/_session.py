"""`Session`: one user in a room with one agent, from the token to the last word."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from typing import Final, Self, TypeAlias

from utd_protocol.types import Source
from utd_stream._broadcast import Broadcast, EventReader
from utd_stream._errors import ClosedByUs
from utd_stream._media.frames import AudioFrame, MediaInputs
from utd_stream._room import events
from utd_stream._room.connection import DisconnectReason, UTDConnectionState
from utd_stream._room.events import LiveKitEvent
from utd_stream._room.room import UTDRoom
from utd_stream.agents._agent import Agent
from utd_stream.agents._errors import AgentFailed, AgentFailure, SessionError
from utd_stream.agents._history import History
from utd_stream.agents._messages import (
    MessageReceiver,
    MessageSender,
    ReceivedMessage,
    SentMessage,
    SentUserInput,
    Unsubscribe,
)
from utd_stream.agents._notifier import ChangeNotifier
from utd_stream.agents._options import SessionOptions
from utd_stream.agents._preconnect import PreconnectAudio
from utd_stream.agents._surroundings import RealSurroundings, Surroundings
from utd_stream.agents._text import TextMessageSender
from utd_stream.agents._tokens import (
    TokenRequestOptions,
    TokenSourceConfigurable,
    TokenSourceFixed,
    TokenSourceResponse,
)
from utd_stream.agents._transcripts import TranscriptionStreamReceiver
from utd_stream.agents._voice import Voices
from utd_stream.agents._watch import AgentWatch

Senders: TypeAlias = Sequence[MessageSender] | None
Receivers: TypeAlias = Sequence[MessageReceiver] | None
Fetch: TypeAlias = Callable[[], Awaitable[TokenSourceResponse]]

_ANY_TOKEN: Final = TokenRequestOptions()
_REAL: Final = RealSurroundings()
_IRRELEVANT: Final = (
    events.DataReceived,
    events.ActiveSpeakersChanged,
    events.ConnectionQualityChanged,
    events.RoomMetadataChanged,
)
_log: Final = logging.getLogger("utd_stream.agents")


class Session(ChangeNotifier):
    """One user in a room with an AI agent: connection, agent, and everything that was said.

    The reference's `Session`. It works with any LiveKit, with or without the engine of this
    project. Make one with `with_agent`, `from_configurable_token_source` or
    `from_fixed_token_source`; that needs no running loop. Then either `await session.start()`
    and look at `error`, or `async with session:`, which raises.

    Listeners are told of every change of it and of its agent. `await session.wait_agent()`
    returns when the agent can be talked to: what is sent before may be lost.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        options: SessionOptions | None = None,
        senders: Senders = None,
        receivers: Receivers = None,
        room: UTDRoom | None = None,
        surroundings: Surroundings = _REAL,
    ) -> None:
        """Made by its factories; `room` is one that was made for it, and that it closes."""
        super().__init__()
        self._fetch = fetch
        self._options = options or SessionOptions()
        self._surroundings = surroundings
        self._owns_room = self._options.room is None
        self._room = self._options.room or room or _make_room(self._options)
        self._agent = Agent()
        self._agent.add_listener(self.notify_listeners)
        self._voices = Voices(self._agent, self._room)
        self._history = History()
        self._updates: Broadcast[ReceivedMessage] = Broadcast()
        self._state = UTDConnectionState.DISCONNECTED
        self._error: SessionError | None = None
        self._disconnect_reason: DisconnectReason | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._backing_out = False
        self._preconnect = _preconnect(self._options, self._room, surroundings, self._update)
        self._watch = AgentWatch(
            self._agent,
            self._room,
            surroundings,
            timeout=self._options.agent_connect_timeout,
            buffering=lambda: self._preconnect is not None and self._preconnect.is_recording,
        )
        own_sender = TextMessageSender(self._room, surroundings=surroundings)
        self._senders = (own_sender,) if senders is None else tuple(senders)
        if receivers is None:
            receivers = (
                own_sender,
                TranscriptionStreamReceiver(self._room, surroundings=surroundings),
            )
        self._receivers = tuple(receivers)
        self._ends: list[Unsubscribe] = [
            self._room.subscribe(self._take),
            self._room.remote_participants.listen(self._people_changed),
            *(each.subscribe(self._received, self._receiver_failed) for each in self._receivers),
        ]
        self.on_dispose(self._let_go)

    @classmethod
    def from_fixed_token_source(
        cls,
        token_source: TokenSourceFixed,
        *,
        options: SessionOptions | None = None,
        senders: Senders = None,
        receivers: Receivers = None,
    ) -> Self:
        """A session whose tokens say what their source decides.

        The reference's `Session.fromFixedTokenSource`.

        Args:
            token_source: asked at every `start`.
            options: room, microphone, timeouts.
            senders: what `send_text` sends with, in this order; by default a
                `TextMessageSender`. With senders of your own nothing shows what was sent in
                `messages`, unless a receiver of yours does.
            receivers: where `messages` come from; by default what was sent, and a
                `TranscriptionStreamReceiver`. An empty list means none.
        """
        return cls(token_source.fetch, options=options, senders=senders, receivers=receivers)

    @classmethod
    def from_configurable_token_source(
        cls,
        token_source: TokenSourceConfigurable,
        *,
        token_options: TokenRequestOptions = _ANY_TOKEN,
        options: SessionOptions | None = None,
        senders: Senders = None,
        receivers: Receivers = None,
    ) -> Self:
        """A session whose tokens say what `token_options` say; else as the fixed one.

        The reference's `Session.fromConfigurableTokenSource`.
        """

        async def fetch() -> TokenSourceResponse:
            return await token_source.fetch(token_options)

        return cls(fetch, options=options, senders=senders, receivers=receivers)

    @classmethod
    def with_agent(
        cls,
        agent_name: str,
        *,
        token_source: TokenSourceConfigurable,
        agent_metadata: str | None = None,
        agent_deployment: str | None = None,
        options: SessionOptions | None = None,
        senders: Senders = None,
        receivers: Receivers = None,
    ) -> Self:
        """A session with the agent of this name.

        The reference's `Session.withAgent`.

        Args:
            agent_name: as its worker is registered.
            token_source: makes tokens that bring this agent, at every `start`.
            agent_metadata: for the agent, as `job.metadata` there.
            agent_deployment: which of several deployments. Ours.
            options: as in `from_fixed_token_source`, like the other two.
            senders: see there.
            receivers: see there.
        """
        return cls.from_configurable_token_source(
            token_source,
            token_options=TokenRequestOptions(
                agent_name=agent_name,
                agent_metadata=agent_metadata,
                agent_deployment=agent_deployment,
            ),
            options=options,
            senders=senders,
            receivers=receivers,
        )

    # What is known now.

    @property
    def room(self) -> UTDRoom:
        """The room, the same object for life; it is joined anew at every `start`."""
        return self._room

    @property
    def agent(self) -> Agent:
        """The agent, the same object for life."""
        return self._agent

    @property
    def error(self) -> SessionError | None:
        """The last thing that failed, until `dismiss_error` or the next `start`."""
        return self._error

    @property
    def connection_state(self) -> UTDConnectionState:
        """Where the connection is in its life; `connecting` from the token on. Not `resyncing`."""
        return self._state

    @property
    def is_connected(self) -> bool:
        """Whether it is not disconnected: also true while connecting and reconnecting."""
        return self._state is not UTDConnectionState.DISCONNECTED

    @property
    def messages(self) -> tuple[ReceivedMessage, ...]:
        """Everything that was said, in order: the same tuple until something changes."""
        return self._history.messages

    @property
    def disconnect_reason(self) -> DisconnectReason | None:
        """Why the last connection ended, None while there is none such. Ours."""
        return self._disconnect_reason

    # Start and end.

    async def start(self) -> None:
        """Fetch a token, join the room, publish the microphone. Look at `error` afterwards.

        It returns when the room is joined; `wait_agent` waits for the agent. It may be called
        again after the end, with the same room. While the session runs already it does nothing.
        When it is cancelled, nothing stays joined. It raises nothing else.
        """
        if self.is_disposed:
            _log.warning("this session is disposed: it does not start")
            return
        if self._starting or self._room.connection.value is not UTDConnectionState.DISCONNECTED:
            _log.info("this session runs already")
            return
        attempt = self._attempt = asyncio.get_running_loop().create_task(
            self._start(), name="utd-agent-start"
        )
        try:
            await asyncio.wait([attempt])
        except asyncio.CancelledError:
            self._give_up_start()
            await asyncio.wait([attempt])
            raise

    async def end(self) -> None:
        """Leave the room. Messages and error stay; `start` may be called again. Idempotent.

        A `start` that is under way returns, without an error. Cancelling is safe.
        """
        attempt = self._attempt
        if attempt is not None and not attempt.done():
            self._give_up_start()
            await asyncio.wait([attempt])
        self._release_microphone()
        await self._room.disconnect()
        if self._preconnect is not None:
            await self._preconnect.settle()

    async def __aenter__(self) -> Self:
        """Start; raise the `SessionError` if that fails, with nothing left behind."""
        try:
            await self.start()
            self._check_joined()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End, then dispose; close the room too if it was made by this session."""
        await self._close()

    async def wait_agent(self) -> Agent:
        """Wait until the agent can be talked to. Ours. Cancelling is safe.

        Without a token that brings an agent there is no time limit: use `asyncio.timeout`.

        Raises:
            AgentFailed: it did not come in time, or it left (`failure` tells), or the room went
                or was never joined (None).
            SessionError: `start` failed.
            ClosedByUs: this session is disposed.
        """
        async with aclosing(self.changes()) as changes:
            while not self._agent.is_connected:
                self._check_agent_may_come()
                await anext(changes, None)
        return self._agent

    # Messages.

    async def send_text(self, text: str) -> SentMessage | None:
        """Send text to the agent, with every sender. Look at `error` when the answer is None.

        Before `wait_agent` has returned the agent may not get it. It raises nothing; cancelling
        it leaves unknown what was sent.

        Returns:
            What was sent, or None when a sender failed; earlier ones have sent it then.
        """
        message = SentMessage(
            self._surroundings.new_id(), self._surroundings.now(), SentUserInput(text)
        )
        for sender in self._senders:
            try:
                await sender.send(message)
            except Exception as failure:  # noqa: BLE001 a port of the user may raise anything
                _log.warning("message %s was not sent: %s", message.id, failure)
                self._fail(SessionError.sender(failure))
                return None
        return message

    def get_message_history(self) -> tuple[ReceivedMessage, ...]:
        """The same as `messages`. The reference's `getMessageHistory`."""
        return self._history.messages

    def restore_message_history(self, messages: Iterable[ReceivedMessage]) -> None:
        """Put these in place of all messages, oldest first; later ones follow.

        Listeners are always told.
        """
        self._history.restore(messages)
        self.notify_listeners()

    def message_changes(self) -> EventReader[ReceivedMessage]:
        """An iterator over messages from now on, each time one is new or has grown. Ours.

        Nothing is lost; `Lagged` after 10,000 that were not read. It ends with `dispose`.
        """
        return self._updates.reader()

    def audio(self, *, frame_ms: int = 10) -> AsyncGenerator[AudioFrame, None]:
        """The agent's voice, or its avatar's, as frames of 48 kHz, mono, 16 bit. Ours.

        It waits while there is no agent, and follows the next one. It ends with `dispose`, or
        when the room is closed. Close it with `contextlib.aclosing` when you leave the loop.

        Args:
            frame_ms: milliseconds of a frame, a multiple of 10.
        """
        return self._voices.read(frame_ms)

    def dismiss_error(self) -> None:
        """Clear `error`."""
        if self._error is not None:
            self._error = None
            self.notify_listeners()

    def set_encryption_enabled(
        self,
        enabled: bool,  # noqa: FBT001 as in the reference
    ) -> None:
        """Switch end-to-end encryption off and on again.

        Raises:
            EncryptionError: the room was made without it, or is not joined.
        """
        self._room.set_encryption_enabled(enabled)

    # How a start goes.

    @property
    def _starting(self) -> bool:
        return self._attempt is not None and not self._attempt.done()

    async def _start(self) -> None:
        self.dismiss_error()
        self._disconnect_reason = None
        try:
            await self._join()
        except BaseException as broken:
            await self._back_out(broken if isinstance(broken, Exception) else None)
            if not isinstance(broken, Exception):
                raise

    async def _join(self) -> None:
        if self._preconnect is not None:
            await self._preconnect.start()
        elif self._options.microphone is None and self._options.pre_connect_audio:
            _log.info("no microphone: nothing is published")
        self._enter(UTDConnectionState.CONNECTING)
        self._watch.begin()
        response = await self._fetch()
        await self._room.connect(response.server_url, response.participant_token)
        self._update()
        await self._publish_microphone()
        if response.dispatches_agent():
            self._watch.expect()

    async def _publish_microphone(self) -> None:
        if self._preconnect is not None:
            await self._room.set_microphone(True, self._preconnect.recorder, preconnect=True)
        elif self._options.microphone is not None:
            await self._room.set_microphone(True, self._options.microphone)

    async def _back_out(self, failure: Exception | None) -> None:
        """Undo a start that failed, was cancelled, or lost its room meanwhile."""
        self._backing_out = True
        self._release_microphone()
        try:
            await self._room.disconnect()
            if self._preconnect is not None:
                await self._preconnect.settle()
        finally:
            self._attempt = None
            self._backing_out = False
            if failure is not None:
                _log.warning("the session did not start: %s", failure)
                self._fail(SessionError.connection(failure))
            self._enter(UTDConnectionState.DISCONNECTED)
            self._watch.end()

    def _give_up_start(self) -> None:
        if self._attempt is not None and self._starting and not self._backing_out:
            self._attempt.cancel()

    def _release_microphone(self) -> None:
        if self._options.microphone is not None:
            with suppress(ClosedByUs):
                self._room.want_microphone(False)
        if self._preconnect is not None:
            self._preconnect.reset()

    # What happens in the room.

    def _take(self, event: LiveKitEvent) -> None:
        if self._backing_out:
            return
        match event:
            case events.Disconnected(reason=reason):
                self._over(reason)
            case events.LocalTrackPublished(source=Source.MICROPHONE, sid=sid):
                if self._preconnect is not None:
                    self._preconnect.published(sid)
            case _ if isinstance(event, _IRRELEVANT):
                return
            case _:
                self._watch.take(event)
        self._update()

    def _over(self, reason: DisconnectReason) -> None:
        """The connection is over: by `end`, by the server, or lost. None of them is an error."""
        self._disconnect_reason = reason
        self._give_up_start()
        self._release_microphone()

    def _people_changed(self, _: object) -> None:
        """Look again in a moment: the room learns of people before it says what happened."""
        asyncio.get_running_loop().call_soon(self._update)

    def _update(self) -> None:
        """Make state and agent follow the room. Level-triggered: it may be called at any time."""
        state = self._room.connection.value
        if self.is_disposed or (self._starting and state is UTDConnectionState.DISCONNECTED):
            return
        self._enter(state)
        if state is UTDConnectionState.DISCONNECTED:
            self._watch.end()
            return
        if self._preconnect is not None:
            self._preconnect.look()
        self._watch.look()

    # Small changes.

    def _enter(self, state: UTDConnectionState) -> None:
        if state is not self._state:
            self._state = state
            self.notify_listeners()

    def _fail(self, error: SessionError) -> None:
        if error != self._error:
            self._error = error
            self.notify_listeners()

    def _received(self, message: ReceivedMessage) -> None:
        if self._history.put(message):
            self._updates.send(message)
            self.notify_listeners()

    def _receiver_failed(self, cause: Exception) -> None:
        _log.warning("a message could not be received: %s", cause)
        self._fail(SessionError.receiver(cause))

    def _check_joined(self) -> None:
        """Raise what a start that failed left behind."""
        if self._error is not None and not self.is_connected:
            raise self._error

    def _check_agent_may_come(self) -> None:
        if self.is_disposed:
            raise ClosedByUs("this session is disposed; make a new one")
        if self._agent.error is AgentFailure.TIMEOUT:
            seconds = self._options.agent_connect_timeout
            raise AgentFailed(
                AgentFailure.TIMEOUT,
                f"no agent was ready within {seconds:g} s: is a worker of the asked name running, "
                "and does the token bring it?",
            )
        if self._agent.error is AgentFailure.LEFT:
            raise AgentFailed(AgentFailure.LEFT, f"the agent left: {self._agent.disconnect_reason}")
        if not self.is_connected and not self._starting:
            self._check_joined()
            raise AgentFailed(None, f"the room is not joined: {self._disconnect_reason or 'start'}")

    # The end.

    async def _close(self) -> None:
        try:
            await self.end()
        finally:
            if not self.is_disposed:
                await self.dispose()
            if self._owns_room:
                await self._room.aclose()

    async def _let_go(self) -> None:
        self._agent.remove_listener(self.notify_listeners)
        for end in self._ends:
            end()
        self._updates.close()
        self._voices.end()
        self._watch.stop()
        if self._preconnect is not None:
            self._preconnect.give_up()
        distinct = {id(each): each for each in self._receivers}.values()
        ended = await asyncio.gather(*(each.dispose() for each in distinct), return_exceptions=True)
        for failure in ended:
            if isinstance(failure, Exception):
                _log.error("a receiver did not end well", exc_info=failure)


def _make_room(options: SessionOptions) -> UTDRoom:
    media = None if options.microphone is None else MediaInputs(microphone=options.microphone)
    return UTDRoom(media=media, encryption=options.encryption)


def _preconnect(
    options: SessionOptions,
    room: UTDRoom,
    surroundings: Surroundings,
    ended: Callable[[], None],
) -> PreconnectAudio | None:
    if options.microphone is None or not options.pre_connect_audio:
        return None
    return PreconnectAudio(
        room,
        options.microphone,
        surroundings,
        timeout=options.agent_connect_timeout,
        ended=ended,
    )
