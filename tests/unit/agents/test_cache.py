import asyncio
import time
from typing import Any

import pytest
from support.agent_fakes import jwt, settle

from utd_stream.agents import (
    CachingTokenSource,
    CustomTokenSource,
    InMemoryTokenStore,
    TokenRequestOptions,
    TokenSourceError,
    TokenSourceResponse,
    TokenStoreItem,
)

OPTIONS = TokenRequestOptions(agent_name="helper")


class Source:
    """Counts, and answers when it is let."""

    def __init__(self, *, lasts: float = 3_600) -> None:
        self.calls: list[TokenRequestOptions] = []
        self.go = asyncio.Event()
        self.go.set()
        self.failures: list[Exception] = []
        self.lasts = lasts
        self.cancelled = 0

    async def fetch(self, options: TokenRequestOptions) -> TokenSourceResponse:
        self.calls.append(options)
        number = len(self.calls)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failures:
            raise self.failures.pop(0)
        return TokenSourceResponse("wss://x", jwt(n=number, exp=time.time() + self.lasts))


async def test_a_token_is_used_again() -> None:
    source = Source()
    cached = CachingTokenSource(source)
    assert await cached.fetch(OPTIONS) is await cached.fetch(OPTIONS)
    assert len(source.calls) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"room_name": "r"},
        {"participant_metadata": "m"},
        {"participant_attributes": {"k": "v"}},
        {"agent_name": "another"},
        {"agent_metadata": "m"},
    ],
)
async def test_other_options_need_another_token(other: dict[str, Any]) -> None:
    source = Source()
    cached = CachingTokenSource(source)
    await cached.fetch(OPTIONS)
    await cached.fetch(TokenRequestOptions(**{"agent_name": "helper", **other}))
    await cached.fetch(OPTIONS)
    assert len(source.calls) == 3, "one place: the last wins"


async def test_a_failure_for_other_options_never_hands_out_the_kept_token() -> None:
    source = Source()
    cached = CachingTokenSource(source)
    kept = await cached.fetch(TokenRequestOptions(room_name="A"))
    source.failures = [TokenSourceError("no")]
    other = TokenRequestOptions(room_name="B")
    with pytest.raises(TokenSourceError):
        await cached.fetch(other)
    assert await cached.fetch(other) != kept


@pytest.mark.parametrize("lasts", [-10.0, 30.0])
async def test_an_expired_token_is_passed_on_and_fetched_again_next_time(lasts: float) -> None:
    source = Source(lasts=lasts)
    cached = CachingTokenSource(source)
    response = await cached.fetch(OPTIONS)
    assert response.is_expired
    assert await cached.cached_response() == response
    await cached.fetch(OPTIONS)
    assert len(source.calls) == 2


async def test_a_token_that_cannot_be_read_never_counts_as_valid() -> None:
    calls = 0

    async def make(_: TokenRequestOptions) -> TokenSourceResponse:
        nonlocal calls
        calls += 1
        return TokenSourceResponse("wss://x", "garbage")

    cached = CustomTokenSource(make).cached()
    await cached.fetch(OPTIONS)
    await cached.fetch(OPTIONS)
    assert calls == 2


async def test_equal_requests_at_once_are_one() -> None:
    source = Source()
    cached = CachingTokenSource(source)
    answers = await asyncio.gather(*(cached.fetch(OPTIONS) for _ in range(5)))
    assert len(source.calls) == 1
    assert len({id(each) for each in answers}) == 1


async def test_different_requests_at_once_are_two() -> None:
    source = Source()
    cached = CachingTokenSource(source)
    await asyncio.gather(cached.fetch(OPTIONS), cached.fetch(TokenRequestOptions()))
    assert len(source.calls) == 2


async def test_a_failure_is_shared_and_the_next_call_tries_again() -> None:
    source = Source()
    source.failures = [TokenSourceError("down")]
    cached = CachingTokenSource(source)
    outcomes = await asyncio.gather(
        *(cached.fetch(OPTIONS) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(each, TokenSourceError) for each in outcomes)
    assert await cached.cached_response() is None
    await cached.fetch(OPTIONS)
    assert len(source.calls) == 2


async def test_a_cancelled_waiter_cancels_nobody_else() -> None:
    source = Source()
    source.go.clear()
    cached = CachingTokenSource(source)
    first, second = (asyncio.create_task(cached.fetch(OPTIONS)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    source.go.set()
    assert (await second).has_valid_token()
    assert source.cancelled == 0


async def test_the_last_waiter_takes_the_request_along_and_a_new_one_starts_afresh() -> None:
    source = Source()
    source.go.clear()
    cached = CachingTokenSource(source)
    only = asyncio.create_task(cached.fetch(OPTIONS))
    await settle()
    only.cancel()
    again = asyncio.create_task(cached.fetch(OPTIONS))
    await settle()
    source.go.set()
    assert (await again).has_valid_token()
    assert (source.cancelled, len(source.calls)) == (1, 2)
    assert only.cancelled()
    assert not cached._in_flight


async def test_invalidate_forgets() -> None:
    source = Source()
    cached = CachingTokenSource(source)
    assert await cached.cached_response() is None
    response = await cached.fetch(OPTIONS)
    assert await cached.cached_response() is response
    await cached.invalidate()
    assert await cached.cached_response() is None
    await cached.fetch(OPTIONS)
    assert len(source.calls) == 2


async def test_what_is_in_flight_at_invalidate_is_given_out_and_not_kept() -> None:  # Q21
    source = Source()
    source.go.clear()
    cached = CachingTokenSource(source)
    waiting = asyncio.create_task(cached.fetch(OPTIONS))
    await settle()
    await cached.invalidate()
    source.go.set()
    assert (await waiting).has_valid_token()
    assert await cached.cached_response() is None
    source.go.clear()
    waiting = asyncio.create_task(cached.fetch(OPTIONS))
    await settle()
    await cached.invalidate()
    later = asyncio.create_task(cached.fetch(OPTIONS))
    await settle()
    source.go.set()
    assert (await waiting) != (await later)
    assert await cached.cached_response() == await later


async def test_a_validator_of_ones_own_decides() -> None:
    source = Source(lasts=-10)
    asked: list[TokenRequestOptions] = []

    def accept(options: TokenRequestOptions, _: TokenSourceResponse) -> bool:
        asked.append(options)
        return True

    cached = CachingTokenSource(source, validator=accept)
    await cached.fetch(OPTIONS)
    await cached.fetch(OPTIONS)
    assert len(source.calls) == 1
    assert asked == [OPTIONS]


async def test_a_store_of_ones_own_keeps_it() -> None:
    store = InMemoryTokenStore()
    source = Source()
    response = await CachingTokenSource(source, store=store).fetch(OPTIONS)
    assert await CachingTokenSource(source, store=store).fetch(OPTIONS) is response


def test_items_are_stored_whole() -> None:
    item = TokenStoreItem(OPTIONS, TokenSourceResponse("wss://x", "t", room_name="r"))
    assert item.to_stored() == {
        "options": {"agentName": "helper"},
        "response": {"server_url": "wss://x", "participant_token": "t", "room_name": "r"},
    }
    assert TokenStoreItem.from_stored(item.to_stored()) == item
    with pytest.raises(TokenSourceError, match="options"):
        TokenStoreItem.from_stored({"response": {}})
