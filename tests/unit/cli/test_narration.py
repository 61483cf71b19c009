from datetime import UTC, datetime
from typing import get_args

import msgspec
import pytest

from utd_cli._narration import _WORDS, describe, printable
from utd_protocol import events as ev
from utd_protocol.policy import Policy
from utd_protocol.types import Identity, Role, SeatMode, Source, Target

AT = datetime(2026, 1, 1, tzinfo=UTC)
ANA, BEA = Identity("ana"), Identity("bea")


def test_every_event_has_words() -> None:
    assert set(_WORDS) == set(get_args(ev.RoomEvent))


def example(kind: type[msgspec.Struct]) -> bytes:
    """The shortest event of a kind: only what it must have, in the form of the wire."""
    values: dict[str, object] = {"type": kind.__struct_config__.tag, "seq": 1}
    for field in msgspec.structs.fields(kind):
        if field.required:
            values[field.name] = EXAMPLES[field.name]
    return msgspec.json.encode(values)


EXAMPLES: dict[str, object] = {
    "at": AT, "identity": "ana", "owner": "ana", "host": "ana", "previous": "bea",
    "index": 1, "source": "microphone", "sources": ["microphone"], "target": "seat",
    "room_id": "rm_1", "room_type": "audio_room", "name": "lobby", "state": "open",
    "policy": Policy(), "metadata": "", "version": 2, "reason": "left", "role": "admin",
    "scope": "room", "until": AT, "count": 4, "mode": "free", "indices": [0, 1], "a": 0, "b": 1,
    "id": 1, "with_video": True, "status": "ended",
    "agent_name": "echo", "attempt": 1,
}  # fmt: skip
SPECIAL: dict[type, dict[str, object]] = {
    ev.SeatMoved: {"source": 0, "target": 1},
    ev.CallEnded: {"reason": "hangup"},
}


@pytest.mark.parametrize("kind", get_args(ev.RoomEvent))
def test_the_shortest_event_of_each_kind_is_told(kind: type[msgspec.Struct]) -> None:
    values = msgspec.json.decode(example(kind)) | SPECIAL.get(kind, {})
    event = msgspec.convert(values, kind)
    told = describe(event)  # type: ignore[arg-type]
    assert "{" not in told
    assert "None" not in told
    assert len(told) > 5


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (ev.SeatTaken(at=AT, by=ANA, identity=ANA, index=0), "ana took seat 0"),
        (ev.SeatTaken(at=AT, by=ANA, identity=BEA, index=1), "bea took seat 1, by ana"),
        (
            ev.SeatLeft(at=AT, by=ANA, identity=BEA, index=1, reason="removed"),
            "bea is off seat 1 (removed), by ana",
        ),
        (ev.SeatsLocked(at=AT, by=ANA, indices=(1, 3)), "seats 1, 3 are locked, by ana"),
        (ev.SeatReserved(at=AT, index=2), "seat 2 is kept for anybody"),
        (ev.SeatReserved(at=AT, index=2, role=Role.ADMIN), "seat 2 is kept for admin"),
        (ev.SeatsConfigured(at=AT, count=4, mode=SeatMode.REQUEST), "4 seats, mode request"),
        (
            ev.RequestCreated(at=AT, id=7, target=Target.SEAT),
            "request 7: somebody asks for a seat",
        ),
        (ev.HostTransferred(at=AT, previous=ANA, host=None), "the host is nobody now"),
        (ev.StreamScheduled(at=AT, by=ANA), "the stream is planned for no time, by ana"),
        (
            ev.StageJoined(at=AT, identity=BEA, sources=(Source.MICROPHONE, Source.CAMERA)),
            "bea is on stage with microphone, camera",
        ),
        (
            ev.AgentFailed(at=AT, agent_name="echo", reason="'echo' never came"),
            "agent echo is given up ('echo' never came)",
        ),
        (ev.UnknownEvent(seq=1, type="room.danced"), "room.danced"),
    ],
)
def test_words(event: ev.RoomEvent | ev.UnknownEvent, words: str) -> None:
    assert describe(event) == words


def test_a_name_cannot_command_the_terminal() -> None:
    taken = ev.SeatTaken(at=AT, identity=Identity("\x1b[2Jana\u202e"), index=0)
    assert describe(taken) == "�[2Jana� took seat 0"
    assert printable("Zoë 🎤 [bold]") == "Zoë 🎤 [bold]"


def test_a_name_is_no_template() -> None:
    taken = ev.SeatTaken(at=AT, identity=Identity("{index.__class__}"), index=0)
    assert describe(taken) == "{index.__class__} took seat 0"
