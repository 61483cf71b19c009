"""The example of the documentation, as a program of its own, with a user's own token endpoint."""

import asyncio
import subprocess
import sys

import pytest
from aiohttp import web
from support.agent_talk import ROOT, AgentWorld, Worker

pytestmark = pytest.mark.e2e


async def test_the_example_talks_with_an_agent(world: AgentWorld, worker: Worker) -> None:
    async def mint(request: web.Request) -> web.Response:
        asked = await request.json()
        [agent] = asked["room_config"]["agents"]
        token = world.token("ana", agent=agent["agent_name"])
        answer = {"server_url": world.server.url, "participant_token": token}
        return web.json_response(answer, status=201)

    app = web.Application()
    app.router.add_post("/token", mint)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        example = await asyncio.create_subprocess_exec(
            sys.executable,
            ROOT / "examples/agent_chat.py",
            f"http://127.0.0.1:{runner.addresses[0][1]}/token",
            worker.name,
            "good morning",
            "good night",
            stdout=subprocess.PIPE,
        )
        async with asyncio.timeout(30):
            output, _ = await example.communicate()
    finally:
        await runner.cleanup()
    assert example.returncode == 0
    assert output.decode().splitlines() == [
        "UserInput good morning",
        "AgentTranscript you said: good morning",
        "UserInput good night",
        "AgentTranscript you said: good night",
    ]
