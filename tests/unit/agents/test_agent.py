import pytest
from support.agent_fakes import AgentStage, Frames

from utd_protocol.types import Source
from utd_stream import RemoteParticipant, TrackInfo
from utd_stream.agents import Agent, AgentFailure, AgentState
from utd_stream.agents._agent import (
    DISCONNECTED,
    AgentView,
    connected,
    connecting,
    failed,
    find_agent,
    find_avatar,
)

FLAGS = ("is_connected", "can_listen", "is_pending", "is_finished", "is_buffering")


def person(state: str | None = None, **more: object) -> RemoteParticipant:
    attributes = {} if state is None else {"lk.agent.state": state}
    return RemoteParticipant(identity="agent", kind="agent", attributes=attributes, **more)  # type: ignore[arg-type]


def there(state: str | None) -> AgentView:
    return connected(person(state), None)


@pytest.mark.parametrize(
    ("view", "state", "flags"),
    [
        (DISCONNECTED, None, "is_finished"),
        (connecting(buffering=True), None, "can_listen is_buffering"),
        (connecting(buffering=False), None, "is_pending"),
        (there("listening"), AgentState.LISTENING, "is_connected can_listen"),
        (there("thinking"), AgentState.THINKING, "is_connected can_listen"),
        (there("speaking"), AgentState.SPEAKING, "is_connected can_listen"),
        (there("idle"), AgentState.IDLE, "is_pending"),
        (there("initializing"), AgentState.INITIALIZING, "is_pending"),
        (there(None), None, "is_pending"),
        (there("dreaming"), None, "is_pending"),  # Q13
        (there("LISTENING"), None, "is_pending"),
        (failed(AgentFailure.TIMEOUT), None, "is_finished"),
        (failed(AgentFailure.LEFT), None, "is_finished"),
    ],
)
def test_the_whole_flag_table(view: AgentView, state: AgentState | None, flags: str) -> None:
    agent = Agent()
    agent._become(view)
    assert agent.agent_state is state
    assert {each for each in FLAGS if getattr(agent, each)} == set(flags.split())


@pytest.mark.parametrize(
    "end", [DISCONNECTED, connecting(buffering=True), failed(AgentFailure.LEFT)]
)
def test_state_and_tracks_are_cleared_outside_connected(end: AgentView) -> None:  # Q3
    agent = Agent()
    agent._become(connected(person("listening", tracks=(sound(), picture())), None))
    assert agent.audio_track is not None
    assert agent.avatar_video_track is not None
    agent._become(end)
    assert (agent.agent_state, agent.audio_track, agent.avatar_video_track) == (None, None, None)


def sound(*, subscribed: bool = True, track: object = None) -> TrackInfo:
    return TrackInfo(
        sid="TR_1", kind="audio", source=Source.MICROPHONE, subscribed=subscribed, track=track
    )


def picture() -> TrackInfo:
    return TrackInfo(sid="TR_2", kind="video", source=Source.CAMERA)


def test_connected_clears_error_and_buffering() -> None:
    agent = Agent()
    agent._become(failed(AgentFailure.TIMEOUT))
    agent._become(there("listening"))
    assert agent.error is None
    assert not agent.is_buffering


def test_a_voice_is_none_until_it_is_received() -> None:
    assert connected(person(tracks=(sound(subscribed=False),)), None).audio is None
    assert connected(person(tracks=(sound(),)), None).audio == sound()


def test_listeners_are_told_of_what_can_be_seen_and_of_nothing_else() -> None:  # Q20
    agent = Agent()
    told: list[None] = []
    agent.add_listener(lambda: told.append(None))
    first, second = object(), object()
    for view, count in [
        (DISCONNECTED, 0),
        (connecting(buffering=False), 1),
        (connecting(buffering=False), 1),
        (there("listening"), 2),
        (there("listening"), 2),
        (connected(person("listening", tracks=(sound(track=first),)), None), 3),
        (connected(person("listening", tracks=(sound(track=first),)), None), 3),
        (connected(person("listening", tracks=(sound(track=second),)), None), 4),
        (failed(AgentFailure.LEFT), 5),
        (failed(AgentFailure.LEFT), 5),
    ]:
        agent._become(view)
        assert len(told) == count, view


def test_finding_agents_and_their_avatars() -> None:
    worker = RemoteParticipant(
        identity="w", kind="standard", attributes={"lk.publish_on_behalf": "agent"}
    )
    other = RemoteParticipant(
        identity="x", kind="agent", attributes={"lk.publish_on_behalf": "somebody"}
    )
    human = RemoteParticipant(identity="h")
    agent = person()
    everybody = (human, other, worker, agent)
    assert find_agent(everybody) is agent
    assert find_avatar(everybody, agent) is worker
    assert find_agent((human, other, worker)) is None
    assert find_avatar((human, other), agent) is None


async def test_the_whole_transition_list() -> None:
    async with AgentStage(microphone=Frames(), agent_connect_timeout=20) as stage:
        agent, seen = stage.session.agent, list[str]()
        agent.add_listener(lambda: seen.append(repr(agent)))
        await stage.session.start()
        assert agent.is_buffering
        first = await stage.join(state="initializing")
        await stage.say("listening")
        await first.disconnect()
        second = await stage.join("two", state="idle")
        await second.disconnect()
        await stage.join("three", state="idle")
        stage.time.advance(20)
        await stage.say("speaking", "three")
        await stage.session.end()
        assert seen == [
            "<Agent connecting>",
            "<Agent connected initializing>",
            "<Agent connected listening>",
            "<Agent failed left>",
            "<Agent connected idle>",
            "<Agent connecting>",
            "<Agent connected idle>",
            "<Agent failed timeout>",
            "<Agent connected speaking>",
            "<Agent disconnected>",
        ]
