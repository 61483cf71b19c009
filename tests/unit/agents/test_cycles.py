import asyncio
import threading
from pathlib import Path

from support.agent_fakes import ROOM, AgentStage, Frames, settle

from utd_stream.agents._transcripts import TRANSCRIPTION_TOPIC

CYCLES = 1_000


async def test_a_thousand_starts_and_ends_leave_no_task_thread_or_file() -> None:
    microphone = Frames()
    async with AgentStage(microphone=microphone) as stage:
        await stage.join()
        before = now()
        for cycle in range(CYCLES):
            await stage.session.start()
            stage.server.stream_text(ROOM, "agent", TRANSCRIPTION_TOPIC)[0].write("half a word")
            await asyncio.sleep(0)
            await stage.session.send_text("hi")
            if cycle % 3 == 0:
                stage.server.remove(ROOM, "ana")
                await settle()
            await stage.session.end()
            assert stage.session.error is None
        await settle()
        assert now() == before
        assert stage.time.running == 0
        assert not stage.session._receivers[1]._reading
        assert microphone.opened == microphone.closed == CYCLES


def now() -> tuple[int, int, int]:
    files = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return len(asyncio.all_tasks()), threading.active_count(), files
