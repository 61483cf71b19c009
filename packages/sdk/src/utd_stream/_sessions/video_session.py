"""What sessions with pictures add: one's own camera and screen, and the pictures of others."""

from collections.abc import AsyncGenerator

from utd_protocol.types import Source
from utd_stream._media.video import VideoFrame, VideoInput
from utd_stream._room.connection import SourceName
from utd_stream._sessions.session import UTDSession


class VideoSession(UTDSession):
    """One user in a room where cameras have a place."""

    async def set_camera(self, enabled: bool, source: VideoInput | None = None) -> None:  # noqa: FBT001 as in the reference
        """Switch the camera on or off.

        Args:
            enabled: on or off. Off also withdraws the wish to be seen.
            source: where the pictures come from; the client's `media.camera` by default.

        Raises:
            PublishNotAllowed: at once, when the engine has not granted the camera.
            PublishFailed: LiveKit did not take the track in time.
            Closed: the session is not in the room.
        """
        self._require_joined()
        await self.room.set_camera(enabled, source)

    async def set_screen_share(self, enabled: bool, source: VideoInput | None = None) -> None:  # noqa: FBT001 as `set_camera`
        """Publish or withdraw pictures of a screen; arguments and errors are `set_camera`'s.

        Args:
            enabled: on or off.
            source: where they come from; the client's `media.screen_share` by default.
        """
        self._require_joined()
        await self.room.set_screen_share(enabled, source)

    def video(
        self, identity: str, width: int | None = None, *, source: SourceName = Source.CAMERA
    ) -> AsyncGenerator[VideoFrame, None]:
        """See one participant. See `UTDRoom.video`."""
        return self.room.video(identity, width=width, source=source)
