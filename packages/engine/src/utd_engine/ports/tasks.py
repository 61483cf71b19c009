"""Who owns background work."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol


class Tasks(Protocol):
    """Who owns background work: nothing that is started here outlives it."""

    def create_task(self, work: Coroutine[Any, Any, None], *, name: str) -> "asyncio.Task[None]":
        """Start it now."""
        ...
