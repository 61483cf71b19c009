"""One client of `utd demo`, a process of its own: takes orders on stdin, answers on stdout.

It knows the SDK and nothing of the engine. It ends with its stdin.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Final

from msgspec import structs

from utd_cli.demos import orders as o
from utd_cli.demos.ear import Ear
from utd_cli.demos.orders import EVERYBODY
from utd_cli.demos.process import obey, write
from utd_cli.demos.sound import dbfs, likeness, strongest_hz
from utd_cli.demos.voice import Voice
from utd_cli.demos.wav import read_wav, write_wav
from utd_stream import (
    MediaInputs,
    PublishNotAllowed,
    SeatMode,
    Tone,
    UTDAudioRoomSession,
    UTDStreamClient,
)

SEATS: Final = 4
LEVEL_EVERY_S: Final = 0.1
ASKED_WITHIN_S: Final = 10.0
INSIST_EVERY_S: Final = 0.1


class Player:
    """One person in the room. Everything it starts ends with its task group."""

    def __init__(self, tasks: asyncio.TaskGroup, exits: AsyncExitStack) -> None:
        self._tasks = tasks
        self._exits = exits
        self._ears: dict[str, Ear] = {}
        self._voice: Voice | Tone = Tone()
        self._joined: UTDAudioRoomSession | None = None

    @property
    def _room(self) -> UTDAudioRoomSession:
        if self._joined is None:
            raise RuntimeError("Join first.")
        return self._joined

    async def follow(self, order: o.AnyOrder) -> object:
        """Do it; what is returned is the answer."""
        match order:
            case o.Join():
                await self._join(order)
            case o.Hear(who=who):
                self._hear(who)
            case o.Sing(hz=hz):
                await self._room.set_microphone(True, Tone(hz))
            case o.Hush():
                await self._room.set_microphone(False)
            case o.Ask():
                await self._room.request_to_speak(note="The demo asks to speak.")
            case o.Save(path=path):
                write_wav(path, self._ears[EVERYBODY].everything())
            case o.Leave(end=end):
                await (self._room.end() if end else self._room.leave())
            case _:
                return await self._answer(order)
        return None

    async def _answer(self, order: o.Question) -> object:
        match order:
            case o.TakeSeat(index=index):
                return await self._take(index)
            case o.Speak():
                return await self._speak()
            case o.Approve(who=who):
                return await self._approve(who)
            case o.Remove(who=who):
                return await self._remove(who)
            case o.Insist(seconds=seconds):
                return await self._insist(seconds)
            case o.FirstSound() | o.LastSound() | o.Measure():
                return await self._recall(order)

    async def _recall(self, order: o.FirstSound | o.LastSound | o.Measure) -> object:
        ear = self._ears[order.who]
        match order:
            case o.FirstSound(after=after):
                return o.At(await ear.first_sound(after))
            case o.LastSound():
                return o.At(ear.last_sound())
            case o.Measure():
                return await _measure(ear, order)

    async def _join(self, order: o.Join) -> None:
        self._voice = Voice(order.speech) if order.speech else Tone(order.hz)
        client = await self._exits.enter_async_context(
            UTDStreamClient(
                app_id=order.app_id,
                app_key=order.app_key,
                base_url=order.base_url,
                media=MediaInputs(microphone=self._voice),
            )
        )
        self._joined = await client.join_audio_room(
            identity=order.identity,
            room_name=order.room,
            as_host=order.as_host,
            seat_count=SEATS,
            seat_mode=SeatMode.REQUEST,
        )
        for telling in (self._tell_seats, self._tell_speakers, self._tell_levels):
            self._tasks.create_task(telling())

    def _hear(self, who: str) -> None:
        ear = self._ears[who] = Ear()
        everybody = who == EVERYBODY
        frames = self._room.mixed_audio() if everybody else self._room.audio(who)
        self._tasks.create_task(ear.listen(frames))

    async def _take(self, index: int) -> o.Taken:
        permitted: list[float] = []

        def note(allowed: bool) -> None:  # noqa: FBT001  # the value that is listened to
            if allowed:
                permitted.append(time.monotonic())

        stop = self._room.can_publish.listen(note)
        called = time.monotonic()
        try:
            await self._room.take_seat(index)
        finally:
            stop()
        if not permitted:
            raise RuntimeError("LiveKit never said that publishing is allowed.")
        return o.Taken(called, permitted[0])

    async def _speak(self) -> o.At:
        started = time.monotonic()
        if isinstance(self._voice, Voice):
            await self._voice.speak()
        return o.At(started)

    async def _approve(self, who: str) -> o.At:
        async with asyncio.timeout(ASKED_WITHIN_S):
            asking = await self._room.requests.wait_for(
                lambda pending: any(request.identity == who for request in pending)
            )
        called = time.monotonic()
        await self._room.approve_speaker(next(r.id for r in asking if r.identity == who))
        return o.At(called)

    async def _remove(self, who: str) -> o.At:
        called = time.monotonic()
        await self._room.remove_from_seat(who)
        return o.At(called)

    async def _insist(self, seconds: float) -> o.Insisted:
        until = time.monotonic() + seconds
        # A try before LiveKit's word has come is allowed, and then waits for the right to return.
        async with asyncio.timeout(seconds):
            await self._room.can_publish.wait_for(False)
        tried = refused = 0
        while time.monotonic() < until:
            tried += 1
            try:
                await self._room.set_microphone(True, self._voice)
            except PublishNotAllowed:
                refused += 1
            await asyncio.sleep(INSIST_EVERY_S)
        return o.Insisted(tried, refused)

    async def _tell_seats(self) -> None:
        async for seats in self._room.seats.changes():
            write(o.Seats(tuple(seat.identity for seat in seats)))

    async def _tell_speakers(self) -> None:
        async for speakers in self._room.active_speakers.changes():
            write(o.Speakers(tuple(speakers)))

    async def _tell_levels(self) -> None:
        while self._room.ended is None:
            await asyncio.sleep(LEVEL_EVERY_S)
            for who, ear in self._ears.items():
                if who != EVERYBODY:
                    write(o.Level(who, ear.level()))


async def _measure(ear: Ear, order: o.Measure) -> o.Measured:
    await asyncio.sleep(order.end - time.monotonic())
    sound = ear.between(order.start, order.end)
    found = o.Measured(dbfs(sound), strongest_hz(sound))
    if not order.speech:
        return found
    return structs.replace(found, likeness=likeness(await read_wav(order.speech), sound))


if __name__ == "__main__":
    asyncio.run(obey(Player, o.AnyOrder))
