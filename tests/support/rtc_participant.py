"""A real client of a real livekit-server, as plain as can be: for the contract of the gateway."""

import asyncio
from collections.abc import Callable
from typing import Any

from livekit import rtc

from utd_engine.domain.permissions import Permission
from utd_protocol.types import Source

CONNECT_WITHIN_S = 40.0
"""Long enough for a second try of LiveKit's client, which gives each one 15 s."""
ROOM_EVENTS = (
    "participant_permissions_changed",
    "participant_attributes_changed",
    "room_metadata_changed",
)
GATHER_ONCE = rtc.RtcConfiguration(
    continual_gathering_policy=rtc.ContinualGatheringPolicy.GATHER_ONCE
)
SOURCES = {
    rtc.TrackSource.SOURCE_CAMERA: Source.CAMERA,
    rtc.TrackSource.SOURCE_MICROPHONE: Source.MICROPHONE,
    rtc.TrackSource.SOURCE_SCREENSHARE: Source.SCREEN_SHARE,
    rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO: Source.SCREEN_SHARE_AUDIO,
}


class RtcParticipant:
    """Somebody in a room, as the client itself sees it. Made by `join`."""

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self._changed = asyncio.Event()
        self.disconnected = ""
        for event in ROOM_EVENTS:
            room.on(event, self._on_event)
        room.on("disconnected", self._on_disconnected)

    @classmethod
    async def join(cls, url: str, token: str) -> "RtcParticipant":
        """Connect. Cancelling a connect would end this process later, so it is never cancelled."""
        room = rtc.Room()
        participant = cls(room)
        connecting = asyncio.create_task(
            room.connect(url, token, rtc.RoomOptions(rtc_config=GATHER_ONCE))
        )
        await asyncio.wait([connecting], timeout=CONNECT_WITHIN_S)
        if not connecting.done():
            raise TimeoutError(f"no connection within {CONNECT_WITHIN_S} s")
        connecting.result()
        return participant

    @property
    def identity(self) -> str:
        return self._room.local_participant.identity

    @property
    def sid(self) -> str:
        return self._room.local_participant.sid

    @property
    def attributes(self) -> dict[str, str]:
        return dict(self._room.local_participant.attributes)

    @property
    def room_metadata(self) -> str:
        return self._room.metadata

    @property
    def permission(self) -> Permission:
        seen = self._room.local_participant.permissions
        return Permission(
            can_publish=seen.can_publish,
            sources=tuple(sorted(SOURCES[source] for source in seen.can_publish_sources)),
            can_subscribe=seen.can_subscribe,
            can_publish_data=seen.can_publish_data,
            hidden=seen.hidden,
        )

    async def wait_until(self, condition: Callable[["RtcParticipant"], bool]) -> None:
        while not condition(self):
            self._changed.clear()
            await self._changed.wait()

    async def leave(self) -> None:
        """Disconnect. Sent out by the server, a room still has a task for a moment: wait for it."""
        await self._room.disconnect()
        await self._room._task

    def _on_event(self, *_: Any) -> None:
        self._changed.set()

    def _on_disconnected(self, reason: Any) -> None:
        self.disconnected = rtc.DisconnectReason.Name(reason)
        self._changed.set()
