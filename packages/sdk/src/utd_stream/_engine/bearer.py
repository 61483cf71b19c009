"""The user token: carried on every call, renewed before it ends and when the engine says so."""

import asyncio
import base64
import binascii
import logging
import time
from typing import Final

import msgspec
from msgspec import Struct

from utd_protocol.answers import SessionAnswer
from utd_stream._engine.backoff import Backoff, even_jitter, is_passing
from utd_stream._engine.http import Call, EngineHTTP, decode, write
from utd_stream._errors import AuthRejected, UTDStreamException

_EARLY: Final = 300.0
"""A token is renewed this many seconds before its end, or at four fifths of its life."""
_EARLY_PART: Final = 0.2
_LEAST: Final = 1.0
"""Seconds between two renewals, whatever the tokens say."""
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 30.0

_log: Final = logging.getLogger("utd_stream.http")


class _Claims(Struct):
    exp: float


def expiry_of(token: str) -> float | None:
    """When a JWT ends, in seconds since the epoch; None when it does not say.

    Nothing is verified: the engine does that.
    """
    _, _, rest = token.partition(".")
    payload, _, _ = rest.partition(".")
    try:
        claims = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        return msgspec.json.decode(claims, type=_Claims).exp
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return None


class Bearer:
    """Calls the engine as one user."""

    def __init__(self, http: EngineHTTP, token: str) -> None:
        """Start with a token that the engine has just made."""
        self._http = http
        self._token = token
        self._renewing = asyncio.Lock()

    @property
    def token(self) -> str:
        """The present token. A secret."""
        return self._token

    def replace(self, token: str) -> None:
        """Use this token from now on."""
        self._token = token

    async def send(self, call: Call, *, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 a deadline for all tries
        """As `EngineHTTP.send`; a token that has expired is renewed once on the way."""
        loop = asyncio.get_running_loop()
        until = loop.time() + (self._http.timeout if timeout is None else timeout)
        token = self._token
        try:
            return await self._http.send(call, bearer=token, timeout=timeout)
        except AuthRejected as error:
            if error.code != "token_expired":
                raise
        await self.renew(token)
        return await self._http.send(call, bearer=self._token, timeout=until - loop.time())

    async def renew(self, outdated: str) -> None:
        """Get a new token, unless somebody else has done so meanwhile.

        Args:
            outdated: the token that is to be replaced.

        Raises:
            UTDStreamException: the engine refuses this user, or cannot be reached.
        """
        async with self._renewing:
            if self._token != outdated:
                return
            call = write("POST", "/auth/refresh", mints=True)
            raw = await self._http.send(call, bearer=outdated)
            self._token = decode(raw, SessionAnswer).user_token

    async def keep_fresh(self) -> None:
        """Renew in good time, again and again. Ends when the engine refuses."""
        backoff = Backoff(_FIRST_DELAY, _LONGEST_DELAY, even_jitter)
        least = 0.0
        while (wait := _seconds_to_renewal(self._token)) is not None:
            await asyncio.sleep(max(wait, least))
            least = _LEAST
            try:
                await self.renew(self._token)
            except UTDStreamException as error:
                if not is_passing(error):
                    _log.warning("the user token cannot be renewed: %s", error)
                    return
                await asyncio.sleep(backoff.delay(error))
            else:
                backoff.reset()


def _seconds_to_renewal(token: str) -> float | None:
    expiry = expiry_of(token)
    if expiry is None:
        return None
    left = max(0.0, expiry - time.time())
    return left - min(_EARLY, left * _EARLY_PART)
