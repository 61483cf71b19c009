"""Watches the room for the agent: when it is there, when it is late, when it is gone."""

import logging
from collections.abc import Callable
from typing import Final

from utd_stream._room import events
from utd_stream._room.connection import DisconnectReason
from utd_stream._room.events import LiveKitEvent
from utd_stream._room.room import UTDRoom
from utd_stream.agents._agent import (
    DISCONNECTED,
    Agent,
    AgentView,
    Life,
    connected,
    connecting,
    failed,
    find_agent,
    find_avatar,
)
from utd_stream.agents._errors import AgentFailure
from utd_stream.agents._surroundings import Surroundings

GRACE: Final = 0.5
"""Seconds without the agent, and without a word why, after which it counts as gone."""
_log: Final = logging.getLogger("utd_stream.agents")


class AgentWatch:
    """Makes the agent follow the room. Level-triggered: `look` may be called at any time."""

    def __init__(
        self,
        agent: Agent,
        room: UTDRoom,
        surroundings: Surroundings,
        *,
        timeout: float,
        buffering: Callable[[], bool],
    ) -> None:
        """Watch nothing yet.

        Args:
            agent: told what is seen.
            room: where.
            surroundings: the timer.
            timeout: seconds that `expect` gives the agent.
            buffering: whether the microphone is being recorded for it.
        """
        self._agent = agent
        self._room = room
        self._surroundings = surroundings
        self.timeout = timeout
        self._buffering = buffering
        self._left: dict[str, DisconnectReason] = {}
        """Why somebody went, as far as that was said."""
        self._stop_timer: Callable[[], None] | None = None
        self._stop_grace: Callable[[], None] | None = None

    def begin(self) -> None:
        """A start begins: nobody is there yet."""
        self.stop()
        self._left.clear()
        self._show(connecting(buffering=self._buffering()))

    def expect(self) -> None:
        """From now on the agent has so much time to become ready."""
        self._stop_timer = self._surroundings.call_later(self.timeout, self._late)

    def end(self) -> None:
        """The connection is over."""
        self.stop()
        self._show(DISCONNECTED)

    def stop(self) -> None:
        """Stop all timers."""
        if self._stop_timer is not None:
            self._stop_timer()
            self._stop_timer = None
        self._end_grace()

    def take(self, event: LiveKitEvent) -> None:
        """Note why somebody leaves."""
        if isinstance(event, events.ParticipantDisconnected):
            self._left[event.participant.identity] = event.reason

    def look(self) -> None:
        """See who is there now, in a room that is joined."""
        self._show(self._seen())

    def _seen(self) -> AgentView:
        now = self._agent._view  # noqa: SLF001 ours
        people = self._room.remote_participants.value
        participant = find_agent(people)
        if participant is not None:
            self._end_grace()
            found = connected(participant, find_avatar(people, participant))
            late = now.failure is AgentFailure.TIMEOUT and not found.conversational
            return now if late else found
        if now.conversational:
            return self._gone(now)
        if now.life is Life.FAILED:
            return now
        return connecting(buffering=self._buffering())

    def _gone(self, now: AgentView) -> AgentView:
        """Believe it at once when a reason was given; else only after a moment without it.

        When our own connection is built anew everybody vanishes too, without a reason.
        """
        reason = self._left.get(now.identity or "", DisconnectReason.UNKNOWN)
        if reason is not DisconnectReason.UNKNOWN:
            self._end_grace()
            return failed(AgentFailure.LEFT, reason)
        if self._stop_grace is None:
            self._stop_grace = self._surroundings.call_later(GRACE, self._grace_is_over)
        return now

    def _grace_is_over(self) -> None:
        self._stop_grace = None
        if self._room.connected.value and not find_agent(self._room.remote_participants.value):
            self._show(failed(AgentFailure.LEFT, DisconnectReason.UNKNOWN))
        else:
            self.look()

    def _late(self) -> None:
        self._stop_timer = None
        if not self._agent.is_connected:
            _log.warning("no agent was ready within %g s", self.timeout)
            self._show(failed(AgentFailure.TIMEOUT))

    def _end_grace(self) -> None:
        if self._stop_grace is not None:
            self._stop_grace()
            self._stop_grace = None

    def _show(self, view: AgentView) -> None:
        self._agent._become(view)  # noqa: SLF001 ours
