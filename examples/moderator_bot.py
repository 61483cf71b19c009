"""A moderator that lets people speak in the order in which they raised their hands.

Usage: UTD_APP_ID=… UTD_APP_KEY=pk_… python moderator_bot.py ROOM
"""

import asyncio
import os
import sys

from utd_stream import Conflict, NotFound, RoomEnded, UTDAudioRoomSession, UTDStreamClient


async def main(room_name: str) -> None:
    """Open the room and moderate it until it ends."""
    async with UTDStreamClient(
        app_id=os.environ["UTD_APP_ID"], app_key=os.environ["UTD_APP_KEY"]
    ) as client:
        room = await client.join_audio_room(
            identity="moderator",
            room_name=room_name,
            as_host=True,
            seat_count=4,
            seat_mode="request",
        )
        print(f"moderating {room_name}", flush=True)
        try:
            await moderate(room)
        except* RoomEnded as over:
            print(over.exceptions[0])


async def moderate(room: UTDAudioRoomSession) -> None:
    """Approve until the room is over, which raises."""
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch(room))
        async for _ in room.updates():
            pass
        watching.cancel()


async def watch(room: UTDAudioRoomSession) -> None:
    """Approve whenever somebody asks, and whenever a seat becomes free."""
    changed = asyncio.Event()
    room.requests.listen(lambda _: changed.set())
    room.seats.listen(lambda _: changed.set())
    while True:
        changed.clear()
        await approve_waiting(room)
        await changed.wait()


async def approve_waiting(room: UTDAudioRoomSession) -> None:
    """Approve from the oldest on, until no seat is free."""
    for request in sorted(room.requests.value, key=lambda one: one.id):
        try:
            await room.approve_speaker(request.id)
        except NotFound:  # they took it back meanwhile
            continue
        except Conflict as refused:  # no seat is free: the next change brings us here again
            print(f"{request.identity} has to wait: {refused.code}", flush=True)
            return
        print(f"{request.identity} may speak", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
