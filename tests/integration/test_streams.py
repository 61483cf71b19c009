"""Live streams through every layer: who is on air, and what an audience costs."""

import asyncio
from typing import Any

import pytest

from utd_engine.testing import Answer, EngineUnderTest, Joined
from utd_protocol.codec import decode_window

GUESTS = 50
VIEWERS = 300


async def join(engine: EngineUnderTest, who: str, role: str = "audience", **wish: Any) -> Joined:
    return await engine.join(who, role=role, type="live_stream", room_name="show", **wish)


async def do(engine: EngineUnderTest, who: Joined, path: str, body: object = None) -> Answer:
    asking = asyncio.ensure_future(
        engine.call("POST", who.path(path), body or {}, bearer=who.user_token)
    )
    await engine.clock.settle()
    while not asking.done():
        await engine.clock.advance(0.05)
    answer = await asking
    assert answer.status == 200, (path, answer)
    return answer


def sources(one: Joined) -> list[str]:
    assert one.participant is not None
    permission = one.participant.permission
    assert permission.can_publish is bool(permission.sources)
    return [str(source) for source in permission.sources]


def metadata_updates(engine: EngineUnderTest) -> int:
    return engine.sfu.calls["publish_events"]


async def test_a_stage_of_fifty_before_three_hundred() -> None:
    async with EngineUnderTest.start() as engine:
        host = await join(engine, "host", "host")
        guests = [await join(engine, f"g{number}") for number in range(GUESTS)]
        viewers = [await join(engine, f"v{number}") for number in range(VIEWERS)]
        for guest in guests:
            await do(engine, host, "/stage/invite", {"identity": guest.identity})
        stage = [host, *guests]
        assert not any(sources(one) for one in stage), "nothing leaks from the backstage"
        for path, on_air in (("/live", True), ("/pause", False), ("/resume", True)):
            await engine.clock.advance(1)
            metadata, pushes = metadata_updates(engine), engine.sfu.calls["push_member"]
            answer = await do(engine, host, path)
            assert answer.json()["media"] == "applied"
            for one in stage:
                assert sources(one) == (["camera", "microphone"] if on_air else []), path
            await engine.clock.settle()
            assert metadata_updates(engine) - metadata == 1, "one update for the whole audience"
            assert engine.sfu.calls["push_member"] - pushes == len(stage), "viewers cost nothing"
        assert not any(sources(one) for one in viewers)
        head = (await engine.room(engine.key(host))).seq
        for viewer in viewers:
            assert viewer.participant is not None
            window = decode_window(viewer.participant.room_metadata)
            assert window is not None
            assert window.head == head
        await engine.clock.advance(6)
        assert len(engine.sfu.rooms) == 1


async def test_a_burst_of_commands_is_one_batch() -> None:
    async with EngineUnderTest.start() as engine:
        host = await join(engine, "host", "host")
        guests = [await join(engine, f"g{number}") for number in range(10)]
        await engine.clock.advance(1)
        before = metadata_updates(engine)
        await do(engine, host, "/live")  # the first after a pause goes at once
        answers = await asyncio.gather(
            *(
                engine.call(
                    "POST", host.path("/stage/invite"), {"identity": one.identity},
                    bearer=host.user_token,
                )
                for one in guests
            )
        )  # fmt: skip
        assert {answer.status for answer in answers} == {200}
        await engine.clock.advance(0.06)
        assert metadata_updates(engine) - before == 2
        assert guests[0].participant is not None
        window = decode_window(guests[0].participant.room_metadata)
        assert window is not None
        assert [event.seq for event in window.events][-10:] == list(
            range(window.head - 9, window.head + 1)
        )


async def test_sound_alone_until_the_camera_is_asked_for() -> None:
    async with EngineUnderTest.start() as engine:
        host = await join(engine, "host", "host")
        await do(engine, host, "/live", {"with_video": False})
        assert sources(host) == ["microphone"]
        await do(engine, host, "/live", {"with_video": True})
        assert sources(host) == ["camera", "microphone"]
        body = {"identity": "host", "sources": ["microphone", "screen_share"]}
        await do(engine, host, "/stage/sources", body)
        assert sources(host) == ["microphone", "screen_share"]


async def test_a_guest_is_on_stage_as_long_as_they_should() -> None:
    async with EngineUnderTest.start() as engine:
        host, guest = await join(engine, "host", "host"), await join(engine, "guest")
        await do(engine, host, "/live")
        await do(engine, host, "/stage/invite", {"identity": "guest", "sources": ["microphone"]})
        assert sources(guest) == ["microphone"]
        await do(engine, guest, "/stage/leave")
        assert sources(guest) == []
        await do(engine, guest, "/requests", {"target": "stage"})
        await do(engine, host, "/requests/1/approve")
        assert sources(guest) == ["camera", "microphone"]
        assert guest.participant is not None
        await engine.clock.advance(6)  # a round of the sweep has seen them on stage
        await engine.sfu.leave(guest.participant)
        await engine.clock.advance(8)
        (held,) = [one for one in await stage_of(engine, host) if one["identity"] == "guest"]
        assert held["held_until"] is not None
        back = await join(engine, "guest")
        assert sources(back) == ["camera", "microphone"]
        await do(engine, host, "/stage/remove", {"identity": "guest"})
        assert sources(back) == []
        assert [one["identity"] for one in await stage_of(engine, host)] == ["host"]


async def stage_of(engine: EngineUnderTest, who: Joined) -> list[dict[str, Any]]:
    answer = await engine.call("GET", who.path("/stage"), bearer=who.user_token)
    members: list[dict[str, Any]] = answer.json()["members"]
    return members


async def test_who_came_this_moment_may_be_invited() -> None:
    async with EngineUnderTest.start() as engine:
        host = await join(engine, "host", "host")
        guest = await join(engine, "guest")
        await do(engine, host, "/stage/invite", {"identity": "guest"})
        await do(engine, host, "/live")
        assert sources(guest) == ["camera", "microphone"]


async def test_with_consent_an_invite_reaches_the_invited_outside_too() -> None:
    async with EngineUnderTest.start() as engine:
        host = await join(engine, "host", "host", policy={"stage_invites": "consent"})
        guest = await join(engine, "guest")
        await do(engine, host, "/live")
        invited = await do(engine, host, "/stage/invite", {"identity": "guest"})
        assert sources(guest) == []
        assert invited.json()["members"] == await stage_of(engine, host)
        await do(engine, guest, "/invites/1/accept")
        assert sources(guest) == ["camera", "microphone"]
        await join(engine, "other")
        await do(engine, host, "/stage/invite", {"identity": "other"})
        await do(engine, host, "/end")
        session = await engine.call(
            "POST", "/api/v1/auth/session", {"identity": "other"}, app_key=True
        )
        letters = await engine.call("GET", "/api/v1/inbox", bearer=session.json()["user_token"])
        types = [one["type"] for one in letters.json()["events"]]
        assert types == ["invite.received", "invite.withdrawn"]


@pytest.mark.parametrize("phase", ["backstage", "live", "paused"])
async def test_an_end_is_final(phase: str) -> None:
    async with EngineUnderTest.start() as engine:
        host, viewer = await join(engine, "host", "host"), await join(engine, "viewer")
        for path in {"backstage": [], "live": ["/live"], "paused": ["/live", "/pause"]}[phase]:
            await do(engine, host, path)
        await do(engine, host, "/end", {"reason": "good night"})
        for one in (host, viewer):
            assert one.participant is not None
            assert one.participant.disconnected == "ROOM_DELETED"
            rejoined = await engine.call("POST", one.path("/rejoin"), bearer=one.user_token)
            assert rejoined.code == "room_ended"
        assert not engine.sfu.rooms
