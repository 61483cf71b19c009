import asyncio
from dataclasses import replace

import pytest
from support.agent_fakes import ROOM, AgentStage, Frames, eventually, settle

from utd_protocol.types import Source
from utd_stream import (
    ClosedByUs,
    DeviceFailed,
    DisconnectReason,
    E2EEOptions,
    EncryptionError,
    Invalid,
    Permissions,
    UTDConnectionState,
    UTDRoom,
)
from utd_stream.agents import (
    AgentFailed,
    AgentFailure,
    MessageReceiver,
    OnError,
    OnMessage,
    Session,
    SessionError,
    SessionErrorKind,
    SessionOptions,
    TokenSourceError,
)
from utd_stream.agents._transcripts import TRANSCRIPTION_TOPIC

CONNECTED = UTDConnectionState.CONNECTED
DISCONNECTED = UTDConnectionState.DISCONNECTED


async def test_connecting_comes_before_connected(stage: AgentStage) -> None:
    await stage.session.start()
    assert stage.states == ["connecting", "connected"]
    assert stage.session.is_connected
    assert stage.session.error is None


async def test_is_connected_is_true_while_connecting(stage: AgentStage) -> None:  # Q24
    seen: list[tuple[UTDConnectionState, bool]] = []

    async def look() -> None:
        seen.append((stage.session.connection_state, stage.session.is_connected))

    stage.before_token = look
    await stage.session.start()
    assert seen == [(UTDConnectionState.CONNECTING, True)]


async def test_a_second_start_is_ignored(stage: AgentStage) -> None:
    await asyncio.gather(stage.session.start(), stage.session.start())
    await stage.session.start()
    assert stage.fetched == 1
    assert stage.session.error is None


@pytest.mark.parametrize("fails", ["token", "connect", "microphone", "publish"])
async def test_a_start_that_fails_leaves_nothing(fails: str) -> None:  # Q4, Q8
    microphone = Frames(broken=DeviceFailed("no microphone") if fails == "microphone" else None)
    async with AgentStage(microphone=microphone) as stage:
        if fails == "token":

            async def refuse() -> None:
                raise TokenSourceError("no token today")

            stage.before_token = refuse
        stage.server.faults.down = fails == "connect"
        stage.server.faults.refuse_publish = {"ana"} if fails == "publish" else set()

        await stage.session.start()

        error = stage.session.error
        assert error is not None
        assert error.kind is SessionErrorKind.CONNECTION
        assert error.message.startswith("Connection failed: ")
        assert stage.session.connection_state is DISCONNECTED
        assert stage.user_room.connection.value is DISCONNECTED
        assert stage.session.agent.is_finished
        assert not stage.session.agent.is_buffering
        assert stage.user_room.publishing().value == "off"
        assert stage.time.running == 0
        assert stage.fetched == (0 if fails == "microphone" else 1)
        await settle()
        assert microphone.closed == microphone.opened - (fails == "microphone")


async def test_whoever_sees_a_failed_start_disconnected_sees_why() -> None:
    async with AgentStage(microphone=Frames()) as stage:
        stage.server.faults.refuse_publish = {"ana"}
        seen: list[tuple[str, bool]] = []

        def look() -> None:
            session = stage.session
            seen.append((session.connection_state.value, session.error is not None))

        stage.session.add_listener(look)
        await stage.session.start()
        assert ("disconnected", False) not in seen
        assert seen[-1] == ("disconnected", True)
        assert stage.session.disconnect_reason is None


async def test_a_missing_right_to_publish_is_known_at_once() -> None:
    async with AgentStage(microphone=Frames()) as stage:
        stage.grant = replace_grant(stage, Permissions(can_subscribe=True))
        await stage.session.start()
        assert stage.session.error is not None
        assert "granted" in stage.session.error.message


def replace_grant(stage: AgentStage, permissions: Permissions):  # noqa: ANN201
    return type(stage.grant)(room=ROOM, identity="ana", permissions=permissions)


async def test_the_timer_runs_only_when_the_token_brings_an_agent_and_only_after_connect() -> None:
    async with AgentStage(dispatches=False) as quiet:
        await quiet.session.start()
        assert quiet.time.running == 0
        quiet.time.advance(1_000)
        assert quiet.session.agent.is_pending
    async with AgentStage() as stage:

        async def look() -> None:
            assert stage.time.running == 0

        stage.before_token = look
        await stage.session.start()
        assert stage.time.running == 1


async def test_an_agent_that_is_only_initializing_fails_at_the_timer(stage: AgentStage) -> None:
    await stage.session.start()
    await stage.join(state="initializing")
    stage.time.advance(20)
    assert stage.session.agent.error is AgentFailure.TIMEOUT
    assert stage.session.error is None
    assert stage.session.connection_state is CONNECTED


async def test_an_agent_that_listens_does_not_fail_at_the_timer(stage: AgentStage) -> None:
    await stage.session.start()
    await stage.join()
    stage.time.advance(20)
    assert stage.session.agent.is_connected


@pytest.mark.parametrize("how", ["end", "restart", "dispose"])
async def test_the_timer_is_cancelled(stage: AgentStage, how: str) -> None:
    await stage.session.start()
    stage.time.advance(15)
    if how == "dispose":
        await stage.session.dispose()
    else:
        await stage.session.end()
    assert stage.time.running == 0
    if how == "restart":
        await stage.session.start()
        stage.time.advance(15)
        assert stage.session.agent.is_pending


async def test_end_amid_start_is_no_error(stage: AgentStage) -> None:  # Q18
    asked, never = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        asked.set()
        await never.wait()

    stage.before_token = hang
    starting = asyncio.create_task(stage.session.start())
    await asked.wait()
    await stage.session.end()
    await starting
    assert stage.session.error is None
    assert stage.session.connection_state is DISCONNECTED
    assert stage.session.agent.is_finished


async def test_a_cancelled_start_leaves_nothing_and_is_no_error(stage: AgentStage) -> None:
    stage.server.faults.silent = True
    starting = asyncio.create_task(stage.session.start())
    await eventually(lambda: stage.user_room.connection.value is UTDConnectionState.CONNECTING)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert stage.session.error is None
    assert stage.session.connection_state is DISCONNECTED
    assert stage.user_room.connection.value is DISCONNECTED


async def test_one_who_is_put_out_amid_start_has_no_error_but_a_reason() -> None:
    async with AgentStage(microphone=Frames()) as stage:
        stage.server.faults.ignore_publish = {"ana"}
        starting = asyncio.create_task(stage.session.start())
        await eventually(lambda: stage.user_room.connected.value)
        await settle()
        stage.server.remove(ROOM, "ana")
        await starting
        assert stage.session.error is None
        assert stage.session.disconnect_reason is DisconnectReason.PARTICIPANT_REMOVED
        assert stage.session.connection_state is DISCONNECTED


async def test_start_after_end_uses_the_same_room_and_a_new_token(stage: AgentStage) -> None:
    room = stage.session.room
    await stage.session.start()
    await stage.session.end()
    assert stage.session.disconnect_reason is DisconnectReason.CLIENT_INITIATED
    await stage.session.start()
    assert stage.session.room is room
    assert stage.fetched == 2
    assert stage.session.connection_state is CONNECTED
    assert stage.session.disconnect_reason is None


async def test_a_room_of_ones_own_that_is_joined_already_is_left_alone(stage: AgentStage) -> None:
    await stage.user_room.connect(stage.server.url, "token")
    await stage.session.start()
    assert stage.fetched == 0
    assert stage.session.error is None


@pytest.mark.parametrize("full", [False, True])
async def test_reconnecting_keeps_is_connected(stage: AgentStage, *, full: bool) -> None:
    await stage.session.start()
    mend = stage.server.interrupt(ROOM, "ana", full=full)
    await settle()
    assert stage.session.connection_state is UTDConnectionState.RECONNECTING
    assert stage.session.is_connected
    mend()
    await settle()
    assert stage.session.connection_state is CONNECTED


@pytest.mark.parametrize("why", ["removed", "deleted", "lost"])
async def test_an_unexpected_end_is_no_error_but_a_reason(stage: AgentStage, why: str) -> None:
    await stage.session.start()
    await stage.join()
    if why == "removed":
        stage.server.remove(ROOM, "ana")
    elif why == "deleted":
        stage.server.delete_room(ROOM)
    else:
        stage.server.drop(ROOM, "ana", DisconnectReason.SIGNAL_CLOSE)
    await settle()
    assert stage.session.connection_state is DISCONNECTED
    assert stage.session.error is None
    assert stage.session.disconnect_reason is not None
    assert stage.session.agent.is_finished
    assert stage.session.agent.error is None


async def test_dispose_gives_the_topic_back_and_leaves_the_room_joined(  # Q7, Q16
    stage: AgentStage,
) -> None:
    await stage.session.start()
    assert await stage.session.dispose()
    assert not await stage.session.dispose()
    stage.user_room.register_text_stream_handler(TRANSCRIPTION_TOPIC, lambda *_: None)
    assert stage.user_room.connected.value
    assert not stage.session.has_listeners
    assert stage.session.dispose_func_count == 0
    await stage.session.end()
    assert stage.user_room.connection.value is DISCONNECTED
    await stage.session.start()
    assert stage.fetched == 1, "a disposed session does not start"


class Channel:
    """A sender and receiver in one."""

    def __init__(self, *, broken: bool = False) -> None:
        self.disposed = 0
        self.subscribed = 0
        self._broken = broken

    def subscribe(self, on_message: OnMessage, on_error: OnError):  # noqa: ANN201
        self.subscribed += 1

        def unsubscribe() -> None:
            self.subscribed -= 1

        return unsubscribe

    async def send(self, message: object) -> None:
        return None

    async def dispose(self) -> None:
        self.disposed += 1
        if self._broken:
            raise ValueError("broken")


async def test_dispose_disposes_each_receiver_once_and_survives_a_broken_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shared, broken = Channel(), Channel(broken=True)
    receivers: list[MessageReceiver] = [shared, shared, broken]
    async with AgentStage(senders=[shared], receivers=receivers) as stage:
        assert shared.subscribed == 2
        await stage.session.dispose()
        assert (shared.disposed, shared.subscribed, broken.disposed) == (1, 0, 1)
    assert "did not end well" in caplog.text


def test_room_and_encryption_together_are_refused() -> None:
    with pytest.raises(ValueError, match="pass either room or encryption, not both"):
        SessionOptions(room=UTDRoom(), encryption=E2EEOptions.shared_key("key"))
    with pytest.raises(Invalid, match="agent_connect_timeout"):
        SessionOptions(agent_connect_timeout=0)
    assert replace(SessionOptions(), agent_connect_timeout=3).agent_connect_timeout == 3


async def test_async_with_starts_ends_and_disposes(stage: AgentStage) -> None:
    async with stage.session as session:
        assert session.connection_state is CONNECTED
    assert session.is_disposed
    assert stage.user_room.connection.value is DISCONNECTED


async def test_async_with_raises_the_error_and_cleans_up(stage: AgentStage) -> None:
    stage.server.faults.down = True
    with pytest.raises(SessionError, match=r"Connection failed: .*cannot be reached"):
        async with stage.session:
            pass
    assert stage.session.is_disposed


async def test_wait_agent_returns_the_agent(stage: AgentStage) -> None:
    await stage.session.start()
    waiting = asyncio.create_task(stage.session.wait_agent())
    await settle()
    assert not waiting.done()
    await stage.join()
    assert await waiting is stage.session.agent


async def test_wait_agent_raises_when_it_is_late_or_leaves(stage: AgentStage) -> None:
    await stage.session.start()
    waiting = asyncio.create_task(stage.session.wait_agent())
    await settle()
    stage.time.advance(20)
    with pytest.raises(AgentFailed, match="no agent was ready within 20 s") as late:
        await waiting
    assert late.value.failure is AgentFailure.TIMEOUT
    agent = await stage.join()
    await agent.disconnect()
    await settle()
    with pytest.raises(AgentFailed, match="left") as left:
        await stage.session.wait_agent()
    assert left.value.failure is AgentFailure.LEFT


async def test_wait_agent_raises_when_start_failed(stage: AgentStage) -> None:
    stage.server.faults.down = True
    starting = asyncio.create_task(stage.session.start())
    await asyncio.sleep(0)
    with pytest.raises(SessionError):
        await stage.session.wait_agent()
    await starting


async def test_wait_agent_raises_when_the_room_goes_first(stage: AgentStage) -> None:
    await stage.session.start()
    waiting = asyncio.create_task(stage.session.wait_agent())
    await settle()
    await stage.session.end()
    with pytest.raises(AgentFailed) as gone:
        await waiting
    assert gone.value.failure is None
    await stage.session.dispose()
    with pytest.raises(ClosedByUs):
        await stage.session.wait_agent()


async def test_encryption_needs_to_be_asked_for_and_joined(stage: AgentStage) -> None:
    await stage.session.start()
    with pytest.raises(EncryptionError, match="made without encryption"):
        stage.session.set_encryption_enabled(False)
    room = UTDRoom(open_link=stage.server.open_link, encryption=E2EEOptions.shared_key("key"))
    session = Session(stage.fetch, room=room)
    with pytest.raises(EncryptionError, match="not connected"):
        session.set_encryption_enabled(False)
    await stage.session.end()
    async with session:
        session.set_encryption_enabled(False)
        member = stage.server.member(ROOM, "ana")
        assert member.link.encrypted is False
    assert "key" not in repr(E2EEOptions.shared_key("key"))


async def test_without_pre_connect_audio_the_microphone_is_published_after_the_join() -> None:
    microphone = Frames()
    async with AgentStage(microphone=microphone, pre_connect_audio=False) as stage:

        async def look() -> None:
            assert microphone.opened == 0

        stage.before_token = look
        await stage.session.start()
        [track] = stage.server.member(ROOM, "ana").tracks.values()
        assert track.source is Source.MICROPHONE
        assert not track.preconnect
        assert not stage.session.agent.is_buffering
        await stage.session.end()
        assert stage.user_room.publishing().value == "off"


async def test_a_session_can_be_made_without_a_running_loop() -> None:
    def make() -> Session:
        return AgentStage().session

    session = await asyncio.to_thread(make)
    assert session.connection_state is DISCONNECTED
    assert await session.dispose()
    await session.room.aclose()
