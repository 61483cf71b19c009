import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from support.agent_fakes import ROOM, AgentStage, Frames, eventually, settle

from utd_stream import AudioFrame, DeviceFailed, RemoteParticipant, Tone
from utd_stream.agents._preconnect import PRECONNECT_TOPIC, Recorder
from utd_stream.agents._ring import RingBuffer


def frame(value: int) -> AudioFrame:
    return AudioFrame(np.full(480, value, np.int16))


class Heard:
    """What an agent gets of the recording."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def opened(self, stream, identity: str) -> None:  # noqa: ANN001
        async def read() -> None:
            data = b"".join([each async for each in stream])
            self.got.append((identity, dict(stream.attributes), data))

        self._tasks.append(asyncio.create_task(read()))


async def agent_in(stage: AgentStage, identity: str = "agent", **how: str) -> Heard:
    heard = Heard()
    room = await stage.join(identity, **how)  # type: ignore[arg-type]
    room.register_byte_stream_handler(PRECONNECT_TOPIC, heard.opened)
    return heard


async def test_what_was_said_before_the_join_goes_to_the_agent_once() -> None:
    microphone = Frames()
    async with AgentStage(microphone=microphone) as stage:

        async def talk() -> None:
            microphone.queue.put_nowait(frame(1))
            await eventually(lambda: stage.session._preconnect.recorder.buffered_size == 960)
            assert stage.session._preconnect.is_recording

        stage.before_token = talk
        await stage.session.start()
        assert stage.session.agent.is_buffering
        assert stage.session.agent.can_listen
        [track] = stage.server.member(ROOM, "ana").tracks.values()
        assert track.preconnect
        heard = Heard()
        agent = stage.new_room()
        stage.others.append(agent)
        agent.register_byte_stream_handler(PRECONNECT_TOPIC, heard.opened)
        token = stage.server.token_for(agent_grant())
        await agent.connect(stage.server.url, token)
        await settle()
        [(sender, attributes, data)] = heard.got
        assert sender == "ana"
        assert data == frame(1).data
        assert attributes == {
            "sampleRate": "48000",
            "channels": "1",
            "commonFormat": "int16",
            "trackId": track.sid,
        }
        assert not stage.session._preconnect.is_recording
        microphone.queue.put_nowait(frame(2))
        await stage.say("speaking")
        assert len(heard.got) == 1, "one shot"
        assert microphone.opened == 1
        assert stage.user_room.publishing().value == "live"


def agent_grant():  # noqa: ANN201
    from utd_stream.testing import Grant  # noqa: PLC0415

    attributes = {"lk.agent.state": "listening"}
    return Grant(room=ROOM, identity="agent", kind="agent", attributes=attributes)


async def test_an_agent_that_was_active_before_gets_it_with_the_track_id() -> None:  # Q8
    async with AgentStage(microphone=Frames()) as stage:
        heard = await agent_in(stage)
        await stage.session.start()
        await settle()
        [(_, attributes, data)] = heard.got
        assert attributes["trackId"] in stage.server.member(ROOM, "ana").tracks
        assert data == bytes(960), "of a microphone that was silent an agent gets silence at once"


async def test_an_avatar_worker_does_not_get_it() -> None:  # Q8
    async with AgentStage(microphone=Frames()) as stage:
        await stage.session.start()
        avatar = await agent_in(stage, "avatar", on_behalf="agent")
        assert stage.session._preconnect.is_recording
        heard = await agent_in(stage)
        await settle()
        assert avatar.got == []
        assert len(heard.got) in {0, 1}
        assert not stage.session._preconnect.is_recording


async def test_an_agent_that_is_not_active_yet_does_not_get_it() -> None:
    async with AgentStage(microphone=Frames()) as stage:
        await stage.session.start()
        sleeping = RemoteParticipant(identity="agent", kind="agent", active=False)
        stage.user_room.remote_participants._set((sleeping,))
        await settle()
        assert stage.session._preconnect.is_recording


async def test_without_an_agent_in_time_it_is_dropped_and_the_microphone_stays(  # Q19
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    async with AgentStage(microphone=Frames(), dispatches=False) as stage:
        await stage.session.start()
        assert stage.session.agent.is_buffering
        stage.time.advance(20)
        assert not stage.session.agent.is_buffering
        assert stage.session.agent.is_pending
        assert stage.user_room.publishing().value == "live"
        assert "it is dropped" in caplog.text
        heard = await agent_in(stage)
        assert heard.got == [], "silent at timeout"


@pytest.mark.parametrize("fails", ["token", "connect"])
async def test_a_failure_before_the_join_lets_the_microphone_go(fails: str) -> None:
    microphone = Frames()
    async with AgentStage(microphone=microphone) as stage:
        if fails == "token":

            async def refuse() -> None:
                raise ValueError("no")

            stage.before_token = refuse
        stage.server.faults.down = fails == "connect"
        await stage.session.start()
        recorder = stage.session._preconnect.recorder
        assert (recorder.is_recording, recorder.buffered_size) == (False, 0)
        assert (microphone.opened, microphone.closed) == (1, 1)
        stage.before_token = None
        stage.server.faults.down = False
        await stage.session.start()
        assert stage.session.is_connected
        assert stage.session.error is None


async def test_without_a_microphone_nothing_is_published(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with AgentStage() as stage:
        await stage.session.start()
        assert not stage.session.agent.is_buffering
        assert stage.server.member(ROOM, "ana").tracks == {}
        assert "no microphone" in caplog.text


async def test_a_recorder_hands_every_frame_over_in_order() -> None:
    microphone = Frames()
    recorder = Recorder(microphone)
    await recorder.start()
    for value in (1, 2):
        microphone.queue.put_nowait(frame(value))
    await eventually(lambda: recorder.buffered_size == 2 * 960)
    frames = aiter(recorder)
    first = asyncio.create_task(anext(frames))
    await settle()
    for value in (3, 4):
        microphone.queue.put_nowait(frame(value))
    live = [int((await first).samples[0])]
    while live[-1] != 4:
        live.append(int((await anext(frames)).samples[0]))
    assert live[-2:] == [3, 4]
    recorded = np.frombuffer(recorder.stop(), np.int16)[::480].tolist()
    assert recorded == [1, 2, 3, 4]
    microphone.queue.put_nowait(frame(5))
    assert (await anext(frames)).samples[0] == 5
    assert recorder.buffered_size == 0
    await frames.aclose()
    assert (microphone.opened, microphone.closed) == (1, 1)
    again = aiter(recorder)
    microphone.queue.put_nowait(frame(6))
    assert (await anext(again)).samples[0] == 6
    assert microphone.opened == 2, "after a pause it is opened anew"
    await again.aclose()


async def test_a_microphone_that_breaks_while_recorded_breaks_the_publishing() -> None:
    class Breaking:
        async def __aiter__(self) -> AsyncIterator[AudioFrame]:
            yield frame(1)
            raise DeviceFailed("unplugged")

    recorder = Recorder(Breaking())
    await recorder.start()
    await settle()
    with pytest.raises(DeviceFailed, match="unplugged"):
        async for _ in recorder:
            pass


async def test_starting_to_record_twice_warns(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(Frames())
    await recorder.start()
    await recorder.start()
    assert "already" in caplog.text
    recorder.reset()
    await recorder.settle()
    await recorder.start()
    recorder.reset()
    recorder.reset()
    await recorder.settle()


async def test_an_overflow_keeps_the_newest_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    microphone = Frames()
    recorder = Recorder(microphone, capacity=2_000)
    await recorder.start()
    for value in range(6):
        microphone.queue.put_nowait(frame(value))
    await eventually(lambda: microphone.queue.empty() and recorder.buffered_size == 2_000)
    await settle()
    assert np.frombuffer(recorder.stop(), np.int16)[-480:].tolist() == [5] * 480
    assert caplog.text.count("the oldest is dropped") == 1
    recorder.reset()
    await recorder.settle()


async def test_an_endless_source_is_recorded_at_the_pace_of_the_clock() -> None:
    recorder = Recorder(Tone())
    loop = asyncio.get_running_loop()
    before = loop.time()
    await recorder.start()
    await eventually(lambda: recorder.buffered_size >= 8 * 960)
    elapsed = loop.time() - before
    assert recorder.buffered_size / 960 <= elapsed / 0.01 + 11
    recorder.reset()
    await recorder.settle()


def test_the_ring_buffer_keeps_the_newest() -> None:
    ring = RingBuffer(5)
    assert not ring.write(bytes([1, 2, 3]))
    assert ring.write(bytes([4, 5, 6]))
    assert ring.to_bytes() == bytes([2, 3, 4, 5, 6])
    assert ring.write(bytes(range(7)))
    assert ring.take_bytes() == bytes([2, 3, 4, 5, 6])
    assert len(ring) == 0
    assert ring.write(bytes(5)), "as long as the capacity"
    with pytest.raises(ValueError, match="capacity"):
        RingBuffer(0)


async def test_closing_one_recording_does_not_wait_for_the_next() -> None:
    microphone = Frames()
    recorder = Recorder(microphone)
    await recorder.start()
    recorder.reset()
    settling = asyncio.create_task(recorder.settle())
    await recorder.start()
    async with asyncio.timeout(5):
        await settling
    assert recorder.is_recording
    microphone.queue.put_nowait(frame(1))
    await eventually(lambda: recorder.buffered_size)
    recorder.reset()
    await recorder.settle()
    assert (microphone.opened, microphone.closed) == (2, 2)
