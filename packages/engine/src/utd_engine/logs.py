"""How log lines look: one JSON object each, or text for people. Nothing secret gets this far."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal

import orjson
import structlog

_TOKEN: Final = re.compile(
    r"eyJ[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+){0,4}|\b(?:[ps]k|idt|whsec)_[A-Za-z0-9_\-]{8,}"
)
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(
    level: Literal["debug", "info", "warning", "error"], form: Literal["json", "text"]
) -> None:
    """Set up structlog for this process; libraries that use `logging` report warnings only.

    Tracebacks are text without the values of variables, which may be anybody's secrets.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if form == "json":
        renderer: Any = structlog.processors.JSONRenderer(serializer=_dumps)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    tail: list[Any] = [structlog.processors.format_exc_info, scrubbed, renderer]
    structlog.configure(
        processors=shared + tail,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    libraries = logging.StreamHandler(sys.stderr)
    libraries.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[libraries], force=True)


def scrubbed(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace whatever looks like a token or a key, wherever it stands."""
    for name, value in event.items():
        if isinstance(value, str):
            if "_" in value or "eyJ" in value:  # No token or key is without; most values are.
                event[name] = _TOKEN.sub("<secret>", value)
        elif value is not None and not isinstance(value, bool | int | float):
            event[name] = orjson.loads(_TOKEN.sub("<secret>", _dumps(value)))
    return event


def _dumps(event: object, **_: object) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
