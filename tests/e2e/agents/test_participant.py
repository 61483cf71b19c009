"""What an agent sees of a session, with an agent that is a participant of our own."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from livekit import api
from support.agent_talk import AgentWorld, ready, until

from utd_protocol.types import Source
from utd_stream import AudioFrame, UTDRoom
from utd_stream._room.link import IncomingBytes
from utd_stream.agents import E2EEOptions, LiteralTokenSource, Session, SessionOptions, UserInput

pytestmark = pytest.mark.e2e


def agent_token(world: AgentWorld, **attributes: str) -> str:
    return (
        api.AccessToken(world.server.key, world.server.secret)
        .with_identity("agent")
        .with_kind("agent")
        .with_grants(api.VideoGrants(room_join=True, room=world.room, agent=True))
        .with_attributes(attributes)
        .to_jwt()
    )


class Count:
    """A microphone whose frames are numbered, at the pace of the clock."""

    async def __aiter__(self) -> AsyncIterator[AudioFrame]:
        number = 0
        while True:
            number += 1
            yield AudioFrame(np.full(480, number % 30_000, np.int16))


async def test_the_recording_begins_before_the_join_and_names_its_track(world: AgentWorld) -> None:
    got: asyncio.Future[tuple[dict[str, str], int | None, bytes]] = asyncio.Future()
    tasks: list[asyncio.Task[None]] = []

    def opened(stream: IncomingBytes, identity: str) -> None:
        async def read() -> None:
            assert identity == "ana"
            data = b"".join([each async for each in stream])
            got.set_result((dict(stream.attributes), stream.info.size, data))

        tasks.append(asyncio.create_task(read()))

    async with UTDRoom() as agent:
        agent.register_byte_stream_handler("lk.agent.pre-connect-audio-buffer", opened)
        session = await world.session(None, options=SessionOptions(microphone=Count()))
        assert session.agent.is_buffering
        await agent.connect(world.server.url, agent_token(world, **{"lk.agent.state": "listening"}))
        await ready(session)
        async with asyncio.timeout(10):
            attributes, size, data = await got
            people = await agent.remote_participants.wait_for(
                lambda now: any(each.track(Source.MICROPHONE) for each in now)
            )
        track = people[0].track(Source.MICROPHONE)
        assert track is not None
        assert attributes == {
            "sampleRate": "48000",
            "channels": "1",
            "commonFormat": "int16",
            "trackId": track.sid,
        }
        numbers = np.frombuffer(data, np.int16)[::480].tolist()
        assert size == len(data)
        assert len(numbers) > 5
        assert numbers == list(range(1, len(numbers) + 1)), "from the first frame on, none missing"


async def test_an_encrypted_session_is_heard_by_those_with_the_key(world: AgentWorld) -> None:
    key = E2EEOptions.shared_key("a shared key")
    async with UTDRoom(encryption=key) as agent:
        await agent.connect(world.server.url, agent_token(world, **{"lk.agent.state": "listening"}))
        source = LiteralTokenSource(world.server.url, world.token("ana"))
        other = Session.from_fixed_token_source(
            LiteralTokenSource(world.server.url, world.token("bob"))
        )
        options = SessionOptions(encryption=key)
        async with Session.from_fixed_token_source(source, options=options) as session, other:
            await ready(session)
            await ready(other)
            await agent.send_text("for those with the key", topic="lk.transcription")
            await until(session, "for those with the key")
            assert other.messages == ()
            session.set_encryption_enabled(False)
            assert await session.send_text("in the open")
            assert isinstance(session.messages[-1].content, UserInput)
