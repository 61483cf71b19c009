"""Calls of the engine's HTTP API for commands that ask one thing and print it."""

import http.client
from typing import Final, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import click
import msgspec

from utd_protocol.errors import Problem

T = TypeVar("T")

TIMEOUT_S: Final = 10.0
NOT_FOUND: Final = 404


class Refused(click.ClickException):
    """The engine said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class EngineAPI:
    """One address and the secret that opens it. It blocks, and follows no proxy settings."""

    def __init__(self, base_url: str, bearer: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._bearer = bearer
        self._opener = build_opener(ProxyHandler({}))

    def get(self, path: str, kind: type[T], **query: object) -> T:
        """Ask. Values of `query` that are None are left out.

        Raises:
            Refused: with what the engine said.
            click.ClickException: it cannot be reached.
        """
        given = {name: value for name, value in query.items() if value is not None}
        return self.send("GET", f"{path}?{urlencode(given)}" if given else path, kind)

    def send(self, method: str, path: str, kind: type[T], body: object = None) -> T:
        """Ask for a change. Raises as `get`."""
        headers = {"authorization": f"Bearer {self._bearer}", "content-type": "application/json"}
        data = None if body is None else msgspec.json.encode(body)
        request = Request(self._base_url + path, data, headers, method=method)  # noqa: S310
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                return msgspec.json.decode(answer.read(), type=kind)
        except HTTPError as error:
            raise Refused(error.code, _said(error)) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise click.ClickException(
                f"{self._base_url} cannot be reached ({reason}). Is `utd dev` still running?"
            ) from None


def _said(error: HTTPError) -> str:
    try:
        problem = msgspec.json.decode(error.read(), type=Problem)
    except (msgspec.DecodeError, OSError):
        return f"The engine answered {error.code}."
    parts = [problem.detail or problem.title, problem.hint or ""]
    return " ".join(part for part in parts if part)
