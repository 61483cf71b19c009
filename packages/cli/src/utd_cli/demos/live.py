"""`utd demo live`: a host goes live, a viewer comes on the stage and off it, and all is measured.

Ana is the host; Bea and Cal watch. Every number comes from sound and pictures that a client
received.
"""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

import click

from utd_cli._state import RunningStack
from utd_cli.demos import live_orders as lo
from utd_cli.demos import orders as o
from utd_cli.demos.cast import Client
from utd_cli.demos.show import Cast, Outcome, Show, ms, near, present
from utd_cli.demos.stage import Stage

T = TypeVar("T")

PEOPLE: Final = {"ana": "host", "bea": "viewer", "cal": "viewer"}
HOST_HZ: Final = 440.0
GUEST_HZ: Final = 660.0
STEADY_S: Final = 1.0
"""Receivers play the first second of a track a little faster or slower than it was."""
MEASURE_S: Final = 1.5
GONE_WITHIN_S: Final = 0.5
"""Nothing may come from this on, after a pause or a removal."""
DARK_S: Final = 1.5


class Received(NamedTuple):
    """What others received of somebody in a time in which they had to receive something."""

    hz: float
    pictures: int
    correct: bool


class Withheld(NamedTuple):
    """What came in a time in which nothing may come, though somebody tried to publish."""

    frames: int
    refused: int
    all_refused: bool


class LiveOutcome(Outcome, frozen=True, kw_only=True):
    """What was measured; where two clients received it, the worse of both."""

    heard_hz: float
    """Pitch of the host's tone of 440 Hz."""
    seen_frames: int
    """Pictures of the host in 1.5 s."""
    picture_correct: bool
    """Every picture that was looked at, of host and guest, is the test pattern, and it moves."""
    guest_hz: float
    """Pitch of the guest's tone of 660 Hz, as host and other viewer heard it."""
    guest_frames: int
    """Pictures of the guest in 1.5 s."""
    frames_backstage: int
    """Pictures and sounds that came before the stream was live, though the host tried."""
    frames_after_removal: int
    """Those of the removed guest, who went on trying, from 0.5 s to 2 s after it."""
    host_frames_meanwhile: int
    """Pictures of the host in that time: nobody was blind."""
    frames_while_paused: int
    """Those of the host, who went on trying, from 0.5 s to 2 s after the pause began."""
    publish_refused: int
    """Tries to publish that were refused; all that were made without the right."""
    all_refused: bool
    heard_again_hz: float
    """Pitch of the host's tone after the pause."""
    go_live_to_first_frame_ms: float
    """From the host's call to the first picture at the later viewer."""

    def checks(self) -> Mapping[str, bool]:
        """Each thing that may be wrong, in words, and whether it is right."""
        return {
            f"the host was heard as {self.heard_hz} Hz": near(self.heard_hz, HOST_HZ),
            f"only {self.seen_frames} pictures of the host": self.seen_frames > 1,
            "a picture was not the test pattern, or it stood still": self.picture_correct,
            f"the guest was heard as {self.guest_hz} Hz": near(self.guest_hz, GUEST_HZ),
            f"only {self.guest_frames} pictures of the guest": self.guest_frames > 1,
            f"{self.frames_backstage} frames from backstage": not self.frames_backstage,
            f"{self.frames_after_removal} frames of the removed": not self.frames_after_removal,
            "the host was not seen meanwhile": self.host_frames_meanwhile > 1,
            f"{self.frames_while_paused} frames in the pause": not self.frames_while_paused,
            "publishing without the right was not refused": self.all_refused,
            f"after the pause {self.heard_again_hz} Hz": near(self.heard_again_hz, HOST_HZ),
        }


@click.command()
def live() -> None:
    """Go live, bring a viewer on the stage and remove them, measure it, and print one JSON line."""
    present(Show(PEOPLE, "stage", "utd_cli.demos.live_client", play))


async def play(cast: Cast, stage: Stage, stack: RunningStack) -> LiveOutcome:
    """Everything from backstage to the end. Raises `ClientFailed`."""
    ana, bea, cal = (cast[name] for name in PEOPLE)
    await _enter(cast, stack)
    for watcher, who in ((bea, "ana"), (cal, "ana"), (ana, "bea"), (cal, "bea")):
        await watcher.tell(lo.Watch(who=who))
    stage.step("ana is backstage and tries to be seen, bea and cal wait", "yellow")
    backstage = await _withheld(ana, (bea, cal), time.monotonic(), stage)
    host, first_ms = await _go_live(ana, (bea, cal), stage)
    guest = await _bring_on_stage(ana, bea, cal, stage)
    gone, meanwhile = await _remove(ana, bea, cal, stage)
    dark, again = await _pause(ana, (bea, cal), stage)
    for client in (cal, bea, ana):
        await client.tell(o.Leave(end=client is ana))
    withheld = (backstage, gone, dark)
    return LiveOutcome(
        heard_hz=host.hz,
        seen_frames=host.pictures,
        picture_correct=host.correct and guest.correct and again.correct,
        guest_hz=guest.hz,
        guest_frames=guest.pictures,
        frames_backstage=backstage.frames,
        frames_after_removal=gone.frames,
        host_frames_meanwhile=meanwhile,
        frames_while_paused=dark.frames,
        publish_refused=sum(one.refused for one in withheld),
        all_refused=all(one.all_refused for one in withheld),
        heard_again_hz=again.hz,
        go_live_to_first_frame_ms=first_ms,
    )


async def _go_live(ana: Client, viewers: Sequence[Client], stage: Stage) -> tuple[Received, float]:
    """What the viewers receive, and when the later one had the first picture."""
    called = (await ana.ask(lo.GoLive(), o.At)).at
    stage.step("ana goes live with sound and picture", "green")
    first = await _all(viewers, lo.FirstPicture(who="ana", after=called), o.At)
    first_ms = ms(max(one.at for one in first) - called)
    stage.step(f"both see her {first_ms:.0f} ms after the call")
    return await _receive("ana", viewers, called, stage), first_ms


async def _bring_on_stage(ana: Client, bea: Client, cal: Client, stage: Stage) -> Received:
    invited = (await ana.ask(lo.Invite(who="bea"), o.At)).at
    await bea.tell(lo.Publish())
    stage.step("ana invites bea, who opens microphone and camera", "green")
    return await _receive("bea", (ana, cal), invited, stage)


async def _remove(ana: Client, bea: Client, cal: Client, stage: Stage) -> tuple[Withheld, int]:
    """What still came of the removed, and how many pictures of the host came meanwhile."""
    removed = (await ana.ask(o.Remove(who="bea"), o.At)).at
    stage.step("ana removes bea, who goes on trying", "red")
    start = removed + GONE_WITHIN_S
    gone = await _withheld(bea, (ana, cal), start, stage)
    order = lo.Count(who="ana", start=start, end=start + DARK_S)
    counted = await _all((bea, cal), order, lo.Counted)
    return gone, min(one.pictures for one in counted)


async def _pause(ana: Client, viewers: Sequence[Client], stage: Stage) -> tuple[Withheld, Received]:
    """What came in the pause, and after it."""
    paused = (await ana.ask(lo.Pause(), o.At)).at
    stage.step("ana pauses and goes on trying", "yellow")
    dark = await _withheld(ana, viewers, paused + GONE_WITHIN_S, stage)
    resumed = (await ana.ask(lo.Resume(), o.At)).at
    stage.step("ana goes on", "green")
    return dark, await _receive("ana", viewers, resumed, stage)


async def _enter(cast: Cast, stack: RunningStack) -> None:
    """The host first, since joining as host opens the stream."""
    name = f"demo-{secrets.token_hex(3)}"
    for client in cast.values():
        await client.tell(
            o.Join(
                base_url=stack.base_url,
                app_id=stack.app_id,
                app_key=stack.app_key,
                identity=client.name,
                room=name,
                as_host=client.name == "ana",
                hz=HOST_HZ if client.name == "ana" else GUEST_HZ,
            )
        )


async def _receive(who: str, watchers: Sequence[Client], after: float, stage: Stage) -> Received:
    """What these receive of somebody who may publish, once it is steady; the worst of it."""
    heard = await _all(watchers, o.FirstSound(who=who, after=after), o.At)
    seen = await _all(watchers, lo.FirstPicture(who=who, after=after), o.At)
    start = max(one.at for one in (*heard, *seen)) + STEADY_S
    end = start + MEASURE_S
    sound = await _all(watchers, o.Measure(who=who, start=start, end=end), o.Measured)
    counted = await _all(watchers, lo.Count(who=who, start=start, end=end), lo.Counted)
    wanted = HOST_HZ if who == "ana" else GUEST_HZ
    farthest = max(sound, key=lambda one: abs(one.hz - wanted))
    hz = round(farthest.hz, 2)
    pictures = min(one.pictures for one in counted)
    correct = all(one.correct == one.pictures and one.moved > 1 for one in counted)
    stage.step(f"the others hear {who} at {hz} Hz and see {pictures} pictures of the pattern")
    return Received(hz, pictures, correct)


async def _withheld(
    who: Client, watchers: Sequence[Client], start: float, stage: Stage
) -> Withheld:
    """What these receive, from `start` on, of one who has no right and tries to publish."""
    end = start + DARK_S
    order = lo.Count(who=who.name, start=start, end=end)
    insisted, counted = await asyncio.gather(
        who.ask(o.Insist(seconds=end - time.monotonic()), o.Insisted),
        _all(watchers, order, lo.Counted),
    )
    frames = sum(one.pictures + one.sounds for one in counted)
    stage.step(f"the others got {frames} frames of it, {insisted.refused} tries were refused")
    all_refused = 0 < insisted.tried == insisted.refused
    return Withheld(frames, insisted.refused, all_refused)


async def _all(clients: Sequence[Client], order: o.Order, kind: type[T]) -> list[T]:
    return list(await asyncio.gather(*[client.ask(order, kind) for client in clients]))
