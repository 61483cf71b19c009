"""Live streams: a host and any number of co-hosts on a stage, and viewers before it."""

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar, Literal

from utd_protocol import events as ev
from utd_protocol.answers import StageAnswer
from utd_protocol.types import RoomState, Source, Target
from utd_protocol.views import Request, RoomView, StageMember
from utd_stream._engine.http import read
from utd_stream._errors import Closed
from utd_stream._media.frames import AudioInput
from utd_stream._media.video import VideoInput
from utd_stream._models import Invite, UTDStageMember, UTDTokenResponse
from utd_stream._observable import Observable
from utd_stream._room.connection import SourceName
from utd_stream._sessions.door import Door
from utd_stream._sessions.place_media import Place, PlaceMedia
from utd_stream._sessions.requests import RequestsSession
from utd_stream._sessions.room_session import given
from utd_stream._sessions.updates import Update
from utd_stream._sessions.video_session import VideoSession


class UTDLiveStreamSession(RequestsSession, VideoSession):
    """One user in a live stream. Made by `client.join_live_stream`.

    The reference's `UTDLiveStreamSession`. Microphone and camera follow the wish and the right.
    Going live, asking for the stage, accepting an invite and `set_…(True)` make the wish;
    `set_…(False)` and the loss of the place end it. Being put on the stage by others opens
    nothing: then `can_publish` becomes true, and the app decides. Backstage and in a pause
    nobody is heard or seen; what was wished is back when the stream is live again.
    """

    _target: ClassVar[Target] = Target.STAGE

    def __init__(self, door: Door, answer: UTDTokenResponse) -> None:
        super().__init__(door, answer)
        place = Place(name="the place on the stage", find=self._place_in, allowed=_allowed)
        self._media = PlaceMedia(door.room, self._view, place, door.http.timeout)
        self._stage: Observable[tuple[UTDStageMember, ...]] = Observable(())
        self._state = Observable(answer.room.state)
        self._is_live = Observable(answer.room.state is RoomState.LIVE)
        self._show_stage()
        door.room.remote_participants.listen(lambda _: self._show_stage())

    # What is.

    @property
    def stage(self) -> Observable[tuple[UTDStageMember, ...]]:
        """Who is on the stage: the host, then co-hosts in the order they came. The reference's."""
        return self._stage

    @property
    def state(self) -> Observable[RoomState]:
        """Where the stream is: `backstage`, `live`, `paused` or `ended`."""
        return self._state

    @property
    def live(self) -> Observable[bool]:
        """Whether those on the stage can be heard and seen."""
        return self._is_live

    @property
    def on_stage(self) -> bool:
        """Whether this user has a place on the stage, live or not."""
        return self._place_in(self._view.value) is not None

    async def refresh_stage(self) -> tuple[UTDStageMember, ...]:
        """Ask the engine who is on the stage. The reference's `refreshStage`.

        `stage` follows by itself; this makes sure that it is of now.

        Returns:
            The stage, the value of `stage` too.
        """
        answer = await self._ask(read(f"{self._door.path}/stage"), StageAnswer)
        self._follower.fold((), answer.seq)
        await self._follower.reach(answer.seq)
        return self._stage.value

    # The stream itself, for its host.

    async def go_live(self, with_video: bool = True) -> None:  # noqa: FBT001, FBT002 the reference's argument
        """Begin, or go on after a pause. The reference's `goLive`.

        It returns when the stream is live and this side publishes. Cancelling while it waits
        for the tracks leaves the stream live, and what was wished for this is withdrawn.

        Args:
            with_video: the camera too. Without it, a stream that is not live yet begins with
                sound only; `go_live()` adds the camera later.

        Raises:
            PublishFailed: live, but LiveKit did not take a track in time.
        """
        with self._media.wish(*_devices(with_video=with_video)):
            await self._order("POST", "/live", {"with_video": with_video})
            await self._media.live()
        me = self._place_in(self._view.value)
        if not with_video and me is not None and Source.CAMERA not in me.sources:
            self._media.want(Source.CAMERA, wanted=False)

    async def pause(self) -> None:
        """Let nobody be heard or seen until `resume`.

        Raises:
            Conflict: it has not begun (`stream_not_live`).
        """
        await self._order("POST", "/pause")

    async def resume(self) -> None:
        """Go on after a pause, as it was before: returns when this side publishes again.

        Raises:
            Conflict: it has not begun (`stream_not_live`).
            PublishFailed: live again, but LiveKit did not take a track in time.
        """
        await self._order("POST", "/resume")
        if self.on_stage:
            await self._media.live()

    async def schedule(self, at: datetime | None) -> None:
        """Say when the stream is meant to begin; viewers see it in `view`, nothing opens by itself.

        Args:
            at: when, with a time zone; None takes the time away.

        Raises:
            ValueError: `at` has no time zone.
        """
        if at is not None and at.tzinfo is None:
            message = "at needs a time zone, such as datetime.now(UTC) + timedelta(hours=1)"
            raise ValueError(message)
        await self._order("POST", "/schedule", {"at": at})

    # The stage, for host and admins.

    async def invite_to_stage(
        self, identity: str, sources: Iterable[SourceName] | None = None
    ) -> Invite | None:
        """Let a viewer publish. The reference's `inviteToStage`.

        Args:
            identity: whom. Their devices open only by their own act.
            sources: what they may publish: microphone and camera by default.

        Returns:
            None: they are on the stage. Or, where the policy `stage_invites` is `consent` and
            they have not asked, the invite that they must accept.

        Raises:
            NotFound: they are not in the room (`not_in_room`).
        """
        body = given(identity=identity, sources=None if sources is None else _listed(sources))
        invite = self._noted(await self._order("POST", "/stage/invite", body))
        return None if self._view.value.stage_member(identity) is not None else invite

    async def remove_from_stage(self, identity: str) -> None:
        """Make a co-host a viewer again; who is none stays so. The reference's `removeFromStage`.

        Raises:
            NotAllowed: they are the host, or their role is not below one's own.
        """
        await self._order("POST", "/stage/remove", {"identity": identity})

    async def approve_stage(self, request_id: int) -> None:
        """Put somebody who asks on the stage. `reject_request` is the other answer.

        Raises:
            NotFound: there is no such request.
            Conflict: somebody else has handled it (`already_handled`).
        """
        await self._approve(request_id)

    async def set_sources(self, identity: str, sources: Iterable[SourceName]) -> None:
        """Say what somebody on the stage may publish, such as `screen_share`.

        Args:
            identity: whose.
            sources: all that they may publish, at least one.

        Raises:
            NotFound: they are not on the stage (`not_in_room`).
        """
        await self._order(
            "POST", "/stage/sources", {"identity": identity, "sources": _listed(sources)}
        )

    # One's own place.

    async def request_stage(self, note: str = "", *, with_video: bool = True) -> Request | None:
        """Ask to be let on the stage. The reference's `requestStage`.

        It returns when the request is filed; the microphone, and the camera, open by themselves
        once it is approved. Asking twice is one request.

        Args:
            note: what the moderators read, 200 characters at most.
            with_video: the camera too.

        Returns:
            The request. None when an invite was waiting: it is accepted.

        Raises:
            Invalid: this user is on the stage already (`invalid_state`).
            Limited: 500 requests are pending.
        """
        with self._media.wish(*_devices(with_video=with_video)):
            request = await self._request(note)
            if self.on_stage:
                await self._media.live()
                return None
            return request

    async def accept_invite(self, invite_id: int, *, with_video: bool = True) -> None:
        """Go on the stage as offered; returns when live, or at once if the stream is not.

        Args:
            invite_id: from `invites`.
            with_video: the camera too.

        Raises:
            NotFound: there is no such invite.
            Conflict: it is no longer pending (`already_handled`).
            PublishFailed: on the stage, but LiveKit did not take a track in time.
        """
        with self._media.wish(*_devices(with_video=with_video)):
            await self._order("POST", f"/invites/{invite_id}/accept")
            await self._media.live()

    async def leave_stage(self) -> None:
        """Be a viewer again, microphone and camera off. The reference's `leaveStage`.

        Who is not on the stage stays so.

        Raises:
            NotAllowed: this user is the host: pause or end the stream, or transfer the host.
        """
        await self._order("POST", "/stage/leave")
        self._media.want_nothing()

    async def set_microphone(self, enabled: bool, source: AudioInput | None = None) -> None:  # noqa: FBT001 as in the base class
        """Switch the microphone on or off. See `UTDSession.set_microphone`."""
        if not enabled:
            self._media.note(Source.MICROPHONE, wanted=False)
        await super().set_microphone(enabled, source)
        if enabled:
            self._media.note(Source.MICROPHONE, wanted=True)

    async def set_camera(self, enabled: bool, source: VideoInput | None = None) -> None:  # noqa: FBT001 as in the base class
        """Switch the camera on or off. Arguments and errors are as of `set_microphone`."""
        if not enabled:
            self._media.note(Source.CAMERA, wanted=False)
        await super().set_camera(enabled, source)
        if enabled:
            self._media.note(Source.CAMERA, wanted=True)

    async def set_screen_share(self, enabled: bool, source: VideoInput | None = None) -> None:  # noqa: FBT001 as in the base class
        """Publish or withdraw pictures of a screen, where that is among one's sources."""
        if not enabled:
            self._media.note(Source.SCREEN_SHARE, wanted=False)
        await super().set_screen_share(enabled, source)
        if enabled:
            self._media.note(Source.SCREEN_SHARE, wanted=True)

    # Inside.

    def _accept(self, answer: UTDTokenResponse) -> None:
        self._media.restart()
        super()._accept(answer)

    def _changed(self, updates: tuple[Update, ...]) -> None:
        asked = self._own_requests()
        super()._changed(updates)
        view = self._view.value
        self._show_stage()
        self._state._set(view.state)  # noqa: SLF001 its owner sets it
        self._is_live._set(view.state is RoomState.LIVE)  # noqa: SLF001
        for update in updates:
            match update:
                case ev.StageLeft(identity=self.identity, reason=reason):
                    self._media.place_lost(reason)
                case ev.HostTransferred(previous=self.identity):
                    self._media.place_lost("the host was transferred")
                case ev.RequestRejected() | ev.RequestCancelled() | ev.RequestExpired():
                    if update.id in asked and not self.on_stage:
                        self._media.place_lost("the request was not granted")
                case _:
                    pass

    def _show_stage(self) -> None:
        names = {each.identity: each.name for each in self.remote_participants.value}
        names[self.identity] = self._door.name or ""
        stage = tuple(
            _shown(one, names.get(one.identity) or None) for one in self._view.value.stage
        )
        self._stage._set(stage)  # noqa: SLF001 its owner sets it

    def _place_in(self, view: RoomView) -> StageMember | None:
        return view.stage_member(self.identity)

    def _stopped(self, reason: Closed) -> None:
        super()._stopped(reason)
        self._media.stop(reason)

    def _close_values(self) -> None:
        super()._close_values()
        for value in (self._stage, self._state, self._is_live):
            value._close()  # noqa: SLF001


def _allowed(view: RoomView, one: StageMember) -> frozenset[Source]:
    """What is published from a place on the stage now."""
    if view.state is not RoomState.LIVE or one.held_until is not None:
        return frozenset()
    return frozenset(one.sources).difference(view.member(one.identity).muted)


def _devices(*, with_video: bool) -> tuple[Source, ...]:
    return (Source.MICROPHONE, Source.CAMERA) if with_video else (Source.MICROPHONE,)


def _shown(one: StageMember, name: str | None) -> UTDStageMember:
    role: Literal["host", "co_host"] = "host" if one.role.value == "host" else "co_host"
    return UTDStageMember(
        identity=one.identity,
        name=name,
        role=role,
        sources=one.sources,
        held_until=one.held_until,
    )


def _listed(sources: Iterable[SourceName]) -> list[Source]:
    return [Source(source) for source in sources]
