"""`UTDRoom` over the in-process LiveKit: what it knows, publishes, receives and sends."""

import asyncio
import wave
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from support.sound import listen, pitch

from utd_protocol.types import Source
from utd_stream._errors import (
    AuthRejected,
    ClosedByUs,
    ConnectError,
    DeviceFailed,
    Invalid,
    NotAllowed,
    PublishFailed,
    PublishNotAllowed,
    Unreachable,
)
from utd_stream._media.frames import AudioFrame, MediaInputs, Push, Tone
from utd_stream._media.video import TestPattern
from utd_stream._room import events as ev
from utd_stream._room.connection import ConnectionQuality, DisconnectReason, Permissions
from utd_stream._room.connection import UTDConnectionState as State
from utd_stream._room.link import Abandoned, IncomingText
from utd_stream._room.room import UTDRoom
from utd_stream.testing import EVERYTHING, FakeLiveKit

T = TypeVar("T")
LISTENER = Permissions(can_subscribe=True)
MIC = Permissions(can_publish=True, can_subscribe=True, sources=(Source.MICROPHONE,))


async def soon(waiting: Awaitable[T]) -> T:
    """What comes within a few seconds."""
    async with asyncio.timeout(5):
        return await waiting


async def next_of(reader: AsyncIterator[object], kind: type[T]) -> T:
    async with asyncio.timeout(5):
        async for event in reader:
            if isinstance(event, kind):
                return event
    raise AssertionError("the events ended")


@pytest.fixture
def server() -> FakeLiveKit:
    return FakeLiveKit()


@pytest.fixture
async def ana(server: FakeLiveKit) -> AsyncIterator[UTDRoom]:
    async with UTDRoom(open_link=server.open_link, timeout=0.2) as room:
        yield room


@pytest.fixture
async def bob(server: FakeLiveKit) -> AsyncIterator[UTDRoom]:
    async with UTDRoom(open_link=server.open_link, timeout=0.2) as room:
        yield room


async def join(
    server: FakeLiveKit, room: UTDRoom, who: str, permissions: Permissions = EVERYTHING
) -> None:
    await room.connect(server.url, server.token("r", who, permissions=permissions))


# Joining and leaving.


async def test_a_room_can_be_made_without_a_loop() -> None:
    room = await asyncio.to_thread(UTDRoom)
    assert room.room is None
    assert room.identity == ""
    await room.aclose()


async def test_what_is_known_follows_the_connection(server: FakeLiveKit, ana: UTDRoom) -> None:
    states: list[State] = []
    ana.connection.listen(states.append)
    server.create_room("r", metadata="hello")
    await join(server, ana, "ana", MIC)
    assert (ana.connected.value, ana.can_publish.value, ana.metadata.value) == (True, True, "hello")
    assert (ana.identity, ana.permissions.value) == ("ana", MIC)
    await ana.disconnect()
    await ana.disconnect()
    assert (ana.connected.value, ana.can_publish.value) == (False, False)
    assert states == [State.CONNECTING, State.CONNECTED, State.DISCONNECTED]


@pytest.mark.parametrize(
    ("url", "token"), [("https//x", "t"), ("ftp://x", "t"), ("", "t"), ("ws://x", "")]
)
async def test_a_wrong_address_or_token_is_named(ana: UTDRoom, url: str, token: str) -> None:
    with pytest.raises(Invalid, match=r"url|token"):
        await ana.connect(url, token)


async def test_a_failed_join_leaves_the_room_usable(server: FakeLiveKit, ana: UTDRoom) -> None:
    server.faults.down = True
    with pytest.raises(Unreachable):
        await join(server, ana, "ana")
    server.faults.down, server.faults.silent = False, True
    with pytest.raises(Unreachable, match=r"0\.2 s"):
        await join(server, ana, "ana")
    server.faults.silent = False
    with pytest.raises(AuthRejected):
        await ana.connect(server.url, "nonsense")
    assert ana.connection.value is State.DISCONNECTED
    await join(server, ana, "ana")
    assert ana.connected.value


async def test_a_cancelled_join_leaves_the_room_usable(server: FakeLiveKit, ana: UTDRoom) -> None:
    server.faults.silent = True
    joining = asyncio.create_task(join(server, ana, "ana"))
    await soon(ana.connection.wait_for(State.CONNECTING))
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    assert ana.connection.value is State.DISCONNECTED
    server.faults.silent = False
    await join(server, ana, "ana")


async def test_leaving_ends_a_join_that_is_under_way(server: FakeLiveKit, ana: UTDRoom) -> None:
    server.faults.silent = True
    joining = asyncio.create_task(join(server, ana, "ana"))
    await soon(ana.connection.wait_for(State.CONNECTING))
    await ana.disconnect()
    with pytest.raises(ClosedByUs):
        await soon(joining)


async def test_of_two_joins_at_once_the_later_wins(server: FakeLiveKit, ana: UTDRoom) -> None:
    server.faults.silent = True
    first = asyncio.create_task(join(server, ana, "first"))
    await soon(ana.connection.wait_for(State.CONNECTING))
    server.faults.silent = False
    await join(server, ana, "second")
    with pytest.raises(ClosedByUs):
        await first
    assert ana.identity == "second"
    assert ana.connected.value
    assert list(server.rooms["r"].members) == ["second"]


async def test_joining_again_drops_the_events_of_before(server: FakeLiveKit, ana: UTDRoom) -> None:
    await join(server, ana, "ana")
    old, events = ana.room, ana.events
    ends: list[object] = []
    ana.subscribe(lambda e: ends.append(e) if isinstance(e, ev.Disconnected) else None)
    await ana.connect(server.url, server.token("other", "ana"))
    assert isinstance(await soon(anext(events)), ev.Connected)
    assert ana.room is not old
    assert ends == []


async def test_the_end_is_final(server: FakeLiveKit, ana: UTDRoom) -> None:
    await join(server, ana, "ana")
    events, changes = ana.events, ana.connection.changes()
    await anext(changes)
    waiting = asyncio.create_task(ana.can_publish.wait_for(lambda _: False))
    listening = asyncio.create_task(anext(ana.audio("bob"), None))
    await asyncio.sleep(0)
    await ana.aclose()
    await ana.aclose()
    assert isinstance([each async for each in events][-1], ev.Disconnected)
    with pytest.raises(ClosedByUs):
        await waiting
    assert await listening is None
    for call in (join(server, ana, "ana"), ana.set_microphone(True), ana.send_data(b"x")):
        with pytest.raises(ClosedByUs):
            await call
    assert server.rooms["r"].members == {}


async def test_a_cancelled_close_goes_on(server: FakeLiveKit, ana: UTDRoom) -> None:
    await join(server, ana, "ana")
    events = ana.events
    closing = asyncio.create_task(ana.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await soon(ana.aclose())
    assert server.rooms["r"].members == {}
    assert isinstance(await soon(anext(events)), ev.Disconnected)
    assert await soon(anext(events, None)) is None


async def test_a_room_waits_for_attempts_that_it_gave_up_itself(server: FakeLiveKit) -> None:
    theirs = Abandoned()
    ended = asyncio.Event()
    async with UTDRoom(open_link=server.open_link) as room:
        room._leave_abandoned_to(theirs)
        room._abandoned.adopt(ended.wait())
    assert len(theirs) == 1, "the client waits for it, the room does not"
    ended.set()
    assert await theirs.wait(1)
    own = UTDRoom(open_link=server.open_link)
    own._abandoned.adopt(asyncio.sleep(0))
    await own.aclose()
    assert len(own._abandoned) == 0


@pytest.mark.parametrize("reason", [DisconnectReason.PARTICIPANT_REMOVED, DisconnectReason.UNKNOWN])
async def test_people_stay_known_while_coming_back_makes_sense(
    server: FakeLiveKit, ana: UTDRoom, bob: UTDRoom, reason: DisconnectReason
) -> None:
    await join(server, bob, "bob")
    await join(server, ana, "ana")
    assert [each.identity for each in ana.remote_participants.value] == ["bob"]
    server.drop("r", "ana", reason)
    await soon(ana.connection.wait_for(State.DISCONNECTED))
    assert len(ana.remote_participants.value) == (0 if reason.on_purpose else 1)
    assert ana.permissions.value == Permissions()


# What others do.


async def test_people_speakers_and_metadata_are_followed(
    server: FakeLiveKit, ana: UTDRoom, bob: UTDRoom
) -> None:
    await join(server, ana, "ana")
    await join(server, bob, "bob")
    await soon(ana.remote_participants.wait_for(lambda people: len(people) == 1))
    server.set_attributes("r", "bob", {"seat": "2"})
    await soon(ana.remote_participants.wait_for(lambda p: p[0].attributes == {"seat": "2"}))
    server.speak("r", "bob", "ana")
    await soon(ana.active_speakers.wait_for(("bob", "ana")))
    assert ana.remote_participants.value[0].speaking
    server.set_metadata("r", "news")
    await soon(ana.metadata.wait_for("news"))
    await bob.disconnect()
    await soon(ana.remote_participants.wait_for(()))


async def test_our_own_quality_is_ours(server: FakeLiveKit, ana: UTDRoom) -> None:
    await join(server, ana, "ana")
    link = server.member("r", "ana").link
    link.tell(ev.ConnectionQualityChanged("bob", ConnectionQuality.POOR))
    link.tell(ev.ConnectionQualityChanged("ana", ConnectionQuality.GOOD))
    await soon(ana.connection_quality.wait_for(ConnectionQuality.GOOD))


async def test_people_who_vanish_for_a_rebuild_stay(
    server: FakeLiveKit, ana: UTDRoom, bob: UTDRoom
) -> None:
    await join(server, bob, "bob")
    await join(server, ana, "ana")
    seen: list[int] = []
    ana.remote_participants.listen(lambda people: seen.append(len(people)))
    await bob.set_microphone(True, Tone())
    link = server.member("r", "ana").link
    mend = server.interrupt("r", "ana", full=True)
    await soon(ana.connection.wait_for(State.RECONNECTING))
    assert not ana.connected.value
    link.tell(ev.ConnectionQualityChanged("ana", ConnectionQuality.LOST))
    await soon(ana.connection_quality.wait_for(ConnectionQuality.LOST))
    assert link.participants() == ()
    mend()
    await soon(ana.connected.wait_for(wanted=True))
    assert 0 not in seen


async def test_people_who_vanish_without_a_rebuild_are_gone_a_moment_later(
    server: FakeLiveKit, ana: UTDRoom, bob: UTDRoom
) -> None:
    await join(server, bob, "bob")
    await join(server, ana, "ana")
    server.leave(server.member("r", "bob"), DisconnectReason.UNKNOWN)
    await soon(ana.remote_participants.wait_for(()))
    assert ana.connected.value


async def test_an_attempt_that_was_given_up_is_let_end_before_the_next(
    server: FakeLiveKit, ana: UTDRoom
) -> None:
    ended = asyncio.Event()
    ana._abandoned.adopt(ended.wait())
    joining = asyncio.create_task(join(server, ana, "ana"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert server.rooms == {}
    ended.set()
    await soon(joining)


# Publishing.


async def test_without_the_right_it_fails_at_once(server: FakeLiveKit, ana: UTDRoom) -> None:
    with pytest.raises(ConnectError):
        await ana.set_microphone(True)
    await join(server, ana, "ana", LISTENER)
    with pytest.raises(PublishNotAllowed, match="microphone"):
        await ana.set_microphone(True)
    server.permit("r", "ana", MIC)
    await soon(ana.can_publish.wait_for(wanted=True))
    with pytest.raises(PublishNotAllowed, match=r"granted: microphone"):
        await ana.set_camera(True)
    assert ana.publishing().value == "off"


async def test_the_microphone_follows_the_wish_and_the_right(
    server: FakeLiveKit, ana: UTDRoom, bob: UTDRoom
) -> None:
    await join(server, bob, "bob")
    ana.want_microphone(True, Tone(500))
    await join(server, ana, "ana", LISTENER)
    assert ana.publishing().value == "waiting"
    async with aclosing(bob.audio("ana")) as frames:
        for _ in range(3):
            server.permit("r", "ana", MIC)
            await soon(ana.wait_published())
            assert pitch(await listen(frames, 0.2)) == pytest.approx(500, abs=8)
            server.permit("r", "ana", LISTENER)
            await soon(ana.publishing().wait_for("waiting"))
            assert not server.member("r", "ana").tracks
        server.permit("r", "ana", MIC)
        await soon(ana.wait_published())
        await ana.set_microphone(False)
        assert not server.member("r", "ana").tracks
        assert ana.publishing().value == "off"


async def test_a_right_that_flickers_between_two_ticks_publishes_anew(
    server: FakeLiveKit, ana: UTDRoom
) -> None:
    await join(server, ana, "ana", MIC)
    await ana.set_microphone(True, Tone())
    [before] = server.member("r", "ana").tracks
    server.permit("r", "ana", LISTENER)
    server.permit("r", "ana", MIC)
    async with asyncio.timeout(5):
        while list(server.member("r", "ana").tracks) in ([], [before]):
            await asyncio.sleep(0)
    await soon(ana.wait_published())


async def test_another_source_takes_over(server: FakeLiveKit, ana: UTDRoom, bob: UTDRoom) -> None:
    await join(server, bob, "bob")
    await join(server, ana, "ana")
    await ana.set_microphone(True, Tone(440))
    await ana.set_microphone(True)
    assert len(server.member("r", "ana").tracks) == 1
    await ana.set_microphone(True, Tone(900))
    async with aclosing(bob.audio("ana")) as frames:
        assert pitch(await listen(frames, 0.2)) == pytest.approx(900, abs=8)


async def test_the_default_microphone_is_pushed_to(
    server: FakeLiveKit, ana: UTDRoom, bob: UTDRoom
) -> None:
    await join(server, bob, "bob")
    await join(server, ana, "ana")
    await ana.set_microphone(True)
    push = ana.media.microphone
    assert isinstance(push, Push)
    async with aclosing(bob.audio("ana")) as frames:
        reading = asyncio.create_task(anext(frames))
        await asyncio.sleep(0)
        await push.write(np.full(480, 7, np.int16))
        assert (await soon(reading)).samples.tolist() == [7] * 480


async def test_a_refused_track_is_told_and_tried_again(server: FakeLiveKit, ana: UTDRoom) -> None:
    await join(server, ana, "ana")
    events = ana.events
    server.faults.refuse_publish.add("ana")
    with pytest.raises(PublishFailed):
        await ana.set_microphone(True, Tone())
    failed = await next_of(events, ev.LocalTrackFailed)
    assert (failed.source, failed.error) == (Source.MICROPHONE, ana.publishing().value)
    with pytest.raises(PublishFailed):
        await ana.wait_published()
    server.faults.refuse_publish.clear()
    await ana.set_microphone(True)
    assert ana.publishing().value == "live"


async def test_a_track_that_is_never_answered_fails_in_time(
    server: FakeLiveKit, ana: UTDRoom
) -> None:
    await join(server, ana, "ana")
    server.faults.ignore_publish.add("ana")
    with pytest.raises(PublishFailed, match=r"0\.2 s"):
        await ana.set_microphone(True, Tone())


class Broken:
    """An input that gives one frame and fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __aiter__(self) -> AsyncGenerator[AudioFrame, None]:
        yield AudioFrame(np.zeros(480, np.int16))
        raise self._error


@pytest.mark.parametrize("error", [DeviceFailed("unplugged"), ValueError("unplugged")])
async def test_a_broken_input_is_told_and_not_tried_again(
    server: FakeLiveKit, ana: UTDRoom, error: Exception
) -> None:
    await join(server, ana, "ana")
    events = ana.events
    ana.want_microphone(True, Broken(error))
    failed = await next_of(events, ev.LocalTrackFailed)
    assert isinstance(failed.error, DeviceFailed)
    assert "unplugged" in failed.error.message
    with pytest.raises(DeviceFailed):
        await ana.wait_published()
    assert not server.member("r", "ana").tracks
    await ana.set_microphone(True, Tone())
    assert ana.publishing().value == "live"


async def test_an_input_that_ends_leaves_the_track_live(server: FakeLiveKit, ana: UTDRoom) -> None:
    class Short:
        async def __aiter__(self) -> AsyncGenerator[AudioFrame, None]:
            yield AudioFrame(np.zeros(480, np.int16))

    await join(server, ana, "ana")
    await ana.set_microphone(True, Short())
    assert ana.publishing().value == "live"
    assert len(server.member("r", "ana").tracks) == 1


async def test_waiting_for_what_nobody_wishes_fails(server: FakeLiveKit, ana: UTDRoom) -> None:
    with pytest.raises(PublishFailed, match="nobody wishes"):
        await ana.wait_published()
    await join(server, ana, "ana", LISTENER)
    ana.want_microphone(True, Tone())
    waiting = asyncio.create_task(ana.wait_published())
    await asyncio.sleep(0)
    ana.want_microphone(False)
    with pytest.raises(PublishFailed):
        await soon(waiting)


async def test_tracks_survive_both_kinds_of_reconnect_and_another_join(
    server: FakeLiveKit, ana: UTDRoom, bob: UTDRoom
) -> None:
    await join(server, bob, "bob")
    await join(server, ana, "ana")
    await ana.set_microphone(True, Tone(440))
    async with aclosing(bob.audio("ana")) as frames:
        for full in (False, True):
            mend = server.interrupt("r", "ana", full=full)
            await soon(ana.connection.wait_for(State.RECONNECTING))
            mend()
            await soon(ana.connected.wait_for(wanted=True))
            assert ana.publishing().value == "live"
            assert pitch(await listen(frames, 0.2)) == pytest.approx(440, abs=8)
        server.drop("r", "ana", DisconnectReason.UNKNOWN)
        await soon(ana.publishing().wait_for("waiting"))
        await join(server, ana, "ana")
        await soon(ana.wait_published())
        assert pitch(await listen(frames, 0.2)) == pytest.approx(440, abs=8)


async def test_nothing_new_is_published_into_a_broken_connection(
    server: FakeLiveKit, ana: UTDRoom
) -> None:
    await join(server, ana, "ana")
    mend = server.interrupt("r", "ana")
    await soon(ana.connection.wait_for(State.RECONNECTING))
    setting = asyncio.create_task(ana.set_microphone(True, Tone()))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not server.member("r", "ana").tracks
    mend()
    await soon(setting)
    assert len(server.member("r", "ana").tracks) == 1


async def test_camera_and_screen(server: FakeLiveKit, ana: UTDRoom) -> None:
    await join(server, ana, "ana")
    await ana.set_camera(True, TestPattern(64, 48))
    await ana.set_screen_share(True)
    sources = {each.source for each in server.member("r", "ana").tracks.values()}
    assert sources == {Source.CAMERA, Source.SCREEN_SHARE}
    await ana.set_screen_share(False)
    ana.want_camera(False)
    await soon(ana.publishing("camera").wait_for("off"))
    async with asyncio.timeout(5):
        while server.member("r", "ana").tracks:
            await asyncio.sleep(0)
    ana.want_camera(True)
    await soon(ana.wait_published("camera"))


# Receiving.


async def test_pictures_are_received_only_while_they_are_read(
    server: FakeLiveKit, ana: UTDRoom, bob: UTDRoom
) -> None:
    await join(server, bob, "bob")
    await join(server, ana, "ana")
    await ana.set_camera(True, TestPattern(64, 48, fps=60))

    def subscribed() -> bool:
        return bob.remote_participants.value[0].tracks[0].subscribed

    await soon(bob.remote_participants.wait_for(lambda p: bool(p and p[0].tracks)))
    await soon(bob.remote_participants.wait_for(lambda p: not p[0].tracks[0].subscribed))
    async with aclosing(bob.video("ana", width=32)) as pictures:
        assert (await soon(anext(pictures))).width == 64
        assert subscribed()
        async with aclosing(bob.video("ana")) as larger:
            await soon(anext(larger))
            assert list(server.member("r", "bob").link.asked.values()) == [(True, None)]
        assert list(server.member("r", "bob").link.asked.values()) == [(True, 32)]
    await soon(bob.remote_participants.wait_for(lambda p: not p[0].tracks[0].subscribed))


async def test_without_auto_subscribe_only_what_is_read_is_received(
    server: FakeLiveKit, ana: UTDRoom, bob: UTDRoom
) -> None:
    await bob.connect(server.url, server.token("r", "bob"), auto_subscribe=False)
    await join(server, ana, "ana")
    await ana.set_microphone(True, Tone())
    await soon(bob.remote_participants.wait_for(lambda p: bool(p and p[0].tracks)))
    assert not bob.remote_participants.value[0].tracks[0].subscribed
    async with aclosing(bob.audio("ana")) as first, aclosing(bob.audio("ana")) as second:
        await soon(anext(first))
        await soon(anext(second))
        await first.aclose()
        await soon(anext(second))
    await soon(bob.remote_participants.wait_for(lambda p: not p[0].tracks[0].subscribed))
    assert bob._receiving._readers == {}


async def test_the_right_to_hear_can_go_and_come_back(
    server: FakeLiveKit, ana: UTDRoom, bob: UTDRoom
) -> None:
    await join(server, bob, "bob")
    await join(server, ana, "ana")
    await ana.set_microphone(True, Tone())
    async with aclosing(bob.audio("ana")) as frames:
        await soon(anext(frames))
        server.permit("r", "bob", Permissions())
        server.permit("r", "bob", LISTENER)
        await listen(frames, 0.1)


@pytest.mark.parametrize("frame_ms", [0, 5, 15, 1010, -10])
async def test_frames_of_another_length_are_refused(ana: UTDRoom, frame_ms: int) -> None:
    with pytest.raises(Invalid, match="frame_ms"):
        ana.audio("bob", frame_ms=frame_ms)
    with pytest.raises(Invalid, match="frame_ms"):
        ana.mixed_audio(frame_ms=frame_ms)


async def test_the_mix_holds_every_voice(server: FakeLiveKit, ana: UTDRoom, bob: UTDRoom) -> None:
    async with UTDRoom(open_link=server.open_link) as cleo:
        for room, who, hz in ((ana, "ana", 400.0), (bob, "bob", 1000.0)):
            await join(server, room, who)
            await room.set_microphone(True, Tone(hz, volume=0.3))
        await join(server, cleo, "cleo")
        async with aclosing(cleo.mixed_audio(frame_ms=20)) as frames:
            sound = await listen(frames, 0.5)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    hz = np.arange(len(spectrum)) * 48_000 / len(sound)
    for wanted in (400, 1000):
        near = spectrum[(hz > wanted - 20) & (hz < wanted + 20)].max()
        assert near > 0.2 * spectrum.max(), f"{wanted} Hz is missing"


async def test_a_mix_of_nobody_is_silence_in_step_with_the_clock(
    server: FakeLiveKit, ana: UTDRoom
) -> None:
    await join(server, ana, "ana")
    started = asyncio.get_running_loop().time()
    async with aclosing(ana.mixed_audio(frame_ms=10)) as frames:
        got = [await anext(frames) for _ in range(21)]
    assert asyncio.get_running_loop().time() - started >= 0.19
    assert all(each.level == 0 and len(each.samples) == 480 for each in got)


async def test_a_recording_has_its_length_and_survives_a_cancel(
    server: FakeLiveKit, ana: UTDRoom, bob: UTDRoom, tmp_path: Path
) -> None:
    await join(server, ana, "ana")
    await join(server, bob, "bob")
    await ana.set_microphone(True, Tone(440))
    assert await soon(bob.record(tmp_path / "ana.wav", identity="ana", seconds=0.75)) == 0.75
    with wave.open(str(tmp_path / "ana.wav")) as file:
        sound = np.frombuffer(file.readframes(36_000), np.int16)
    assert len(sound) == 36_000
    assert pitch(sound[-20_000:]) == pytest.approx(440, abs=4)

    recording = asyncio.create_task(bob.record(tmp_path / "cut.wav"))
    async with aclosing(bob.mixed_audio(frame_ms=100)) as clock:
        for _ in range(4):
            await anext(clock)
    recording.cancel()
    await asyncio.wait([recording])
    with wave.open(str(tmp_path / "cut.wav")) as file:
        assert file.getnframes() >= 9_600
    with pytest.raises(DeviceFailed):
        await bob.record(tmp_path / "no" / "folder.wav")


# Events and data.


async def test_callbacks_see_the_new_values(server: FakeLiveKit, ana: UTDRoom) -> None:
    seen: list[tuple[str, bool]] = []
    stop = ana.subscribe(lambda event: seen.append((type(event).__name__, ana.connected.value)))
    await join(server, ana, "ana")
    assert seen[0] == ("Connected", True)
    stop()
    await ana.disconnect()
    assert seen[-1][0] != "Disconnected"


async def test_data_goes_where_it_should(server: FakeLiveKit, ana: UTDRoom, bob: UTDRoom) -> None:
    with pytest.raises(ConnectError):
        await ana.send_data(b"x")
    await join(server, ana, "ana")
    await join(server, bob, "bob")
    events = bob.events
    await ana.send_data(b"no", destination_identities=["cleo"])
    await ana.send_data(b"yes", reliable=False, destination_identities=["bob"], topic="t")
    got = await next_of(events, ev.DataReceived)
    assert got == ev.DataReceived(b"yes", "t", "ana", False)
    with pytest.raises(Invalid, match="64,000"):
        await ana.send_data(b"x" * 64_000)
    server.permit("r", "ana", LISTENER)
    await soon(ana.permissions.wait_for(LISTENER))
    for call in (
        ana.send_data(b"x"),
        ana.send_text("x", topic="t"),
        ana.send_bytes(b"", topic="t"),
    ):
        with pytest.raises(NotAllowed):
            await call


async def test_stream_handlers_hold_over_connections(
    server: FakeLiveKit, ana: UTDRoom, bob: UTDRoom
) -> None:
    got: asyncio.Queue[tuple[IncomingText, str]] = asyncio.Queue()
    bob.register_text_stream_handler("chat", lambda stream, who: got.put_nowait((stream, who)))
    with pytest.raises(Invalid, match="chat"):
        bob.register_text_stream_handler("chat", lambda *_: None)
    await join(server, ana, "ana")
    for _ in range(2):
        await join(server, bob, "bob")
        sent = await ana.send_text("hello", topic="chat", attributes={"a": "1"})
        stream, who = await soon(got.get())
        assert "".join([chunk async for chunk in stream]) == "hello"
        assert (who, stream.info.stream_id, stream.attributes) == ("ana", sent, {"a": "1"})
    bob.unregister_text_stream_handler("chat")
    bob.unregister_text_stream_handler("chat")
    await ana.send_text("nobody", topic="chat")
    assert got.empty()


async def test_byte_streams(server: FakeLiveKit, ana: UTDRoom, bob: UTDRoom) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()
    tasks: list[asyncio.Task[None]] = []

    async def read(stream: AsyncIterator[bytes]) -> None:
        got.put_nowait(b"".join([chunk async for chunk in stream]))

    await join(server, ana, "ana")
    await join(server, bob, "bob")
    bob.register_byte_stream_handler(
        "file", lambda stream, _: tasks.append(asyncio.create_task(read(aiter(stream))))
    )
    with pytest.raises(Invalid, match="file"):
        bob.register_byte_stream_handler("file", lambda *_: None)
    await ana.send_bytes(b"data", topic="file", name="a.bin")
    assert await soon(got.get()) == b"data"
    bob.unregister_byte_stream_handler("file")
    await ana.send_bytes(b"data", topic="file")
    assert len(tasks) == 1


async def test_inputs_may_be_shared_out(server: FakeLiveKit) -> None:
    inputs = MediaInputs(microphone=Tone(300))
    async with UTDRoom(open_link=server.open_link, media=inputs) as room:
        await join(server, room, "ana")
        await room.set_microphone(True)
        assert room.media is inputs
