"""Tells listeners that something changed, and runs what has to be done at the end."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from utd_stream._errors import ClosedByUs

_log: Final = logging.getLogger("utd_stream.agents")


class _Entry:
    """One registration: the same callable may be there twice."""

    __slots__ = ("call", "removed")

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.removed = False


class ChangeNotifier:
    """An object that can be observed. The reference's class of this name, disposable."""

    def __init__(self) -> None:
        """Start without listeners; no event loop is needed yet."""
        self._listeners: list[_Entry] = []
        self._dispose_functions: list[Callable[[], Awaitable[None]]] = []
        self._disposed = False
        self._changed = asyncio.Event()

    @property
    def has_listeners(self) -> bool:
        """Whether any listener is registered."""
        return bool(self._listeners)

    @property
    def is_disposed(self) -> bool:
        """Whether `dispose` was called."""
        return self._disposed

    @property
    def dispose_func_count(self) -> int:
        """How many functions wait for the end."""
        return len(self._dispose_functions)

    def add_listener(self, listener: Callable[[], None]) -> None:
        """Call a plain function at every change, in the order of registration.

        One that raises is logged and stops nobody else. One that is added while listeners are
        being called waits for the next change.

        Raises:
            ClosedByUs: this object is disposed.
        """
        if self._disposed:
            raise ClosedByUs(f"this {type(self).__name__} is disposed; make a new one")
        self._listeners.append(_Entry(listener))

    def remove_listener(self, listener: Callable[[], None]) -> None:
        """Drop one registration of this function; harmless when there is none."""
        for entry in self._listeners:
            if entry.call == listener:
                entry.removed = True
                self._listeners.remove(entry)
                return

    def notify_listeners(self) -> None:
        """Call all listeners now. After `dispose` nothing happens."""
        if self._disposed:
            return
        self._wake()
        for entry in tuple(self._listeners):
            if not entry.removed:
                try:
                    entry.call()
                except Exception:  # noqa: BLE001 logged, and nobody else is stopped
                    _log.exception("a listener of %s failed", type(self).__name__)

    def on_dispose(self, func: Callable[[], Awaitable[None]]) -> None:
        """Await this at the end; the last one that was added runs first."""
        self._dispose_functions.append(func)

    def changes(self) -> AsyncGenerator[None, None]:
        """Give one item for each change from now on, until this object is disposed.

        A slow reader gets several changes as one item. Cancelling is safe. Ours: the reference
        has listeners only.
        """
        return self._changes_since(self._changed)

    async def _changes_since(self, changed: asyncio.Event) -> AsyncGenerator[None, None]:
        while not self._disposed:
            await changed.wait()
            changed = self._changed
            if not self._disposed:
                yield

    async def dispose(self) -> bool:
        """End it: listeners go, and what was registered with `on_dispose` runs.

        Idempotent. Errors of those functions are logged.

        Returns:
            Whether this was the first call.
        """
        if self._disposed:
            _log.warning("%s is disposed already", type(self).__name__)
            return False
        self._disposed = True
        for entry in self._listeners:
            entry.removed = True
        self._listeners.clear()
        self._wake()
        while self._dispose_functions:
            function = self._dispose_functions.pop()
            try:
                await function()
            except Exception:  # noqa: BLE001 logged, and nobody else is stopped
                _log.exception("a dispose function of %s failed", type(self).__name__)
        return True

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
