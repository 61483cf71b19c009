"""Whatever happens to a session in whatever order, it ends whole: nothing runs, nothing is open."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.agent_fakes import ROOM, AgentStage, Frames, settle

from utd_stream import DisconnectReason, UTDConnectionState
from utd_stream.agents import SessionErrorKind

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "start", "end", "cancel", "kick", "lose", "down", "up", "interrupt", "mend",
                "agent", "agent goes", "late", "say", "refuse", "allow",
            ]
        ),
        st.integers(0, 4),
    ),
    max_size=14,
)  # fmt: skip


class Life:
    """One session, and everything that a test may do to it."""

    def __init__(self, stage: AgentStage) -> None:
        self.stage = stage
        self.tasks: list[asyncio.Task[Any]] = []
        self.mend: Any = None

    async def do(self, action: str) -> None:
        present = ROOM in self.stage.server.rooms
        if present and "ana" in self.stage.server.rooms[ROOM].members:
            self._to_the_user(action)
        self._by_the_user(action)
        self._to_the_server(action)
        if action == "agent" and not self.stage.server.faults.down:
            await self.stage.join(f"agent-{len(self.stage.others)}")
        if action == "agent goes" and self.stage.others:
            await self.stage.others[0].disconnect()

    def _by_the_user(self, action: str) -> None:
        session = self.stage.session
        if action == "start":
            self.tasks.append(asyncio.create_task(session.start()))
        elif action == "end":
            self.tasks.append(asyncio.create_task(session.end()))
        elif action == "say":
            self.tasks.append(asyncio.create_task(session.send_text("hi")))
        elif action == "cancel" and self.tasks:
            self.tasks[-1].cancel()

    def _to_the_user(self, action: str) -> None:
        server = self.stage.server
        if action == "kick":
            server.remove(ROOM, "ana")
        elif action == "lose":
            server.drop(ROOM, "ana", DisconnectReason.SIGNAL_CLOSE)
        elif action == "interrupt" and self.mend is None:
            self.mend = server.interrupt(ROOM, "ana", full=True)

    def _to_the_server(self, action: str) -> None:
        faults = self.stage.server.faults
        if action in {"down", "up"}:
            faults.down = action == "down"
        elif action in {"refuse", "allow"}:
            faults.refuse_publish = {"ana"} if action == "refuse" else set()
        elif action == "late":
            self.stage.time.advance(30)
        elif action == "mend" and self.mend is not None:
            self.mend, mend = None, self.mend
            if self.stage.session.connection_state is UTDConnectionState.RECONNECTING:
                mend()


async def run(actions: list[tuple[str, int]]) -> None:
    microphone = Frames()
    before = asyncio.all_tasks()
    async with AgentStage(microphone=microphone) as stage:
        life = Life(stage)
        session = stage.session
        for action, ticks in actions:
            await life.do(action)
            for _ in range(ticks):
                await asyncio.sleep(0)
            assert session.agent.is_finished or session.is_connected
        async with asyncio.timeout(5):
            await settle()
            await session.end()
            await asyncio.gather(*life.tasks, return_exceptions=True)
            await session.end()
        await settle()
        assert session.connection_state is UTDConnectionState.DISCONNECTED
        assert stage.user_room.connection.value is UTDConnectionState.DISCONNECTED
        assert session.agent.is_finished
        assert stage.time.running == 0
        assert microphone.opened == microphone.closed
        assert session.error is None or session.error.kind in {
            SessionErrorKind.CONNECTION,
            SessionErrorKind.SENDER,
        }
        stage.server.faults.down = False
        stage.server.faults.refuse_publish = set()
        await session.start()
        assert session.connection_state is UTDConnectionState.CONNECTED, "it can start again"
        assert session.error is None
    await settle()
    assert not {task for task in asyncio.all_tasks() - before if not task.done()}


@settings(max_examples=150, deadline=None)
@given(ACTIONS)
def test_any_life_of_a_session_ends_whole_and_can_begin_again(
    actions: list[tuple[str, int]],
) -> None:
    asyncio.run(run(actions))
