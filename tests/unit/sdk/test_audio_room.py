import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest
from support.room_logs import NOW, left, taken
from support.scripted_engine import kicked, role_changed, scripted
from support.scripted_http import answer, refusal
from support.scripted_livekit import SPEAKER

from utd_protocol import events as ev
from utd_protocol.policy import Policy, PolicyPatch
from utd_protocol.types import (
    Direction,
    Identity,
    RequestsVisible,
    Role,
    SeatMode,
    SeatState,
    Source,
    Target,
)
from utd_protocol.views import Request
from utd_stream._client import UTDStreamClient
from utd_stream._errors import (
    Conflict,
    Kicked,
    NotAllowed,
    PublishFailed,
    PublishNotAllowed,
    Unreachable,
)
from utd_stream._room.connection import DisconnectReason, UTDConnectionState
from utd_stream._room.events import ActiveSpeakersChanged
from utd_stream._sessions.audio_room import UTDAudioRoomSession

MIC = Source.MICROPHONE
BO = Identity("bo")


async def joined(client: UTDStreamClient, identity: str = "bo") -> UTDAudioRoomSession:
    return await client.join_audio_room(identity=identity, room_name="lobby")


async def barrier(room: UTDAudioRoomSession) -> None:
    """Two round trips on the same loop: what was due on it has been done."""
    await room.get_seats()
    await room.get_seats()


async def live(engine: Any) -> None:
    """Wait until the microphone is live at LiveKit."""
    async with asyncio.timeout(5):
        while MIC not in engine.livekit.published:
            await asyncio.sleep(0)


async def silent(engine: Any) -> None:
    async with asyncio.timeout(5):
        while engine.livekit.published:
            await asyncio.sleep(0)


def request(id_: int, identity: str | None = None, note: str = "") -> Request:
    return Request(
        id=id_,
        direction=Direction.REQUEST,
        target=Target.SEAT,
        created_at=NOW,
        identity=None if identity is None else Identity(identity),
        note=note,
    )


def asked(id_: int, identity: str | None = None) -> ev.RequestCreated:
    who = None if identity is None else Identity(identity)
    return ev.RequestCreated(at=NOW, id=id_, target=Target.SEAT, identity=who)


def invited(id_: int, identity: str, index: int | None = None) -> ev.InviteCreated:
    who = Identity(identity)
    return ev.InviteCreated(at=NOW, id=id_, target=Target.SEAT, identity=who, index=index)


# Taking a seat.


async def test_taking_a_seat_returns_when_the_microphone_is_live() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        seat = await room.take_seat(2)

        assert (seat.index, seat.identity, seat.state) == (2, "bo", SeatState.TAKEN)
        assert room.seats.value[2] == room.seat == seat
        assert engine.livekit.published == [MIC]
        assert engine.asked("POST /seats/take")[0].body == {"index": 2}


async def test_without_an_index_the_engine_chooses() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.commit(taken(0, "cem"))

        assert (await room.take_seat()).index == 1
        assert engine.asked("POST /seats/take")[0].body == {}


async def test_a_refused_seat_opens_no_microphone() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.commit(taken(0, "cem"))

        with pytest.raises(Conflict, match="taken"):
            await room.take_seat(0)
        engine.commit(taken(1, "bo"))
        engine.push_rights("bo")
        await barrier(room)
        assert engine.livekit.published == []


async def test_a_seat_whose_microphone_is_locked_seats_silently() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.commit(ev.SeatMuted(at=NOW, index=1))

        async with asyncio.timeout(2):
            seat = await room.take_seat(1)
        assert seat.mic_locked
        assert engine.livekit.published == []

        engine.commit(ev.SeatUnmuted(at=NOW, index=1))
        engine.push_rights("bo")
        await live(engine)


async def test_one_who_is_hard_muted_sits_silently() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.commit(ev.MemberMuted(at=NOW, identity=BO, source=MIC))

        async with asyncio.timeout(2):
            assert (await room.take_seat(1)).index == 1
        assert engine.livekit.published == []


async def waiting_for_sound(engine: Any, room: UTDAudioRoomSession) -> "asyncio.Task[Any]":
    """A seat is taken, and LiveKit does not take the track."""
    engine.livekit.takes_tracks.clear()
    taking = asyncio.ensure_future(room.take_seat(1))
    async with asyncio.timeout(5):
        await room.seats.wait_for(lambda seats: seats[1].identity == "bo")
    return taking


async def test_losing_the_seat_while_waiting_for_the_sound_is_told() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        taking = await waiting_for_sound(engine, room)
        engine.commit(left(1, "bo", reason="removed"))

        async with asyncio.timeout(2):
            with pytest.raises(Conflict, match="removed"):
                await taking
        engine.livekit.takes_tracks.set()
        engine.commit(taken(1, "bo"))
        await barrier(room)
        assert engine.livekit.published == []


async def test_a_mute_while_waiting_for_the_sound_ends_the_wait() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        taking = await waiting_for_sound(engine, room)
        engine.commit(ev.SeatMuted(at=NOW, index=1))

        async with asyncio.timeout(2):
            assert (await taking).mic_locked


async def test_switching_off_while_waiting_for_the_sound_ends_the_wait() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        taking = await waiting_for_sound(engine, room)
        switching = asyncio.ensure_future(room.set_microphone(False))

        async with asyncio.timeout(2):
            assert (await taking).index == 1
        engine.livekit.takes_tracks.set()
        await switching
        assert engine.livekit.published == []


async def test_switching_on_between_the_loss_of_the_seat_and_of_the_right_is_refused() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        await room.take_seat(1)
        engine.commit(left(1, "bo", reason="removed"))
        await silent(engine)
        engine.livekit.takes_tracks.clear()
        switching = asyncio.ensure_future(room.set_microphone(True))
        await room.room.publishing().wait_for("waiting")
        engine.push_rights("bo")

        async with asyncio.timeout(2):
            with pytest.raises(PublishNotAllowed):
                await switching
        engine.livekit.takes_tracks.set()
        engine.livekit.grant(SPEAKER)
        await barrier(room)
        assert engine.livekit.published == []


async def test_switching_on_while_the_connection_is_broken_is_bounded() -> None:
    async with scripted(timeout=0.2) as (engine, client):
        room = await joined(client)
        engine.livekit.grant(SPEAKER)
        engine.livekit.interrupt()

        async with asyncio.timeout(2):
            with pytest.raises(PublishFailed, match=r"0\.2 s"):
                await room.set_microphone(True)
        engine.livekit.resume()
        await live(engine)


async def test_a_kick_while_waiting_for_the_sound_is_told() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        taking = await waiting_for_sound(engine, room)
        engine.commit(kicked("bo", "noise"))

        async with asyncio.timeout(2):
            with pytest.raises(Kicked, match="noise"):
                await taking


async def test_waiting_for_the_sound_is_bounded() -> None:
    async with scripted(timeout=0.2) as (engine, client):
        room = await joined(client)
        taking = await waiting_for_sound(engine, room)

        async with asyncio.timeout(3):
            with pytest.raises(PublishFailed, match=r"within 0\.2 s"):
                await taking
        assert room.seat is not None
        engine.livekit.takes_tracks.set()
        await silent(engine)


async def test_a_cancelled_take_leaves_no_open_microphone() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        taking = await waiting_for_sound(engine, room)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        engine.livekit.takes_tracks.set()

        await barrier(room)
        assert engine.livekit.published == []


async def test_a_take_whose_answer_is_lost_is_given_again_under_the_same_key() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        answers: list[Any] = []

        def take(order: Any) -> Any:
            if not answers:
                answers.append(engine._take(order))
                return None
            return answers[0]

        engine.rules["POST /seats/take"] = take
        assert (await room.take_seat(1)).index == 1
        keys = {each.headers["Idempotency-Key"] for each in engine.asked("POST /seats/take")}
        assert len(keys) == 1
        assert len(engine.asked("POST /seats/take")) == 2


# The wish to speak.


async def test_standing_up_switches_off() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        await room.take_seat(0)
        await room.leave_seat()

        assert room.seat is None
        await silent(engine)
        engine.commit(taken(0, "bo"))
        engine.push_rights("bo")
        await barrier(room)
        assert engine.livekit.published == []


async def test_one_who_was_removed_is_not_opened_by_the_next_seat() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        await room.take_seat(0)
        engine.commit(left(0, "bo", reason="removed"))
        engine.push_rights("bo")
        await silent(engine)
        engine.commit(taken(1, "bo"))
        engine.push_rights("bo")

        await barrier(room)
        assert engine.livekit.published == []
        await room.set_microphone(True)
        assert engine.livekit.published == [MIC]


async def test_a_seat_regained_after_an_absence_is_heard_again() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        await room.take_seat(0)
        engine.livekit.drop(DisconnectReason.UNKNOWN)
        async with asyncio.timeout(5):
            await room.connection.wait_for(UTDConnectionState.CONNECTED)

        await live(engine)


async def test_without_the_right_the_microphone_is_refused_at_once() -> None:
    async with scripted() as (_, client):
        room = await joined(client)

        async with asyncio.timeout(1):
            with pytest.raises(PublishNotAllowed):
                await room.set_microphone(True)


async def test_a_new_stay_begins_without_the_old_wish() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        await room.take_seat(0)
        await room.leave()
        await room.rejoin()
        engine.commit(taken(1, "bo"))
        engine.push_rights("bo")

        await barrier(room)
        assert engine.livekit.published == []
        await room.leave_seat()
        assert (await room.take_seat(2)).index == 2
        assert engine.livekit.published == [MIC]


async def test_a_seat_lost_and_taken_again_in_one_answer_is_heard() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)

        def take(_: object) -> Any:
            said = engine.done(taken(0, "bo"), left(0, "bo", reason="removed"), taken(1, "bo"))
            engine.push_rights("bo")
            return said

        engine.rules["POST /seats/take"] = take

        assert (await room.take_seat()).index == 1
        await barrier(room)
        assert engine.livekit.published == [MIC]


async def test_a_kick_ends_the_wish() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        await room.take_seat(0)
        engine.commit(kicked("bo"))
        async with asyncio.timeout(5):
            await room.connection.wait_for(UTDConnectionState.DISCONNECTED)
        await room.rejoin()
        engine.push_rights("bo")

        await barrier(room)
        assert engine.livekit.published == []


# Asking and being asked.


async def test_an_approved_request_opens_the_microphone() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        mine = request(1, "bo", "please")
        engine.rules["POST /requests"] = lambda _: engine.done(asked(1), request=mine, created=True)

        assert await room.request_to_speak(2, note="please") == mine
        assert engine.asked("POST /requests")[0].body == {
            "target": "seat",
            "index": 2,
            "note": "please",
        }
        assert room.requests.value == (mine,)
        engine.commit(ev.RequestApproved(at=NOW, id=1), taken(2, "bo"))
        engine.push_rights("bo")

        await live(engine)
        assert room.requests.value == ()


@pytest.mark.parametrize("settled", [ev.RequestRejected, ev.RequestCancelled, ev.RequestExpired])
async def test_a_request_that_was_not_granted_ends_the_wish(settled: Any) -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.rules["POST /requests"] = lambda _: engine.done(
            asked(1), request=request(1, "bo"), created=True
        )
        await room.request_to_speak()
        engine.commit(settled(at=NOW, id=1))
        engine.commit(taken(2, "bo"))
        engine.push_rights("bo")

        await barrier(room)
        assert engine.livekit.published == []


async def test_the_refusal_of_somebody_else_ends_no_wish() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.commit(asked(1))
        engine.rules["POST /requests"] = lambda _: engine.done(
            asked(2), request=request(2, "bo"), created=True
        )
        await room.request_to_speak()
        engine.commit(ev.RequestRejected(at=NOW, id=1))
        engine.commit(ev.RequestApproved(at=NOW, id=2), taken(2, "bo"))
        engine.push_rights("bo")

        await live(engine)


async def test_a_request_that_meets_an_invite_seats_at_once() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.commit(invited(1, "bo"))

        def meet(_: object) -> Any:
            said = engine.done(ev.InviteAccepted(at=NOW, id=1), taken(3, "bo"))
            engine.push_rights("bo")
            return said

        engine.rules["POST /requests"] = meet

        assert await room.request_to_speak() is None
        assert engine.livekit.published == [MIC]


async def test_ones_own_invites_are_shown_and_accepted() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.commit(invited(1, "bo", 2), invited(2, "cem"))
        assert [invite.id for invite in room.invites.value] == [1]

        def accept(_: object) -> Any:
            said = engine.done(ev.InviteAccepted(at=NOW, id=1), taken(2, "bo"))
            engine.push_rights("bo")
            return said

        engine.rules["POST /invites/1/accept"] = accept
        assert (await room.accept_invite(1)).index == 2
        assert engine.livekit.published == [MIC]
        assert room.invites.value == ()


async def test_an_invite_accepted_too_late_opens_nothing() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.rules["POST /invites/1/accept"] = lambda _: refusal("already_handled")

        with pytest.raises(Conflict):
            await room.accept_invite(1)
        engine.commit(taken(2, "bo"))
        engine.push_rights("bo")
        await barrier(room)
        assert engine.livekit.published == []


async def test_moderators_read_who_asks() -> None:
    async with scripted(host="ana") as (engine, client):
        room = await joined(client, "ana")
        engine.requests = (request(1, "bo", "please"), request(2, "cem"))
        engine.commit(asked(1), asked(2))

        async with asyncio.timeout(5):
            await room.requests.wait_for(engine.requests)
        assert len(engine.asked("GET /requests")) == 1
        engine.commit(ev.RequestRejected(at=NOW, id=1))
        assert room.requests.value == (request(2, "cem"),)


async def test_moderators_never_see_half_a_request() -> None:
    async with scripted(host="ana") as (engine, client):
        room = await joined(client, "ana")
        read = asyncio.Event()

        async def requests(each: Any) -> Any:
            await read.wait()
            return engine._requests(each)

        engine.rules["GET /requests"] = requests
        engine.requests = (request(1, "bo"),)
        seen: list[tuple[Request, ...]] = []
        room.requests.listen(seen.append)
        engine.commit(asked(1))
        await barrier(room)
        read.set()

        async with asyncio.timeout(5):
            await room.requests.wait_for(engine.requests)
        assert seen == [engine.requests]


async def test_one_who_becomes_a_moderator_reads_who_asks() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.requests = (request(1, "cem"),)
        engine.commit(asked(1))
        assert room.requests.value == (request(1),)
        assert engine.asked("GET /requests") == []

        engine.commit(role_changed("bo", Role.ADMIN))
        async with asyncio.timeout(5):
            await room.requests.wait_for(engine.requests)
        assert room.role.value is Role.ADMIN


async def test_a_failed_reading_of_the_requests_is_repeated() -> None:
    async with scripted(host="ana") as (engine, client):
        room = await joined(client, "ana")
        engine.requests = (request(1, "cem"),)
        said = [refusal("internal")]
        engine.rules["GET /requests"] = lambda each: said.pop() if said else engine._requests(each)
        engine.commit(asked(1))

        async with asyncio.timeout(5):
            await room.requests.wait_for(engine.requests)


async def test_where_everybody_may_see_who_asks_nobody_needs_to_query() -> None:
    policy = Policy(requests_visible=RequestsVisible.EVERYONE)
    async with scripted(policy=policy, host="ana") as (engine, client):
        room = await joined(client, "ana")
        engine.commit(asked(1, "cem"))

        assert [each.identity for each in room.requests.value] == ["cem"]
        assert engine.asked("GET /requests") == []


async def test_an_invite_that_meets_a_request_seats_them() -> None:
    async with scripted(host="ana") as (engine, client):
        room = await joined(client, "ana")
        engine.rules["POST /invites"] = lambda _: engine.done(taken(1, "cem"))

        assert await room.invite_to_speak("cem") is None

        offer = Request(
            id=3,
            direction=Direction.INVITE,
            target=Target.SEAT,
            created_at=NOW,
            identity=BO,
            index=2,
        )
        engine.rules["POST /invites"] = lambda _: engine.done(
            invited(3, "bo", 2), request=offer, created=True
        )
        assert await room.invite_to_speak("bo", 2) == offer
        assert engine.asked("POST /invites")[1].body == {
            "target": "seat",
            "identity": "bo",
            "index": 2,
        }


# Roles.


async def test_the_role_follows_the_room() -> None:
    async with scripted(host="ana") as (engine, client):
        room = await joined(client, "ana")
        assert (room.role.value, room.is_host, room.role_clamped) == (Role.HOST, True, False)

        engine.commit(ev.HostTransferred(at=NOW, previous=Identity("ana"), host=Identity("cem")))

        assert room.role.value is Role.AUDIENCE
        assert not room.is_host


async def test_seats_show_who_speaks() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.commit(taken(1, "cem"), taken(3, "dia"))
        assert engine.livekit.joined is not None
        engine.livekit.joined.tell(ActiveSpeakersChanged(("dia", "listener", "cem")))
        assert room.speaking_seats.value == (3, 1)

        engine.commit(left(3, "dia"))
        assert room.speaking_seats.value == (1,)


# Every command, on the wire.

UNTIL = datetime(2027, 1, 1, tzinfo=UTC)
Act = Callable[[UTDAudioRoomSession], Coroutine[Any, Any, object]]
COMMANDS: list[tuple[Act, str, object]] = [
    (lambda r: r.leave_seat(), "POST /seats/leave", {}),
    (lambda r: r.move_seat(3), "POST /seats/move", {"index": 3}),
    (lambda r: r.swap_seats(1, 2), "POST /seats/swap", {"a": 1, "b": 2}),
    (lambda r: r.lock_seat(1), "POST /seats/lock", {"indices": [1], "evict": False}),
    (
        lambda r: r.lock_seats((3, 1), evict=True),
        "POST /seats/lock",
        {"indices": [1, 3], "evict": True},
    ),
    (lambda r: r.lock_seats("all"), "POST /seats/lock", {"indices": "all", "evict": False}),
    (lambda r: r.unlock_seat(1), "POST /seats/unlock", {"indices": [1]}),
    (lambda r: r.unlock_seats("all"), "POST /seats/unlock", {"indices": "all"}),
    (lambda r: r.mute_seat(1), "POST /seats/mute", {"index": 1}),
    (lambda r: r.unmute_seat(1), "POST /seats/unmute", {"index": 1}),
    (lambda r: r.remove_from_seat(1), "POST /seats/remove", {"index": 1}),
    (lambda r: r.remove_from_seat("cem"), "POST /seats/remove", {"identity": "cem"}),
    (
        lambda r: r.reserve_seat(1, identity="cem"),
        "POST /seats/reserve",
        {"index": 1, "identity": "cem"},
    ),
    (
        lambda r: r.reserve_seat(1, role="admin"),
        "POST /seats/reserve",
        {"index": 1, "role": "admin"},
    ),
    (lambda r: r.reserve_seat(1), "POST /seats/reserve", {"index": 1}),
    (
        lambda r: r.setup_seats(6, SeatMode.REQUEST, evict=True),
        "PUT /seats",
        {"count": 6, "mode": "request", "evict": True},
    ),
    (lambda r: r.setup_seats(mode_id="stage"), "PUT /seats", {"mode_id": "stage", "evict": False}),
    (lambda r: r.approve_speaker(4), "POST /requests/4/approve", {}),
    (lambda r: r.reject_request(4), "POST /requests/4/reject", {}),
    (lambda r: r.cancel_request(4), "POST /requests/4/cancel", {}),
    (lambda r: r.decline_invite(4), "POST /invites/4/decline", {}),
    (lambda r: r.cancel_invite(4), "POST /invites/4/cancel", {}),
    (lambda r: r.set_role("c/m", Role.ADMIN), "PATCH /members/c%2Fm", {"role": "admin"}),
    (lambda r: r.transfer_host("cem"), "POST /transfer-host", {"identity": "cem"}),
    (lambda r: r.kick("cem", "noise"), "POST /members/cem/kick", {"reason": "noise"}),
    (
        lambda r: r.ban("cem", until=UNTIL, reason="noise"),
        "PUT /bans/cem",
        {"scope": "room", "until": "2027-01-01T00:00:00Z", "reason": "noise"},
    ),
    (lambda r: r.unban("cem", scope="app"), "DELETE /bans/cem", {"scope": "app"}),
    (lambda r: r.ask_mute("cem"), "POST /members/cem/ask-mute", {"source": "microphone"}),
    (lambda r: r.hard_mute("cem"), "POST /members/cem/hard-mute", {"source": "microphone"}),
    (lambda r: r.lift_mute("cem"), "POST /members/cem/lift-mute", {"source": "microphone"}),
    (
        lambda r: r.mute_all(except_=("cem",)),
        "POST /mute-all",
        {"source": "microphone", "except_": ["cem"]},
    ),
    (
        lambda r: r.change_policy(PolicyPatch(seat_hold_s=5), if_version=2),
        "PATCH /policy",
        {"policy": {"seat_hold_s": 5.0}, "if_version": 2},
    ),
    (lambda r: r.change_settings(metadata="hi"), "PATCH /settings", {"metadata": "hi"}),
    (lambda r: r.end("done"), "POST /end", {"reason": "done"}),
]


@pytest.mark.parametrize(("act", "route", "body"), COMMANDS, ids=[row[1] for row in COMMANDS])
async def test_a_command_is_one_write_and_its_events_are_folded(
    act: Act, route: str, body: object
) -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.rules[route] = lambda _: engine.done(taken(3, "cem"))

        await act(room)

        [order] = engine.asked(route)
        assert order.body == body
        assert order.headers["Idempotency-Key"]
        assert order.headers["Authorization"] == "Bearer user-bo-1"
        assert room.view.value == engine.view


async def test_a_refused_command_raises_what_the_engine_said() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        engine.rules["POST /end"] = lambda _: refusal("not_room_host", "Only the host.")

        with pytest.raises(NotAllowed, match="Only the host") as caught:
            await room.end()
        assert caught.value.code == "not_room_host"
        assert room.ended is None


async def test_a_ban_needs_a_time_zone() -> None:
    async with scripted() as (_, client):
        room = await joined(client)
        with pytest.raises(ValueError, match="time zone"):
            await room.ban("cem", until=datetime(2027, 1, 1))  # noqa: DTZ001 the mistake itself


async def test_the_reference_gets_raw_answers_about_seats() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        seats = await room.get_seats()
        assert seats["seat_count"] == 4
        assert seats["seat_mode"] == "free"

        done = await room.setup_seats(seat_count=6)
        assert done["seq"] == engine.head
        assert done["media"] == "applied"


async def test_lists_come_in_pages() -> None:
    async with scripted() as (engine, client):
        room = await joined(client)
        person = {
            "identity": "cem",
            "role": "admin",
            "joined_at": "2026-03-01T12:00:00Z",
            "seat": 1,
        }
        ban = {
            "identity": "eli",
            "scope": "room",
            "by": "ana",
            "at": "2026-03-01T12:00:00Z",
            "until": None,
            "reason": "noise",
        }
        engine.rules["GET /members"] = lambda _: answer({"items": [person], "next_cursor": "c2"})
        engine.rules["GET /bans"] = lambda _: answer({"items": [ban], "next_cursor": None})

        page = await room.members(role=Role.ADMIN, limit=1)
        assert ([each.identity for each in page.items], page.next_cursor) == (["cem"], "c2")
        assert engine.asked("GET /members")[0].query == {"role": "admin", "limit": "1"}
        assert (await room.bans(cursor="c9")).items[0].reason == "noise"
        assert engine.asked("GET /bans")[0].query == {"cursor": "c9"}


async def test_an_unreachable_engine_is_told_as_such() -> None:
    async with scripted(timeout=0.2) as (engine, client):
        room = await joined(client)
        engine.rules["POST /seats/leave"] = lambda _: None

        with pytest.raises(Unreachable):
            await room.leave_seat()
