"""The whole engine in this process over a LiveKit that is one too, with a clock that jumps.

What our own tests use, for everybody's. With clients of the SDK, on a port of loopback (this needs
`utd-engine[testing]`, and its pytest plugin makes fixtures of it):

    async with ServedEngine.serve() as engine:
        ana = await engine.user("ana")
        room = await ana.join_audio_room(identity="ana", room_name="lobby", as_host=True)
        await engine.clock.advance(30)

Called as over HTTP, without any socket, on a clock that stands still between two calls:

    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        await engine.call("POST", ana.path("/seats/take"), {"index": 0}, bearer=ana.user_token)
        await engine.clock.advance(30)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from utd_engine.testing._apps import ServedEngine
    from utd_engine.testing._clock import FakeClock, FakeIds, RunningClock
    from utd_engine.testing._engine import Answer, EngineUnderTest, Joined

__all__ = [
    "Answer",
    "EngineUnderTest",
    "FakeClock",
    "FakeIds",
    "Joined",
    "RunningClock",
    "ServedEngine",
]

_HOMES: Final = {
    "Answer": "_engine",
    "EngineUnderTest": "_engine",
    "FakeClock": "_clock",
    "FakeIds": "_clock",
    "Joined": "_engine",
    "RunningClock": "_clock",
    "ServedEngine": "_apps",
}


def __getattr__(name: str) -> object:
    """Import what is asked for: pytest loads the plugin beside it in every run, used or not."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
