"""A bot that plays a WAV file in an audio room, over and over, from a seat that it takes.

Usage: UTD_APP_ID=… UTD_APP_KEY=pk_… python music_bot.py ROOM WAV_FILE
"""

import asyncio
import os
import sys

from utd_stream import MediaInputs, RoomEnded, UTDAudioRoomSession, UTDStreamClient, WavFile


async def main(room_name: str, path: str) -> None:
    """Play until the room ends or somebody takes the bot from its seat."""
    async with UTDStreamClient(
        app_id=os.environ["UTD_APP_ID"],
        app_key=os.environ["UTD_APP_KEY"],
        media=MediaInputs(microphone=WavFile(path, loop=True)),
    ) as client:
        room = await client.join_audio_room(identity="dj", room_name=room_name, as_host=True)
        seat = await room.take_seat()  # returns when the music is live
        print(f"playing in {room_name} on seat {seat.index}", flush=True)
        try:
            await stay_seated(room)
        except RoomEnded as over:
            print(over)


async def stay_seated(room: UTDAudioRoomSession) -> None:
    """Return when the seat is gone: whoever takes it away wants silence."""
    async for _ in room.updates():
        if room.seat is None:
            print("taken from the seat: goodbye")
            return


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
