"""The engine as `utd serve` runs it, for a bench: SQLite, a LiveKit (or its stand-in), real ports.

Arguments: the folder of the database, the URL of LiveKit, its API key, its API secret,
and the port to serve on (any free one when it is left out).
"""

import sys
from pathlib import Path

from programs import run_program, until_stdin_ends
from starlette.types import ASGIApp, Receive, Scope, Send

from utd_engine import logs, main
from utd_engine.app.apps import AppSettings
from utd_engine.config import HTTP, Admin, Config, Limits, LiveKit, Security, Store

MASTER = "for-benches-only-for-benches-only-for-benches"
NOOP_PATH = "/noop"
ABUNDANT = Limits(
    writes_per_second=1e6, writes_burst=10**6, mints_per_second=1e6, mints_burst=10**6
)
"""Counted like any limits, and never reached."""


class WithNoop:
    """The engine's own ASGI application, beside one path that reads a body and answers `{}`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope.get("path") != NOOP_PATH:
            await self._app(scope, receive, send)
            return
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})


def config(folder: str, url: str, key: str, secret: str, port: str = "0") -> Config:
    return Config(
        http=HTTP(port=int(port)),
        admin=Admin(port=0),
        store=Store(path=str(Path(folder) / "utd.db")),
        livekit=LiveKit(url=url, api_key=key, api_secret=secret),
        security=Security(master_secrets=(MASTER,)),
        limits=ABUNDANT,
    )


async def serve(arguments: list[str]) -> None:
    """Make an app, and serve."""
    async with main.serving(config(*arguments)) as running:
        apps = running.engine.services.apps
        settings = AppSettings(development_identities=10**6)
        tenant, publishable, secret = await apps.create("bench", "development", settings)
        port = int(running.base_url.rpartition(":")[2])
        await until_stdin_ends(
            port=port, app_id=tenant.app_id, app_key=publishable.key, secret_key=secret.key
        )


if __name__ == "__main__":
    logs.configure("info", "json")
    public_app = main.public_app
    main.public_app = lambda *args, **kwargs: WithNoop(public_app(*args, **kwargs))  # type: ignore[assignment]
    run_program(serve(sys.argv[1:]))
