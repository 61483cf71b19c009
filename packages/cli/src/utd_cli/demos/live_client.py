"""One client of `utd demo live`, a process of its own: takes orders on stdin, answers on stdout.

It knows the SDK and nothing of the engine. It ends with its stdin.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

from utd_cli.demos import live_orders as lo
from utd_cli.demos import orders as o
from utd_cli.demos.ear import Ear
from utd_cli.demos.live_eye import NOWHERE, Eye
from utd_cli.demos.process import obey, write
from utd_cli.demos.sound import RATE, dbfs, strongest_hz
from utd_stream import (
    MediaInputs,
    PublishNotAllowed,
    TestPattern,
    Tone,
    UTDLiveStreamSession,
    UTDStreamClient,
)

LEVEL_EVERY_S: Final = 0.1
INSIST_EVERY_S: Final = 0.1
RIGHT_WITHIN_S: Final = 10.0


class Player:
    """One person in the stream. Everything it starts ends with its task group."""

    def __init__(self, tasks: asyncio.TaskGroup, exits: AsyncExitStack) -> None:
        self._tasks = tasks
        self._exits = exits
        self._ears: dict[str, Ear] = {}
        self._eyes: dict[str, Eye] = {}
        self._joined: UTDLiveStreamSession | None = None

    @property
    def _live(self) -> UTDLiveStreamSession:
        if self._joined is None:
            raise RuntimeError("Join first.")
        return self._joined

    async def follow(self, order: lo.AnyOrder, /) -> object:
        """Do it; what is returned is the answer."""
        match order:
            case o.Join():
                await self._join(order)
            case o.Leave(end=end):
                await (self._live.end() if end else self._live.leave())
            case lo.Watch(who=who):
                self._watch(who)
            case lo.Publish():
                await self._publish()
            case o.Insist(seconds=seconds):
                return await self._insist(seconds)
            case o.FirstSound() | o.Measure() | lo.FirstPicture() | lo.Count():
                return await self._recall(order)
            case _:
                return await self._command(order)
        return None

    async def _command(
        self, order: lo.GoLive | lo.Pause | lo.Resume | lo.Invite | o.Remove
    ) -> o.At:
        """What a host decides; the answer is the moment before."""
        called = time.monotonic()
        match order:
            case lo.GoLive():
                await self._live.go_live()
            case lo.Pause():
                await self._live.pause()
            case lo.Resume():
                await self._live.resume()
            case lo.Invite(who=who):
                await self._live.invite_to_stage(who)
            case o.Remove(who=who):
                await self._live.remove_from_stage(who)
        return o.At(called)

    async def _recall(self, order: o.FirstSound | o.Measure | lo.FirstPicture | lo.Count) -> object:
        match order:
            case o.FirstSound(who=who, after=after):
                return o.At(await self._ears[who].first_sound(after))
            case lo.FirstPicture(who=who, after=after):
                return o.At(await self._eyes[who].first(after))
            case o.Measure(who=who, start=start, end=end):
                await asyncio.sleep(end - time.monotonic())
                sound = self._ears[who].between(start, end)
                return o.Measured(dbfs(sound), strongest_hz(sound))
            case lo.Count():
                return await self._count(order)

    async def _join(self, order: o.Join) -> None:
        media = MediaInputs(microphone=Tone(order.hz), camera=TestPattern())
        client = await self._exits.enter_async_context(
            UTDStreamClient(
                app_id=order.app_id, app_key=order.app_key, base_url=order.base_url, media=media
            )
        )
        self._joined = await client.join_live_stream(
            identity=order.identity, room_name=order.room, as_host=order.as_host
        )
        for telling in (self._tell_stage, self._tell_speakers, self._tell_levels):
            self._tasks.create_task(telling())

    def _watch(self, who: str) -> None:
        ear = self._ears[who] = Ear()
        eye = self._eyes[who] = Eye()
        self._tasks.create_task(ear.listen(self._live.audio(who)))
        self._tasks.create_task(eye.look(self._live.video(who)))

    async def _publish(self) -> None:
        async with asyncio.timeout(RIGHT_WITHIN_S):
            await self._live.can_publish.wait_for(True)
        await self._live.set_microphone(True)
        await self._live.set_camera(True)

    async def _insist(self, seconds: float) -> o.Insisted:
        """Try both devices, again and again, once LiveKit has said that it is not allowed."""
        until = time.monotonic() + seconds
        async with asyncio.timeout(seconds):
            await self._live.can_publish.wait_for(False)
        devices: tuple[Callable[[bool], Awaitable[None]], ...]
        devices = (self._live.set_microphone, self._live.set_camera)
        tried = refused = 0
        while time.monotonic() < until:
            for switch in devices:
                tried += 1
                try:
                    await switch(True)
                except PublishNotAllowed:
                    refused += 1
            await asyncio.sleep(INSIST_EVERY_S)
        return o.Insisted(tried, refused)

    async def _count(self, order: lo.Count) -> lo.Counted:
        await asyncio.sleep(order.end - time.monotonic())
        pictures = self._eyes[order.who].between(order.start, order.end)
        sound = self._ears[order.who].between(order.start, order.end)
        return lo.Counted(
            pictures=len(pictures),
            correct=sum(one.correct for one in pictures),
            moved=len({one.square for one in pictures} - {NOWHERE}),
            sounds=len(sound) * 100 // RATE,
        )

    async def _tell_stage(self) -> None:
        async for stage in self._live.stage.changes():
            write(o.Seats(tuple(one.identity for one in stage)))

    async def _tell_speakers(self) -> None:
        async for speakers in self._live.active_speakers.changes():
            write(o.Speakers(tuple(speakers)))

    async def _tell_levels(self) -> None:
        while self._live.ended is None:
            await asyncio.sleep(LEVEL_EVERY_S)
            for who, ear in self._ears.items():
                write(o.Level(who, ear.level()))


if __name__ == "__main__":
    asyncio.run(obey(Player, lo.AnyOrder))
