"""Refusals and failures as `application/problem+json`, with codes from the closed list."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
import structlog

from utd_engine.domain.refusal import Refused
from utd_engine.ports.media import MediaUnavailable
from utd_engine.ports.store import StoreUnavailable
from utd_protocol.errors import FieldError, Problem, status_of, title_of

_encoder: Final = msgspec.json.Encoder()
_log: Final = structlog.get_logger("utd.http")
UNAVAILABLE_RETRY_S: Final = 1.0


def problem_of(error: Exception, request_id: str) -> Problem:
    """The body for any error. What is not foreseen is logged and told as `internal`."""
    match error:
        case Refused():
            return _refused(error, request_id)
        case StoreUnavailable():
            _log.warning("store.unavailable", request_id=request_id, reason=str(error))
            detail = "The database cannot answer now. Repeat it with the same Idempotency-Key."
            return _make("unavailable", detail, request_id, retry_after=UNAVAILABLE_RETRY_S)
        case MediaUnavailable():
            _log.warning("media.unavailable", request_id=request_id, reason=error.code)
            detail = "The media server cannot be reached; the engine goes on trying."
            return _make("media_unavailable", detail, request_id, retry_after=UNAVAILABLE_RETRY_S)
        case _:
            _log.error("request.failed", request_id=request_id, exc_info=error)
            return _make("internal", "The engine failed; its log has the reason.", request_id)


def encode(problem: Problem) -> bytes:
    """As it goes out."""
    return _encoder.encode(problem)


def _make(code: str, detail: str, request_id: str, *, retry_after: float | None = None) -> Problem:
    return Problem(
        title=title_of(code),
        status=status_of(code),
        code=code,
        detail=detail,
        request_id=request_id,
        retry_after=retry_after,
    )


def _refused(refusal: Refused, request_id: str) -> Problem:
    context = dict(refusal.context)
    field = context.pop("field", None)
    retry_after = context.pop("retry_after", None)
    errors = (FieldError(path=str(field), message=refusal.detail),) if field is not None else ()
    return Problem(
        title=title_of(refusal.code),
        status=status_of(refusal.code),
        code=refusal.code,
        detail=refusal.detail,
        request_id=request_id,
        retry_after=float(retry_after) if isinstance(retry_after, int | float) else None,
        rule=refusal.rule,
        hint=refusal.hint,
        errors=errors,
        context=_plain(context),
    )


def _plain(
    context: Mapping[str, str | int | float | datetime | None],
) -> dict[str, str | int | float | None]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in context.items()
    }
