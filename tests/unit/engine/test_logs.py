"""Log lines: one JSON object each, and nothing secret whatever is logged."""

import json
import logging
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog

from utd_engine import logs
from utd_engine.app.tokens import UserTokens
from utd_engine.testing import FakeClock

SECRETS = {
    "user token": UserTokens([b"m" * 43], FakeClock()).mint("app1", "ana", "phone").token,
    "publishable key": "pk_" + "k" * 32,
    "secret key": "sk_" + "K-_9" * 8,
    "identity secret": "idt_" + "0a" * 32,
    "webhook secret": "whsec_" + "w" * 32,
}


@pytest.fixture(autouse=True)
def _undone() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.basicConfig(handlers=handlers, level=level, force=True)


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    text = capsys.readouterr().err
    assert text.count("\n") == 1, text
    return dict(json.loads(text))


def test_a_line_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    structlog.get_logger("x").info("seat.taken", seq=3, room="rm_1", names=("a", "b"))
    told = line(capsys)
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "event": "seat.taken", "level": "info", "seq": 3, "room": "rm_1", "names": ["a", "b"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_lines_below_the_level_are_not_written(
    level: Literal["debug", "info", "warning", "error"],
    written: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(level, "json")
    log = structlog.get_logger("x")
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("something")
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(one)["level"] for one in lines] == written


class Holder:
    """Something whose text has a secret in it."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def __repr__(self) -> str:
        return f"<holder of {self.secret}>"


def fail(secret: str) -> None:
    password = Holder(secret)
    raise ValueError(f"{password} is wrong")


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_no_secret_is_written_wherever_it_stands(
    secret: str, form: Literal["json", "text"], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("debug", form)
    log = structlog.get_logger("x")
    log.info(
        "canary",
        text=f"Bearer {secret}!",
        listed=[1, secret],
        tupled=(secret,),
        nested={"a": [{"b": secret}], secret: 1},
        held=Holder(secret),
        in_set={secret},
        raw=secret.encode(),
    )
    event = f"event with {secret}"
    log.info(event)
    try:
        fail(secret)
    except ValueError as error:
        log.exception("failed")
        log.warning("failed", exc_info=error)
        logging.getLogger("uvicorn.error").exception("library failed with %s", secret)
    logging.getLogger("asyncio").warning("library: %r", {"token": secret})
    text = capsys.readouterr().err
    assert secret not in text
    assert "<secret>" in text
    assert "ValueError" in text
    if form == "json":
        assert all(isinstance(json.loads(one), dict) for one in text.splitlines())


def test_a_traceback_has_no_values_of_variables(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("json", "text"):
        logs.configure("info", form)
        canary = "canary-of-a-local-variable"
        try:
            _with_local(canary)
        except ZeroDivisionError:
            structlog.get_logger("x").exception("failed")
        text = capsys.readouterr().err
        assert "ZeroDivisionError" in text
        assert "_with_local" in text
        assert canary not in text


def _with_local(canary: str) -> float:
    return len(canary) / (len(canary) - len(canary))


def test_a_new_line_does_not_begin_another_entry(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    structlog.get_logger("x").info("request", path='a\n{"event":"forged"}\r\nb')
    assert line(capsys)["event"] == "request"


def test_libraries_report_warnings_as_objects(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "json")
    logging.getLogger("aiohttp").info("chatter")
    logging.getLogger("aiohttp").warning("slow %s", "loop")
    told = line(capsys)
    assert (told["event"], told["level"], told["logger"]) == ("slow loop", "warning", "aiohttp")
