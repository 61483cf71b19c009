"""LiveKit's own JavaScript client asks our token endpoint, and its token opens the room.

Node has no WebRTC, so who joins with that token is another client.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jwt
import pytest
from support.rtc_participant import RtcParticipant
from support.stack import Stack

pytestmark = pytest.mark.e2e
JS = Path(__file__).parents[1] / "js"


@pytest.fixture(scope="session")
def livekit_client() -> Path:
    """Install the pinned client from its lock, unless that lock is installed already."""
    installed = JS / "node_modules/.package-lock.json"
    lock = JS / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run(["npm", "ci"], cwd=JS, check=True, stdout=sys.stderr)
    return JS / "fetch_token.mjs"


async def fetch(
    program: Path, url: str, headers: dict[str, str], options: dict[str, Any]
) -> dict[str, Any]:
    """What the client gives to its app: an answer or an error."""
    process = await asyncio.create_subprocess_exec(
        "node", program, url, json.dumps(headers), json.dumps(options), stdout=subprocess.PIPE
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    assert process.returncode == 0
    told: dict[str, Any] = json.loads(output)
    return told


async def test_its_token_source_takes_our_answer(stack: Stack, livekit_client: Path) -> None:
    url = f"{stack.base_url}/api/v1/agents/token"
    headers = {"x-app-id": stack.app_id, "x-app-key": stack.app_key}
    options = {
        "participantIdentity": "ann",
        "participantName": "Ann",
        "participantAttributes": {"lang": "en"},
        "agentName": "echo",
        "agentMetadata": "m",
    }
    answer = (await fetch(livekit_client, url, headers, options))["answer"]
    assert answer["serverUrl"] == stack.livekit.url
    token = answer["participantToken"]
    claims = jwt.decode(token, stack.livekit.secret, algorithms=["HS256"], issuer=stack.livekit.key)
    assert (claims["sub"], claims["name"]) == ("ann", "Ann")
    assert claims["attributes"]["lang"] == "en"
    assert claims["roomConfig"] == {"agents": [{"agentName": "echo", "metadata": "m"}]}
    assert claims["video"]["roomJoin"]
    assert claims["video"]["canPublishSources"] == ["microphone"]
    ann = await RtcParticipant.join(answer["serverUrl"], token)
    try:
        assert ann.identity == "ann"
    finally:
        await ann.leave()


async def test_it_asks_for_nothing_and_gets_a_room_of_its_own(
    stack: Stack, livekit_client: Path
) -> None:
    url = f"{stack.base_url}/api/v1/agents/token"
    headers = {"x-app-id": stack.app_id, "x-app-key": stack.app_key}
    answer = (await fetch(livekit_client, url, headers, {}))["answer"]
    claims = jwt.decode(
        answer["participantToken"], stack.livekit.secret, algorithms=["HS256"]
    )  # fmt: skip
    assert claims["sub"].startswith("user_")
    assert "roomConfig" not in claims


async def test_it_prints_our_refusal_which_holds_no_secret(
    stack: Stack, livekit_client: Path
) -> None:
    url = f"{stack.base_url}/api/v1/agents/token"
    headers = {"x-app-id": stack.app_id, "x-app-key": stack.app_key + "x"}
    error = (await fetch(livekit_client, url, headers, {}))["error"]
    assert "401" in error
    assert "token_invalid" in error
    assert stack.app_key not in error
