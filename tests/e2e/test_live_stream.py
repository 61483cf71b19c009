"""A live stream with a real LiveKit: what viewers see and hear, and what they must not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from support.sound import listen, pitch, quiet
from support.stack import Stack

from utd_stream import (
    PublishNotAllowed,
    RoomState,
    Source,
    UTDLiveStreamSession,
    VideoFrame,
)

pytestmark = pytest.mark.e2e


async def join(
    stack: Stack, identity: str, hz: float = 440, *, as_host: bool = False
) -> UTDLiveStreamSession:
    client = await stack.client(hz)
    return await client.join_live_stream(
        identity=identity, room_name="show", as_host=as_host, name=identity.title()
    )


async def shown(frames: AsyncIterator[VideoFrame], within: float = 10) -> VideoFrame:
    async with asyncio.timeout(within):
        return await anext(frames)


async def dark(frames: AsyncIterator[object], seconds: float = 0.7) -> None:
    """Nothing comes for so long."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await anext(frames)


BARS = ["111", "110", "011", "010", "101", "100", "001", "000"]
"""Red, green and blue of the test pattern's bars, from the left."""


def is_test_pattern(frame: VideoFrame) -> bool:
    """Read where the moving square never is."""
    row = frame.pixels[frame.height * 3 // 4, :, :3]
    middles = [row[frame.width * (2 * bar + 1) // 16] for bar in range(len(BARS))]
    return ["".join(str(int(value > 127)) for value in middle) for middle in middles] == BARS


def tracks_of(session: UTDLiveStreamSession, identity: str) -> int:
    people = {each.identity: each for each in session.remote_participants.value}
    return len(people[identity].tracks) if identity in people else 0


async def test_a_stream_from_backstage_to_its_end(stack: Stack) -> None:
    host = await join(stack, "host", as_host=True)
    viewer = await join(stack, "vi", 660)
    assert (host.is_host, viewer.is_host) == (True, False)
    assert host.state.value is RoomState.BACKSTAGE
    for early in (host.set_microphone(True), host.set_camera(True)):
        with pytest.raises(PublishNotAllowed):
            await early
    pictures, sound = viewer.video("host"), viewer.audio("host")
    async with aclosing(pictures), aclosing(sound):
        leak = asyncio.gather(dark(viewer.video("host")), dark(viewer.audio("host")))
        await leak
        assert tracks_of(viewer, "host") == 0

        await host.go_live()
        assert host.live.value
        assert host.can_publish.value
        async with asyncio.timeout(5):
            await viewer.live.wait_for(wanted=True)
        assert is_test_pattern(await shown(pictures))
        assert pitch(await listen(sound, 0.5)) == pytest.approx(440, abs=3)
        assert [(one.identity, one.name, one.role) for one in viewer.stage.value] == [
            ("host", "Host", "host")
        ]

        await host.pause()
        assert host.state.value is RoomState.PAUSED
        async with asyncio.timeout(5):
            await viewer.remote_participants.wait_for(lambda _: not tracks_of(viewer, "host"))
        async with aclosing(viewer.audio("host")) as paused:
            await quiet(paused)
        await dark(viewer.video("host"))
        with pytest.raises(PublishNotAllowed):
            await host.set_camera(True)

        await host.resume()
        assert is_test_pattern(await shown(pictures))
        assert pitch(await listen(sound, 0.5)) == pytest.approx(440, abs=3)

    async with asyncio.timeout(5):
        assert await viewer.audience.wait_for(2) == 2
    await host.end("that was it")
    async with asyncio.timeout(5):
        await viewer.state.wait_for(RoomState.ENDED)
        await viewer.connected.wait_for(wanted=False)
    assert str(viewer.ended) == "the room has ended: that was it"


async def test_a_viewer_on_the_stage_and_off_it(stack: Stack) -> None:
    host = await join(stack, "host", as_host=True)
    viewer = await join(stack, "vi", 660)
    await host.go_live(with_video=False)
    assert host.room.publishing(Source.CAMERA).value == "off"

    await host.invite_to_stage("vi")
    async with asyncio.timeout(5):
        await viewer.can_publish.wait_for(wanted=True)
    assert viewer.room.publishing().value == "off"  # a right is no open microphone
    assert tracks_of(host, "vi") == 0
    await viewer.set_microphone(True)
    await viewer.set_camera(True)
    async with aclosing(host.audio("vi")) as sound, aclosing(host.video("vi")) as pictures:
        assert pitch(await listen(sound, 0.5)) == pytest.approx(660, abs=3)
        assert is_test_pattern(await shown(pictures))

        await host.set_sources("vi", ["microphone"])
        async with asyncio.timeout(5):
            await viewer.room.publishing("camera").wait_for("waiting")
        with pytest.raises(PublishNotAllowed):
            await viewer.set_screen_share(True)

        await host.remove_from_stage("vi")
        async with asyncio.timeout(5):
            await viewer.can_publish.wait_for(wanted=False)
            await host.remote_participants.wait_for(lambda _: not tracks_of(host, "vi"))
        async with aclosing(host.audio("vi")) as after:
            await quiet(after)
        with pytest.raises(PublishNotAllowed):
            await viewer.set_microphone(True)

        request = await viewer.request_stage("me, please", with_video=False)
        assert request is not None
        async with asyncio.timeout(5):
            [asked] = await host.requests.wait_for(lambda asked: len(asked) == 1 and asked[0].note)
        await host.approve_stage(asked.id)
        async with asyncio.timeout(5):
            await viewer.room.publishing().wait_for("live")
            await viewer.stage.wait_for(lambda stage: len(stage) == 2)
        assert viewer.on_stage
        async with aclosing(host.audio("vi")) as again:
            assert pitch(await listen(again, 0.5)) == pytest.approx(660, abs=3)
        await viewer.leave_stage()
        async with asyncio.timeout(5):
            await host.remote_participants.wait_for(lambda _: not tracks_of(host, "vi"))
        assert [one.identity for one in await viewer.refresh_stage()] == ["host"]
