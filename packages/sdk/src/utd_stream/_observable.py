"""A value that can be watched. It knows nothing of rooms, and keeps no history."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from typing import Final, Generic, TypeVar

from utd_stream._errors import ClosedByUs

T = TypeVar("T")

_log: Final = logging.getLogger("utd_stream")


class Observable(Generic[T]):
    """A value of now that can be read, waited for, and followed.

    The reference's `ValueListenable`. Setting an equal value is no change. A slow reader of
    `changes()` skips to the latest value, so nothing is queued for it.
    """

    __slots__ = ("_changed", "_closed", "_listeners", "_value")

    def __init__(self, value: T) -> None:
        """Start with `value`; no event loop is needed yet."""
        self._value = value
        self._changed = asyncio.Event()
        self._closed = False
        self._listeners: list[Callable[[T], object]] = []

    def __repr__(self) -> str:
        """Show the present value."""
        return f"Observable({self._value!r})"

    @property
    def value(self) -> T:
        """The value of now."""
        return self._value

    async def changes(self) -> AsyncGenerator[T, None]:
        """Follow the value: first as it is now, then every later one.

        The latest wins: values that come and go while the reader is busy are skipped.
        Cancelling is safe. The iterator ends when the owner of the value is closed.
        """
        value = self._value
        yield value
        while not self._closed:
            changed = self._changed
            if self._value == value:
                await changed.wait()
                continue
            value = self._value
            yield value

    async def wait_for(self, wanted: T | Callable[[T], bool]) -> T:
        """Wait until the value is `wanted`, or until `wanted(value)` is true.

        Args:
            wanted: a value to equal, or a predicate.

        Returns:
            The value that fulfilled it, at once when the present one does.

        Raises:
            ClosedByUs: the owner was closed first. Cancelling is safe.
        """
        while not self._fulfils(wanted):
            if self._closed:
                message = "closed before the awaited value came; await it before closing"
                raise ClosedByUs(message)
            await self._changed.wait()
        return self._value

    def listen(self, callback: Callable[[T], object]) -> Callable[[], None]:
        """Call `callback(value)` on the loop's thread at every change, until unsubscribed.

        Args:
            callback: a plain function. One that raises is logged and stops nobody else.

        Returns:
            A function that unsubscribes; calling it twice is harmless.
        """
        entry = _Entry(callback)
        self._listeners.append(entry)

        def unsubscribe() -> None:
            if entry in self._listeners:
                self._listeners.remove(entry)

        return unsubscribe

    def _fulfils(self, wanted: T | Callable[[T], bool]) -> bool:
        if callable(wanted):
            return bool(wanted(self._value))
        return bool(self._value == wanted)

    def _set(self, value: T) -> None:
        if self._closed or self._value == value:
            return
        self._value = value
        self._wake()
        for listener in tuple(self._listeners):
            # A listener that sets the value anew has told everybody already.
            if self._value is not value:
                return
            try:
                listener(value)
            except Exception:  # noqa: BLE001 it is logged
                _log.exception("a listener of an observable value failed")

    def _close(self) -> None:
        self._closed = True
        self._listeners.clear()
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class _Entry(Generic[T]):
    """Tells two subscriptions of the same callback apart."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[T], object]) -> None:
        self._callback = callback

    def __call__(self, value: T) -> object:
        return self._callback(value)
