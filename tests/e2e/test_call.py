"""Calls between two with a real LiveKit: rings, one winner, both heard, and every way to end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from support.sound import listen, pitch
from support.stack import Stack

from utd_protocol import inbox as ib
from utd_stream import (
    CallOver,
    CallReason,
    ClosedByUs,
    Conflict,
    IncomingCall,
    NotFound,
    UTDCallSession,
    UTDCallStatus,
    UTDStreamClient,
    UTDStreamType,
)

pytestmark = pytest.mark.e2e
AUDIO, VIDEO = UTDStreamType.AUDIO_CALL, UTDStreamType.VIDEO_CALL


async def user(stack: Stack, identity: str, hz: float = 440) -> UTDStreamClient:
    client = await stack.client(hz)
    await client.authenticate(identity=identity)
    return client


async def soon(calls: AsyncIterator[IncomingCall]) -> IncomingCall:
    async with asyncio.timeout(5):
        return await anext(calls)


async def until(session: UTDCallSession, status: UTDCallStatus, within: float = 5) -> None:
    async with asyncio.timeout(within):
        await session.status.wait_for(status)


async def test_two_devices_ring_and_one_has_the_call(stack: Stack) -> None:
    ana, phone, tablet = [
        await user(stack, who, hz) for who, hz in (("ana", 440), ("bo", 660), ("bo", 880))
    ]
    async with aclosing(phone.incoming_calls()) as on_phone, aclosing(
        tablet.incoming_calls()
    ) as on_tablet:  # fmt: skip
        ringing = [asyncio.create_task(soon(calls)) for calls in (on_phone, on_tablet)]
        session = ana.call_session(AUDIO)
        call = await session.start(callee_identity="bo", metadata={"about": "lunch"})
        first, second = await asyncio.gather(*ringing)
        assert (first.id, first.caller, first.metadata) == (call.call_id, "ana", {"about": "lunch"})
        await until(session, UTDCallStatus.RINGING)

        answered = await first.accept()
        assert answered.status.value is UTDCallStatus.ACTIVE
        async with asyncio.timeout(5):
            await second.rings.wait_for(wanted=False)
        assert (first.reason, second.reason) == (None, CallReason.ANSWERED_ELSEWHERE)
        with pytest.raises(Conflict) as late:
            await second.accept()
        assert late.value.code == "answered_elsewhere"

        await until(session, UTDCallStatus.ACTIVE)
        async with aclosing(session.audio("bo")) as at_ana, aclosing(
            answered.audio("ana")
        ) as at_bo:  # fmt: skip
            heard = await asyncio.gather(listen(at_ana, 0.5), listen(at_bo, 0.5))
        assert [pitch(samples) for samples in heard] == pytest.approx([660, 440], abs=3)

        await answered.end()
        await answered.end()
        await until(session, UTDCallStatus.ENDED)
        async with asyncio.timeout(5):
            await session.connected.wait_for(wanted=False)
    assert isinstance(session.ended, CallOver)
    assert session.ended.code == "hangup"
    assert isinstance(answered.ended, ClosedByUs)
    record = await ana.get_call(call.call_id)
    assert (record.status, record.reason, record.ended_by) == (
        UTDCallStatus.ENDED,
        CallReason.HANGUP,
        "bo",
    )
    assert record.connected_at is not None
    assert record.duration_s > 0
    assert [one.call_id for one in (await phone.calls()).items] == [call.call_id]

    again = await session.start(callee_identity="bo")
    assert again.call_id != call.call_id
    assert session.status.value is UTDCallStatus.INITIATING
    await session.end()
    assert (await ana.get_call(again.call_id)).reason is CallReason.CANCELLED


async def test_a_video_call_is_seen(stack: Stack) -> None:
    ana, bo = await user(stack, "ana"), await user(stack, "bo")
    session, other = ana.call_session(VIDEO), bo.call_session(VIDEO)
    call = await session.start(callee_identity="bo")
    await other.ringing(call.call_id)
    await other.accept(call.call_id)
    async with aclosing(session.video("bo", 320)) as frames:
        async with asyncio.timeout(10):
            frame = await anext(frames)
    assert (frame.width, frame.height) == (320, 240)
    await session.end()
    await until(other, UTDCallStatus.ENDED)


async def test_no_answer_no_and_busy(stack: Stack) -> None:
    ana, bo = await user(stack, "ana"), await user(stack, "bo")
    zoe = await user(stack, "zoe")
    session = ana.call_session(AUDIO)
    async with aclosing(bo.incoming_calls()) as calls:
        await session.start(callee_identity="bo")
        rings = await soon(calls)
        await rings.reject()
        assert (rings.rings.value, rings.reason) == (False, CallReason.REJECTED)
        await until(session, UTDCallStatus.REJECTED)

        await session.start(callee_identity="bo", ring_timeout=5)
        rings = await soon(calls)
        waits = zoe.call_session(AUDIO)
        refused = await waits.start(callee_identity="bo")
        assert (refused.status, waits.status.value) == (UTDCallStatus.BUSY, UTDCallStatus.BUSY)
        assert isinstance(waits.ended, CallOver)
        await until(session, UTDCallStatus.MISSED, within=8)
        async with asyncio.timeout(5):
            await rings.rings.wait_for(wanted=False)
        assert rings.reason is CallReason.NO_ANSWER

        await session.start(callee_identity="bo")
        rings = await soon(calls)
        await rings.busy()
        await until(session, UTDCallStatus.BUSY)

        await session.start(callee_identity="bo")
        rings = await soon(calls)
        await session.end()
        async with asyncio.timeout(5):
            await rings.rings.wait_for(wanted=False)
        assert rings.reason is CallReason.CANCELLED
    with pytest.raises(NotFound):
        await zoe.get_call(rings.id)


async def test_the_inbox_survives_a_restart_of_the_engine(stack: Stack) -> None:
    ana, bo = await user(stack, "ana"), await user(stack, "bo")
    got: list[int] = []

    async def read() -> None:
        async with aclosing(bo.inbox(after=0)) as events:
            async for event in events:
                got.append(event.seq)
                if isinstance(event, ib.CallOver) and len(got) > 3:
                    return

    reading = asyncio.create_task(read())
    session = ana.call_session(AUDIO)
    await session.start(callee_identity="bo")
    await session.end()
    await stack.stop()
    await stack.start()
    await session.start(callee_identity="bo")
    await session.end()
    async with asyncio.timeout(15):
        await reading
    assert got == list(range(1, len(got) + 1))
