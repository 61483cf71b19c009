"""Limits over HTTP: exact, told before they are reached, and each caller's own."""

from support.asgi import raw_call
from support.route_cases import ROOM

from utd_engine.config import Limits
from utd_engine.testing import Answer, EngineUnderTest, Joined

NONE = Limits(writes_per_second=0, mints_per_second=0, failures_per_second=0)


async def take(engine: EngineUnderTest, who: Joined, **more: str) -> Answer:
    return await engine.call(
        "POST", ROOM + "/seats/take", {"index": 0}, bearer=who.user_token, headers=more
    )


def told(answer: Answer) -> tuple[str | None, ...]:
    names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after")
    return tuple(answer.headers.get(name) for name in names)


async def test_writes_are_counted_down_refused_and_free_again_exactly_then() -> None:
    limits = Limits(writes_per_second=2, writes_burst=4)
    async with EngineUnderTest.start(limits=limits) as engine:
        ana = await engine.join("ana", role="host")
        seen = [told(await take(engine, ana)) for _ in range(4)]
        assert seen == [
            ("4", "3", "1", None), ("4", "2", "1", None),
            ("4", "1", "2", None), ("4", "0", "2", None),
        ]  # fmt: skip
        refused = await take(engine, ana)
        assert (refused.status, refused.code) == (429, "rate_limited")
        assert refused.json()["retry_after"] == 0.5
        assert refused.headers["retry-after"] == "1"
        await engine.clock.advance(0.499)
        refused = await take(engine, ana)
        assert (refused.code, refused.json()["retry_after"]) == ("rate_limited", 0.001)
        await engine.clock.advance(0.001)
        assert (await take(engine, ana)).status == 200
        assert (await take(engine, ana)).status == 429


async def test_each_identity_has_its_own_and_refused_commands_count() -> None:
    limits = Limits(writes_per_second=1, writes_burst=2)
    async with EngineUnderTest.start(limits=limits) as engine:
        ana = await engine.join("ana", role="host")
        bo = await engine.join("bo")
        assert [(await take(engine, ana)).status for _ in range(3)] == [200, 200, 429]
        assert [(await take(engine, bo)).status for _ in range(3)] == [409, 409, 429]
        again = await engine.join("bo", device_id="another device")
        assert (await take(engine, again)).status == 429, "devices of one person share"
        acting = await engine.call(
            "POST", ROOM + "/seats/take", {}, bearer="secret", headers={"x-act-as": "bo"}
        )
        assert acting.status == 429


async def test_the_backend_and_readers_have_no_limit_of_writes() -> None:
    limits = Limits(writes_per_second=1, writes_burst=1)
    async with EngineUnderTest.start(limits=limits) as engine:
        ana = await engine.join("ana", role="host")
        for _ in range(5):
            answer = await engine.call("POST", ROOM + "/seats/mute", {"index": 0}, bearer="secret")
            assert (answer.status, told(answer)) == (200, (None,) * 4)
            assert (await engine.call("GET", ROOM, bearer=ana.user_token)).status == 200


async def test_no_limit_says_nothing_of_limits() -> None:
    async with EngineUnderTest.start(limits=NONE) as engine:
        ana = await engine.join("ana", role="host")
        assert told(await take(engine, ana)) == (None,) * 4


async def test_tokens_are_limited_for_each_identity() -> None:
    limits = Limits(mints_per_second=1, mints_burst=3)
    async with EngineUnderTest.start(limits=limits) as engine:
        wish = {"type": "audio_room", "room_name": "lobby", "role": "host"}

        async def mint(identity: str) -> int:
            body = wish | {"identity": identity}
            return (await engine.call("POST", "/api/v1/token", body, app_key=True)).status

        assert [await mint("ana") for _ in range(4)] == [200, 200, 200, 429]
        assert await mint("bo") == 200
        await engine.clock.advance(1)
        assert [await mint("ana") for _ in range(2)] == [200, 429]


async def test_refused_credentials_are_limited_for_each_address_and_good_ones_are_not() -> None:
    limits = Limits(failures_per_second=1, failures_burst=3)
    async with EngineUnderTest.start(limits=limits) as engine:
        ana = await engine.join("ana", role="host")

        async def tried(bearer: str, remote: str) -> str | None:
            headers = [(b"authorization", f"Bearer {bearer}".encode())]
            return (
                await raw_call(
                    engine.engine.public, "GET", ROOM.encode(), headers=headers, remote=remote
                )
            ).code

        wrong = ["nonsense", "sk_nonsense", "a.b.c", "nonsense"]
        codes = [await tried(bearer, "192.0.2.1") for bearer in wrong]
        assert codes == ["token_invalid"] * 3 + ["rate_limited"]
        assert await tried("nonsense", "192.0.2.2") == "token_invalid"
        assert await tried(ana.user_token, "192.0.2.1") is None, "who knows it is let in"
        engine.clock._elapsed += 3700
        codes = [await tried(ana.user_token, "192.0.2.1") for _ in range(5)]
        assert codes == ["token_expired"] * 5, "an honest client that comes late is no attack"


async def test_wrong_identity_tokens_count_as_refused_credentials() -> None:
    limits = Limits(failures_per_second=1, failures_burst=2)
    async with EngineUnderTest.start(limits=limits) as engine:
        body = {"identity": "ana", "identity_token": "a.b.c"}
        codes = [
            (await engine.call("POST", "/api/v1/auth/session", body, app_key=True)).code
            for _ in range(3)
        ]
        assert codes == ["token_invalid", "token_invalid", "rate_limited"]


async def test_what_is_over_a_limit_is_counted_by_tier() -> None:
    limits = Limits(
        writes_per_second=1, writes_burst=1, mints_per_second=1, mints_burst=1,
        failures_per_second=1, failures_burst=1,
    )  # fmt: skip
    async with EngineUnderTest.start(limits=limits) as engine:
        ana = await engine.join("ana", role="host")
        for _ in range(3):
            await take(engine, ana)
            await engine.call("POST", "/api/v1/auth/session", {"identity": "ana"}, app_key=True)
            await engine.call("GET", ROOM, bearer="nonsense")
        registry = engine.engine.metrics.registry
        counted = {
            tier: registry.get_sample_value("engine_rate_limited_total", {"tier": tier})
            for tier in ("writes", "tokens", "failures")
        }
        assert counted == {"writes": 2, "tokens": 3, "failures": 2}
