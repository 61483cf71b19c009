"""`utd demo call`: calls between two that end in every way, told by those who were in them.

Ana calls Bo, who has a phone and a tablet. Zoe calls at a bad moment, and her process dies.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import click

from utd_cli._state import RunningStack
from utd_cli.demos import call_orders as co
from utd_cli.demos import orders as o
from utd_cli.demos.cast import Client
from utd_cli.demos.show import Cast, Outcome, Show, near, present
from utd_cli.demos.stage import Stage

PEOPLE: Final = {"ana": "calls", "bo": "phone", "bo2": "tablet", "zoe": "calls too"}
IDENTITIES: Final = {"ana": "ana", "bo": "bo", "bo2": "bo", "zoe": "zoe"}
CALLER_HZ: Final = 440.0
CALLEE_HZ: Final = 660.0
TONES: Final = {"ana": CALLER_HZ, "bo": CALLEE_HZ, "bo2": 880.0, "zoe": 550.0}
"""The tablet has a tone of its own: hearing 660 Hz means that it was the phone that answered."""
STEADY_S: Final = 1.0
"""Receivers play the first second of a track a little faster or slower than it was."""
MEASURE_S: Final = 1.0
SHORT_RING_S: Final = 5.0
"""The shortest that the engine allows."""
RING_OFF_S: Final = 2.0
"""So much later than its time, at most, a call may stop ringing."""
SETTLED: Final = frozenset({"missed", "cancelled"})
"""How a call that nobody answered may end whose caller has died."""
DURATION_OFF_S: Final = 1.0


class Talk(NamedTuple):
    """What became of the call that was answered."""

    answered_by: str
    other_device: str
    caller_hz: float
    callee_hz: float
    busy: str
    ended: str
    record: co.Record
    timed_s: float


class CallOutcome(Outcome, frozen=True, kw_only=True):
    """What was measured, and what the devices and the engine said."""

    answered_by: str
    """The device that has the call, as the other one was told."""
    other_device: str
    """Why that one stopped ringing."""
    caller_hz: float
    """Pitch of the caller's tone of 440 Hz, as the callee heard it."""
    callee_hz: float
    """Pitch of the callee's tone of 660 Hz, as the caller heard it."""
    ended: str
    """How the call stands at the callee after the caller hung up."""
    duration_s: float
    """From both being there to the end, as the engine keeps it."""
    timed_s: float
    """From the answer to hanging up, by the clock of this demo."""
    reject: str
    """What a caller is told when the callee says no."""
    busy: str
    """What a caller is told when the callee is in another call."""
    missed: str
    """What a caller is told when nobody answers for 5 s."""
    missed_s: float
    """How long that rang."""
    caller_died: str
    """How the engine settled a call of 5 s whose caller was killed with SIGKILL while it rang."""
    caller_died_s: float
    """From the kill until the callee's phone stopped ringing."""

    def checks(self) -> Mapping[str, bool]:
        """Each thing that may be wrong, in words, and whether it is right."""
        return {
            f"{self.answered_by!r} has the call": self.answered_by == "phone",
            f"the tablet: {self.other_device!r}": self.other_device == "answered_elsewhere",
            f"the caller was heard as {self.caller_hz} Hz": near(self.caller_hz, CALLER_HZ),
            f"the callee was heard as {self.callee_hz} Hz": near(self.callee_hz, CALLEE_HZ),
            f"after hanging up: {self.ended!r}": self.ended == "ended",
            f"it lasted {self.duration_s} s and not {self.timed_s} s": (
                self.duration_s > 0 and abs(self.duration_s - self.timed_s) < DURATION_OFF_S
            ),
            f"rejecting gave {self.reject!r}": self.reject == "rejected",
            f"calling one who talks gave {self.busy!r}": self.busy == "busy",
            f"no answer gave {self.missed!r}": self.missed == "missed",
            f"it rang {self.missed_s} s": 0 <= self.missed_s - SHORT_RING_S < RING_OFF_S,
            f"a dead caller gave {self.caller_died!r}": self.caller_died in SETTLED,
            f"a dead caller rang {self.caller_died_s} s": (
                self.caller_died_s < SHORT_RING_S + RING_OFF_S
            ),
        }


@click.command()
def call() -> None:
    """Ring, talk, hang up, and end calls in every other way; print what came as one JSON line."""
    present(Show(PEOPLE, "", "utd_cli.demos.call_client", play))


async def play(cast: Cast, stage: Stage, stack: RunningStack) -> CallOutcome:
    """Every call, one after another. Raises `ClientFailed`."""
    for client in cast.values():
        await client.tell(_sign_in(client.name, stack))
    talk = await _talk(cast, stage)
    reject = await _reject(cast, stage)
    missed, missed_s = await _miss(cast, stage)
    died, died_s = await _die(cast, stage)
    return CallOutcome(
        answered_by=talk.answered_by,
        other_device=talk.other_device,
        caller_hz=talk.caller_hz,
        callee_hz=talk.callee_hz,
        ended=talk.ended,
        duration_s=round(talk.record.duration_s, 2),
        timed_s=talk.timed_s,
        reject=reject,
        busy=talk.busy,
        missed=missed,
        missed_s=missed_s,
        caller_died=died,
        caller_died_s=died_s,
    )


async def _talk(cast: Cast, stage: Stage) -> Talk:
    """It rings on both devices; the phone answers; both talk; another one calls; ana hangs up."""
    ana, phone, tablet, zoe = (cast[name] for name in PEOPLE)
    began = await _ring(ana, (phone, tablet), stage)
    answered = (await phone.ask(co.Accept(call_id=began.call_id), o.At)).at
    silent = await tablet.ask(co.RingOver(call_id=began.call_id), co.Silent)
    stage.step(f"bo answers; the tablet stops: {silent.reason} ({silent.answered_by})", "green")
    caller_hz, callee_hz = await _hear_each_other(ana, phone)
    stage.step(f"bo hears ana at {caller_hz} Hz, ana hears bo at {callee_hz} Hz")
    busy = (await zoe.ask(co.Call(who="bo"), co.Began)).status
    stage.step(f"zoe calls bo: {busy}", "yellow")
    hung_up = (await ana.ask(co.HangUp(), o.At)).at
    ended = await phone.ask(co.Over(), str)
    record = await ana.ask(co.Look(call_id=began.call_id), co.Record)
    stage.step(f"ana hangs up; bo sees: {ended}, after {record.duration_s:.2f} s")
    timed_s = round(hung_up - answered, 2)
    return Talk(
        silent.answered_by, silent.reason, caller_hz, callee_hz, busy, ended, record, timed_s
    )


async def _hear_each_other(ana: Client, phone: Client) -> tuple[float, float]:
    """The pitch of the caller at the callee, and of the callee at the caller."""
    pairs = ((phone, "ana"), (ana, "bo"))

    async def hear(listener: Client, who: str) -> float:
        start = time.monotonic()
        await listener.tell(o.Hear(who=who))
        first = (await listener.ask(o.FirstSound(who=who, after=start), o.At)).at + STEADY_S
        order = o.Measure(who=who, start=first, end=first + MEASURE_S)
        return round((await listener.ask(order, o.Measured)).hz, 2)

    caller_hz, callee_hz = await asyncio.gather(*[hear(*pair) for pair in pairs])
    return caller_hz, callee_hz


async def _reject(cast: Cast, stage: Stage) -> str:
    ana, phone, tablet, _ = (cast[name] for name in PEOPLE)
    began = await _ring(ana, (phone, tablet), stage)
    await phone.tell(co.Reject(call_id=began.call_id))
    status = await ana.ask(co.Over(), str)
    stage.step(f"bo says no; ana sees: {status}", "yellow")
    return status


async def _miss(cast: Cast, stage: Stage) -> tuple[str, float]:
    """Nobody answers: what the caller sees, and how long it rang."""
    ana, phone, tablet, _ = (cast[name] for name in PEOPLE)
    called = time.monotonic()
    began = await _ring(ana, (phone, tablet), stage, SHORT_RING_S)
    status = await ana.ask(co.Over(), str)
    silent = await phone.ask(co.RingOver(call_id=began.call_id), co.Silent)
    seconds = round(silent.at - called, 2)
    stage.step(f"nobody answers; ana sees: {status}", "yellow")
    return status, seconds


async def _die(cast: Cast, stage: Stage) -> tuple[str, float]:
    """The caller's process is killed while it rings: how it was settled, and when it was silent.

    LiveKit takes some 20 s to notice, and the engine waits for a return; the ring ends before.
    """
    _, phone, tablet, zoe = (cast[name] for name in PEOPLE)
    began = await _ring(zoe, (phone, tablet), stage, SHORT_RING_S)
    killed = time.monotonic()
    await zoe.kill()
    stage.step("zoe's process is killed while it rings", "red")
    silent = await phone.ask(co.RingOver(call_id=began.call_id), co.Silent)
    record = await phone.ask(co.Look(call_id=began.call_id), co.Record)
    stage.step(f"bo's phone is silent: {silent.reason}; the call: {record.status}")
    return record.status, round(silent.at - killed, 2)


async def _ring(
    caller: Client, devices: Sequence[Client], stage: Stage, seconds: float = 30.0
) -> co.Began:
    """Call Bo, and wait until each device rings."""
    began = await caller.ask(co.Call(who="bo", ring_timeout_s=seconds), co.Began)
    await asyncio.gather(*[one.ask(co.Ring(call_id=began.call_id), o.At) for one in devices])
    stage.step(f"{caller.name} calls bo: phone and tablet ring")
    return began


def _sign_in(name: str, stack: RunningStack) -> co.SignIn:
    return co.SignIn(
        base_url=stack.base_url,
        app_id=stack.app_id,
        app_key=stack.app_key,
        identity=IDENTITIES[name],
        device=PEOPLE[name] if IDENTITIES[name] == "bo" else "laptop",
        hz=TONES[name],
    )
