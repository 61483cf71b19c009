"""A conversation as text: each word when it comes, and what the agent does meanwhile."""

import asyncio
from contextlib import aclosing
from typing import Final

import click
from rich.console import Console
from rich.text import Text

from utd_cli._narration import printable
from utd_stream.agents import AgentState, AgentTranscript, ReceivedMessage, Session, UserInput

REST_S: Final = 0.3
SETTLED: Final = frozenset({AgentState.LISTENING, AgentState.IDLE})


class Talk:
    """Prints a session. On a terminal words appear as they come, elsewhere whole lines do."""

    def __init__(self, session: Session, console: Console) -> None:
        self._session = session
        self._said = session.message_changes()  # from the very first word
        self._console = console
        self._line: ReceivedMessage | None = None
        self._state = ""

    @property
    def answers(self) -> int:
        """How often the agent has spoken."""
        return sum(isinstance(one.content, AgentTranscript) for one in self._session.messages)

    def state(self, text: str) -> None:
        """Say what is going on, on a terminal only, and once."""
        if text != self._state and self._console.is_terminal:
            self.end_line()
            self._console.print(Text(f"({text})", "dim"))
        self._state = text

    async def show(self) -> None:
        """Print what is said from now on, until cancelled or the session is over."""
        async for message in self._said:
            self._show(message)

    async def watch(self) -> None:
        """Tell what the agent does, until cancelled or the session is over.

        Raises:
            AgentFailed: the agent is gone.
        """
        agent = self._session.agent
        self.state(agent.agent_state or "connecting")
        async with aclosing(self._session.changes()) as changes:
            async for _ in changes:
                if agent.is_finished:
                    await self._session.wait_agent()  # it raises why
                self.state(agent.agent_state or "connecting")

    async def wait_answer(self, answers: int, within: float) -> None:
        """Wait until the agent has spoken more often than that, and has nothing to add.

        Raises:
            ClickException: it did not, in that many seconds.
        """
        try:
            async with asyncio.timeout(within):
                while not await self._is_settled(answers):
                    pass
        except TimeoutError:
            raise click.ClickException(f"The agent did not answer in {within:g} s.") from None
        self.end_line()

    async def _is_settled(self, answers: int) -> bool:
        """Words and states come on different ways: only when both rest is it over."""
        async with aclosing(self._session.changes()) as changes:
            while not self._has_answered(answers):
                await anext(changes)
        before = self._session.messages
        await asyncio.sleep(REST_S)
        return self._session.messages is before and self._has_answered(answers)

    def _has_answered(self, answers: int) -> bool:
        return self.answers > answers and self._session.agent.agent_state in SETTLED

    def _show(self, message: ReceivedMessage) -> None:
        if isinstance(message.content, UserInput):
            return  # it stands there already
        shown = self._line
        if not self._console.is_terminal:
            if shown is not None and shown.id != message.id:
                self.end_line()
            self._line = message
            return
        text = printable(message.text)
        if shown is not None and shown.id == message.id and text.startswith(printable(shown.text)):
            text = text[len(printable(shown.text)) :]
        else:
            self.end_line()
            text = f"{_speaker(message)}: {text}"
        self._console.file.write(text)
        self._console.file.flush()
        self._line = message

    def end_line(self) -> None:
        """End the line that is being said, or print it where nothing of it was printed yet."""
        line, self._line = self._line, None
        if line is None:
            return
        if self._console.is_terminal:
            self._console.file.write("\n")
        else:
            self._console.file.write(f"{_speaker(line)}: {printable(line.text)}\n")
        self._console.file.flush()


def _speaker(message: ReceivedMessage) -> str:
    return "agent" if isinstance(message.content, AgentTranscript) else "you"
