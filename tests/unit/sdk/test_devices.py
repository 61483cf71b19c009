"""Sound cards, and their absence: `_devices`."""

import sys

import numpy as np
import pytest

from utd_stream._errors import DeviceFailed
from utd_stream._media.devices import Microphone, Speakers
from utd_stream._media.frames import Tone


class Stream:
    """What the library gives: it hears two frames at once when it starts."""

    def __init__(self, **options: object) -> None:
        self.options = options
        self.played: list[bytes] = []
        self.closed = False
        Library.last = self

    def start(self) -> None:
        hear = self.options["callback"]
        if callable(hear):
            for each in (1, 2):
                hear(np.full(480, each, np.int16).tobytes(), 480, None, None)

    def write(self, data: bytes) -> None:
        self.played.append(data)
        if len(self.played) == 3:
            raise RuntimeError("unplugged")

    def close(self) -> None:
        self.closed = True


class Library:
    last: Stream
    RawInputStream = Stream
    RawOutputStream = Stream


async def test_without_the_library_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(DeviceFailed, match=r"utd-stream\[devices\]"):
        await anext(aiter(Microphone()))


async def test_a_microphone_is_open_only_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", Library)
    frames = aiter(Microphone("headset"))
    assert [(await anext(frames)).samples[0] for _ in range(2)] == [1, 2]
    assert Library.last.options["device"] == "headset"
    assert not Library.last.closed
    await frames.aclose()
    assert Library.last.closed


async def test_a_device_that_does_not_open_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**_: object) -> None:
        raise OSError("busy")

    monkeypatch.setitem(sys.modules, "sounddevice", type("L", (), {"RawInputStream": fails}))
    with pytest.raises(DeviceFailed, match=r"device 'headset' cannot be opened: busy"):
        await anext(aiter(Microphone("headset")))


async def test_speakers_play_and_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", Library)
    with pytest.raises(DeviceFailed, match="unplugged"):
        await Speakers().play(aiter(Tone()))
    assert [len(each) for each in Library.last.played] == [960] * 3
    assert Library.last.closed
