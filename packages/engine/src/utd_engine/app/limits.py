"""Rate limits: the generic cell rate algorithm, one number a key, exact at every boundary."""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from utd_engine.domain.refusal import Refused
from utd_engine.ports.clock import Clock

KEPT: Final = 100_000
_SLACK: Final = 1e-9
"""Sums of floats are this much off at most."""


class Rate(NamedTuple):
    """So many a second on average, and so many at once."""

    per_second: float
    burst: int


class Left(NamedTuple):
    """What is left after a request was let through."""

    limit: int
    remaining: int
    reset_s: float
    """Seconds until the whole burst is free again."""


class Limiter:
    """One tier. A rate of 0 a second means no limit."""

    def __init__(
        self,
        tier: str,
        rate: Rate,
        clock: Clock,
        on_limited: Callable[[str], None] = lambda _tier: None,
    ) -> None:
        self._tier = tier
        self._clock = clock
        self._on_limited = on_limited
        self._burst = rate.burst
        self._gap = 1.0 / rate.per_second if rate.per_second else 0.0
        self._until: OrderedDict[str, float] = OrderedDict()

    def take(self, key: str) -> Left:
        """Let one request through.

        Raises:
            Refused: `rate_limited`, with the seconds until the next one is let through.
        """
        if not self._gap:
            return Left(0, 0, 0.0)
        now = self._clock.monotonic()
        until = max(self._until.get(key, 0.0), now) + self._gap
        ahead = until - now
        longest = self._gap * self._burst
        if ahead > longest + _SLACK:
            self._on_limited(self._tier)
            raise Refused(
                "rate_limited",
                f"Too many requests ({self._tier}).",
                hint="Wait for 'retry_after' seconds.",
                retry_after=_up_to_ms(ahead - longest),
            )
        self._until[key] = until
        self._until.move_to_end(key)
        if len(self._until) > KEPT:
            self._until.popitem(last=False)
        return Left(self._burst, int((longest - ahead) / self._gap + _SLACK), round(ahead, 3))


def _up_to_ms(seconds: float) -> float:
    """Rounded up: who waits exactly so long is let through."""
    return math.ceil(seconds * 1000 - _SLACK) / 1000
