"""A stage and its viewers at a size that two cores carry: four speak, eight hear all of them."""

import asyncio
from contextlib import aclosing
from typing import Final

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from support.sound import LOUD
from support.stack import Stack

from utd_stream import UTDLiveStreamSession

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PITCHES: Final = {"host": 440, "co1": 660, "co2": 880, "co3": 1100}
VIEWERS: Final = 8
WINDOW_S: Final = 0.5


async def join(stack: Stack, identity: str, hz: float = 440) -> UTDLiveStreamSession:
    client = await stack.client(hz)
    return await client.join_live_stream(
        identity=identity, room_name="show", as_host=identity == "host"
    )


async def heard(viewer: UTDLiveStreamSession) -> set[int]:
    """Which of the pitches are in half a second of everything that a viewer hears."""
    parts: list[np.ndarray] = []
    seconds = 0.0
    async with aclosing(viewer.mixed_audio(frame_ms=100)) as frames:
        async for frame in frames:
            if frame.level < LOUD / 2:
                continue
            parts.append(frame.samples)
            seconds += frame.duration
            if seconds >= WINDOW_S:
                break
    samples = np.concatenate(parts)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    per_hz = len(samples) / 48_000
    loudest = spectrum.max()
    return {
        hz
        for hz in PITCHES.values()
        if spectrum[round((hz - 5) * per_hz) : round((hz + 5) * per_hz) + 1].max() > loudest / 10
    }


async def hears_all(viewer: UTDLiveStreamSession) -> None:
    while await heard(viewer) != set(PITCHES.values()):
        await asyncio.sleep(0)


def updates(registry: CollectorRegistry) -> float:
    """How often the room's metadata was set so far."""
    name = "engine_sfu_requests_total"
    labels = {"method": "UpdateRoomMetadata", "code": "ok"}
    return registry.get_sample_value(name, labels) or 0.0


async def test_four_on_stage_are_heard_by_eight_viewers(stack: Stack) -> None:
    people = {name: await join(stack, name, hz) for name, hz in PITCHES.items()}
    viewers = [await join(stack, f"viewer {number}") for number in range(VIEWERS)]
    host = people["host"]
    await host.go_live(with_video=False)
    for name, session in people.items():
        if name != "host":
            await host.invite_to_stage(name)
            await session.can_publish.wait_for(True)
            await session.set_microphone(True)
    async with asyncio.timeout(60):
        for viewer in viewers:
            await hears_all(viewer)
    registry = stack.served.engine.metrics.registry
    before = updates(registry)
    await host.pause()
    async with asyncio.timeout(10):
        for viewer in viewers:
            await viewer.live.wait_for(False)
    assert updates(registry) - before == 1, "one update, whatever the audience"
