"""How to test an app: the moderator bot with a whole engine in this process, and no LiveKit.

Usage: pip install 'utd-engine[testing]' && pytest test_moderator_bot.py
"""

import asyncio

import pytest
from moderator_bot import moderate

pytestmark = pytest.mark.asyncio


async def test_hands_are_taken_in_order(user, clock):  # noqa: ANN001, ANN201 as you would write it
    """The second one waits until the first one's seat is free."""
    host, ana, bo = await user("host"), await user("ana"), await user("bo")
    room = await host.join_audio_room(
        identity="host", room_name="lobby", as_host=True, seat_count=1, seat_mode="request"
    )
    at_ana = await ana.join_audio_room(identity="ana", room_name="lobby")
    at_bo = await bo.join_audio_room(identity="bo", room_name="lobby")
    bot = asyncio.create_task(moderate(room))

    await at_ana.request_to_speak()
    async with asyncio.timeout(5):
        await at_ana.seats.wait_for(lambda seats: seats[0].identity == "ana")
        await at_ana.can_publish.wait_for(True)
    await at_bo.request_to_speak()
    await clock.advance(10)
    assert at_bo.seat is None

    await at_ana.leave_seat()
    async with asyncio.timeout(5):
        await at_bo.seats.wait_for(lambda seats: seats[0].identity == "bo")
    await room.end("that was it")
    async with asyncio.timeout(5):
        await asyncio.wait({bot})  # the end of the room is the end of the bot
