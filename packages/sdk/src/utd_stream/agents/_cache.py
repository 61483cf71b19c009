"""A token source that keeps its last token, and asks once for many who want the same."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self, TypeAlias, cast

from utd_stream.agents._errors import TokenSourceError
from utd_stream.agents._tokens import (
    TokenRequestOptions,
    TokenSourceConfigurable,
    TokenSourceResponse,
)

TokenValidator: TypeAlias = Callable[[TokenRequestOptions, TokenSourceResponse], bool]
"""Says whether a stored answer may be used for these options."""


@dataclass(frozen=True, slots=True)
class TokenStoreItem:
    """An answer together with what was asked for it: one is never kept without the other."""

    options: TokenRequestOptions
    response: TokenSourceResponse

    def to_stored(self) -> dict[str, object]:
        """As plain values for JSON. It holds a secret."""
        return {"options": self.options.to_stored(), "response": self.response.to_stored()}

    @classmethod
    def from_stored(cls, stored: Mapping[str, object]) -> Self:
        """From plain values; `TokenSourceError` when they are none of ours."""
        options, response = stored.get("options"), stored.get("response")
        if not isinstance(options, dict) or not isinstance(response, dict):
            raise TokenSourceError("a stored token needs the objects 'options' and 'response'")
        return cls(
            TokenRequestOptions.from_stored(cast("dict[str, object]", options)),
            TokenSourceResponse.from_stored(cast("dict[str, object]", response)),
        )


class TokenStore(Protocol):
    """Where a `CachingTokenSource` keeps its token."""

    async def store(self, options: TokenRequestOptions, response: TokenSourceResponse) -> None:
        """Keep this, in place of what was kept before."""
        ...

    async def retrieve(self) -> TokenStoreItem | None:
        """Give what is kept."""
        ...

    async def clear(self) -> None:
        """Forget it."""
        ...


class InMemoryTokenStore:
    """One place in memory; the last one wins."""

    def __init__(self) -> None:
        """Start empty."""
        self._item: TokenStoreItem | None = None

    async def store(self, options: TokenRequestOptions, response: TokenSourceResponse) -> None:
        """Keep this, in place of what was kept before."""
        self._item = TokenStoreItem(options, response)

    async def retrieve(self) -> TokenStoreItem | None:
        """Give what is kept."""
        return self._item

    async def clear(self) -> None:
        """Forget it."""
        self._item = None


def not_expired(_: TokenRequestOptions, response: TokenSourceResponse) -> bool:
    """The usual validator: the token lasts for another minute at least."""
    return response.has_valid_token()


class CachingTokenSource:
    """Asks another source only when no usable token for equal options is there.

    The reference's `CachingTokenSource`. A failure is given to all who waited for it and is not
    kept. An expired token that the other source gives is passed on; the next call asks again.
    """

    def __init__(
        self,
        wrapped: TokenSourceConfigurable,
        *,
        store: TokenStore | None = None,
        validator: TokenValidator | None = None,
    ) -> None:
        """Start with what the store holds.

        Args:
            wrapped: the source to ask.
            store: where the token is kept; one place in memory by default.
            validator: whether a kept token may be used; by default, while it is not expired.
        """
        self._wrapped = wrapped
        self._store: TokenStore = store or InMemoryTokenStore()
        self._validator = validator or not_expired
        self._in_flight: dict[TokenRequestOptions, _Flight] = {}
        self._generation = 0

    async def fetch(self, options: TokenRequestOptions) -> TokenSourceResponse:
        """Give a token for these options.

        Equal requests at the same time are one. Cancelling one waiter does not cancel the
        request that others wait for; the last one that goes does.

        Raises:
            Exception: whatever the other source raised.
        """
        flight = self._in_flight.get(options) or self._take_off(options)
        return await flight.wait(lambda: self._forget(options, flight))

    async def invalidate(self) -> None:
        """Forget the token; one that is being fetched now is given out and not kept."""
        self._generation += 1
        self._in_flight.clear()
        await self._store.clear()

    async def cached_response(self) -> TokenSourceResponse | None:
        """The kept answer, unchecked."""
        item = await self._store.retrieve()
        return None if item is None else item.response

    async def _get(self, options: TokenRequestOptions, generation: int) -> TokenSourceResponse:
        item = await self._store.retrieve()
        if item and item.options == options and self._validator(options, item.response):
            return item.response
        response = await self._wrapped.fetch(options)
        if generation == self._generation:
            await self._store.store(options, response)
        return response

    def _take_off(self, options: TokenRequestOptions) -> "_Flight":
        task = asyncio.get_running_loop().create_task(
            self._get(options, self._generation), name="utd-token"
        )
        flight = self._in_flight[options] = _Flight(task)
        task.add_done_callback(lambda _: self._forget(options, flight))
        return flight

    def _forget(self, options: TokenRequestOptions, flight: "_Flight") -> None:
        if self._in_flight.get(options) is flight:
            del self._in_flight[options]


class _Flight:
    """One request that several may wait for; the last one who goes before its end ends it."""

    def __init__(self, task: "asyncio.Task[TokenSourceResponse]") -> None:
        self.task = task
        self._waiting = 0

    async def wait(self, abandoned: Callable[[], None]) -> TokenSourceResponse:
        """Wait without owning it; `abandoned` is called when nobody does any more."""
        self._waiting += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self._waiting -= 1
            if not self._waiting and not self.task.done():
                abandoned()
                self.task.cancel()
