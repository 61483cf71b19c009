import asyncio
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from support.room_logs import NOW, taken, window
from support.scripted_engine import ScriptedEngine, kicked, scripted
from support.scripted_http import Said, answer, refusal

from utd_protocol import events as ev
from utd_protocol.types import BanScope, Identity
from utd_stream._client import UTDStreamClient
from utd_stream._errors import (
    Closed,
    ClosedByUs,
    ConnectionLost,
    Kicked,
    NotFound,
    Replaced,
    RoomEnded,
    Unavailable,
    Unreachable,
    UTDStreamException,
)
from utd_stream._room.connection import DisconnectReason, UTDConnectionState
from utd_stream._sessions.audio_room import UTDAudioRoomSession
from utd_stream._sessions.updates import Resynced

CONNECTED = UTDConnectionState.CONNECTED
RECONNECTING = UTDConnectionState.RECONNECTING
RESYNCING = UTDConnectionState.RESYNCING
DISCONNECTED = UTDConnectionState.DISCONNECTED
PASSING = [
    DisconnectReason.UNKNOWN,
    DisconnectReason.SERVER_SHUTDOWN,
    DisconnectReason.STATE_MISMATCH,
    DisconnectReason.SIGNAL_CLOSE,
    DisconnectReason.CONNECTION_TIMEOUT,
    DisconnectReason.JOIN_FAILURE,
    DisconnectReason.MEDIA_FAILURE,
]


async def joined(client: UTDStreamClient) -> UTDAudioRoomSession:
    return await client.join_audio_room(identity="bo", room_name="lobby")


async def over(room: UTDAudioRoomSession) -> Closed:
    """Wait until the session has ended, and say why."""
    async with asyncio.timeout(5):
        await room.connection.wait_for(DISCONNECTED)
    assert room.ended is not None
    return room.ended


async def reading(room: UTDAudioRoomSession) -> tuple[list[Any], UTDStreamException | None]:
    """Everything that a reader gets from now to the end, and how it ends."""
    got: list[Any] = []
    try:
        async for update in room.updates():
            got.append(update)  # noqa: PERF401 what came before an error counts
    except UTDStreamException as error:
        return got, error
    return got, None


async def begin(coroutine: Any) -> "asyncio.Task[Any]":
    """Start it, and let it come to its first wait."""
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(0)
    return task


# Following the room.


async def test_what_the_room_is_told_is_folded() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.commit(taken(1, "cem"))

        assert room.view.value == engine.view
        assert room.seats.value[1].identity == "cem"


async def test_a_gap_is_read_from_the_log() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        updates = room.updates()
        engine.commit(taken(1, "cem"), taken(2, "dia"), heard=False)
        engine.commit(taken(3, "eli"))

        async with asyncio.timeout(5):
            seqs = [(await anext(updates)).seq for _ in range(3)]
        assert seqs == [2, 3, 4]
        assert room.view.value == engine.view
        assert engine.asked("GET /events")[-1].query["after"] == "1"


async def test_what_the_log_no_longer_keeps_comes_as_a_snapshot() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        updates = room.updates()
        engine.commit(taken(1, "cem"), taken(2, "dia"), heard=False)
        engine.kept_from = 4
        engine.commit(taken(3, "eli"))

        async with asyncio.timeout(5):
            assert await anext(updates) == Resynced(seq=4)
        assert room.view.value == engine.view


async def test_a_log_that_lacks_what_its_head_says_is_met_with_a_snapshot() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.rules["GET /events"] = lambda _: answer({"events": [], "head": engine.head})
        engine.commit(taken(1, "cem"), heard=False)
        engine.commit(taken(2, "dia"))

        async with asyncio.timeout(5):
            await room.view.wait_for(engine.view)
        assert len(engine.asked("GET /events")) == 2


async def test_a_resume_during_the_reading_asks_for_another_one() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        before = len(engine.asked("GET /events"))

        def events(asked: Any) -> Said:
            said = engine._events(asked)
            if len(engine.asked("GET /events")) == before + 1:
                engine.commit(taken(1, "cem"), heard=False)
                engine.livekit.interrupt()
                engine.livekit.resume()
            return said

        engine.rules["GET /events"] = events
        engine.livekit.interrupt()
        engine.livekit.resume()

        async with asyncio.timeout(5):
            await room.connection.wait_for(CONNECTED)
        assert room.view.value == engine.view
        assert len(engine.asked("GET /events")) == before + 2


async def test_reading_the_log_goes_on_after_a_failure() -> None:
    async with scripted(timeout=0.3) as (engine, client):
        room = await joined(client)
        failures = [refusal("internal"), refusal("internal")]

        def events(asked: Any) -> Said:
            return failures.pop() if failures else engine._events(asked)

        engine.rules["GET /events"] = events
        engine.commit(taken(1, "cem"), heard=False)
        engine.commit(taken(2, "dia"))

        async with asyncio.timeout(5):
            await room.view.wait_for(engine.view)
        assert failures == []


async def test_metadata_of_another_opening_changes_nothing() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        before = room.view.value
        engine.livekit.tell_metadata(window([taken(1, "cem", 2)], 2, room_id="room_9"))
        engine.livekit.tell_metadata("not ours")

        assert room.view.value is before


async def test_an_answer_is_folded_before_the_command_returns() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.commit(taken(1, "cem"), heard=False)
        engine.rules["POST /mute-all"] = lambda _: engine.done(taken(2, "dia"))

        await room.mute_all()

        assert room.view.value == engine.view


async def test_a_command_whose_past_cannot_be_read_says_that_it_is_done() -> None:
    async with scripted(timeout=0.2) as (engine, client):
        room = await joined(client)
        engine.commit(taken(1, "cem"), heard=False)
        engine.rules["POST /mute-all"] = lambda _: engine.done(taken(2, "dia"))
        engine.rules["GET /events"] = lambda _: refusal("unavailable")

        with pytest.raises(Unreachable, match="has carried it out"):
            await room.mute_all()


# Reconnecting.


async def test_after_a_resume_the_log_is_read_once() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        states: list[UTDConnectionState] = []
        room.connection.listen(states.append)
        before = len(engine.asked("GET /events"))
        engine.livekit.interrupt()
        engine.commit(taken(1, "cem"), heard=False)
        engine.livekit.resume()

        async with asyncio.timeout(5):
            await room.connection.wait_for(CONNECTED)
        assert states == [RECONNECTING, RESYNCING, CONNECTED]
        assert len(engine.asked("GET /events")) == before + 1
        assert room.view.value == engine.view


@pytest.mark.parametrize("reason", PASSING)
async def test_when_livekit_gives_up_the_session_comes_back(reason: DisconnectReason) -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        states: list[UTDConnectionState] = []
        room.connection.listen(states.append)
        engine.commit(taken(1, "cem"), heard=False)
        engine.livekit.drop(reason)
        assert room.connection.value is RECONNECTING

        async with asyncio.timeout(5):
            await room.connection.wait_for(CONNECTED)
        assert states == [RECONNECTING, RESYNCING, CONNECTED]
        assert room.view.value == engine.view
        assert room.ended is None
        assert len(engine.asked("POST /rejoin")) == 1
        assert engine.livekit.joined is not None
        assert engine.livekit.joined.token == "livekit-bo-2"
        await room.get_seats()
        assert engine.asked("GET /seats")[0].headers["Authorization"] == "Bearer user-bo-2"


async def test_the_updates_of_an_interrupted_session_have_no_gap() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        updates = room.updates()
        engine.commit(taken(1, "cem"))
        engine.livekit.drop(DisconnectReason.UNKNOWN)
        engine.commit(taken(2, "dia"), heard=False)
        async with asyncio.timeout(5):
            await room.connection.wait_for(CONNECTED)
            engine.commit(taken(3, "eli"))
            assert [(await anext(updates)).seq for _ in range(3)] == [2, 3, 4]


async def test_it_tries_again_while_engine_and_livekit_fail() -> None:
    async with scripted(timeout=0.5) as (engine, client):
        room = await joined(client)
        said = [refusal("internal"), refusal("media_unavailable")]

        def rejoin(asked: Any) -> Said:
            return said.pop(0) if said else engine._rejoin(asked)

        engine.rules["POST /rejoin"] = rejoin
        engine.livekit.failures = [Unreachable("no media"), Unreachable("no media")]
        engine.livekit.drop(DisconnectReason.SERVER_SHUTDOWN)

        async with asyncio.timeout(5):
            await room.connection.wait_for(CONNECTED)
        assert engine.livekit.connects == 4


async def test_it_gives_up_after_its_time() -> None:
    async with scripted(reconnect_for=0.2, timeout=0.2) as (engine, client):
        room = await joined(client)
        updates = await begin(reading(room))
        engine.rules["POST /rejoin"] = lambda _: refusal("unavailable")
        engine.livekit.drop(DisconnectReason.UNKNOWN)

        ended = await over(room)
        assert isinstance(ended, ConnectionLost)
        assert isinstance(ended.__cause__, Unavailable | Unreachable)
        assert ended.retryable
        assert isinstance((await updates)[1], ConnectionLost)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("banned", Kicked),
        ("kicked", Kicked),
        ("room_ended", RoomEnded),
        ("not_allowed", ConnectionLost),
    ],
)
async def test_a_refused_rejoin_is_final(code: str, kind: type[Closed]) -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.rules["POST /rejoin"] = lambda _: refusal(code, "No more.")
        engine.livekit.drop(DisconnectReason.UNKNOWN)

        ended = await over(room)
        assert type(ended) is kind
        assert ended.code == code
        assert ended.is_banned == (code == "banned")
        assert len(engine.asked("POST /rejoin")) == 1


async def test_a_loss_during_the_return_is_met_again() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        dropped = False

        def events(asked: Any) -> Said:
            nonlocal dropped
            if not dropped:
                dropped = True
                engine.livekit.drop(DisconnectReason.UNKNOWN)
            return engine._events(asked)

        engine.rules["GET /events"] = events
        engine.livekit.drop(DisconnectReason.UNKNOWN)

        async with asyncio.timeout(5):
            await room.connection.wait_for(CONNECTED)
            while len(engine.asked("POST /rejoin")) < 2:
                await room.connection.wait_for(RECONNECTING)
                await room.connection.wait_for(CONNECTED)
        assert engine.livekit.joined is not None


# Being put out.


async def test_a_kick_ends_the_session_with_its_reason() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        updates = await begin(reading(room))
        engine.commit(kicked("bo", "noise"), heard=False)
        engine.livekit.drop(DisconnectReason.PARTICIPANT_REMOVED)

        ended = await over(room)
        assert isinstance(ended, Kicked)
        assert "noise" in ended.message
        assert (ended.code, ended.reason, ended.until) == ("kicked", "noise", None)
        got, error = await updates
        assert [type(each) for each in got] == [ev.MemberKicked]
        assert isinstance(error, Kicked)
        assert engine.asked("POST /rejoin") == []


async def test_the_reason_of_a_kick_is_asked_for_once() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        before = len(engine.server.asked) if engine.server else 0
        facts: dict[str, Any] = {"until": "2026-03-06T12:00:00+00:00", "reason": "noise"}
        said = refusal("banned", "Banned until Friday.", rule="R6", context=facts)
        engine.rules["GET /events"] = lambda _: said
        engine.livekit.drop(DisconnectReason.PARTICIPANT_REMOVED)

        ended = await over(room)
        assert isinstance(ended, Kicked)
        assert ended.is_banned
        assert "Friday" in ended.message
        assert (ended.rule, ended.reason) == ("R6", "noise")
        assert ended.until == datetime(2026, 3, 6, 12, tzinfo=UTC)
        assert engine.server is not None
        assert len(engine.server.asked) == before + 1


async def test_a_kick_that_was_heard_needs_no_question() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        before = len(engine.server.asked) if engine.server else 0
        engine.commit(kicked("bo", "noise"))

        assert isinstance(await over(room), Kicked)
        assert engine.livekit.joined is None
        assert engine.server is not None
        assert len(engine.server.asked) == before


async def test_a_removal_without_a_reason_is_a_kick_all_the_same() -> None:
    async with scripted(timeout=0.2) as (engine, client):
        room = await joined(client)
        engine.rules["GET /events"] = lambda _: refusal("unavailable")
        engine.livekit.drop(DisconnectReason.PARTICIPANT_REMOVED)

        assert isinstance(await over(room), Kicked)


async def test_a_ban_is_a_kick_with_its_code() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        banned = ev.MemberBanned(at=NOW, identity=Identity("bo"), scope=BanScope.ROOM, until=NOW)
        engine.commit(banned)

        ended = await over(room)
        assert isinstance(ended, Kicked)
        assert ended.is_banned
        assert "2026-03-01" in ended.message
        assert (ended.until, ended.reason) == (NOW, None)


async def test_a_kick_of_somebody_else_ends_nothing() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.commit(kicked("cem", "noise"))

        assert room.ended is None


async def test_a_second_join_elsewhere_replaces_this_one() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        before = len(engine.server.asked) if engine.server else 0
        engine.livekit.drop(DisconnectReason.DUPLICATE_IDENTITY)

        assert isinstance(await over(room), Replaced)
        assert engine.server is not None
        assert len(engine.server.asked) == before


async def test_the_end_of_the_room_ends_the_session() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        updates = await begin(reading(room))
        engine.commit(ev.RoomEnded(at=NOW, reason="closing time"))

        ended = await over(room)
        assert isinstance(ended, RoomEnded)
        assert "closing time" in ended.message
        assert isinstance((await updates)[1], RoomEnded)
        assert engine.asked("POST /leave") == []


async def test_a_deleted_livekit_room_of_an_open_room_is_joined_again() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.livekit.drop(DisconnectReason.ROOM_DELETED)

        async with asyncio.timeout(5):
            await room.connection.wait_for(CONNECTED)
        assert len(engine.asked("POST /rejoin")) == 1


async def test_a_deleted_livekit_room_of_an_ended_room_is_the_end() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.commit(ev.RoomEnded(at=NOW, reason="closing time"), heard=False)
        engine.livekit.drop(DisconnectReason.ROOM_DELETED)

        assert isinstance(await over(room), RoomEnded)
        assert engine.asked("POST /rejoin") == []


async def test_the_end_that_this_side_made_is_a_normal_one() -> None:
    async with scripted(host="bo") as (engine, client):
        room = await joined(client)
        updates = await begin(reading(room))
        ended = ev.RoomEnded(at=NOW, by=Identity("bo"), reason="done")
        engine.rules["POST /end"] = lambda _: engine.done(ended)

        await room.end("done")

        assert isinstance(await over(room), ClosedByUs)
        assert (await updates)[1] is None


async def test_after_the_end_every_command_says_why() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.commit(kicked("bo", "noise"))
        await over(room)

        for act in (room.take_seat(0), room.set_microphone(True), room.members(), room.get_seats()):
            with pytest.raises(Kicked, match="noise"):
                await act


# Leaving.


async def test_leaving_is_no_kick() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        updates = await begin(reading(room))
        await room.leave()

        assert isinstance(room.ended, ClosedByUs)
        assert room.connection.value is DISCONNECTED
        assert (await updates)[1] is None
        assert engine.livekit.joined is None
        await room.leave()
        assert len(engine.asked("POST /leave")) == 1


async def test_being_put_out_by_ones_own_leave_is_no_kick() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        before = len(engine.asked("GET /events"))

        async def leave(asked: Any) -> Said:
            said = engine._leave(asked)
            for _ in range(300):
                await asyncio.sleep(0)
            return said

        engine.rules["POST /leave"] = leave
        await room.leave()

        assert isinstance(room.ended, ClosedByUs)
        assert len(engine.asked("GET /events")) == before


async def test_a_silent_engine_does_not_hold_up_a_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("utd_stream._sessions.session._LEAVE_WITHIN", 0.1)
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.rules["POST /leave"] = lambda _: refusal("unavailable")

        async with asyncio.timeout(2):
            await room.leave()
        assert engine.livekit.joined is None


async def test_what_one_had_is_shown_as_gone_after_leaving() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        await room.take_seat(0)
        await room.leave()

        assert room.seats.value[0].identity is None
        assert engine.livekit.published == []


async def test_a_room_that_was_closed_by_hand_does_not_hold_up_a_leave() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        await room.take_seat(0)
        closed = asyncio.Event()

        async def leave(asked: Any) -> Said:
            await closed.wait()
            return engine._leave(asked)

        engine.rules["POST /leave"] = leave
        updates = room.updates()
        leaving = await begin(room.leave())
        await room.room.aclose()
        closed.set()
        async with asyncio.timeout(5):
            await leaving
            assert [type(each) async for each in updates] == [ev.SeatLeft]

        assert room.seats.value[0].identity is None
        assert room.connection.value == DISCONNECTED
        assert isinstance(room.ended, ClosedByUs)


async def test_a_room_that_is_closed_by_hand_is_not_come_back_to() -> None:
    async with scripted(reconnect_for=60) as (engine, client):
        room = await joined(client)
        asked, closed = asyncio.Event(), asyncio.Event()

        async def rejoin(again: Any) -> Said:
            asked.set()
            await closed.wait()
            return engine._rejoin(again)

        engine.rules["POST /rejoin"] = rejoin
        engine.livekit.drop(DisconnectReason.SIGNAL_CLOSE)
        async with asyncio.timeout(5):
            await asked.wait()
        await room.room.aclose()
        closed.set()

        assert isinstance(await over(room), ClosedByUs)


async def test_a_session_can_be_used_again() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        await room.leave()
        engine.commit(taken(1, "cem"), heard=False)
        await room.rejoin()

        assert room.ended is None
        assert room.connection.value is CONNECTED
        assert room.view.value == engine.view
        assert len(engine.asked("POST /token")) == 2
        updates = room.updates()
        engine.commit(taken(2, "dia"))
        async with asyncio.timeout(5):
            assert (await anext(updates)).seq == 3
        await room.rejoin()
        assert len(engine.asked("POST /token")) == 2


async def test_rejoining_another_opening_starts_from_its_view() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.commit(taken(1, "cem"))
        await room.leave()
        again = ScriptedEngine(engine.livekit, room_id="room_2", seats=2)
        engine.log, engine.view = again.log, again.view
        await room.rejoin()

        assert room.view.value.room_id == "room_2"
        assert len(room.seats.value) == 2
        engine.commit(taken(0, "dia"))
        assert room.seats.value[0].identity == "dia"


async def test_one_who_was_kicked_may_join_again() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.commit(kicked("bo"))
        await over(room)
        await room.leave()
        await room.rejoin()

        assert room.ended is None


async def test_one_may_join_again_the_moment_the_end_is_told() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        updates = await begin(reading(room))
        engine.commit(kicked("bo", "noise"))
        await updates
        await room.rejoin()

        assert room.ended is None
        assert room.connection.value is CONNECTED
        assert engine.livekit.joined is not None


async def test_a_refused_rejoin_leaves_the_session_out() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        await room.leave()
        engine.rules["POST /token"] = lambda _: refusal("room_not_found")

        with pytest.raises(NotFound):
            await room.rejoin()
        assert isinstance(room.ended, ClosedByUs)


async def test_disposing_is_final_and_repeatable() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        followed = await begin(_followed(room))
        await asyncio.gather(room.dispose(), room.dispose(), room.aclose())
        await room.dispose()

        assert len(engine.asked("POST /leave")) == 1
        assert await followed == DISCONNECTED
        with pytest.raises(ClosedByUs):
            await room.rejoin()
        with pytest.raises(ClosedByUs):
            await room.take_seat()


async def _followed(room: UTDAudioRoomSession) -> UTDConnectionState:
    """Follow the connection until the values end."""
    return [state async for state in room.connection.changes()][-1]


async def test_a_cancelled_dispose_goes_on() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        disposing = await begin(room.dispose())
        disposing.cancel()
        with suppress(asyncio.CancelledError):
            await disposing

        async with asyncio.timeout(5):
            await room.dispose()
        assert engine.livekit.joined is None


async def test_disposing_while_reconnecting_ends_the_attempts() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        tried = asyncio.Event()

        def rejoin(_: object) -> Said:
            tried.set()
            return refusal("unavailable")

        engine.rules["POST /rejoin"] = rejoin
        engine.livekit.drop(DisconnectReason.UNKNOWN)
        async with asyncio.timeout(5):
            await tried.wait()
            await room.dispose()

        assert isinstance(room.ended, ClosedByUs)


async def test_many_joins_and_leaves_leave_nothing_behind() -> None:
    async with scripted() as (engine, client):
        await (await joined(client)).dispose()
        tasks, files = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for _ in range(50):
            room = await joined(client)
            await room.take_seat()
            await room.dispose()

        assert len(asyncio.all_tasks()) == tasks
        assert len(os.listdir("/proc/self/fd")) <= files  # noqa: PTH208
        assert client.sessions == ()
        assert engine.livekit.published == []


# Media, in the words of the reference.


async def test_data_goes_through_livekit() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        await room.send_data(b"hello", to=["ana"])
        await room.send_data(b"all", False, topic="chat")

        [(data, first), (_, second)] = engine.livekit.sent
        assert (data, first.destinations, first.reliable) == (b"hello", ("ana",), True)
        assert (second.destinations, second.reliable, second.topic) == ((), False, "chat")


async def test_the_rooms_values_stand_under_the_references_names() -> None:
    async with scripted() as (_, client):
        room = await joined(client)

        assert room.connected is room.room.connected
        assert room.connected.value
        assert not room.can_publish.value
        assert room.remote_participants is room.room.remote_participants
        assert room.active_speakers is room.room.active_speakers


async def test_an_expired_user_token_is_renewed_on_the_way() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)

        def members(asked: Any) -> Said:
            if asked.headers["Authorization"] == "Bearer user-bo-new":
                return answer({"items": [], "next_cursor": None})
            return refusal("token_expired")

        said = {"user_token": "user-bo-new", "ws_url": None, "expires_at": "2026-03-01T13:00:00Z"}
        engine.rules["GET /members"] = members
        engine.rules["POST /auth/refresh"] = lambda _: answer(said)

        assert (await room.members()).items == ()
