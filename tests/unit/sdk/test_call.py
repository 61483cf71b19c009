import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from support.room_logs import NOW
from support.scripted_engine import ScriptedEngine, scripted
from support.scripted_http import Asked, Said, answer, refusal
from support.scripted_inbox import ScriptedInbox, answered, incoming, over, with_inbox
from support.scripted_livekit import SPEAKER

from utd_protocol import events as ev
from utd_protocol.answers import CallAnswer
from utd_protocol.types import CallReason, CallStatus, Identity, RoomType, Source
from utd_stream._client import UTDStreamClient
from utd_stream._errors import (
    CallOver,
    ClosedByUs,
    Conflict,
    ConnectionLost,
    NotAuthenticated,
    PublishFailed,
    Unavailable,
    Unreachable,
)
from utd_stream._models import UTDCallStatus, UTDStreamType
from utd_stream._room.connection import DisconnectReason
from utd_stream._sessions.call import UTDCallSession
from utd_stream._sessions.incoming import IncomingCall

MIC, CAMERA = Source.MICROPHONE, Source.CAMERA
AUDIO, VIDEO = UTDStreamType.AUDIO_CALL, UTDStreamType.VIDEO_CALL
CALL = "room_1"
OFFER = ev.CallOffer(callee=Identity("bo"), rings_until=NOW + timedelta(seconds=45))
ACCEPTED = ev.CallAccepted(at=NOW, by=Identity("bo"))
RINGING = ev.CallRinging(at=NOW, by=Identity("bo"))


def told(engine: ScriptedEngine, who: str | None = None) -> Said:
    """How the call stands; with tokens for somebody."""
    view = engine.view
    assert view.call is not None
    known = CallAnswer(
        call_id=view.room_id,
        type=view.type,
        status=view.call.status,
        caller_identity=view.call.caller,
        callee_identity=view.call.callee,
        reason=view.call.reason,
        created_at=NOW,
        rings_until=view.call.rings_until,
    )
    if who is None:
        return answer(known)
    engine.tokens += 1
    return answer(
        CallAnswer(
            **{field: getattr(known, field) for field in known.__struct_fields__}
            | {
                "room_name": view.name,
                "token": f"livekit-{who}-{engine.tokens}",
                "url": "ws://livekit.test",
                "user_token": f"user-{who}-{engine.tokens}",
                "room": view,
                "seq": engine.head,
            }
        )
    )


def ended(
    status: CallStatus = CallStatus.ENDED, reason: CallReason = CallReason.HANGUP
) -> tuple[ev.CallEnded, ev.RoomEnded]:
    return (
        ev.CallEnded(at=NOW, by=Identity("bo"), status=status, reason=reason),
        ev.RoomEnded(at=NOW, reason=str(reason)),
    )


def over_at(engine: ScriptedEngine, *events: Any) -> None:
    """The call ends: the log says so, and LiveKit's room is gone."""
    engine.commit(*events)
    engine.livekit.drop(DisconnectReason.ROOM_DELETED)


def act(engine: ScriptedEngine, *events: Any, who: str | None = None) -> Any:
    def rule(_: Asked) -> Said:
        assert engine.view.call is not None
        if not engine.view.call.is_over:
            engine.commit(*events)
        return told(engine, who)

    return rule


@asynccontextmanager
async def phone(
    who: str = "ana", kind: RoomType = RoomType.AUDIO_CALL, **options: Any
) -> AsyncIterator[tuple[ScriptedEngine, ScriptedInbox, UTDStreamClient]]:
    """An engine with one call from ana to bo, and a client of one of them."""
    async with with_inbox(kind=kind, name=CALL, host=None, call=OFFER, **options) as parts:
        engine, _, client = parts
        engine.livekit.permissions = SPEAKER
        engine.rules |= {
            "POST /calls": act(engine, who="ana"),
            f"POST /calls/{CALL}/accept": act(engine, ACCEPTED, who="bo"),
            f"POST /calls/{CALL}/ringing": act(engine, RINGING),
            f"POST /calls/{CALL}/end": act(engine, *ended()),
            f"POST /calls/{CALL}/reject": act(
                engine, *ended(CallStatus.REJECTED, CallReason.REJECTED)
            ),
            f"POST /calls/{CALL}/busy": act(engine, *ended(CallStatus.BUSY, CallReason.BUSY)),
            f"POST /calls/{CALL}/ignore": lambda _: told(engine),
            f"GET /calls/{CALL}": lambda _: told(engine),
            "GET /calls": lambda _: answer({"items": [], "next_cursor": None}),
            "POST /leave": lambda _: engine.done(*ended()),
        }
        await client.authenticate(identity=who, device_id="phone")
        yield parts


async def until(session: UTDCallSession, status: UTDCallStatus) -> None:
    async with asyncio.timeout(5):
        await session.status.wait_for(status)


async def out(session: UTDCallSession) -> None:
    async with asyncio.timeout(5):
        await session.connected.wait_for(wanted=False)


async def silent(engine: ScriptedEngine) -> None:
    async with asyncio.timeout(5):
        while engine.livekit.published:
            await asyncio.sleep(0)


# Making sessions.


async def test_a_session_needs_a_type_of_call_and_a_user() -> None:
    async with scripted() as (_, client):
        with pytest.raises(ValueError, match="audio_room"):
            client.call_session(UTDStreamType.AUDIO_ROOM)
        session = client.call_session("audio_call")
        assert (session.status.value, session.call_id.value) == (None, None)
        for act_ in (
            session.start(callee_identity="bo"),
            session.accept("x"),
            session.ringing("x"),
            session.reject("x"),
        ):
            with pytest.raises(NotAuthenticated):
                await act_
        await session.end()
        with pytest.raises(ClosedByUs, match="no call yet"):
            await session.set_microphone(True)
        with pytest.raises(ClosedByUs, match="no call yet"):
            await session.rejoin()


async def test_a_session_without_a_call_does_not_bind_the_client() -> None:
    async with phone() as (_, _, client):
        fresh = client.call_session(AUDIO)
        await fresh.dispose()
        await client.authenticate(identity="cem")
        with pytest.raises(ClosedByUs, match="disposed"):
            await fresh.start(callee_identity="bo")


# The caller.


async def test_a_call_is_started_joined_and_heard() -> None:
    async with phone() as (engine, _, client):
        session = client.call_session(AUDIO)
        call = await session.start(
            callee_identity="bo", callee_name="Bo", metadata={"n": 1}, ring_timeout=20
        )

        assert (call.call_id, call.status, call.token) == (
            CALL,
            UTDCallStatus.INITIATING,
            "livekit-ana-1",
        )
        assert (session.call_id.value, session.identity) == (CALL, "ana")
        assert engine.livekit.published == [MIC]
        assert engine.asked("POST /calls")[0].body == {
            "callee_identity": "bo",
            "type": "audio_call",
            "callee_name": "Bo",
            "metadata": {"n": 1},
            "ring_timeout_s": 20.0,
        }
        assert len(engine.asked("GET /events")) == 1

        engine.commit(RINGING)
        await until(session, UTDCallStatus.RINGING)
        engine.commit(ACCEPTED)
        await until(session, UTDCallStatus.ACTIVE)
        with pytest.raises(Conflict, match="in a call"):
            await session.start(callee_identity="cem")


async def test_a_video_call_opens_the_camera() -> None:
    async with phone(kind=RoomType.VIDEO_CALL) as (engine, _, client):
        engine.livekit.permissions = type(SPEAKER)(can_publish=True, sources=(MIC, CAMERA))
        session = client.call_session(VIDEO)
        await session.start(callee_identity="bo")
        assert sorted(engine.livekit.published) == [CAMERA, MIC]
        await session.set_camera(False)
        assert engine.livekit.published == [MIC]


async def test_the_end_by_the_other_is_normal_and_another_call_may_begin() -> None:
    async with phone() as (engine, _, client):
        session = client.call_session(AUDIO)
        await session.start(callee_identity="bo")
        updates = session.updates()
        engine.commit(ACCEPTED)
        over_at(engine, *ended())

        await until(session, UTDCallStatus.ENDED)
        await silent(engine)
        assert isinstance(session.ended, CallOver)
        assert session.ended.code == "hangup"
        assert [type(event) async for event in updates] == [
            ev.CallAccepted,
            ev.CallEnded,
            ev.RoomEnded,
        ]
        assert engine.livekit.published == []
        with pytest.raises(CallOver):
            await session.rejoin()

        engine.reopen(room_id="room_2", kind=RoomType.AUDIO_CALL, name="room_2", call=OFFER)
        again = await session.start(callee_identity="bo")
        assert (again.call_id, session.ended) == ("room_2", None)
        assert session.status.value is UTDCallStatus.INITIATING
        assert engine.livekit.published == [MIC]


async def test_a_callee_in_another_call_is_busy_at_once() -> None:
    async with phone() as (engine, _, client):
        engine.commit(*ended(CallStatus.BUSY, CallReason.BUSY))
        engine.rules["POST /calls"] = lambda _: told(engine)
        session = client.call_session(AUDIO)
        call = await session.start(callee_identity="bo")

        assert (call.status, call.reason, call.token) == (UTDCallStatus.BUSY, CallReason.BUSY, None)
        assert session.status.value is UTDCallStatus.BUSY
        assert isinstance(session.ended, CallOver)
        assert engine.livekit.connects == 0


async def test_a_call_rejected_while_joining_is_given_back() -> None:
    async with phone() as (engine, _, client):
        engine.livekit.takes_tracks.clear()
        session = client.call_session(AUDIO)
        starting = asyncio.ensure_future(session.start(callee_identity="bo"))
        async with asyncio.timeout(5):
            await session.connected.wait_for(wanted=True)
        over_at(engine, *ended(CallStatus.REJECTED, CallReason.REJECTED))

        async with asyncio.timeout(5):
            call = await starting
        assert (call.status, session.status.value) == (UTDCallStatus.REJECTED,) * 2
        engine.livekit.takes_tracks.set()


async def test_a_start_that_fails_hangs_up() -> None:
    async with phone(timeout=0.5) as (engine, _, client):
        session = client.call_session(AUDIO)
        engine.livekit.failures = [Unreachable("no media")]
        with pytest.raises(Unreachable, match="no media"):
            await session.start(callee_identity="bo")
        assert len(engine.asked(f"POST /calls/{CALL}/end")) == 1
        assert session.ended is not None


async def test_a_start_without_a_microphone_hangs_up() -> None:
    async with phone(timeout=0.3) as (engine, _, client):
        session = client.call_session(AUDIO)
        engine.livekit.takes_tracks.clear()
        with pytest.raises(PublishFailed):
            await session.start(callee_identity="bo")
        engine.livekit.takes_tracks.set()
        assert session.status.value is UTDCallStatus.ENDED
        assert engine.livekit.joined is None
        assert len(engine.asked(f"POST /calls/{CALL}/end")) == 1


async def test_a_cancelled_start_hangs_up() -> None:
    async with phone() as (engine, _, client):
        session = client.call_session(AUDIO)
        engine.livekit.takes_tracks.clear()
        starting = asyncio.ensure_future(session.start(callee_identity="bo"))
        async with asyncio.timeout(5):
            await session.connected.wait_for(wanted=True)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        engine.livekit.takes_tracks.set()
        assert engine.livekit.joined is None
        assert len(engine.asked(f"POST /calls/{CALL}/end")) == 1


async def test_hanging_up_is_idempotent_and_silences_at_once() -> None:
    async with phone() as (engine, _, client):
        session = client.call_session(AUDIO)
        await session.start(callee_identity="bo")
        await asyncio.gather(session.end(), session.end())
        await session.end()

        assert isinstance(session.ended, ClosedByUs)
        assert session.status.value is UTDCallStatus.ENDED
        assert engine.livekit.published == []
        assert engine.livekit.joined is None


async def test_hanging_up_while_the_engine_still_makes_the_call() -> None:
    async with phone() as (engine, _, client):
        session = client.call_session(AUDIO)
        asked, made = asyncio.Event(), asyncio.Event()

        async def slow(_: Asked) -> Said:
            asked.set()
            await made.wait()
            return told(engine, "ana")

        engine.rules["POST /calls"] = slow
        starting = asyncio.ensure_future(session.start(callee_identity="bo"))
        await asked.wait()
        ending = asyncio.ensure_future(session.end())
        made.set()
        async with asyncio.timeout(5):
            await asyncio.gather(starting, ending)
        assert session.status.value is UTDCallStatus.ENDED
        assert engine.livekit.joined is None
        assert len(engine.asked(f"POST /calls/{CALL}/end")) == 1


async def test_hanging_up_without_the_engine_leaves_all_the_same() -> None:
    async with phone(timeout=0.3) as (engine, _, client):
        session = client.call_session(AUDIO)
        await session.start(callee_identity="bo")
        engine.rules[f"POST /calls/{CALL}/end"] = lambda _: refusal("unavailable")

        with pytest.raises(Unavailable):
            await session.end()
        assert engine.livekit.joined is None
        assert session.status.value is UTDCallStatus.ENDED


async def test_hanging_up_what_is_gone_is_no_error() -> None:
    async with phone() as (engine, _, client):
        session = client.call_session(AUDIO)
        await session.start(callee_identity="bo")
        engine.rules[f"POST /calls/{CALL}/end"] = lambda _: refusal("call_not_found")
        await session.end()
        assert engine.livekit.joined is None


async def test_leaving_is_hanging_up() -> None:
    async with phone() as (engine, _, client):
        session = client.call_session(AUDIO)
        await session.start(callee_identity="bo")
        await session.leave()
        assert session.status.value is UTDCallStatus.ENDED
        assert len(engine.asked("POST /leave")) == 1


async def test_a_call_that_lost_its_connection_can_be_joined_again() -> None:
    async with phone(reconnect_for=0) as (engine, _, client):
        session = client.call_session(AUDIO)
        await session.start(callee_identity="bo")
        engine.commit(ACCEPTED)
        engine.livekit.drop(DisconnectReason.SIGNAL_CLOSE)
        await out(session)
        async with asyncio.timeout(5):
            while not isinstance(session.ended, ConnectionLost):
                await asyncio.sleep(0)
        assert session.status.value is UTDCallStatus.ACTIVE

        await session.rejoin()
        assert session.ended is None
        assert engine.livekit.published == [MIC]


# The callee.


async def test_a_call_is_accepted_and_heard() -> None:
    async with phone("bo") as (engine, _, client):
        session = client.call_session(AUDIO)
        await session.ringing(CALL)
        assert session.status.value is UTDCallStatus.RINGING
        assert session.call_id.value is None
        call = await session.accept(CALL)
        assert (call.status, session.status.value) == (UTDCallStatus.ACTIVE,) * 2
        assert session.call_id.value == CALL
        assert engine.livekit.published == [MIC]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("answered_elsewhere", UTDCallStatus.ENDED),
        ("rejected_elsewhere", UTDCallStatus.REJECTED),
        ("call_over", UTDCallStatus.ENDED),
    ],
)
async def test_an_answer_that_comes_too_late(code: str, status: UTDCallStatus) -> None:
    async with phone("bo") as (engine, _, client):
        engine.rules[f"POST /calls/{CALL}/accept"] = lambda _: refusal(code)
        session = client.call_session(AUDIO)
        await session.ringing(CALL)
        with pytest.raises(Conflict) as late:
            await session.accept(CALL)
        assert (late.value.code, session.status.value) == (code, status)


@pytest.mark.parametrize(
    ("word", "status"), [("reject", UTDCallStatus.REJECTED), ("busy", UTDCallStatus.BUSY)]
)
async def test_a_no_is_shown(word: str, status: UTDCallStatus) -> None:
    async with phone("bo") as (_, _, client):
        session = client.call_session(AUDIO)
        await getattr(session, word)(CALL)
        assert session.status.value is status


async def test_ignoring_shows_nothing_any_more() -> None:
    async with phone("bo") as (_, _, client):
        session = client.call_session(AUDIO)
        await session.ringing(CALL)
        await session.ignore(CALL)
        assert session.status.value is None


async def test_what_rings_follows_the_inbox() -> None:
    async with phone("bo") as (_, inbox, client):
        session = client.call_session(AUDIO)
        await session.ringing(CALL)
        await inbox.connected()
        await inbox.add(over(call_id="another"))
        await inbox.add(answered("tablet", CALL))
        await until(session, UTDCallStatus.ENDED)
        assert inbox.socket is not None
        async with asyncio.timeout(5):
            while not inbox.socket.closed:
                await asyncio.sleep(0)


async def test_another_call_does_not_change_the_status_of_this_one() -> None:
    async with phone("bo") as (engine, _, client):
        session = client.call_session(AUDIO)
        await session.accept(CALL)
        engine.rules["POST /calls/ca_2/busy"] = lambda _: told(engine)
        await session.busy("ca_2")
        assert session.status.value is UTDCallStatus.ACTIVE


# What rings.


async def first(calls: AsyncIterator[IncomingCall]) -> IncomingCall:
    async with asyncio.timeout(5):
        return await anext(calls)


async def rings(
    inbox: ScriptedInbox, calls: AsyncIterator[IncomingCall], call_id: str = CALL
) -> IncomingCall:
    ringing = asyncio.create_task(first(calls))
    await inbox.connected()
    await inbox.add(incoming(call_id))
    return await ringing


async def test_an_incoming_call_rings_and_can_be_accepted() -> None:
    async with phone("bo") as (engine, inbox, client):
        async with aclosing(client.incoming_calls()) as calls:
            call = await rings(inbox, calls)
        assert (call.id, call.caller, call.type, call.metadata) == (
            CALL,
            "ana",
            AUDIO,
            {"about": "lunch"},
        )
        assert len(engine.asked(f"POST /calls/{CALL}/ringing")) == 1
        session = await call.accept()
        assert (call.rings.value, call.reason) == (False, None)
        assert session in client.sessions
        assert engine.livekit.published == [MIC]


async def test_ringing_can_be_left_to_the_app() -> None:
    async with phone("bo") as (engine, inbox, client):
        async with aclosing(client.incoming_calls(auto_ring=False)) as calls:
            call = await rings(inbox, calls)
            assert engine.asked(f"POST /calls/{CALL}/ringing") == []
            await call.ringing()
        assert len(engine.asked(f"POST /calls/{CALL}/ringing")) == 1


async def test_a_call_that_rings_already_is_found() -> None:
    async with phone("bo") as (engine, inbox, client):
        mine = told(engine).body
        engine.rules["GET /calls"] = lambda _: Said(
            200, b'{"items":[' + mine + b'],"next_cursor":null}'
        )
        async with aclosing(client.incoming_calls()) as calls:
            call = await first(calls)
            assert call.id == CALL
            await inbox.add(incoming(CALL))
            await inbox.add(incoming("ca_2"))
            engine.rules["POST /calls/ca_2/ringing"] = lambda _: told(engine)
            assert (await first(calls)).id == "ca_2"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (answered("tablet", CALL), CallReason.ANSWERED_ELSEWHERE),
        (answered("phone", CALL), None),
        (over(CallReason.CANCELLED, CALL), CallReason.CANCELLED),
        (over(CallReason.NO_ANSWER, CALL), CallReason.NO_ANSWER),
    ],
)
async def test_it_stops_ringing_and_says_why(event: Any, reason: CallReason | None) -> None:
    async with phone("bo") as (_, inbox, client):
        async with aclosing(client.incoming_calls()) as calls:
            call = await rings(inbox, calls)
        await inbox.add(event)
        async with asyncio.timeout(5):
            await call.rings.wait_for(wanted=False)
        assert call.reason is reason


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("reject", CallReason.REJECTED),
        ("busy", CallReason.BUSY),
        ("ignore", CallReason.IGNORED),
    ],
)
async def test_what_one_says_oneself_is_the_reason(word: str, reason: CallReason) -> None:
    async with phone("bo") as (_, inbox, client):
        async with aclosing(client.incoming_calls()) as calls:
            call = await rings(inbox, calls)
            await getattr(call, word)()
        assert (call.rings.value, call.reason) == (False, reason)


async def test_an_answer_elsewhere_that_the_engine_tells_first() -> None:
    async with phone("bo") as (engine, inbox, client):
        engine.rules[f"POST /calls/{CALL}/accept"] = lambda _: refusal("answered_elsewhere")
        async with aclosing(client.incoming_calls()) as calls:
            call = await rings(inbox, calls)
            with pytest.raises(Conflict):
                await call.accept()
        assert (call.rings.value, call.reason) == (False, CallReason.ANSWERED_ELSEWHERE)
        assert client.sessions == ()


async def test_a_call_that_is_over_already_does_not_ring() -> None:
    async with (
        phone("bo") as (_, inbox, client),
        aclosing(client.incoming_calls(auto_ring=False)) as calls,
    ):
        waiting = asyncio.create_task(first(calls))
        await inbox.connected()
        inbox.socket, socket = None, inbox.socket
        for event in (incoming("ca_1"), over(call_id="ca_1"), incoming("ca_2")):
            await inbox.add(event)
        assert socket is not None
        await socket.close(code=1012)
        assert (await waiting).id == "ca_2"


async def test_nothing_rings_for_ever_without_the_engine() -> None:
    async with phone("bo") as (_, inbox, client):
        async with aclosing(client.incoming_calls(auto_ring=False)) as calls:
            ringing = asyncio.create_task(first(calls))
            await inbox.connected()
            await inbox.add(incoming(CALL, rings_s=-1.9))
            call = await ringing
        async with asyncio.timeout(2):
            await call.rings.wait_for(wanted=False)
        assert call.reason is CallReason.NO_ANSWER


async def test_history_is_paged_and_one_call_looked_up() -> None:
    async with phone() as (engine, _, client):
        mine = told(engine).body
        engine.rules["GET /calls"] = lambda _: Said(
            200, b'{"items":[' + mine + b'],"next_cursor":"more"}'
        )
        page = await client.calls(limit=1)
        assert ([each.call_id for each in page.items], page.next_cursor) == ([CALL], "more")
        assert engine.asked("GET /calls")[0].query == {"limit": "1"}
        assert (await client.get_call(CALL)).caller_identity == "ana"
