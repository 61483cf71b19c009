"""The agent of a session: who it is, whether it can be talked to, and why not. No I/O here."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from utd_protocol.types import Source
from utd_stream._room.connection import DisconnectReason
from utd_stream._room.participants import RemoteParticipant, TrackInfo
from utd_stream.agents._errors import AgentFailure
from utd_stream.agents._notifier import ChangeNotifier

STATE: Final = "lk.agent.state"
ON_BEHALF: Final = "lk.publish_on_behalf"


class AgentState(StrEnum):
    """What the agent says that it is doing."""

    IDLE = "idle"
    INITIALIZING = "initializing"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"


CONVERSATIONAL: Final = frozenset({AgentState.LISTENING, AgentState.THINKING, AgentState.SPEAKING})


class Life(Enum):
    """Where the agent is in its life, as this side sees it."""

    DISCONNECTED = 0
    CONNECTING = 1
    CONNECTED = 2
    FAILED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """Everything about the agent at one moment."""

    life: Life = Life.DISCONNECTED
    buffering: bool = False
    state: AgentState | None = None
    identity: str | None = None
    voice: str | None = None
    """Whose microphone the agent speaks through: its own, or that of its avatar."""
    audio: TrackInfo | None = None
    video: TrackInfo | None = None
    failure: AgentFailure | None = None
    reason: DisconnectReason | None = None

    @property
    def conversational(self) -> bool:
        """Whether it is there and can be talked to."""
        return self.life is Life.CONNECTED and self.state in CONVERSATIONAL

    def same_as(self, other: "AgentView") -> bool:
        """Whether nothing differs that can be seen; tracks are compared by identity too."""
        return (
            self == other
            and _raw(self.audio) is _raw(other.audio)
            and _raw(self.video) is _raw(other.video)
        )


def _raw(track: TrackInfo | None) -> object:
    return None if track is None else track.track


DISCONNECTED: Final = AgentView()


def connecting(*, buffering: bool) -> AgentView:
    """Nobody is there yet."""
    return AgentView(life=Life.CONNECTING, buffering=buffering)


def failed(failure: AgentFailure, reason: DisconnectReason | None = None) -> AgentView:
    """Nobody will be there."""
    return AgentView(life=Life.FAILED, failure=failure, reason=reason)


def connected(agent: RemoteParticipant, avatar: RemoteParticipant | None) -> AgentView:
    """An agent is in the room, perhaps with a worker that publishes for it."""
    heard = next((each for each in (agent, avatar) if each and _sound(each)), None)
    seen = next((each for each in (avatar, agent) if each and _picture(each)), None)
    audio = _sound(heard) if heard else None
    return AgentView(
        life=Life.CONNECTED,
        state=state_of(agent),
        identity=agent.identity,
        voice=heard.identity if heard else None,
        audio=audio if audio and audio.subscribed else None,
        video=_picture(seen) if seen else None,
    )


def _sound(of: RemoteParticipant) -> TrackInfo | None:
    return next(
        (each for each in of.tracks if each.kind == "audio" and each.source is Source.MICROPHONE),
        None,
    )


def _picture(of: RemoteParticipant) -> TrackInfo | None:
    return next(
        (each for each in of.tracks if each.kind == "video" and each.source is Source.CAMERA),
        None,
    )


def state_of(agent: RemoteParticipant) -> AgentState | None:
    """What it says in its attributes; None when it says nothing, or something new."""
    said = agent.attributes.get(STATE)
    return next((each for each in AgentState if each.value == said), None)


def find_agent(people: Iterable[RemoteParticipant]) -> RemoteParticipant | None:
    """The first agent that speaks for itself."""
    return next((each for each in people if is_agent(each)), None)


def is_agent(participant: RemoteParticipant) -> bool:
    """Whether it is an agent, and no worker that publishes for one."""
    return participant.kind == "agent" and not participant.attributes.get(ON_BEHALF)


def find_avatar(
    people: Iterable[RemoteParticipant], agent: RemoteParticipant
) -> RemoteParticipant | None:
    """The worker that publishes for this agent."""
    mine = (each for each in people if each.attributes.get(ON_BEHALF) == agent.identity)
    return next(mine, None)


class Agent(ChangeNotifier):
    """The agent of a session, as of now. The reference's `Agent`; made by its `Session`.

    | the agent is | is_connected | can_listen | is_pending | is_finished |
    |---|---|---|---|---|
    | not wanted: no session runs | no | no | no | yes |
    | awaited, while the microphone is being recorded (`is_buffering`) | no | yes | no | no |
    | awaited | no | no | yes | no |
    | there, and listening, thinking or speaking | yes | yes | no | no |
    | there, and not ready or silent about its state | no | no | yes | no |
    | failed, see `error` | no | no | no | yes |
    """

    def __init__(self) -> None:
        """Made by its `Session`."""
        super().__init__()
        self._now = DISCONNECTED

    def __repr__(self) -> str:
        """Show where it is."""
        now = self._now
        detail = now.failure or now.state
        return f"<Agent {now.life.name.lower()}{f' {detail}' if detail else ''}>"

    @property
    def agent_state(self) -> AgentState | None:
        """What it says that it is doing; None when it is not there, or says nothing we know."""
        return self._now.state

    @property
    def error(self) -> AgentFailure | None:
        """Why it failed, None while it has not."""
        return self._now.failure

    @property
    def disconnect_reason(self) -> DisconnectReason | None:
        """Why it went, when that is known: it left on purpose, or its connection died. Ours."""
        return self._now.reason

    @property
    def identity(self) -> str | None:
        """Its identity in the room, None while it is not there. Ours."""
        return self._now.identity

    @property
    def audio_track(self) -> TrackInfo | None:
        """Its voice, or that of its avatar; None until it is received.

        `Session.audio` reads it.
        """
        return self._now.audio

    @property
    def avatar_video_track(self) -> TrackInfo | None:
        """The pictures of its avatar, or else its own; None until they are published.

        They are received while `session.room.video(…)` reads them.
        """
        return self._now.video

    @property
    def is_connected(self) -> bool:
        """Whether it is there and listening, thinking or speaking."""
        return self._now.conversational

    @property
    def can_listen(self) -> bool:
        """Whether speaking makes sense: to the agent, or into the buffer that it gets."""
        return self._now.conversational or self.is_buffering

    @property
    def is_pending(self) -> bool:
        """Whether it may become ready."""
        return self._now.life in {Life.CONNECTING, Life.CONNECTED} and not self.can_listen

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is expected of it."""
        return self._now.life in {Life.DISCONNECTED, Life.FAILED}

    @property
    def is_buffering(self) -> bool:
        """Whether the microphone is being recorded for it."""
        return self._now.life is Life.CONNECTING and self._now.buffering

    @property
    def _view(self) -> AgentView:
        return self._now

    def _become(self, view: AgentView) -> None:
        """Take a new state; listeners are told only of what can be seen."""
        before, self._now = self._now, view
        if not view.same_as(before):
            self.notify_listeners()
