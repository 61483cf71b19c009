"""The screenplay of `utd demo`: who does what when, and what must have been heard.

Ana is the host; Bea and Cal listen. Every number comes from sound that a client received.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from msgspec import Struct

from utd_cli.demos import orders as o
from utd_cli.demos.cast import Client
from utd_cli.demos.stage import Stage

T = TypeVar("T")

PEOPLE: Final = {"ana": "host", "bea": "listener", "cal": "listener"}
TONE_HZ: Final = 440.0
ANSWER_HZ: Final = 660.0

SETTLE_S: Final = 0.7
"""From the start of a new sound until only that is heard: LiveKit needs 0.35 s or less."""
STEADY_S: Final = 1.0
"""Receivers play the first second of a track a little faster or slower than it was."""
MEASURE_S: Final = 1.0
GONE_WITHIN_S: Final = 0.5
"""A removed speaker must be silent after this; the window of silence begins here."""
SILENCE_S: Final = 1.5
SILENCE_DBFS: Final = -60.0
HZ_OFF: Final = 1.0
ALIKE: Final = 0.7


class Cast(NamedTuple):
    """The three clients."""

    ana: Client
    bea: Client
    cal: Client


class Spoken(NamedTuple):
    """What became of the host's speech."""

    taken: o.Taken
    first_heard: float
    heard: list[o.Measured]


class Removed(NamedTuple):
    """What became of the one whose seat was taken away."""

    at: float
    silence: o.Measured
    insisted: o.Insisted
    last_heard: float


class Outcome(Struct, frozen=True, kw_only=True):
    """What was measured; where two clients heard it, the worse of both."""

    heard_hz: float
    """Pitch of the host's tone of 440 Hz."""
    speech_correlation: float
    """1: the host's speech came through whole; near 0: something else was heard."""
    answer_hz: float
    """Pitch of the answer of 660 Hz, as host and other listener heard it."""
    silence_after_removal: bool
    """The removed speaker went on trying, and nothing was heard and every try refused."""
    silence_dbfs: float
    """Level of all sound, from 0.5 s to 2 s after the seat was taken away."""
    publish_refused: int
    """How many tries of the removed speaker were refused in that time."""
    removal_to_silence_ms: float
    """From the call to the last sound of the removed speaker; 0 when there was none after it."""
    heard_again_hz: float
    """Pitch of the host's tone after the silence: the listeners were not deaf."""
    take_to_permission_ms: float
    """From the host's call to LiveKit's word, in the host's process, that publishing is allowed."""
    take_to_first_audio_ms: float
    """From the host's call to the first audible sound at the later listener."""

    def failures(self) -> list[str]:
        """What is not as it must be."""
        checks = {
            f"the tone was heard as {self.heard_hz} Hz": _near(self.heard_hz, TONE_HZ),
            f"only {self.speech_correlation} of the speech": self.speech_correlation >= ALIKE,
            f"the answer was heard as {self.answer_hz} Hz": _near(self.answer_hz, ANSWER_HZ),
            f"{self.silence_dbfs} dBFS after the removal": self.silence_after_removal,
            f"the last tone was {self.heard_again_hz} Hz": _near(self.heard_again_hz, TONE_HZ),
        }
        return [what for what, is_right in checks.items() if not is_right]


async def play(cast: Cast, stage: Stage, speech: Path) -> Outcome:
    """Everything from the first seat to the silence and after. Raises `ClientFailed`."""
    await _listen(cast)
    spoken = await _speak(cast, stage, speech)
    tone = await _sing(cast, stage)
    answer = await _ask_and_answer(cast, stage)
    removed = await _remove(cast, stage)
    again = await _sing(cast, stage)
    is_silent = removed.silence.dbfs < SILENCE_DBFS
    all_refused = 0 < removed.insisted.tried == removed.insisted.refused
    return Outcome(
        heard_hz=_worst(tone, TONE_HZ),
        speech_correlation=round(min(one.likeness for one in spoken.heard), 3),
        answer_hz=_worst(answer, ANSWER_HZ),
        silence_after_removal=is_silent and all_refused,
        silence_dbfs=round(removed.silence.dbfs, 1),
        publish_refused=removed.insisted.refused,
        removal_to_silence_ms=_ms(max(0.0, removed.last_heard - removed.at)),
        heard_again_hz=_worst(again, TONE_HZ),
        take_to_permission_ms=_ms(spoken.taken.permitted - spoken.taken.called),
        take_to_first_audio_ms=_ms(spoken.first_heard - spoken.taken.called),
    )


async def _listen(cast: Cast) -> None:
    for listener in (cast.bea, cast.cal):
        await listener.tell(o.Hear(who="ana"))
    for listener in (cast.ana, cast.cal):
        await listener.tell(o.Hear(who="bea"))
    await cast.cal.tell(o.Hear(who=o.EVERYBODY))


async def _speak(cast: Cast, stage: Stage, speech: Path) -> Spoken:
    """The host takes seat 0, which opens the microphone, and speaks."""
    taken = await cast.ana.ask(o.TakeSeat(index=0), o.Taken)
    stage.step("ana took seat 0: her microphone is live", "green")
    order = o.FirstSound(who="ana", after=taken.called)
    first = max(one.at for one in await _all((cast.bea, cast.cal), order, o.At))
    stage.step(f"bea and cal hear her, {_ms(first - taken.called):.0f} ms after the call")
    await asyncio.sleep(STEADY_S)
    stage.step("ana speaks", "green")
    started = (await cast.ana.ask(o.Speak(), o.At)).at
    end = time.monotonic() + SETTLE_S
    measure = o.Measure(who="ana", start=started, end=end, speech=str(speech))
    heard = await _all((cast.bea, cast.cal), measure, o.Measured)
    stage.step(f"it is that speech: {min(one.likeness for one in heard):.3f} of 1")
    return Spoken(taken, first, heard)


async def _sing(cast: Cast, stage: Stage) -> list[o.Measured]:
    """The host gives a tone for a while. What both listeners heard."""
    await cast.ana.tell(o.Sing(hz=TONE_HZ))
    stage.step(f"ana gives a tone of {TONE_HZ:.0f} Hz", "green")
    heard = await _all(
        (cast.bea, cast.cal), _window("ana", time.monotonic() + SETTLE_S), o.Measured
    )
    stage.step(f"bea heard {heard[0].hz:.2f} Hz, cal heard {heard[1].hz:.2f} Hz")
    await cast.ana.tell(o.Hush())
    return heard


async def _ask_and_answer(cast: Cast, stage: Stage) -> list[o.Measured]:
    """A listener asks, is approved, and answers. What host and other listener heard."""
    await cast.bea.tell(o.Ask())
    stage.step("bea asks to speak", "yellow")
    approved = await cast.ana.ask(o.Approve(who="bea"), o.At)
    stage.step("ana approves", "green")
    first = await cast.ana.ask(o.FirstSound(who="bea", after=approved.at), o.At)
    stage.step(f"bea answers, heard {_ms(first.at - approved.at):.0f} ms after the approval")
    order = _window("bea", first.at + SETTLE_S)
    heard = await _all((cast.ana, cast.cal), order, o.Measured)
    stage.step(f"ana heard {heard[0].hz:.2f} Hz, cal heard {heard[1].hz:.2f} Hz")
    return heard


async def _remove(cast: Cast, stage: Stage) -> Removed:
    """The seat is taken away from one who goes on trying to speak."""
    removed = (await cast.ana.ask(o.Remove(who="bea"), o.At)).at
    stage.step("ana takes the seat away from bea, who goes on trying to speak", "red")
    start = removed + GONE_WITHIN_S
    end = start + SILENCE_S
    silence, insisted = await asyncio.gather(
        cast.cal.ask(o.Measure(who=o.EVERYBODY, start=start, end=end), o.Measured),
        cast.bea.ask(o.Insist(seconds=end - time.monotonic()), o.Insisted),
    )
    stage.step(f"silence: {silence.dbfs:.0f} dBFS, and {insisted.refused} tries were refused")
    last = await cast.cal.ask(o.LastSound(who="bea"), o.At)
    return Removed(removed, silence, insisted, last.at)


async def _all(clients: Sequence[Client], order: o.Order, kind: type[T]) -> list[T]:
    return list(await asyncio.gather(*[client.ask(order, kind) for client in clients]))


def _window(who: str, start: float) -> o.Measure:
    return o.Measure(who=who, start=start, end=start + MEASURE_S)


def _worst(heard: list[o.Measured], wanted: float) -> float:
    farthest = max(heard, key=lambda one: abs(one.hz - wanted))
    return round(farthest.hz, 2)


def _near(hz: float, wanted: float) -> bool:
    return abs(hz - wanted) <= HZ_OFF


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
