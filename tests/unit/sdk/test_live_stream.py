import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from support.room_logs import NOW, window
from support.scripted_engine import ScriptedEngine, scripted
from support.scripted_http import Asked, Said, answer

from utd_protocol import events as ev
from utd_protocol.answers import StageAnswer
from utd_protocol.types import Direction, Identity, RoomState, RoomType, Source, Target
from utd_protocol.views import Request
from utd_stream._client import UTDStreamClient
from utd_stream._errors import Conflict, PublishFailed, PublishNotAllowed
from utd_stream._models import UTDStageMember
from utd_stream._sessions.live_stream import UTDLiveStreamSession

MIC, CAMERA, SCREEN = Source.MICROPHONE, Source.CAMERA, Source.SCREEN_SHARE
BOTH = (CAMERA, MIC)
STREAM: Any = {"kind": RoomType.LIVE_STREAM, "name": "show"}


async def joined(client: UTDStreamClient, identity: str = "ana") -> UTDLiveStreamSession:
    return await client.join_live_stream(
        identity=identity, room_name="show", as_host=identity == "ana", name="Ana"
    )


def does(engine: ScriptedEngine, route: str, who: str, *events: Any, **extra: Any) -> None:
    """A route that commits and pushes the rights of one."""

    def rule(_: Asked) -> Said:
        said = engine.done(*events, **extra)
        engine.push_rights(who)
        return said

    engine.rules[route] = rule


def happens(engine: ScriptedEngine, who: str, *events: Any) -> None:
    engine.commit(*events)
    engine.push_rights(who)


def live(*, with_video: bool = True) -> ev.StreamLive:
    return ev.StreamLive(at=NOW, with_video=with_video)


def on_stage(who: str, sources: tuple[Source, ...] = BOTH) -> ev.StageJoined:
    return ev.StageJoined(at=NOW, identity=Identity(who), sources=sources)


def off_stage(who: str, reason: str = "removed") -> ev.StageLeft:
    return ev.StageLeft(at=NOW, identity=Identity(who), reason=reason)


async def published(engine: ScriptedEngine, *sources: Source) -> None:
    async with asyncio.timeout(5):
        while sorted(engine.livekit.published) != sorted(sources):
            await asyncio.sleep(0)


async def barrier(room: UTDLiveStreamSession) -> None:
    await room.members()
    await room.members()


def no_members(engine: ScriptedEngine) -> None:
    engine.rules["GET /members"] = lambda _: answer({"items": [], "next_cursor": None})


async def test_a_stream_begins_backstage_and_publishes_nothing() -> None:
    async with scripted(**STREAM) as (engine, client):
        room = await joined(client)

        assert (room.is_host, room.on_stage, room.live.value) == (True, True, False)
        assert room.state.value is RoomState.BACKSTAGE
        assert room.stage.value == (
            UTDStageMember(identity="ana", name="Ana", role="host", sources=BOTH),
        )
        with pytest.raises(PublishNotAllowed):
            await room.set_camera(True)
        assert engine.livekit.published == []


async def test_going_live_returns_when_both_are_published() -> None:
    async with scripted(**STREAM) as (engine, client):
        room = await joined(client)
        does(engine, "POST /live", "ana", live())
        await room.go_live()

        assert sorted(engine.livekit.published) == [CAMERA, MIC]
        assert (room.live.value, room.state.value) == (True, RoomState.LIVE)
        assert engine.asked("POST /live")[0].body == {"with_video": True}


async def test_going_live_without_video_shows_nothing_now_or_later() -> None:
    async with scripted(**STREAM) as (engine, client):
        room = await joined(client)
        sound = ev.StageSourcesChanged(at=NOW, identity=Identity("ana"), sources=(MIC,))
        does(engine, "POST /live", "ana", sound, live(with_video=False))
        await room.go_live(with_video=False)
        assert engine.livekit.published == [MIC]

        both = ev.StageSourcesChanged(at=NOW, identity=Identity("ana"), sources=BOTH)
        no_members(engine)
        happens(engine, "ana", both)
        await barrier(room)
        assert engine.livekit.published == [MIC]


async def test_going_live_is_bounded_when_livekit_takes_no_track() -> None:
    async with scripted(timeout=0.3, **STREAM) as (engine, client):
        room = await joined(client)
        does(engine, "POST /live", "ana", live())
        engine.livekit.takes_tracks.clear()

        with pytest.raises(PublishFailed):
            await room.go_live()
        assert room.live.value
        engine.livekit.takes_tracks.set()


async def test_a_pause_withdraws_and_a_resume_brings_back_what_was_wished() -> None:
    async with scripted(**STREAM) as (engine, client):
        room = await joined(client)
        does(engine, "POST /live", "ana", live())
        await room.go_live()
        await room.set_camera(False)
        does(engine, "POST /pause", "ana", ev.StreamPaused(at=NOW))
        does(engine, "POST /resume", "ana", ev.StreamResumed(at=NOW))

        await room.pause()
        await published(engine)
        assert room.state.value is RoomState.PAUSED
        await room.resume()
        assert engine.livekit.published == [MIC]


async def test_a_grant_opens_nothing_by_itself() -> None:
    async with scripted(**STREAM) as (engine, client):
        room = await joined(client, "bo")
        no_members(engine)
        engine.commit(live())
        happens(engine, "bo", on_stage("bo"))
        async with asyncio.timeout(5):
            await room.can_publish.wait_for(wanted=True)
        await barrier(room)
        assert engine.livekit.published == []

        await room.set_microphone(True)
        await room.set_camera(True)
        happens(engine, "bo", off_stage("bo"))
        await published(engine)
        happens(engine, "bo", on_stage("bo"))
        await barrier(room)
        assert engine.livekit.published == []


async def test_an_approved_request_opens_what_was_asked_for() -> None:
    async with scripted(**STREAM) as (engine, client):
        room = await joined(client, "bo")
        request = Request(
            id=1,
            direction=Direction.REQUEST,
            target=Target.STAGE,
            created_at=NOW,
            identity=Identity("bo"),
        )
        created = ev.RequestCreated(at=NOW, id=1, target=Target.STAGE, identity=Identity("bo"))
        does(engine, "POST /requests", "bo", created, request=request, created=True)
        engine.commit(live())

        assert await room.request_stage("hello") == request
        assert engine.asked("POST /requests")[0].body == {"target": "stage", "note": "hello"}
        happens(engine, "bo", ev.RequestApproved(at=NOW, id=1), on_stage("bo"))
        await published(engine, MIC, CAMERA)


async def test_a_rejected_request_takes_the_wish_back() -> None:
    async with scripted(**STREAM) as (engine, client):
        room = await joined(client, "bo")
        created = ev.RequestCreated(at=NOW, id=1, target=Target.STAGE, identity=Identity("bo"))
        does(engine, "POST /requests", "bo", created)
        no_members(engine)
        engine.commit(live())
        await room.request_stage()
        engine.commit(ev.RequestRejected(at=NOW, id=1))
        happens(engine, "bo", on_stage("bo"))

        await barrier(room)
        assert engine.livekit.published == []


async def test_an_accepted_invite_is_live_at_once_unless_the_stream_is_not() -> None:
    async with scripted(**STREAM) as (engine, client):
        room = await joined(client, "bo")
        invited = ev.InviteCreated(at=NOW, id=4, target=Target.STAGE, identity=Identity("bo"))
        engine.commit(invited)
        async with asyncio.timeout(5):
            [invite] = await room.invites.wait_for(lambda invites: len(invites) == 1)
        does(
            engine,
            f"POST /invites/{invite.id}/accept",
            "bo",
            ev.InviteAccepted(at=NOW, id=4),
            on_stage("bo"),
        )
        async with asyncio.timeout(2):
            await room.accept_invite(invite.id, with_video=False)
        assert engine.livekit.published == []

        happens(engine, "bo", live())
        await published(engine, MIC)


async def test_losing_the_place_while_waiting_is_told() -> None:
    async with scripted(**STREAM) as (engine, client):
        room = await joined(client, "bo")
        engine.commit(live())
        does(engine, "POST /invites/4/accept", "bo", on_stage("bo"))
        engine.livekit.takes_tracks.clear()
        accepting = asyncio.ensure_future(room.accept_invite(4))
        async with asyncio.timeout(5):
            await room.stage.wait_for(lambda stage: len(stage) == 2)
        happens(engine, "bo", off_stage("bo"))

        async with asyncio.timeout(2):
            with pytest.raises(Conflict, match="removed"):
                await accepting
        engine.livekit.takes_tracks.set()


async def test_leaving_the_stage_closes_everything() -> None:
    async with scripted(**STREAM) as (engine, client):
        room = await joined(client, "bo")
        engine.commit(live())
        happens(engine, "bo", on_stage("bo", (CAMERA, MIC, SCREEN)))
        for switch in (room.set_microphone, room.set_camera, room.set_screen_share):
            await switch(True)
        await room.set_screen_share(False)
        assert sorted(engine.livekit.published) == [CAMERA, MIC]
        does(engine, "POST /stage/leave", "bo", off_stage("bo", "left"))

        await room.leave_stage()
        await published(engine)
        assert not room.on_stage


async def test_a_host_who_hands_over_is_dark() -> None:
    async with scripted(**STREAM) as (engine, client):
        room = await joined(client)
        does(engine, "POST /live", "ana", live())
        await room.go_live()
        handed = ev.HostTransferred(at=NOW, previous=Identity("ana"), host=Identity("bo"))
        happens(engine, "ana", handed)
        await published(engine)
        assert not room.is_host
        assert room.room.publishing(CAMERA).value == "off"


async def test_what_moderators_order_is_what_the_engine_reads() -> None:
    async with scripted(**STREAM) as (engine, client):
        room = await joined(client)
        does(engine, "POST /stage/invite", "ana", on_stage("bo"))
        assert await room.invite_to_stage("bo", ["microphone"]) is None
        await room.set_sources("bo", [Source.MICROPHONE, "screen_share"])
        await room.remove_from_stage("bo")
        await room.approve_stage(7)
        await room.schedule(datetime(2026, 5, 1, 20, 0, tzinfo=UTC))
        with pytest.raises(ValueError, match="time zone"):
            await room.schedule(datetime(2026, 5, 1, 20, 0))  # noqa: DTZ001 the point

        bodies = {
            route: engine.asked(f"POST {route}")[0].body
            for route in ("/stage/invite", "/stage/sources", "/stage/remove", "/schedule")
        }
        assert bodies == {
            "/stage/invite": {"identity": "bo", "sources": ["microphone"]},
            "/stage/sources": {"identity": "bo", "sources": ["microphone", "screen_share"]},
            "/stage/remove": {"identity": "bo"},
            "/schedule": {"at": "2026-05-01T20:00:00Z"},
        }
        assert len(engine.asked("POST /requests/7/approve")) == 1


async def test_an_invite_that_needs_consent_is_given_back() -> None:
    async with scripted(**STREAM) as (engine, client):
        room = await joined(client)
        invite = Request(
            id=4,
            direction=Direction.INVITE,
            target=Target.STAGE,
            created_at=NOW,
            identity=Identity("bo"),
        )
        created = ev.InviteCreated(at=NOW, id=4, target=Target.STAGE, identity=Identity("bo"))
        does(engine, "POST /stage/invite", "ana", created, request=invite)

        assert await room.invite_to_stage("bo") == invite


async def test_refreshing_reads_what_was_missed() -> None:
    async with scripted(**STREAM) as (engine, client):
        room = await joined(client)
        engine.commit(on_stage("bo"), heard=False)
        engine.rules["GET /stage"] = lambda _: answer(
            StageAnswer(seq=engine.head, state=engine.view.state, members=engine.view.stage)
        )

        assert [one.identity for one in await room.refresh_stage()] == ["ana", "bo"]
        assert room.stage.value[1].role == "co_host"


async def test_the_audience_is_counted() -> None:
    async with scripted(**STREAM) as (engine, client):
        room = await joined(client)
        assert room.audience.value is None
        told = [{"kind": "audience", "count": 12}, {"kind": "other"}]
        engine.livekit.tell_metadata(window([], engine.head, engine.view.room_id, told))
        assert room.audience.value == 12
        engine.livekit.tell_metadata(window([], engine.head, "another", [told[0] | {"count": 1}]))
        assert room.audience.value == 12
