"""Failed joins, from the words of LiveKit's client to our errors: `_livekit._translation`."""

import pytest

from utd_stream._errors import AuthRejected, ConnectError, Unreachable, UTDStreamException
from utd_stream._livekit._translation import no_answer, quality_for, reason_of, refusal
from utd_stream._room.connection import DisconnectReason

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl"
SIGNAL = "engine: signal failure: "


@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        (
            SIGNAL + "client error: 404 Not Found - requested room does not exist",
            ConnectError,
            "room_missing",
        ),
        (
            SIGNAL + f"client error: 401 Unauthorized - invalid token: {TOKEN}, error: expired",
            AuthRejected,
            "token_rejected",
        ),
        (SIGNAL + "client error: 400 Bad Request - identity", AuthRejected, "token_rejected"),
        (SIGNAL + "handshake error: 500 Internal Server Error", ConnectError, "join_refused"),
        (
            SIGNAL + "transport connection error: IO error: Connection refused (os error 111)",
            Unreachable,
            None,
        ),
        (SIGNAL + "signal connection timed out", Unreachable, None),
    ],
)
def test_each_refusal_has_its_class(said: str, kind: type[UTDStreamException], code: str) -> None:
    error = refusal(said, "ws://x", TOKEN)
    assert type(error) is kind
    assert error.code == code
    assert "eyJ" not in str(error)
    assert "ws://x" in str(error)
    assert error.retryable is (kind is Unreachable)


def test_unreachable_media_names_udp() -> None:
    error = refusal("engine: connection error: wait_pc_connection timed out", "ws://x", TOKEN)
    assert isinstance(error, Unreachable)
    assert "UDP" in error.message


def test_our_own_deadline_says_what_it_saw() -> None:
    assert "UDP" in no_answer("ws://x", 10, answers=True).message
    silent = no_answer("ws://x", 10, answers=False).message
    assert "UDP" not in silent
    assert "10 s" in silent


def test_every_reason_of_livekit_is_known_and_newer_ones_are_unknown() -> None:
    assert [reason_of(number) for number in range(17)] == list(DisconnectReason)
    assert reason_of(99) is DisconnectReason.UNKNOWN
    assert reason_of(None) is DisconnectReason.UNKNOWN


@pytest.mark.parametrize(
    ("width", "full", "quality"),
    [(None, 640, 2), (640, 640, 2), (320, 640, 1), (161, 640, 1), (160, 640, 0), (1, 0, 2)],
)
def test_the_smallest_size_that_is_enough(width: int | None, full: int, quality: int) -> None:
    assert quality_for(width, full) == quality
