import msgspec
import pytest
from support.room_logs import fresh_view

from utd_protocol.types import Role, RoomType
from utd_stream._models import (
    UTDCall,
    UTDCallStatus,
    UTDStageMember,
    UTDStreamType,
    UTDTokenResponse,
)


def test_types_have_the_values_of_the_wire() -> None:
    assert [each.value for each in UTDStreamType] == [
        "audio_call",
        "video_call",
        "live_stream",
        "audio_room",
    ]
    assert all(each.room_type is RoomType(each.value) for each in UTDStreamType)


@pytest.mark.parametrize(
    ("kind", "is_call", "has_video"),
    [
        (UTDStreamType.AUDIO_CALL, True, False),
        (UTDStreamType.VIDEO_CALL, True, True),
        (UTDStreamType.LIVE_STREAM, False, True),
        (UTDStreamType.AUDIO_ROOM, False, False),
    ],
)
def test_types_say_what_they_carry(kind: UTDStreamType, *, is_call: bool, has_video: bool) -> None:
    assert (kind.is_call, kind.has_video) == (is_call, has_video)


def test_calls_are_over_in_four_of_seven_states() -> None:
    assert [each.value for each in UTDCallStatus] == [
        "initiating",
        "ringing",
        "active",
        "ended",
        "rejected",
        "busy",
        "missed",
    ]
    assert {each for each in UTDCallStatus if each.is_over} == {
        UTDCallStatus.ENDED,
        UTDCallStatus.REJECTED,
        UTDCallStatus.BUSY,
        UTDCallStatus.MISSED,
    }


def test_secrets_stay_out_of_repr() -> None:
    answer = UTDTokenResponse(
        token="secret-livekit",
        url="ws://127.0.0.1:7880",
        room_name="lobby",
        user_token="secret-user",
        ws_url=None,
        role=Role.HOST,
        role_clamped=False,
        room=fresh_view(),
        seq=1,
    )
    call = UTDCall(
        call_id="c1",
        status=UTDCallStatus.ACTIVE,
        type=UTDStreamType.AUDIO_CALL,
        caller_identity="ana",
        callee_identity="bo",
        token="secret-call",
    )

    assert "secret" not in repr(answer) + str(answer) + repr(call) + str(call)
    assert "lobby" in repr(answer)
    assert "c1" in repr(call)


def test_answers_of_a_newer_engine_are_read() -> None:
    raw = b'{"identity":"ana","role":"co_host","hat":"red"}'

    assert msgspec.json.decode(raw, type=UTDStageMember) == UTDStageMember(
        identity="ana", role="co_host"
    )
