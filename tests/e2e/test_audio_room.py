"""An audio room with a real LiveKit: seats, hands, invites, and what everybody sees and hears."""

import asyncio
from contextlib import aclosing

import pytest
from support.sound import listen, pitch, quiet
from support.stack import Stack

from utd_stream import (
    Banned,
    ClosedByUs,
    Kicked,
    NotAllowed,
    PublishNotAllowed,
    UTDAudioRoomSession,
    UTDConnectionState,
    UTDSession,
    UTDStreamClient,
    UTDStreamType,
    livekit_events,
)

pytestmark = pytest.mark.e2e


async def join(
    stack: Stack, identity: str, hz: float = 440, *, as_host: bool = False, mode: str = "free"
) -> UTDAudioRoomSession:
    client = await stack.client(hz)
    return await client.join_audio_room(
        identity=identity,
        room_name="lobby",
        as_host=as_host,
        name=identity.title(),
        device_id=f"phone-of-{identity}",
        seat_count=4 if as_host else None,
        seat_mode=mode if as_host else None,
    )


async def read_to_the_end(session: UTDAudioRoomSession) -> None:
    async for _ in session.updates():
        pass


async def test_seats_are_what_is_heard(stack: Stack) -> None:
    ana = await join(stack, "ana", as_host=True)
    bo = await join(stack, "bo", 660)
    assert (ana.type, ana.room_name, ana.is_host, bo.is_host) == (
        UTDStreamType.AUDIO_ROOM, "lobby", True, False)  # fmt: skip
    assert (ana.connected.value, ana.can_publish.value) == (True, False)
    assert isinstance(ana, UTDSession)
    assert ana.local_participant is not None
    async with asyncio.timeout(5):
        [other] = await ana.remote_participants.wait_for(lambda them: len(them) == 1)
    assert (other.identity, other.name) == ("bo", "Bo")
    with pytest.raises(PublishNotAllowed):
        await ana.set_microphone(True)

    await ana.take_seat(0)
    await bo.take_seat(1)
    assert (ana.can_publish.value, bo.can_publish.value) == (True, True)
    async with aclosing(ana.audio("bo")) as at_ana, aclosing(bo.audio("ana")) as at_bo:
        heard = await asyncio.gather(listen(at_ana, 0.5), listen(at_bo, 0.5))
        assert [pitch(samples) for samples in heard] == pytest.approx([660, 440], abs=3)
        await bo.set_microphone(False)
        await quiet(at_ana)
    await bo.set_microphone(True)
    raw = await bo.get_seats()
    assert [seat["identity"] for seat in raw["seats"][:3]] == ["ana", "bo", None]  # type: ignore[index]

    await bo.leave_seat()
    assert bo.can_publish.value is False
    async with asyncio.timeout(5):
        await ana.seats.wait_for(lambda seats: seats[1].identity is None)
        await ana.remote_participants.wait_for(lambda them: not them[0].tracks)
    raw = await ana.setup_seats(seat_count=6, seat_mode="request")
    assert len(raw["seats"]) == 6  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        await bo.seats.wait_for(lambda seats: len(seats) == 6)


async def test_hands_and_invites(stack: Stack) -> None:
    ana = await join(stack, "ana", as_host=True, mode="request")
    bo = await join(stack, "bo", 660)
    with pytest.raises(NotAllowed):
        await bo.take_seat(0)
    await bo.request_to_speak(note="please")
    async with asyncio.timeout(5):
        [asked] = await ana.requests.wait_for(lambda asked: len(asked) == 1 and asked[0].note)
    assert (asked.identity, asked.note) == ("bo", "please")
    await ana.approve_speaker(asked.id)
    async with aclosing(ana.audio("bo")) as at_ana:
        assert pitch(await listen(at_ana, 0.5)) == pytest.approx(660, abs=3)
    await ana.remove_from_seat("bo")
    async with asyncio.timeout(5):
        await bo.seats.wait_for(lambda seats: all(seat.identity != "bo" for seat in seats))
        await bo.can_publish.wait_for(wanted=False)

    await ana.invite_to_speak("bo", seat_index=2)
    async with asyncio.timeout(5):
        [invite] = await bo.invites.wait_for(lambda invites: len(invites) == 1)
    assert (await bo.accept_invite(invite.id)).index == 2
    async with aclosing(ana.audio("bo")) as at_ana:
        assert pitch(await listen(at_ana, 0.5)) == pytest.approx(660, abs=3)


async def test_data_events_leaving_and_coming_back(stack: Stack) -> None:
    ana = await join(stack, "ana", as_host=True)
    bo = await join(stack, "bo")
    zoe = await join(stack, "zoe")
    got: dict[str, list[bytes]] = {"bo": [], "zoe": []}

    async def read(session: UTDAudioRoomSession, until: bytes) -> None:
        async with asyncio.timeout(5):
            async for event in session.events:
                if isinstance(event, livekit_events.DataReceived):
                    assert event.identity == "ana"
                    got[session.identity].append(event.data)
                    if event.data == until:
                        return

    reading = [asyncio.create_task(read(session, b"all")) for session in (bo, zoe)]
    await asyncio.sleep(0)
    await ana.send_data(b"for bo", to=["bo"])
    await ana.send_data(b"all", reliable=True)
    await asyncio.gather(*reading)
    assert got == {"bo": [b"for bo", b"all"], "zoe": [b"all"]}

    await bo.leave()
    assert bo.connected.value is False
    async with asyncio.timeout(5):
        await ana.remote_participants.wait_for(lambda them: [t.identity for t in them] == ["zoe"])
    await bo.rejoin()
    assert bo.connection.value is UTDConnectionState.CONNECTED
    await bo.dispose()
    assert isinstance(bo.ended, ClosedByUs)
    with pytest.raises(ClosedByUs):
        await bo.rejoin()


async def test_out_is_out(stack: Stack) -> None:
    ana = await join(stack, "ana", as_host=True)
    bo = await join(stack, "bo")
    await ana.kick("bo", reason="enough")
    async with asyncio.timeout(10):
        with pytest.raises(Kicked, match="enough"):
            await read_to_the_end(bo)
    await ana.ban("bo")
    with pytest.raises(Banned) as refused:
        await join(stack, "bo")
    assert (refused.value.is_banned, refused.value.is_rate_limited) == (True, False)
    assert (refused.value.status_code, refused.value.code) == (403, "banned")
    assert refused.value.message == str(refused.value)


async def test_a_client_is_one_user_and_closes_once(stack: Stack) -> None:
    client = await stack.client()
    assert isinstance(client, UTDStreamClient)
    assert client.identity is None
    token = await client.authenticate(identity="ana", name="Ana", device_id="phone")
    assert (client.identity, token.count(".")) == ("ana", 2)
    room = await client.join_audio_room(identity="ana", room_name="hall", as_host=True)
    assert room.is_host
    await room.dispose()
    await client.dispose()
    with pytest.raises(ClosedByUs):
        await client.authenticate(identity="ana")
