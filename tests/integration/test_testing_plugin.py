"""The fixtures that apps test with, used as an app would: two people, seats, and a clock."""

import asyncio
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest
from support.sound import listen, pitch

from utd_engine.testing import RunningClock, ServedEngine
from utd_engine.testing._fixtures import MakeUser
from utd_stream import (
    ConnectionLost,
    DisconnectReason,
    Kicked,
    MediaInputs,
    PublishNotAllowed,
    Tone,
    UTDAudioRoomSession,
    UTDCall,
    UTDCallStatus,
    UTDConnectionState,
    UTDStreamType,
    UTDTokenResponse,
)


async def lobby(
    user: MakeUser,
    identity: str,
    hz: float = 440,
    *,
    as_host: bool = False,
    mode: str = "free",
    reconnect_for: float = 60,
) -> UTDAudioRoomSession:
    media = MediaInputs(microphone=Tone(hz))
    client = await user(identity, media=media, reconnect_for=reconnect_for)
    return await client.join_audio_room(
        identity=identity, room_name="lobby", as_host=as_host, seat_count=4, seat_mode=mode
    )


async def test_two_users_talk_from_their_seats(user: MakeUser) -> None:
    ana = await lobby(user, "ana", as_host=True)
    bo = await lobby(user, "bo", 660)
    await ana.take_seat(0)
    await bo.take_seat(1)
    async with asyncio.timeout(5):
        await ana.seats.wait_for(lambda seats: [s.identity for s in seats[:2]] == ["ana", "bo"])
    async with aclosing(ana.audio("bo")) as at_ana, aclosing(bo.audio("ana")) as at_bo:
        heard = await asyncio.gather(listen(at_ana, 0.3), listen(at_bo, 0.3))
    assert [pitch(samples) for samples in heard] == pytest.approx([660, 440], abs=5)
    await bo.leave_seat()
    with pytest.raises(PublishNotAllowed):
        await bo.set_microphone(True)
    async with asyncio.timeout(5):
        await ana.remote_participants.wait_for(lambda them: not them[0].tracks)


async def test_a_hand_is_raised_and_approved(user: MakeUser) -> None:
    ana = await lobby(user, "ana", as_host=True, mode="request")
    bo = await lobby(user, "bo")
    await bo.request_to_speak(note="me")
    async with asyncio.timeout(5):
        [asked] = await ana.requests.wait_for(lambda asked: len(asked) == 1)
        await ana.approve_speaker(asked.id)
        await bo.seats.wait_for(lambda seats: any(seat.identity == "bo" for seat in seats))
        await ana.remote_participants.wait_for(lambda them: bool(them[0].tracks))
    assert bo.can_publish.value
    assert bo.room.publishing().value == "live"


async def test_who_is_kicked_is_told(user: MakeUser) -> None:
    ana = await lobby(user, "ana", as_host=True)
    bo = await lobby(user, "bo")
    await ana.kick("bo", reason="enough")
    async with asyncio.timeout(5):
        with pytest.raises(Kicked, match="enough"):
            async for _ in bo.updates():
                pass
    async with asyncio.timeout(5):
        await ana.remote_participants.wait_for(())


async def test_a_seat_is_held_for_one_whose_connection_is_lost(
    user: MakeUser, clock: RunningClock, engine: ServedEngine
) -> None:
    ana = await lobby(user, "ana", as_host=True)
    bo = await lobby(user, "bo", reconnect_for=0)
    seat = await bo.take_seat(2)
    async with asyncio.timeout(5):
        await ana.seats.wait_for(lambda seats: seats[seat.index].identity == "bo")
    [room] = engine.livekit.rooms
    engine.livekit.drop(room, "bo", DisconnectReason.UNKNOWN)
    async with asyncio.timeout(5):
        await ana.seats.wait_for(lambda seats: seats[seat.index].held_until is not None)
    assert isinstance(bo.ended, ConnectionLost)
    await clock.advance(30)
    async with asyncio.timeout(5):
        await ana.seats.wait_for(lambda seats: seats[seat.index].identity is None)
    await bo.rejoin()
    assert bo.seat is None


async def test_a_call_that_nobody_answers_is_missed(user: MakeUser, clock: RunningClock) -> None:
    ana, bo = await user("ana"), await user("bo")
    call = ana.call_session(UTDStreamType.AUDIO_CALL)
    async with aclosing(bo.incoming_calls()) as calls:
        await call.start(callee_identity="bo", ring_timeout=60)
        async with asyncio.timeout(5):
            rings = await anext(calls)
        await clock.advance(60)
        async with asyncio.timeout(5):
            await rings.rings.wait_for(wanted=False)
            await call.status.wait_for(UTDCallStatus.MISSED)
    assert await bo.inbox_head() > 0


async def test_answers_carry_what_the_reference_names(user: MakeUser, engine: ServedEngine) -> None:
    body = {"type": "audio_room", "room_name": "hall", "identity": "ana", "role": "host"}
    raw = await engine.engine.call("POST", "/api/v1/token", body, app_key=True)
    answer = msgspec.json.decode(raw.body, type=UTDTokenResponse)
    assert (answer.room_name, answer.url) == ("hall", engine.engine.sfu.url)
    assert (answer.token.count("."), answer.user_token.count(".")) == (2, 2)
    assert answer.ws_url == f"{engine.base_url.replace('http', 'ws')}/api/v1/ws"

    ana = await user("ana")
    call = await ana.call_session(UTDStreamType.VIDEO_CALL).start(callee_identity="bo")
    assert isinstance(call, UTDCall)
    assert (call.type, call.status) == (UTDStreamType.VIDEO_CALL, UTDCallStatus.INITIATING)
    assert (call.caller_identity, call.callee_identity) == ("ana", "bo")
    assert (call.url, (call.token or "").count(".")) == (engine.engine.sfu.url, 2)
    assert call.room_name


async def test_a_restart_of_livekit_is_survived(user: MakeUser, engine: ServedEngine) -> None:
    ana = await lobby(user, "ana", as_host=True)
    await ana.take_seat(0)
    engine.engine.sfu.restart()
    async with asyncio.timeout(10):
        await ana.connection.wait_for(UTDConnectionState.RECONNECTING)
        await ana.connection.wait_for(UTDConnectionState.CONNECTED)
        await ana.room.publishing().wait_for("live")


def test_the_plugin_costs_nothing_until_it_is_used(tmp_path: Path) -> None:
    """A run of somebody else's tests imports neither the engine nor the SDK."""
    (tmp_path / "test_other.py").write_text(
        "import sys\n"
        "def test_other():\n"
        "    assert 'utd_engine.testing.plugin' in sys.modules\n"
        "    assert not {'utd_engine.main', 'utd_stream', 'starlette'} & set(sys.modules)\n"
    )
    program = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", str(tmp_path)]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
