"""How long to wait before the next try: full jitter, so that a crowd does not come back at once."""

import random
from collections.abc import Callable
from typing import Final, TypeAlias

from utd_stream._errors import EngineError, Limited, Unreachable, UTDStreamException

Jitter: TypeAlias = Callable[[], float]
"""Gives a number from 0 to 1."""

_DOUBLINGS: Final = 16


def even_jitter() -> float:
    """Any number from 0 to 1, all alike."""
    return random.random()  # noqa: S311 spreads load, guards nothing


class Backoff:
    """Delays that double up to a cap, each drawn evenly between zero and that."""

    def __init__(self, first: float, cap: float, jitter: Jitter = even_jitter) -> None:
        """Start over.

        Args:
            first: seconds that the first delay may last at most.
            cap: seconds that any delay may last at most.
            jitter: where the chance comes from.
        """
        self._first = first
        self._cap = cap
        self._jitter = jitter
        self._tries = 0

    def delay(self, error: UTDStreamException | None = None) -> float:
        """Seconds to wait now; never less than the `retry_after` of the error."""
        longest = min(self._cap, self._first * (1 << min(self._tries, _DOUBLINGS)))
        self._tries += 1
        asked = (error.retry_after if error is not None else None) or 0.0
        return max(asked, longest * self._jitter())

    def reset(self) -> None:
        """Begin with the shortest delay again."""
        self._tries = 0


def is_passing(error: UTDStreamException) -> bool:
    """Whether the same call to the engine may succeed in a moment."""
    return isinstance(error, Unreachable | EngineError | Limited)
