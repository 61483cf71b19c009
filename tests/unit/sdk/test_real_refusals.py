"""What the engine says of a refusal, read through the SDK: the engine runs in this process."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from utd_engine.testing._fixtures import MakeUser
from utd_stream import Banned, Conflict, Kicked


async def test_a_ban_says_until_when_and_why(user: MakeUser) -> None:
    ana, bo = await user("ana"), await user("bo")
    host = await ana.join_audio_room(identity="ana", room_name="lobby", as_host=True)
    guest = await bo.join_audio_room(identity="bo", room_name="lobby")
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=400)
    await host.ban("bo", until=until, reason="noise")
    async with asyncio.timeout(5):
        with pytest.raises(Kicked) as put_out:
            async for _ in guest.updates():
                pass
    with pytest.raises(Banned) as refused:
        await bo.join_audio_room(identity="bo", room_name="lobby")

    assert (put_out.value.code, put_out.value.until) == ("banned", until)
    assert (refused.value.until, refused.value.reason) == (until, "noise")
    assert refused.value.rule
    assert refused.value.hint


async def test_a_conflict_says_who_was_first(user: MakeUser) -> None:
    ana, bo = await user("ana"), await user("bo")
    host = await ana.join_audio_room(
        identity="ana", room_name="lobby", as_host=True, seat_mode="request"
    )
    guest = await bo.join_audio_room(identity="bo", room_name="lobby")
    asked = await guest.request_to_speak()
    assert asked is not None
    await host.reject_request(asked.id)
    with pytest.raises(Conflict) as late:
        await host.reject_request(asked.id)

    assert late.value.code == "already_handled"
    assert late.value.context["handled_by"] == "ana"
