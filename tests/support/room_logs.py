"""Rooms and logs for tests of whoever follows one: a view, events with places, and windows."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Raw, structs

from utd_protocol import events as ev
from utd_protocol.apply import open_view
from utd_protocol.codec import encode_event, encode_window
from utd_protocol.policy import Policy
from utd_protocol.types import Identity, RoomId, RoomName, RoomState, RoomType
from utd_protocol.views import RoomView

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ROOM_ID = "room_1"


def opened(
    *,
    room_id: str = ROOM_ID,
    host: str | None = "ana",
    seats: int = 4,
    policy: Policy | None = None,
    name: str = "lobby",
    kind: RoomType = RoomType.AUDIO_ROOM,
    call: ev.CallOffer | None = None,
) -> ev.RoomOpened:
    """The first event of a log."""
    owner = Identity(host or "ana")
    return ev.RoomOpened(
        seq=1,
        at=NOW,
        by=owner,
        room_id=RoomId(room_id),
        room_type=kind,
        name=RoomName(name),
        owner=owner,
        host=None if host is None else Identity(host),
        state=RoomState.BACKSTAGE if kind is RoomType.LIVE_STREAM else RoomState.OPEN,
        policy=policy or Policy(),
        seat_count=seats if kind is RoomType.AUDIO_ROOM else 0,
        call=call,
    )


def fresh_view(**options: Any) -> RoomView:
    """The view right after the opening, as of seq 1."""
    return open_view(opened(**options))


def numbered(events: Sequence[Any], after: int = 1) -> list[Any]:
    """The events with their places in the log."""
    return [structs.replace(event, seq=after + 1 + at) for at, event in enumerate(events)]


def taken(index: int, identity: str, seq: int = 0) -> ev.SeatTaken:
    return ev.SeatTaken(
        seq=seq, at=NOW, by=Identity(identity), index=index, identity=Identity(identity)
    )


def left(index: int, identity: str, seq: int = 0, reason: str = "left") -> ev.SeatLeft:
    return ev.SeatLeft(
        seq=seq,
        at=NOW,
        by=Identity(identity),
        index=index,
        identity=Identity(identity),
        reason=reason,
    )


def window(
    events: Sequence[Any], head: int, room_id: str = ROOM_ID, signals: Sequence[Any] = ()
) -> str:
    """The metadata that says these events."""
    return encode_window(room_id, head, [encode_event(event) for event in events], signals)


def raws(events: Sequence[Any]) -> tuple[Raw, ...]:
    """The events as an answer carries them."""
    return tuple(Raw(encode_event(event)) for event in events)
