"""Records a live stream: all sound into a WAV file, and a picture of its host each second.

Usage: UTD_APP_ID=… UTD_APP_KEY=pk_… python stream_recorder.py STREAM FOLDER SECONDS
"""

import asyncio
import os
import sys
from contextlib import aclosing
from pathlib import Path

from utd_stream import UTDLiveStreamSession, UTDStreamClient, VideoFrame


async def main(stream: str, folder: str, seconds: str) -> None:
    """Wait until the stream is live, then record it for so long."""
    place = Path(folder)
    async with UTDStreamClient(
        app_id=os.environ["UTD_APP_ID"], app_key=os.environ["UTD_APP_KEY"]
    ) as client:
        live = await client.join_live_stream(identity="recorder", room_name=stream)
        await live.live.wait_for(wanted=True)
        pictures = asyncio.create_task(take_pictures(live, place))
        recorded = await live.record(place / "sound.wav", seconds=float(seconds))
        pictures.cancel()
        print(f"recorded {recorded:.1f} s")


async def take_pictures(live: UTDLiveStreamSession, folder: Path) -> None:
    """Keep one frame a second."""
    [host] = [one.identity for one in live.stage.value if one.role == "host"]
    loop, number, due = asyncio.get_running_loop(), 0, 0.0
    async with aclosing(live.video(host, 640)) as frames:
        async for frame in frames:
            if loop.time() >= due:
                due, number = loop.time() + 1, number + 1
                write_ppm(folder / f"{number:03}.ppm", frame)


def write_ppm(path: Path, frame: VideoFrame) -> None:
    """The simplest picture format that every viewer opens."""
    head = f"P6 {frame.width} {frame.height} 255\n".encode()
    path.write_bytes(head + frame.pixels[:, :, :3].tobytes())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
