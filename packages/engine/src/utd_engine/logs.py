"""How log lines look: one JSON object each, or text for people. Nothing secret gets this far."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal

import orjson
import structlog

_TOKEN: Final = re.compile(
    r"eyJ[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+){0,4}|\b[ps]k_[A-Za-z0-9_\-]{8,}"
)
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(
    level: Literal["debug", "info", "warning", "error"], form: Literal["json", "text"]
) -> None:
    """Set up structlog for this process; libraries that use `logging` report warnings only."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if form == "json":
        tail: list[Any] = [
            structlog.processors.dict_tracebacks,
            scrubbed,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ]
    else:
        tail = [scrubbed, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    structlog.configure(
        processors=shared + tail,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")


def scrubbed(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace whatever looks like a token or a key, wherever it stands."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _TOKEN.sub("<secret>", value)
        elif isinstance(value, list | dict):
            event[name] = orjson.loads(_TOKEN.sub("<secret>", orjson.dumps(value).decode()))
    return event


def _dumps(event: object, **_: object) -> str:
    return orjson.dumps(event, default=str).decode()
