"""A program to be killed: it starts a livekit-server and says on stdout which process that is.

`python livekit_parent.py BINARY FOLDER`
"""

import asyncio
import sys
from pathlib import Path

from utd_cli.media_server.process import LiveKitServer


async def main(binary: Path, folder: Path) -> None:
    async with LiveKitServer.start(binary, folder) as server:
        print(server.pid, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
