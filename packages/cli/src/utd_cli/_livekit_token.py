"""A token for a plain LiveKit, made with its key: what a backend does where there is no engine."""

import base64
import hashlib
import hmac
import time
from typing import Final, NamedTuple

import msgspec

LIFE_S: Final = 600


class LiveKitKey(NamedTuple):
    """Name and secret of a key, as in LiveKit's configuration."""

    key: str
    secret: str


def mint_for_agent(key: LiveKitKey, *, room: str, identity: str, agent: str, metadata: str) -> str:
    """A token that makes the room and brings the agent, by LiveKit's own dispatch."""
    now = int(time.time())
    claims = {
        "iss": key.key,
        "sub": identity,
        "nbf": now,
        "exp": now + LIFE_S,
        "video": {"roomJoin": True, "room": room},
        "roomConfig": {"agents": [{"agentName": agent, "metadata": metadata}]},
    }
    head = _part(msgspec.json.encode({"alg": "HS256", "typ": "JWT"}))
    signed = f"{head}.{_part(msgspec.json.encode(claims))}"
    signature = hmac.digest(key.secret.encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{_part(signature)}"


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
