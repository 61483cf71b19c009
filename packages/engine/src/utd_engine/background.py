"""Background work with one owner: ends with it, and its crash is known, never only a log line."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Self


class Background:
    """Implements `Tasks`. `crashed` is done with the error of the first task that failed."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.crashed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def create_task(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Start it now; after the end of the owner it is not started any more."""
        if self._closed:
            work.close()
            work = _nothing()
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def aclose(self) -> None:
        """Cancel what runs and wait for it. Twice is fine."""
        self._closed = True
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        if not self.crashed.cancel() and not self.crashed.cancelled():
            self.crashed.exception()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.crashed.done():
            self.crashed.set_exception(error)


async def _nothing() -> None:
    return
