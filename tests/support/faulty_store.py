"""A store that fails on command: another real store behind a switch for each of its methods."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from utd_engine.adapters.memory.store import MemoryStore
from utd_engine.ports.store import Store, StoreUnavailable

REASON = "disk /srv/canary-path is gone"


class FaultyStore:
    """Implements `Store`. `failing` names the methods that raise instead; `calls` counts all."""

    def __init__(self, inner: Store | None = None) -> None:
        self.inner = inner or MemoryStore()
        self.failing: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.before: Callable[[str], None] = lambda _method: None
        """Called with the method before each call that does not fail."""

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            if name in self.failing:
                raise StoreUnavailable(REASON)
            self.before(name)
            return await method(*args, **kwargs)

        return call
