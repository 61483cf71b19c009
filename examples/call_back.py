"""A service that calls back whoever called and was missed, and says what a WAV file says.

Usage: UTD_APP_ID=… UTD_APP_KEY=pk_… python call_back.py WAV_FILE
"""

import asyncio
import os
import sys
from contextlib import aclosing

from utd_stream import (
    MediaInputs,
    UTDCallStatus,
    UTDStreamClient,
    UTDStreamType,
    WavFile,
    inbox_events,
)


async def main(path: str) -> None:
    """Read the inbox for ever: it goes on where it was after every lost connection."""
    message = WavFile(path)
    async with UTDStreamClient(
        app_id=os.environ["UTD_APP_ID"],
        app_key=os.environ["UTD_APP_KEY"],
        media=MediaInputs(microphone=message),
    ) as client:
        await client.authenticate(identity="service")
        last = await client.inbox_head()
        print("waiting for missed calls", flush=True)
        async with aclosing(client.inbox(after=last)) as events:
            async for event in events:
                if isinstance(event, inbox_events.CallMissed) and event.caller != "service":
                    await call_back(client, event.caller, message)


async def call_back(client: UTDStreamClient, identity: str, message: WavFile) -> None:
    """Ring until they answer or do not, say the message, and hang up."""
    message.rewind()
    async with client.call_session(UTDStreamType.AUDIO_CALL) as call:
        await call.start(callee_identity=identity)
        status = await call.status.wait_for(is_decided)
        if status is UTDCallStatus.ACTIVE:
            await message.wait_finished()
        await call.end()
    print(f"called {identity} back: {status}", flush=True)


def is_decided(status: UTDCallStatus | None) -> bool:
    """Whether they answered, or will not any more."""
    return status is UTDCallStatus.ACTIVE or (status is not None and status.is_over)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
