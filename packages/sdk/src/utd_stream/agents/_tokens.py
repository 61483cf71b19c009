"""Where a session gets its token from: what is asked for, what is answered, and the sources.

Everything speaks LiveKit's standard contract for token endpoints.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, Self, cast
from urllib.parse import urlsplit

import aiohttp
import msgspec

from utd_stream._errors import Invalid, scrub
from utd_stream.agents._errors import TokenSourceError, TokenSourceHTTPError
from utd_stream.agents._jwt import TOLERANCE, LiveKitJwtPayload, is_valid, read_token

if TYPE_CHECKING:
    from utd_stream.agents._cache import CachingTokenSource, TokenStore, TokenValidator

_FIELDS: Final = (
    ("room_name", "roomName"),
    ("participant_name", "participantName"),
    ("participant_identity", "participantIdentity"),
    ("participant_metadata", "participantMetadata"),
    ("participant_attributes", "participantAttributes"),
    ("agent_name", "agentName"),
    ("agent_metadata", "agentMetadata"),
    ("agent_deployment", "agentDeployment"),
)
_AGENT_FIELDS: Final = (
    ("agent_name", "agent_name"),
    ("agent_metadata", "metadata"),
    ("agent_deployment", "deployment"),
)
_SUCCESS: Final = range(200, 300)
_SANDBOX: Final = "https://cloud-api.livekit.io/api/v2/sandbox/connection-details"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequestOptions:
    """What a token should say. Everything is optional; equal content is an equal value.

    The reference's `TokenRequestOptions`.
    """

    room_name: str | None = None
    participant_name: str | None = None
    participant_identity: str | None = None
    participant_metadata: str | None = None
    participant_attributes: Mapping[str, str] | None = None
    agent_name: str | None = None
    agent_metadata: str | None = None
    agent_deployment: str | None = None

    def __post_init__(self) -> None:
        """Keep a copy of the attributes that nobody can change."""
        if self.participant_attributes is not None:
            kept = MappingProxyType(dict(self.participant_attributes))
            object.__setattr__(self, "participant_attributes", kept)

    def __hash__(self) -> int:
        """Hash by content."""
        attributes = self.participant_attributes
        values = [getattr(self, name) for name, _ in _FIELDS if name != "participant_attributes"]
        return hash((*values, None if attributes is None else tuple(sorted(attributes.items()))))

    def to_request(self) -> dict[str, object]:
        """The body that a token endpoint gets: nulls left out, `room_config` always there."""
        body = {
            name: _plain(getattr(self, name))
            for name, _ in _FIELDS
            if not name.startswith("agent_") and getattr(self, name) is not None
        }
        agent = {
            wire: getattr(self, name)
            for name, wire in _AGENT_FIELDS
            if getattr(self, name) is not None
        }
        return {**body, "room_config": {"agents": [agent]} if agent else {}}

    def to_stored(self) -> dict[str, object]:
        """Its own stored form, in camelCase."""
        return {
            camel: _plain(getattr(self, name))
            for name, camel in _FIELDS
            if getattr(self, name) is not None
        }

    @classmethod
    def from_stored(cls, stored: Mapping[str, object]) -> Self:
        """From its stored form; unknown keys are ignored."""
        given = {name: stored[camel] for name, camel in _FIELDS if stored.get(camel) is not None}
        return msgspec.convert(given, cls)


@dataclass(frozen=True, slots=True)
class TokenSourceResponse:
    """The way into a room. The reference's `TokenSourceResponse`. The token is a secret."""

    server_url: str
    participant_token: str
    participant_name: str | None = None
    room_name: str | None = None

    def __repr__(self) -> str:
        """Show everything but the token."""
        return f"TokenSourceResponse(server_url={self.server_url!r}, room_name={self.room_name!r})"

    @property
    def payload(self) -> LiveKitJwtPayload | None:
        """What the token says, None when it cannot be read. Its signature is not checked."""
        return read_token(self.participant_token)

    @property
    def is_expired(self) -> bool:
        """Whether the token should not be used any more, or cannot be read."""
        return not self.has_valid_token()

    def has_valid_token(
        self, tolerance: timedelta = TOLERANCE, *, now: datetime | None = None
    ) -> bool:
        """Whether the token may be used now and ends later than `tolerance` from now."""
        return is_valid(self.participant_token, now or datetime.now(UTC), tolerance)

    def dispatches_agent(self) -> bool:
        """Whether the token brings an agent with it; False for what cannot be read."""
        payload = self.payload
        configuration = payload.room_configuration if payload else None
        return bool(configuration and configuration.agents)

    def to_stored(self) -> dict[str, object]:
        """Its stored form, in snake_case: as a token endpoint answers."""
        return {name: value for name in _RESPONSE if (value := getattr(self, name)) is not None}

    @classmethod
    def from_stored(cls, stored: Mapping[str, object]) -> Self:
        """From an endpoint's answer or the stored form; both spellings, unknown keys ignored.

        Raises:
            TokenSourceError: a required key is missing, or no text.
        """
        values = {name: _spelled(stored, name) for name in _RESPONSE}
        for name, value in values.items():
            required = name in {"server_url", "participant_token"}
            if not isinstance(value, str) and (required or value is not None):
                raise TokenSourceError(
                    f"the token endpoint's answer has no text in {name!r}; it has to answer "
                    "server_url and participant_token"
                )
        return cls(**cast("dict[str, str]", values))


_RESPONSE: Final = ("server_url", "participant_token", "participant_name", "room_name")


class TokenSourceFixed(Protocol):
    """Gives one kind of token, whatever a session would wish."""

    async def fetch(self) -> TokenSourceResponse:
        """Get it. A `TokenSourceError`, or any other exception, when that fails."""
        ...


class TokenSourceConfigurable(Protocol):
    """Gives tokens that say what is asked for."""

    async def fetch(self, options: TokenRequestOptions) -> TokenSourceResponse:
        """Get one. A `TokenSourceError`, or any other exception, when that fails."""
        ...


class _Cacheable:
    """Adds `cached` to a configurable source."""

    def cached(
        self: TokenSourceConfigurable,
        *,
        store: "TokenStore | None" = None,
        validator: "TokenValidator | None" = None,
    ) -> "CachingTokenSource":
        """This source, asked only when no usable token is there; see `CachingTokenSource`."""
        from utd_stream.agents._cache import CachingTokenSource  # noqa: PLC0415 they know each other

        return CachingTokenSource(self, store=store, validator=validator)


class LiteralTokenSource:
    """A token that is there already; fixed, no I/O."""

    def __init__(
        self,
        server_url: str,
        participant_token: str,
        participant_name: str | None = None,
        room_name: str | None = None,
    ) -> None:
        """Keep the address of LiveKit (`ws://…` or `wss://…`) and the token for it."""
        self._response = TokenSourceResponse(
            server_url, participant_token, participant_name, room_name
        )

    async def fetch(self) -> TokenSourceResponse:
        """Give it."""
        await asyncio.sleep(0)
        return self._response


class CustomTokenSource(_Cacheable):
    """Whatever an async function of yours does."""

    def __init__(
        self, function: Callable[[TokenRequestOptions], Awaitable[TokenSourceResponse]]
    ) -> None:
        """Call this for each token."""
        self._function = function

    async def fetch(self, options: TokenRequestOptions) -> TokenSourceResponse:
        """Call the function; what it raises goes up as it is."""
        return await self._function(options)


class EndpointTokenSource(_Cacheable):
    """Your own HTTP endpoint, by LiveKit's standard contract. The reference has the same class."""

    def __init__(
        self,
        url: str,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        client: aiohttp.ClientSession | None = None,
        timeout: float = 10.0,
    ) -> None:
        """Keep what is needed to ask; nothing is opened yet.

        Args:
            url: of the endpoint, absolute.
            method: the body is sent with any.
            headers: added to each request; they may replace the content type.
            client: used and never closed; by default one is made for each request.
            timeout: seconds for the whole request.

        Raises:
            Invalid: the address is not an absolute http(s) URL.
        """
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).netloc:
            raise Invalid(f"url: must look like 'https://example.org/token', got {scrub(url)!r}")
        self.url = url
        self.method = method
        self.headers: Mapping[str, str] = MappingProxyType(dict(headers or {}))
        self.timeout = timeout
        self._client = client

    async def fetch(self, options: TokenRequestOptions) -> TokenSourceResponse:
        """Ask the endpoint once. Cancelling is safe.

        Raises:
            TokenSourceHTTPError: it answered with a status other than 200 to 299.
            TokenSourceError: it cannot be reached, is too slow, or its answer cannot be read.
        """
        try:
            status, body = await self._ask(msgspec.json.encode(options.to_request()))
        except TimeoutError as late:
            message = f"{self.url} did not answer within {self.timeout:g} s"
            raise TokenSourceError(message) from late
        except (aiohttp.ClientError, OSError) as broken:
            said = scrub(str(broken) or type(broken).__name__)
            raise TokenSourceError(f"{self.url} cannot be reached: {said}") from broken
        if status not in _SUCCESS:
            raise TokenSourceHTTPError(self.url, status, body.decode(errors="replace"))
        return parse_response(body, self.url)

    async def _ask(self, body: bytes) -> tuple[int, bytes]:
        if self._client is not None:
            return await self._ask_with(self._client, body)
        async with aiohttp.ClientSession() as client:
            return await self._ask_with(client, body)

    async def _ask_with(self, client: aiohttp.ClientSession, body: bytes) -> tuple[int, bytes]:
        async with client.request(
            self.method,
            self.url,
            data=body,
            headers={"Content-Type": "application/json", **self.headers},
            timeout=aiohttp.ClientTimeout(total=self.timeout),
        ) as response:
            return response.status, await response.read()


class DevelopmentTokenSource(EndpointTokenSource):
    """LiveKit's hosted token endpoint for development: never for production."""

    def __init__(self, sandbox_id: str, *, timeout: float = 10.0) -> None:
        """Ask for tokens of this sandbox; what surrounds its letters and digits is dropped."""
        kept = [at for at, each in enumerate(sandbox_id) if each.isalnum()]
        if not kept:
            raise Invalid(f"sandbox_id: needs letters or digits, got {sandbox_id!r}")
        self.sandbox_id = sandbox_id[kept[0] : kept[-1] + 1]
        super().__init__(_SANDBOX, headers={"X-Sandbox-ID": self.sandbox_id}, timeout=timeout)


class SandboxTokenSource(DevelopmentTokenSource):
    """The former name of `DevelopmentTokenSource`, which is preferred."""


def parse_response(body: bytes, url: str) -> TokenSourceResponse:
    """An endpoint's answer; `TokenSourceError` when it is none."""
    try:
        return TokenSourceResponse.from_stored(msgspec.json.decode(body, type=dict[str, object]))
    except (msgspec.MsgspecError, UnicodeDecodeError) as broken:
        message = f"{url} answered with something else than a JSON object: {scrub(str(broken))}"
        raise TokenSourceError(message) from broken


def _spelled(stored: Mapping[str, object], snake: str) -> object:
    first, *rest = snake.split("_")
    camel = first + "".join(each.capitalize() for each in rest)
    return stored.get(camel) if stored.get(snake) is None else stored[snake]


def _plain(value: object) -> object:
    return dict(cast("Mapping[str, str]", value)) if isinstance(value, Mapping) else value
