"""One device of `utd demo call`, a process of its own: takes orders on stdin, answers on stdout.

It knows the SDK and nothing of the engine. It ends with its stdin.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Final, TypeVar

from utd_cli.demos import call_orders as co
from utd_cli.demos import orders as o
from utd_cli.demos.ear import Ear
from utd_cli.demos.process import obey, write
from utd_cli.demos.sound import dbfs, strongest_hz
from utd_stream import (
    CallReason,
    IncomingCall,
    MediaInputs,
    Tone,
    UTDCallSession,
    UTDCallStatus,
    UTDStreamClient,
    UTDStreamType,
    inbox_events,
)

T = TypeVar("T")

LEVEL_EVERY_S: Final = 0.1
RINGS_WITHIN_S: Final = 10.0
OVER_WITHIN_S: Final = 20.0


class Device:
    """One device of a person. Everything it starts ends with its task group."""

    def __init__(self, tasks: asyncio.TaskGroup, exits: AsyncExitStack) -> None:
        self._tasks = tasks
        self._exits = exits
        self._ears: dict[str, Ear] = {}
        self._rung: dict[str, asyncio.Future[IncomingCall]] = {}
        self._answered: dict[str, asyncio.Future[str]] = {}
        self._signed_in: UTDStreamClient | None = None
        self._session: UTDCallSession | None = None

    @property
    def _client(self) -> UTDStreamClient:
        if self._signed_in is None:
            raise RuntimeError("Sign in first.")
        return self._signed_in

    @property
    def _call(self) -> UTDCallSession:
        if self._session is None:
            raise RuntimeError("Start or accept a call first.")
        return self._session

    async def follow(self, order: co.AnyOrder, /) -> object:
        """Do it; what is returned is the answer."""
        match order:
            case co.SignIn():
                await self._sign_in(order)
            case co.Reject(call_id=call_id):
                await (await self._ring(call_id)).reject()
            case co.Call():
                return await self._start(order)
            case co.Ring(call_id=call_id):
                await self._ring(call_id)
                return o.At(time.monotonic())
            case co.Accept(call_id=call_id):
                self._use(await (await self._ring(call_id)).accept())
                return o.At(time.monotonic())
            case co.RingOver(call_id=call_id):
                return await self._silent(call_id)
            case _:
                return await self._talk(order)
        return None

    async def _talk(
        self, order: co.HangUp | co.Over | co.Look | o.Hear | o.FirstSound | o.Measure
    ) -> object:
        match order:
            case co.HangUp():
                called = time.monotonic()
                await self._call.end()
                return o.At(called)
            case co.Over():
                async with asyncio.timeout(OVER_WITHIN_S):
                    status = await self._call.status.wait_for(_is_over)
                return status and status.value
            case co.Look(call_id=call_id):
                call = await self._client.get_call(call_id)
                return co.Record(call.status.value, call.reason or "", call.duration_s)
            case o.Hear(who=who):
                ear = self._ears[who] = Ear()
                self._tasks.create_task(ear.listen(self._call.audio(who)))
                return None
            case o.FirstSound(who=who, after=after):
                return o.At(await self._ears[who].first_sound(after))
            case o.Measure(who=who, start=start, end=end):
                await asyncio.sleep(end - time.monotonic())
                sound = self._ears[who].between(start, end)
                return o.Measured(dbfs(sound), strongest_hz(sound))

    async def _sign_in(self, order: co.SignIn) -> None:
        client = self._signed_in = await self._exits.enter_async_context(
            UTDStreamClient(
                app_id=order.app_id,
                app_key=order.app_key,
                base_url=order.base_url,
                media=MediaInputs(microphone=Tone(order.hz)),
            )
        )
        await client.authenticate(identity=order.identity, device_id=order.device)
        head = await client.inbox_head()
        self._tasks.create_task(self._note_rings())
        self._tasks.create_task(self._note_answers(head))
        telling = self._tasks.create_task(self._tell_levels())
        self._exits.callback(telling.cancel)

    async def _start(self, order: co.Call) -> co.Began:
        session = self._use(self._client.call_session(UTDStreamType.AUDIO_CALL))
        call = await session.start(callee_identity=order.who, ring_timeout=order.ring_timeout_s)
        return co.Began(call.call_id, call.status.value)

    def _use(self, session: UTDCallSession) -> UTDCallSession:
        self._session = session
        self._exits.push_async_callback(session.dispose)
        return session

    async def _ring(self, call_id: str) -> IncomingCall:
        async with asyncio.timeout(RINGS_WITHIN_S):
            return await asyncio.shield(_awaited(self._rung, call_id))

    async def _silent(self, call_id: str) -> co.Silent:
        call = await self._ring(call_id)
        async with asyncio.timeout(OVER_WITHIN_S):
            await call.rings.wait_for(False)
            at = time.monotonic()
            elsewhere = call.reason is CallReason.ANSWERED_ELSEWHERE
            by = await asyncio.shield(_awaited(self._answered, call_id)) if elsewhere else ""
        return co.Silent(at, call.reason or "", by)

    async def _note_rings(self) -> None:
        async for call in self._client.incoming_calls():
            _awaited(self._rung, call.id).set_result(call)

    async def _note_answers(self, head: int) -> None:
        async for event in self._client.inbox(after=head):
            if isinstance(event, inbox_events.CallAnswered):
                _awaited(self._answered, event.call_id).set_result(event.device)

    async def _tell_levels(self) -> None:
        while True:
            await asyncio.sleep(LEVEL_EVERY_S)
            for who, ear in self._ears.items():
                write(o.Level(who, ear.level()))


def _is_over(status: UTDCallStatus | None) -> bool:
    return status is not None and status.is_over


def _awaited(futures: dict[str, asyncio.Future[T]], call_id: str) -> asyncio.Future[T]:
    """What is known of a call, or will be."""
    if call_id not in futures:
        futures[call_id] = asyncio.get_running_loop().create_future()
    return futures[call_id]


if __name__ == "__main__":
    asyncio.run(obey(Device, co.AnyOrder))
