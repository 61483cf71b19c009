"""Tokens from the engine's own agent endpoint, by LiveKit's standard contract."""

from collections.abc import Awaitable, Callable
from typing import Final

from utd_stream._engine.http import EngineHTTP, write
from utd_stream.agents._tokens import TokenRequestOptions, TokenSourceResponse, parse_response

AGENT_TOKEN: Final = "/agents/token"  # noqa: S105 a path


class EngineTokenSource:
    """Asks the engine, with the app's publishable key and over the client's connections."""

    def __init__(
        self, http: EngineHTTP, identity_token: Callable[[], Awaitable[str | None]]
    ) -> None:
        """Keep both.

        Args:
            http: of the client.
            identity_token: who the user is, signed by the app's backend; sent as bearer.
        """
        self._http = http
        self._identity_token = identity_token

    async def fetch(self, options: TokenRequestOptions) -> TokenSourceResponse:
        """Ask for a token; errors are those of every call to the engine."""
        call = write("POST", AGENT_TOKEN, options.to_request(), mints=True)
        raw = await self._http.send(call, bearer=await self._identity_token())
        return parse_response(raw, AGENT_TOKEN)
