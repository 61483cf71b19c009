"""A local track follows the wish *and* the right: it is live exactly while both are there.

Level-triggered: whatever happened, the present wish, right and connection say what should be
live, and one task makes it so. It knows no LiveKit, and never asks for rights.
"""

import asyncio
import logging
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from utd_protocol.types import Source
from utd_stream._engine.backoff import Backoff
from utd_stream._errors import DeviceFailed, PublishFailed, UTDStreamException, scrub
from utd_stream._media.frames import AudioFrame, AudioInput
from utd_stream._media.video import VideoFrame, VideoInput
from utd_stream._observable import Observable
from utd_stream._room.link import Link, Sent

F = TypeVar("F")
I = TypeVar("I", bound=AsyncIterable[Any])  # noqa: E741 an input

Standing: TypeAlias = Literal["off", "waiting", "live"] | UTDStreamException
"""Nobody wishes it; it waits for right, connection or answer; it is live; it failed."""

_FIRST_RETRY: Final = 2.0
_LONGEST_RETRY: Final = 30.0
_log: Final = logging.getLogger("utd_stream")


class Wish(NamedTuple, Generic[I]):
    """What should be published."""

    input: I
    preconnect: bool = False
    """Tell an agent that sound recorded before the join will follow."""


class _Target(NamedTuple, Generic[I]):
    """What should be live now. Two different ones are two different publications."""

    link: Link
    wish: Wish[I]
    grant: int
    """Counts up whenever the track has to go: a right that comes back revives nothing."""


class Publishing(Generic[I, F]):
    """The one track of one source."""

    def __init__(
        self,
        source: Source,
        *,
        link: Callable[[], Link | None],
        connected: Observable[bool],
        publish: Callable[[Link, Wish[I]], Awaitable[Sent[F]]],
        failed: Callable[[UTDStreamException], None],
    ) -> None:
        """Start with no wish.

        Args:
            source: what is published.
            link: the connection over which it may be published now, None without the right.
            connected: false while the connection is interrupted: then nothing new is published.
            publish: makes the track.
            failed: told when the track cannot be published or its input breaks.
        """
        self.source = source
        self._link = link
        self._connected = connected
        self._publish = publish
        self._failed = failed
        self._wish: Wish[I] | None = None
        self._grant = 0
        self._changed = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self.standing: Observable[Standing] = Observable("off")

    @property
    def wish(self) -> Wish[I] | None:
        """What should be published as soon as the right is there."""
        return self._wish

    def want(self, wish: Wish[I] | None) -> None:
        """Set or clear the wish. One that failed is tried again at once."""
        if wish != self._wish or isinstance(self.standing.value, UTDStreamException):
            self._wish = wish
            self.standing._set("off" if wish is None else "waiting")  # noqa: SLF001 ours
        self.check()

    def check(self) -> None:
        """Something that matters may have changed: wish, right or connection."""
        if self._target() is None:
            self._grant += 1
        elif self._runner is None or self._runner.done():
            name = f"utd-publish-{self.source}"
            self._runner = asyncio.get_running_loop().create_task(self._run(), name=name)
        self._changed.set()

    async def wait_live(self) -> None:
        """Wait until the wished track is live. Cancelling is safe: the wish stays.

        Raises:
            PublishFailed: the media server did not take it, or the wish was cleared.
            DeviceFailed: its input broke.
        """
        standing = await self.standing.wait_for(lambda now: now != "waiting")
        if isinstance(standing, UTDStreamException):
            raise standing
        if standing == "off":
            raise PublishFailed(f"{self.source}: nobody wishes it; enable it first")

    async def settle(self) -> None:
        """Wait until nothing is live any more. Only useful when nothing should be."""
        runner = self._runner
        if runner is not None and runner is not asyncio.current_task():
            await asyncio.wait([runner])

    async def aclose(self, patience: float) -> None:
        """Clear the wish and free everything within `patience` seconds. Idempotent."""
        self.want(None)
        if self._runner is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self.settle()
            self._runner.cancel()
            await asyncio.wait([self._runner], timeout=patience)
        self.standing._close()  # noqa: SLF001 ours

    def _target(self) -> _Target[I] | None:
        link = self._link()
        if link is None or self._wish is None:
            return None
        return _Target(link, self._wish, self._grant)

    async def _run(self) -> None:
        backoff = Backoff(_FIRST_RETRY, _LONGEST_RETRY)
        while (target := self._target()) is not None:
            error = await self._while_wanted(target, backoff)
            if error is not None:
                await self._after_failure(target, error, backoff)

    async def _while_wanted(
        self, target: _Target[I], backoff: Backoff
    ) -> UTDStreamException | None:
        """Keep it live until something else is wanted, or until it breaks: then why."""
        live = asyncio.get_running_loop().create_task(self._live(target, backoff))
        changed: asyncio.Task[bool] | None = None
        try:
            while not live.done() and self._target() == target:
                self._changed.clear()
                changed = asyncio.get_running_loop().create_task(self._changed.wait())
                await asyncio.wait([live, changed], return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
        finally:
            if changed is not None:
                changed.cancel()
            live.cancel()
            await asyncio.wait([live])
        if live.cancelled():
            return None
        return self._explained(live.exception())

    async def _live(self, target: _Target[I], backoff: Backoff) -> None:
        await self._connected.wait_for(wanted=True)
        sent = await self._publish(target.link, target.wish)
        try:
            backoff.reset()
            if target.wish == self._wish:
                self.standing._set("live")  # noqa: SLF001 ours
            async for frame in target.wish.input:
                await sent.write(frame)
            await asyncio.get_running_loop().create_future()  # an ended input leaves it silent
        finally:
            if self.standing.value == "live":
                self.standing._set("waiting")  # noqa: SLF001 ours
            await sent.aclose()

    def _explained(self, broken: BaseException | None) -> UTDStreamException | None:
        """A failure in our words."""
        if broken is None or isinstance(broken, UTDStreamException):
            return broken
        _log.error("the input of %s failed", self.source, exc_info=broken)
        error = DeviceFailed(f"{self.source}: its input failed: {scrub(repr(broken))}")
        error.__cause__ = broken
        return error

    async def _after_failure(
        self, target: _Target[I], error: UTDStreamException, backoff: Backoff
    ) -> None:
        """Tell, then wait for a change, or until it is worth another try.

        What failed because the right or the connection went is no failure.
        """
        if self._target() != target:
            return
        self.standing._set(error)  # noqa: SLF001 ours
        self._failed(error)
        delay = backoff.delay(error) if error.retryable else None
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                while self._target() == target and self.standing.value is error:
                    self._changed.clear()
                    await self._changed.wait()
        if self.standing.value is error and self._wish is not None:
            self.standing._set("waiting")  # noqa: SLF001 ours


AudioPublishing: TypeAlias = Publishing[AudioInput, AudioFrame]
VideoPublishing: TypeAlias = Publishing[VideoInput, VideoFrame]
