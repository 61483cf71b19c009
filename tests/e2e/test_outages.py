"""An audio room outlives its servers: clients come back by themselves, seats are kept, nobody's
picture of the room differs from the engine's.
"""

import asyncio
from contextlib import aclosing

import pytest
from support.sound import listen, pitch
from support.stack import Stack

from utd_engine.ports.rooms import Key
from utd_protocol.views import RoomView
from utd_stream import UTDAudioRoomSession, UTDConnectionState

pytestmark = pytest.mark.e2e

BACK_WITHIN = 45.0
"""LiveKit's own client tries for up to 29 s before the SDK begins with a new token."""


async def join(stack: Stack, identity: str, hz: float, *, as_host: bool) -> UTDAudioRoomSession:
    client = await stack.client(hz)
    return await client.join_audio_room(
        identity=identity, room_name="lobby", as_host=as_host, seat_count=4 if as_host else None
    )


async def the_engines(stack: Stack, session: UTDAudioRoomSession) -> RoomView:
    """The room as the engine has it."""
    key = Key(stack.app_id, "room", session.view.value.room_id)
    snapshot = await stack.served.engine.services.rooms.peek(key)
    assert snapshot is not None
    return snapshot.state.view


async def agree(stack: Stack, *sessions: UTDAudioRoomSession) -> None:
    """Every client's fold becomes exactly the engine's view."""
    async with asyncio.timeout(10):
        for session in sessions:
            wanted = await the_engines(stack, session)
            await session.view.wait_for(lambda view, wanted=wanted: bool(view == wanted))


async def connected(*sessions: UTDAudioRoomSession) -> None:
    async with asyncio.timeout(BACK_WITHIN):
        for session in sessions:
            await session.connection.wait_for(UTDConnectionState.CONNECTED)


async def test_many_commands_leave_every_client_with_the_engines_view(stack: Stack) -> None:
    ana = await join(stack, "ana", 440, as_host=True)
    bo = await join(stack, "bo", 660, as_host=False)
    cy = await join(stack, "cy", 880, as_host=False)
    await asyncio.gather(ana.take_seat(0), bo.take_seat(), cy.take_seat())
    await asyncio.gather(ana.lock_seat(3), bo.leave_seat(), cy.move_seat(2), ana.mute_seat(1))
    await ana.hard_mute("cy")
    await ana.set_role("bo", "admin")
    await bo.take_seat()
    await bo.unlock_seat(3)
    await ana.invite_to_speak("dee", 3)
    await agree(stack, ana, bo, cy)
    await bo.leave()
    await agree(stack, ana, cy)


async def test_livekit_is_killed_and_comes_back(stack: Stack) -> None:
    ana = await join(stack, "ana", 440, as_host=True)
    bo = await join(stack, "bo", 660, as_host=False)
    await ana.take_seat(0)
    async with aclosing(bo.audio("ana")) as at_bo:
        assert pitch(await listen(at_bo, 0.4)) == pytest.approx(440, abs=4)
        await stack.livekit.restart(kill=True)
        await ana.connection.wait_for(lambda state: state is not UTDConnectionState.CONNECTED)
        await connected(ana, bo)
        assert ana.seats.value[0].identity == "ana"
        heard = await listen(at_bo, 0.4, within=BACK_WITHIN)
        assert pitch(heard) == pytest.approx(440, abs=4)
    await agree(stack, ana, bo)
    assert ana.seats.value[0].state == "taken"


async def test_the_engine_is_replaced_and_nothing_is_missed(stack: Stack) -> None:
    ana = await join(stack, "ana", 440, as_host=True)
    bo = await join(stack, "bo", 660, as_host=False)
    await ana.take_seat(0)

    async def follow() -> list[int]:
        return [update.seq async for update in bo.updates()]

    following = asyncio.create_task(follow())
    await stack.stop()
    async with aclosing(bo.audio("ana")) as at_bo:  # Conversations go on without the engine.
        assert pitch(await listen(at_bo, 0.4)) == pytest.approx(440, abs=4)
    await stack.start()
    await ana.lock_seat(3)
    await bo.take_seat(1)
    await agree(stack, ana, bo)
    await bo.dispose()
    seen = await asyncio.wait_for(following, 5)
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert bo.can_publish.value is False
