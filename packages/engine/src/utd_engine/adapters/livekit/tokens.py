"""Mint LiveKit's tokens with its own key, which opens no door of the engine.

What a token does not say LiveKit takes for granted (`canPublish` and more default to true), so
every grant is written. Nothing here imports LiveKit.
"""

from datetime import datetime
from typing import Any, Final, NamedTuple

from utd_engine.adapters.livekit.permissions import livekit_sources
from utd_engine.app import jwt
from utd_engine.ports.media import Join

API_TOKEN_LIFE_S: Final = 600
API_TOKEN_SPARE_S: Final = 60
API_TOKENS_KEPT: Final = 10_000


class ApiKey(NamedTuple):
    """A pair of LiveKit's `keys:`. The secret has at least 32 characters."""

    key: str
    secret: str


class Signer(jwt.Signer):
    """Signs with one of LiveKit's keys, which every token names as its issuer."""

    def __init__(self, api_key: ApiKey) -> None:
        super().__init__(api_key.secret.encode())
        self.key = api_key.key


def mint_join(join: Join, signer: Signer, *, now: datetime, ttl_s: int) -> str:
    """A token to join one room once the engine has said yes; its grants are the permission.

    Args:
        join: who, where and with which rights.
        signer: holds LiveKit's API key.
        now: the token is valid from here; LiveKit forgives 60 s.
        ttl_s: for how many seconds.
    """
    permission = join.permission
    is_agent = join.kind == "agent"
    start = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": signer.key,
        "nbf": start,
        "exp": start + ttl_s,
        "sub": join.identity,
        "name": join.name,
        "kind": join.kind,
        "attributes": join.attributes,
        "video": {
            "roomJoin": True,
            "room": join.room,
            "canPublish": permission.can_publish,
            "canPublishSources": livekit_sources(permission),
            "canPublishData": permission.can_publish_data,
            "canSubscribe": permission.can_subscribe,
            "canUpdateOwnMetadata": is_agent,  # agents tell their state by it
            "hidden": permission.hidden,
            "recorder": False,
            "agent": is_agent,
        },
    }
    if join.metadata:
        claims["metadata"] = join.metadata
    if join.agents:  # The engine dispatches them; clients begin to wait for them by this claim.
        agents = [{"agentName": name, "metadata": text} for name, text in join.agents]
        claims["roomConfig"] = {"agents": agents}
    return signer.sign(claims)


class ApiTokens:
    """Tokens for the server API, one for each room and one for all; kept until near their end."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._kept: dict[str, tuple[float, str]] = {}

    def for_room(self, room: str, now: datetime) -> str:
        """A token that may do anything in one room."""
        return self._reuse(room, {"roomAdmin": True, "room": room}, now)

    def for_rooms(self, now: datetime) -> str:
        """A token that may create, delete and list rooms."""
        return self._reuse("", {"roomCreate": True, "roomList": True}, now)

    def forget(self, room: str) -> None:
        """The room is over."""
        self._kept.pop(room, None)

    def _reuse(self, room: str, grants: dict[str, Any], now: datetime) -> str:
        until, token = self._kept.get(room, (0.0, ""))
        if until <= now.timestamp():
            if len(self._kept) >= API_TOKENS_KEPT:  # rooms end elsewhere too; minting is cheap
                self._kept.clear()
            start = int(now.timestamp())
            claims = {"iss": self._signer.key, "nbf": start, "exp": start + API_TOKEN_LIFE_S}
            token = self._signer.sign(claims | {"video": grants})
            until = start + API_TOKEN_LIFE_S - API_TOKEN_SPARE_S
            self._kept[room] = (until, token)
        return token
