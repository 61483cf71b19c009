"""Bytes to events and back, and the window of events that a room's metadata carries."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from utd_protocol.events import RoomEvent, UnknownEvent

WINDOW_BYTES: Final = 4096
"""Events in the metadata are cut to this; who needs more reads the log."""
WINDOW_VERSION: Final = 1


class Malformed(ValueError):
    """Bytes that no engine wrote."""


class Window(Struct, frozen=True, kw_only=True):
    """The newest events of a room, oldest first, and where its log ends."""

    room_id: str
    head: int
    events: tuple[RoomEvent | UnknownEvent, ...]
    signals: tuple[dict[str, object], ...] = ()


class _Envelope(Struct, frozen=True, kw_only=True):
    v: int
    room_id: str
    head: int
    events: tuple[msgspec.Raw, ...] = ()
    signals: tuple[dict[str, object], ...] = ()


_encoder: Final = msgspec.json.Encoder()
_event_decoder: Final[msgspec.json.Decoder[RoomEvent]] = msgspec.json.Decoder(RoomEvent)
_unknown_decoder: Final = msgspec.json.Decoder(UnknownEvent)
_envelope_decoder: Final = msgspec.json.Decoder(_Envelope)


def encode_event(event: RoomEvent) -> bytes:
    """One event as it is stored, sent and folded."""
    return _encoder.encode(event)


def decode_event(raw: bytes | msgspec.Raw) -> RoomEvent | UnknownEvent:
    """The event, or `UnknownEvent` when a newer engine wrote it.

    Raises:
        Malformed: not even `seq` and `type` can be read.
    """
    try:
        return _event_decoder.decode(raw)
    except msgspec.DecodeError:
        try:
            return _unknown_decoder.decode(raw)
        except msgspec.DecodeError as error:
            raise Malformed(str(error)) from error


def decode_events(
    raws: Iterable[bytes | msgspec.Raw],
) -> tuple[RoomEvent | UnknownEvent, ...]:
    """Several events, in the order given."""
    return tuple(decode_event(raw) for raw in raws)


def encode_window(
    room_id: str,
    head: int,
    newest_last: Sequence[bytes],
    signals: Sequence[dict[str, object]] = (),
) -> str:
    """The metadata of a room: as many of the newest events as fit, and where the log ends.

    Args:
        room_id: the opening the events belong to.
        head: the `seq` of the last event of the log.
        newest_last: encoded events in log order.
        signals: loss-tolerant news that is in no log.
    """
    kept: list[msgspec.Raw] = []
    size = 0
    for raw in reversed(newest_last):
        size += len(raw) + 1
        if size > WINDOW_BYTES:
            break
        kept.append(msgspec.Raw(raw))
    envelope = _Envelope(
        v=WINDOW_VERSION,
        room_id=room_id,
        head=head,
        events=tuple(reversed(kept)),
        signals=tuple(signals),
    )
    return _encoder.encode(envelope).decode()


def decode_window(metadata: str) -> Window | None:
    """What a room's metadata says, or None when the engine did not write it."""
    try:
        envelope = _envelope_decoder.decode(metadata.encode())
        if envelope.v != WINDOW_VERSION:
            return None
        events = decode_events(envelope.events)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError, Malformed):
        return None
    return Window(
        room_id=envelope.room_id,
        head=envelope.head,
        events=events,
        signals=envelope.signals,
    )
