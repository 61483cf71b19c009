"""The in-process LiveKit and the real one keep the same contract."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from link_contract import SPEAKER, Joined, LinkContract
from livekit import api, rtc

from utd_cli.media_server.process import LiveKitServer
from utd_protocol.types import Source
from utd_stream._livekit import open_link
from utd_stream._room.connection import Permissions
from utd_stream._room.link import Abandoned, LinkOptions, OpenLink
from utd_stream.testing import FakeLiveKit

_NUMBERS = {
    Source.CAMERA: 1,
    Source.MICROPHONE: 2,
    Source.SCREEN_SHARE: 3,
    Source.SCREEN_SHARE_AUDIO: 4,
}


class Links:
    """Makes connections and ends them all."""

    def __init__(self, opener: OpenLink) -> None:
        self._open = opener
        self.abandoned = Abandoned()
        self._made: list[Joined] = []

    def make(self, **options: Any) -> Joined:
        joined = Joined()
        joined.link = self._open(LinkOptions(**options), joined.take, self.abandoned)
        self._made.append(joined)
        return joined

    async def aclose(self) -> None:
        for each in self._made:
            await each.link.disconnect()
        assert await self.abandoned.wait(10)


class FakeWorld(Links):
    url = FakeLiveKit.url
    room = "room"

    def __init__(self) -> None:
        self.server = FakeLiveKit(auto_create=False)
        self.server.create_room(self.room)
        super().__init__(self.server.open_link)

    def token(self, identity: str, permissions: Permissions = SPEAKER, *, room: str = "") -> str:
        return self.server.token(room or self.room, identity, permissions=permissions)

    async def join(
        self, identity: str, permissions: Permissions = SPEAKER, **options: Any
    ) -> Joined:
        joined = self.make(**options)
        await joined.link.connect(self.url, self.token(identity, permissions))
        return joined

    async def permit(self, identity: str, permissions: Permissions) -> None:
        self.server.permit(self.room, identity, permissions)

    async def remove(self, identity: str) -> None:
        self.server.remove(self.room, identity)

    async def delete_room(self) -> None:
        self.server.delete_room(self.room)

    async def set_metadata(self, metadata: str) -> None:
        self.server.set_metadata(self.room, metadata)

    async def set_attributes(self, identity: str, attributes: dict[str, str]) -> None:
        self.server.set_attributes(self.room, identity, attributes)

    async def interrupt(self, joined: Joined, *, full: bool) -> None:
        mend = self.server.interrupt(self.room, joined.link.identity, full=full)
        await asyncio.sleep(0)
        mend()


class LiveKitWorld(Links):
    def __init__(self, server: LiveKitServer, client: api.LiveKitAPI) -> None:
        super().__init__(open_link)
        self.url = server.url
        self._server = server
        self._client = client
        self.room = f"room-{uuid4().hex[:8]}"

    def token(self, identity: str, permissions: Permissions = SPEAKER, *, room: str = "") -> str:
        grants = api.VideoGrants(
            room_join=True,
            room=room or self.room,
            can_publish=permissions.can_publish,
            can_subscribe=permissions.can_subscribe,
            can_publish_data=permissions.can_publish_data,
            can_publish_sources=[each.value for each in permissions.sources],
        )
        token = api.AccessToken(self._server.key, self._server.secret)
        return token.with_identity(identity).with_grants(grants).to_jwt()

    async def join(
        self, identity: str, permissions: Permissions = SPEAKER, **options: Any
    ) -> Joined:
        joined = self.make(**options)
        await joined.link.connect(self.url, self.token(identity, permissions))
        return joined

    async def permit(self, identity: str, permissions: Permissions) -> None:
        await self._client.room.update_participant(
            api.UpdateParticipantRequest(
                room=self.room,
                identity=identity,
                permission=api.ParticipantPermission(
                    can_publish=permissions.can_publish,
                    can_subscribe=permissions.can_subscribe,
                    can_publish_data=permissions.can_publish_data,
                    can_publish_sources=[_NUMBERS[each] for each in permissions.sources],
                ),
            )
        )

    async def remove(self, identity: str) -> None:
        await self._client.room.remove_participant(
            api.RoomParticipantIdentity(room=self.room, identity=identity)
        )

    async def delete_room(self) -> None:
        await self._client.room.delete_room(api.DeleteRoomRequest(room=self.room))

    async def set_metadata(self, metadata: str) -> None:
        await self._client.room.update_room_metadata(
            api.UpdateRoomMetadataRequest(room=self.room, metadata=metadata)
        )

    async def set_attributes(self, identity: str, attributes: dict[str, str]) -> None:
        await self._client.room.update_participant(
            api.UpdateParticipantRequest(room=self.room, identity=identity, attributes=attributes)
        )

    async def interrupt(self, joined: Joined, *, full: bool) -> None:
        room = joined.link.raw
        assert isinstance(room, rtc.Room)
        kind = rtc.SimulateScenarioKind
        await room.simulate_scenario(
            kind.SIMULATE_FULL_RECONNECT if full else kind.SIMULATE_SIGNAL_RECONNECT
        )


class TestFakeLink(LinkContract):
    @pytest.fixture
    async def world(self) -> AsyncIterator[FakeWorld]:
        world = FakeWorld()
        yield world
        await world.aclose()


@pytest.mark.e2e
class TestLiveKitLink(LinkContract):
    @pytest.fixture
    async def world(self, livekit: LiveKitServer) -> AsyncIterator[LiveKitWorld]:
        async with api.LiveKitAPI(livekit.http_url, livekit.key, livekit.secret) as client:
            world = LiveKitWorld(livekit, client)
            await client.room.create_room(api.CreateRoomRequest(name=world.room))
            yield world
            await world.aclose()
