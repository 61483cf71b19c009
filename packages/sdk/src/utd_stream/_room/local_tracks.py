"""Our own tracks: one for each source, each with its wish, its right and its input."""

import asyncio
from collections.abc import Callable
from typing import Final

from utd_protocol.types import Source
from utd_stream._errors import (
    ConnectError,
    PublishFailed,
    PublishNotAllowed,
    UTDStreamException,
)
from utd_stream._media.frames import AudioFrame, AudioInput
from utd_stream._media.video import VideoFrame, VideoInput
from utd_stream._observable import Observable
from utd_stream._room.connection import Permissions
from utd_stream._room.link import Link, Sent
from utd_stream._room.publishing import AudioPublishing, Publishing, VideoPublishing, Wish

SOUNDS: Final = (Source.MICROPHONE, Source.SCREEN_SHARE_AUDIO)
PICTURES: Final = (Source.CAMERA, Source.SCREEN_SHARE)


class LocalTracks:
    """What we publish in one room."""

    def __init__(
        self,
        *,
        link: Callable[[], Link | None],
        connected: Observable[bool],
        permissions: Observable[Permissions],
        failed: Callable[[Source, UTDStreamException], None],
    ) -> None:
        """Start with no wish.

        Args:
            link: the connection of now, None without one.
            connected: whether it is whole.
            permissions: what the server lets us do.
            failed: told when a track could not be published or its input broke.
        """
        self._link = link
        self._connected = connected
        self._permissions = permissions
        self._failed = failed
        self._sounds = {each: self._sound(each) for each in SOUNDS}
        self._pictures = {each: self._picture(each) for each in PICTURES}

    def of(self, source: Source) -> AudioPublishing | VideoPublishing:
        """The track of a source."""
        return self._sounds[source] if source in SOUNDS else self._pictures[source]

    def want_sound(
        self, source: Source, input_: AudioInput | None, default: AudioInput, *, preconnect: bool
    ) -> None:
        """Wish for a sound track: of this input, else of the last one, else of the default."""
        track = self._sounds[source]
        last = default if track.wish is None else track.wish.input
        track.want(Wish(input_ or last, preconnect))

    def want_picture(self, source: Source, input_: VideoInput | None, default: VideoInput) -> None:
        """Wish for a picture track: of this input, else of the last one, else of the default."""
        track = self._pictures[source]
        last = default if track.wish is None else track.wish.input
        track.want(Wish(input_ or last))

    async def wait_live(self, source: Source, within: float) -> None:
        """Wait until what is wished is live, as long as the right to it is there.

        Raises:
            PublishNotAllowed: the right went away.
            PublishFailed: it was not live in time, or the media server did not take it.
            DeviceFailed: its input broke.
        """
        live = asyncio.ensure_future(self.of(source).wait_live())
        lost = asyncio.ensure_future(
            self._permissions.wait_for(lambda now: self._is_up() and not now.allows(source))
        )
        try:
            await asyncio.wait({live, lost}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            if live.done():
                live.result()
            elif lost.done():
                lost.result()
                self.check_right(source)
            else:
                message = f"{source}: not live within {within:g} s; it is still tried"
                raise PublishFailed(message)
        finally:
            live.cancel()
            lost.cancel()
            await asyncio.gather(live, lost, return_exceptions=True)

    async def withdraw(self, source: Source) -> None:
        """Clear the wish and wait until nothing is live."""
        track = self.of(source)
        track.want(None)
        await track.settle()

    def want_nothing(self) -> None:
        """Clear all wishes."""
        for track in self._all():
            track.want(None)

    def check_right(self, source: Source) -> None:
        """Raise at once what publishing would fail with after ten seconds."""
        if self._link() is None:
            raise ConnectError(f"{source}: not connected; connect before publishing")
        allowed = self._permissions.value
        if not allowed.allows(source):
            granted = ", ".join(allowed.sources) if allowed.can_publish else "nothing"
            raise PublishNotAllowed(
                f"{source}: the server has not granted it (granted: {granted}); the right comes "
                "with a seat, a stage place, or a token that says so"
            )

    def check(self) -> None:
        """Right or connection may have changed."""
        for track in self._all():
            track.check()

    async def settle(self) -> None:
        """Wait until nothing is live. Only useful without a connection."""
        for track in self._all():
            await track.settle()

    async def aclose(self, patience: float) -> None:
        """Clear all wishes and free everything, each within `patience` seconds."""
        for track in self._all():
            await track.aclose(patience)

    def _is_up(self) -> bool:
        return self._link() is not None

    def _all(self) -> tuple[AudioPublishing | VideoPublishing, ...]:
        return (*self._sounds.values(), *self._pictures.values())

    def _allowed(self, source: Source) -> Link | None:
        return self._link() if self._permissions.value.allows(source) else None

    def _sound(self, source: Source) -> AudioPublishing:
        async def publish(link: Link, wish: Wish[AudioInput]) -> Sent[AudioFrame]:
            return await link.publish_audio(source, preconnect=wish.preconnect)

        return Publishing(
            source,
            link=lambda: self._allowed(source),
            connected=self._connected,
            publish=publish,
            failed=lambda error: self._failed(source, error),
        )

    def _picture(self, source: Source) -> VideoPublishing:
        async def publish(link: Link, wish: Wish[VideoInput]) -> Sent[VideoFrame]:
            return await link.publish_video(source, wish.input.width, wish.input.height)

        return Publishing(
            source,
            link=lambda: self._allowed(source),
            connected=self._connected,
            publish=publish,
            failed=lambda error: self._failed(source, error),
        )
