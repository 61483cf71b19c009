"""The whole engine in this process over a LiveKit that is one too, with a clock that jumps.

What our own tests use, for everybody's:

    async with EngineUnderTest.start() as engine:
        ana = await engine.join("ana", role="host")
        await engine.call("POST", ana.path("/seats/take"), {"index": 0}, bearer=ana.user_token)
        await engine.clock.advance(30)
"""

from utd_engine.testing._clock import FakeClock, FakeIds
from utd_engine.testing._engine import Answer, EngineUnderTest, Joined

__all__ = ["Answer", "EngineUnderTest", "FakeClock", "FakeIds", "Joined"]
