"""The cell rate algorithm against a plain model, and its exactness at every boundary."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utd_engine.app.limits import KEPT, Limiter, Rate
from utd_engine.domain.refusal import Refused
from utd_engine.testing import FakeClock


def retry_after(limiter: Limiter, key: str = "ana") -> float | None:
    """None when it is let through."""
    try:
        limiter.take(key)
    except Refused as refusal:
        return float(str(refusal.context["retry_after"]))
    return None


def test_the_refusal_says_what_and_what_then() -> None:
    limiter = Limiter("writes", Rate(1, 1), FakeClock())
    limiter.take("ana")
    with pytest.raises(Refused) as refused:
        limiter.take("ana")
    assert (refused.value.code, refused.value.context) == ("rate_limited", {"retry_after": 1.0})
    assert "writes" in refused.value.detail


@pytest.mark.parametrize(("rate", "burst"), [(20.0, 40), (5.0, 20), (0.5, 1), (3.0, 7), (1000, 3)])
async def test_the_whole_burst_goes_through_and_then_one_a_gap(rate: float, burst: int) -> None:
    clock = FakeClock()
    limiter = Limiter("writes", Rate(rate, burst), clock)
    left = [limiter.take("ana").remaining for _ in range(burst)]
    assert left == list(range(burst - 1, -1, -1))
    for _ in range(50):
        wait = retry_after(limiter)
        assert wait is not None
        assert wait == pytest.approx(1 / rate, abs=0.001)
        await clock.advance(wait - 0.001)
        if rate < 1000:
            assert retry_after(limiter) is not None
        await clock.advance(0.001)
        assert retry_after(limiter) is None, "who waits so long is let through"


async def test_refused_requests_cost_nothing() -> None:
    clock = FakeClock()
    limiter = Limiter("writes", Rate(2, 1), clock)
    limiter.take("ana")
    assert {retry_after(limiter) for _ in range(1000)} == {0.5}
    await clock.advance(0.5)
    assert retry_after(limiter) is None


async def test_the_burst_comes_back_while_nothing_is_asked() -> None:
    clock = FakeClock()
    limiter = Limiter("writes", Rate(10, 5), clock)
    for _ in range(5):
        limiter.take("ana")
    await clock.advance(0.3)
    left = limiter.take("ana")
    assert (left.limit, left.remaining, left.reset_s) == (5, 2, 0.3)
    await clock.advance(100)
    left = limiter.take("ana")
    assert (left.remaining, left.reset_s) == (4, 0.1)


def test_keys_do_not_share() -> None:
    limiter = Limiter("writes", Rate(1, 1), FakeClock())
    assert [retry_after(limiter, key) for key in ("ana", "bo", "ana")] == [None, None, 1.0]


def test_a_rate_of_nothing_is_no_limit() -> None:
    limiter = Limiter("writes", Rate(0, 1), FakeClock())
    assert {limiter.take("ana") for _ in range(1000)} == {(0, 0, 0.0)}


def test_what_is_over_is_counted_by_tier() -> None:
    counts: Counter[str] = Counter()
    limiter = Limiter("tokens", Rate(1, 1), FakeClock(), lambda tier: counts.update([tier]))
    for _ in range(4):
        retry_after(limiter)
    assert counts == {"tokens": 3}


def test_what_is_kept_is_bounded_and_the_oldest_goes() -> None:
    limiter = Limiter("writes", Rate(1, 1), FakeClock())
    for number in range(KEPT + 10):
        limiter.take(str(number))
    assert len(limiter._until) == KEPT
    assert retry_after(limiter, "0") is None
    assert retry_after(limiter, str(KEPT + 9)) is not None


@given(
    steps=st.lists(st.integers(0, 700), min_size=1, max_size=60),
    per_second=st.sampled_from([1, 2, 4, 5, 10, 20]),
    burst=st.integers(1, 10),
)
def test_it_agrees_with_a_bucket_that_counts_in_whole_numbers(
    steps: list[int], per_second: int, burst: int
) -> None:
    """A token bucket in integer milliseconds lets the same through and has the same left."""
    clock = FakeClock()
    limiter = Limiter("writes", Rate(per_second, burst), clock)
    gap = 1000 // per_second
    level = 0
    for step in steps:
        clock._elapsed = round(clock._elapsed * 1000 + step) / 1000
        level = max(0, level - step)
        if level + gap > gap * burst:
            wait = retry_after(limiter)
            assert wait == pytest.approx((level + gap - gap * burst) / 1000, abs=1e-6)
        else:
            level += gap
            left = limiter.take("ana")
            assert left.remaining == (gap * burst - level) // gap
            assert left.reset_s == pytest.approx(level / 1000)
