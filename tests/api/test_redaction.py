"""No secret that goes through the engine comes out in a log line, metric or refusal (S11)."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from support.faulty_store import FaultyStore
from support.forged import forged, identity_token
from support.route_cases import CASES, ROOM, ROWS, Cast, cast

from utd_engine import logs
from utd_engine.adapters.memory.media import MEMORY_KEY
from utd_engine.testing import EngineUnderTest
from utd_engine.testing._engine import ADMIN_TOKEN, MASTER


@pytest.fixture
def as_served() -> Iterator[Callable[[], None]]:
    """Log as `serve` does, then as tests do again."""
    handlers, level = logging.root.handlers[:], logging.root.level

    def configure() -> None:
        logs.configure("debug", "json")
        structlog.configure(cache_logger_on_first_use=False)  # loggers of modules outlive the test

    yield configure
    structlog.reset_defaults()
    logging.basicConfig(handlers=handlers, level=level, force=True)


class Trial:
    """An engine whose secrets are known, everything that is refused, and all that is logged."""

    def __init__(self, play: Cast, store: FaultyStore) -> None:
        self.engine = engine = play.engine
        self.play = play
        self.store = store
        self.told: list[str] = []
        self.identity = identity_token(engine, "bo")
        self.keys = {
            "master secret": MASTER,
            "identity secret": engine.engine.identities.secret(engine.app_id),
            "LiveKit's secret": MEMORY_KEY.secret,
            "admin token": ADMIN_TOKEN,
        }
        self.tokens = {"identity token": self.identity, "secret key": engine.secret_key}
        for who, one in play.people.items():
            self.tokens |= {
                f"user token of {who}": one.user_token,
                f"LiveKit token of {who}": one.answer.token,
            }

    async def send(self, method: str, path: str, body: object = None, **more: Any) -> None:
        """One request; what it is refused with is kept."""
        answer = await self.engine.call(method, path, body, **more)
        if answer.status != 200:
            self.told.append(answer.body.decode() + repr(answer.headers))

    async def every_row_with_every_secret(self) -> None:
        for name in ROWS:
            row, case = ROWS[name], CASES[name]
            if row.path.endswith("/end"):
                continue
            for secret in (self.keys | self.tokens).values():
                await self.send(row.method, case.path, case.body, bearer=secret)

    async def secrets_where_they_do_not_belong(self) -> None:
        for secret in self.tokens.values():
            for path in ("/api/v1/token", ROOM + "/seats/take"):
                await self.send("POST", path, {"index": [secret]}, bearer="secret")
            await self.send("GET", "/api/v1/rooms", bearer="secret", query={"limit": secret})
            await self.send("GET", ROOM, bearer="secret", headers={"x-request-id": secret[:60]})
        for token in forged(self.play.people["ana"].user_token).values():
            await self.send("GET", ROOM, bearer=token.encode().decode("latin-1"))
        body = {"identity": "bo", "identity_token": self.identity[:-2] + "xx"}
        await self.send("POST", "/api/v1/auth/session", body, app_key=True)

    async def failures(self) -> None:
        for method in ("append", "load", "bans_of", "key_by_digest"):
            self.store.failing = {method}
            await self.send("POST", ROOM + "/seats/take", {"index": 1}, bearer="secret")
        self.store.failing = set()

        def explode(method: str) -> None:
            if method == "open_rooms":
                raise ValueError(f"failed with {self.engine.secret_key} and {self.identity}")

        self.store.before = explode
        await self.send("GET", "/api/v1/rooms", bearer="secret")
        self.store.before = lambda _method: None
        for path in ("/admin/v1/apps", "/admin/v1/nothing"):
            answer = await self.engine.operate("GET", path, token=self.engine.secret_key)
            self.told.append(answer.body.decode())


async def test_no_secret_is_logged_measured_or_told(
    capsys: pytest.CaptureFixture[str], as_served: Callable[[], None]
) -> None:
    as_served()
    store = FaultyStore()
    async with EngineUnderTest.start(store=store) as engine:
        trial = Trial(await cast(engine), store)
        await trial.every_row_with_every_secret()
        await trial.secrets_where_they_do_not_belong()
        await trial.failures()
        metrics = (await engine.operate("GET", "/metrics")).body.decode()
        await engine.clock.advance(6)
    lines = capsys.readouterr()
    written, refused = lines.out + lines.err, "\n".join(trial.told)
    assert written.count("\n") > 300
    assert len(trial.told) > 300
    assert "request.failed" in written
    assert "<secret>" in written
    for what, secret in (trial.keys | trial.tokens).items():
        assert secret not in written, f"{what} is in the log"
        assert secret not in metrics, f"{what} is in the metrics"
        signature = secret.rpartition(".")[2]
        assert signature not in written, f"the signature of {what} is in the log"
    for what, secret in trial.keys.items():
        assert secret not in refused, f"{what} is in a refusal"
