"""Talk to an AI agent by text.

Usage: python agent_chat.py TOKEN_ENDPOINT AGENT_NAME TEXT…
"""

import asyncio
import sys

from utd_stream.agents import AgentTranscript, EndpointTokenSource, Session


async def main(endpoint: str, agent_name: str, *texts: str) -> None:
    """Say each text, and print each answer when the agent listens again."""
    session = Session.with_agent(agent_name, token_source=EndpointTokenSource(endpoint))
    async with session:
        for text in texts:
            agent = await session.wait_agent()
            answers = session.message_changes()
            await session.send_text(text)
            async for message in answers:
                if isinstance(message.content, AgentTranscript):
                    break
            async for _ in session.changes():
                if agent.agent_state == "listening":
                    break
        for message in session.messages:
            print(type(message.content).__name__, message.text)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
