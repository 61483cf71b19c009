import pytest
from support.agent_fakes import ROOM, AgentStage, Frames, settle

from utd_protocol.types import Source
from utd_stream import DisconnectReason, Push, TestPattern
from utd_stream.agents import AgentFailure
from utd_stream.agents._watch import GRACE


async def test_an_agent_that_was_there_first_is_found(stage: AgentStage) -> None:
    await stage.join()
    states: list[str] = []
    agent = stage.session.agent
    agent.add_listener(lambda: states.append(f"{stage.session.connection_state}: {agent!r}"))
    await stage.session.start()
    assert agent.is_connected
    assert agent.identity == "agent"
    assert states == ["connecting: <Agent connecting>", "connected: <Agent connected listening>"]


async def test_an_agent_that_comes_later_is_found(stage: AgentStage) -> None:
    await stage.session.start()
    await stage.join()
    assert stage.session.agent.is_connected


async def test_people_are_no_agents(stage: AgentStage) -> None:
    await stage.session.start()
    await stage.join("bob", kind="standard")
    assert stage.session.agent.is_pending


async def test_the_first_of_two_agents_is_taken_and_then_the_second(stage: AgentStage) -> None:
    await stage.session.start()
    first = await stage.join("one")
    await stage.join("two")
    assert stage.session.agent.identity == "one"
    await first.disconnect()
    await settle()
    assert stage.session.agent.identity == "two"
    assert stage.session.agent.error is None


async def test_one_that_could_be_talked_to_has_left(stage: AgentStage) -> None:  # Q1, Q2
    await stage.session.start()
    agent = await stage.join()
    await agent.disconnect()
    await settle()
    assert stage.session.agent.error is AgentFailure.LEFT
    assert stage.session.agent.disconnect_reason is DisconnectReason.CLIENT_INITIATED
    await stage.join("bob", kind="standard")
    assert stage.session.agent.error is AgentFailure.LEFT, "failed is sticky"


async def test_one_that_never_could_be_talked_to_is_awaited_again(stage: AgentStage) -> None:
    await stage.session.start()
    agent = await stage.join(state="initializing")
    await agent.disconnect()
    await settle()
    assert stage.session.agent.is_pending
    assert stage.session.agent.error is None


async def test_after_leaving_any_agent_is_welcome(stage: AgentStage) -> None:
    await stage.session.start()
    agent = await stage.join()
    await agent.disconnect()
    await stage.join("another", state=None)
    assert stage.session.agent.error is None
    assert stage.session.agent.is_pending


async def test_after_the_timeout_only_one_that_can_be_talked_to(stage: AgentStage) -> None:  # Q1
    await stage.session.start()
    stage.time.advance(20)
    await stage.join(state="initializing")
    assert stage.session.agent.error is AgentFailure.TIMEOUT
    await stage.say("listening")
    assert stage.session.agent.is_connected
    assert stage.session.agent.error is None


async def test_an_avatar_worker_is_not_chosen_but_shown(stage: AgentStage) -> None:
    await stage.session.start()
    worker = await stage.join("avatar", state=None, on_behalf="agent")
    assert stage.session.agent.is_pending
    await worker.set_microphone(True, Push())
    await worker.set_camera(True, TestPattern(16, 16))
    await stage.join()
    agent = stage.session.agent
    assert agent.identity == "agent"
    assert agent.audio_track is not None
    assert agent.avatar_video_track is not None
    tracks = stage.server.member(ROOM, "avatar").tracks
    assert {agent.audio_track.sid, agent.avatar_video_track.sid} == set(tracks)


async def test_the_agents_own_voice_comes_before_the_avatars(stage: AgentStage) -> None:  # Q23
    await stage.session.start()
    agent = await stage.join()
    worker = await stage.join("avatar", on_behalf="agent")
    await worker.set_microphone(True, Push())
    await agent.set_microphone(True, Push())
    await agent.set_camera(True, TestPattern(16, 16))
    await settle()
    [voice] = [
        each.sid
        for each in stage.server.member(ROOM, "agent").tracks.values()
        if each.source is Source.MICROPHONE
    ]
    assert stage.session.agent.audio_track is not None
    assert stage.session.agent.audio_track.sid == voice
    assert stage.session.agent.avatar_video_track is not None, "its own picture, without a better"


async def test_an_empty_on_behalf_is_an_agent_of_its_own(stage: AgentStage) -> None:
    await stage.session.start()
    await stage.join(on_behalf="")
    assert stage.session.agent.is_connected


async def test_our_own_full_reconnect_shows_no_leaving(stage: AgentStage) -> None:  # Q14
    await stage.session.start()
    await stage.join()
    seen: list[AgentFailure | None] = []
    stage.session.agent.add_listener(lambda: seen.append(stage.session.agent.error))
    mend = stage.server.interrupt(ROOM, "ana", full=True)
    await settle()
    stage.time.advance(GRACE * 10)
    mend()
    await settle()
    stage.time.advance(GRACE * 10)
    assert stage.session.agent.is_connected
    assert AgentFailure.LEFT not in seen


async def test_an_agent_gone_without_a_word_is_believed_after_the_grace(  # Q14
    stage: AgentStage,
) -> None:
    await stage.session.start()
    agent = await stage.join()
    mend = stage.server.interrupt(ROOM, "ana", full=True)
    await agent.disconnect()
    await settle()
    mend()
    await settle()
    assert stage.session.agent.is_connected
    stage.time.advance(GRACE)
    assert stage.session.agent.error is AgentFailure.LEFT
    assert stage.time.running == 1, "the agent's timer alone"


async def test_why_an_agent_once_left_says_nothing_about_the_next_time(stage: AgentStage) -> None:
    await stage.session.start()
    first = await stage.join()
    await first.disconnect()
    again = await stage.join()
    assert stage.session.agent.is_connected
    mend = stage.server.interrupt(ROOM, "ana", full=True)
    await again.disconnect()
    mend()
    await settle()
    assert stage.session.agent.is_connected, "it is not known yet"
    stage.time.advance(GRACE)
    assert stage.session.agent.disconnect_reason is DisconnectReason.UNKNOWN


async def test_an_agent_whose_connection_died_is_left_with_that_reason(stage: AgentStage) -> None:
    await stage.session.start()
    await stage.join()
    stage.server.drop(ROOM, "agent", DisconnectReason.CONNECTION_TIMEOUT)
    await settle()
    assert stage.session.agent.error is AgentFailure.LEFT
    assert stage.session.agent.disconnect_reason is DisconnectReason.CONNECTION_TIMEOUT


@pytest.mark.parametrize("microphone", [None, Frames()])
async def test_state_changes_are_followed(microphone: Frames | None) -> None:
    async with AgentStage(microphone=microphone) as stage:
        await stage.session.start()
        await stage.join(state="idle")
        assert stage.session.agent.is_pending
        for state in ("listening", "thinking", "speaking"):
            await stage.say(state)
            assert stage.session.agent.agent_state == state
            assert stage.session.agent.is_connected
