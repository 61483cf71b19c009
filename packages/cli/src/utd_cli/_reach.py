"""How commands find a stack: what is given, else what `utd dev` has left in its state folder."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from utd_cli._engine_api import EngineAPI
from utd_cli._state import DEFAULT, read_running

Command = Callable[..., None]

state_option: Final = click.option(
    "--state",
    default=DEFAULT,
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="State folder of the `utd dev` to use, when no address is given.",
)


def with_engine(command: Command) -> Command:
    """Let a command have `api`, which speaks to the engine as the app."""

    @click.option("--base-url", envvar="UTD_BASE_URL", help="Where the engine answers.")
    @click.option(
        "--secret-key",
        envvar="UTD_SECRET_KEY",
        help="The app's secret key (sk_…). Better in UTD_SECRET_KEY: others see arguments.",
    )
    @state_option
    @wraps(command)
    def found(base_url: str | None, secret_key: str | None, state: Path, **options: Any) -> None:  # noqa: ANN401
        running = None if base_url and secret_key else read_running(state)
        known = (running.base_url, running.secret_key) if running else None
        address = _address(("--base-url", base_url), ("--secret-key", secret_key), known, state)
        command(api=EngineAPI(*address), **options)

    return found


def with_admin(command: Command) -> Command:
    """Let a command have `api`, which speaks to the engine's operator port."""

    @click.option("--admin-url", envvar="UTD_ADMIN_URL", help="Where the operator's port answers.")
    @click.option(
        "--admin-token",
        envvar="UTD_ADMIN_TOKEN",
        help="The operator's token. Better in UTD_ADMIN_TOKEN: others see arguments.",
    )
    @state_option
    @wraps(command)
    def found(admin_url: str | None, admin_token: str | None, state: Path, **options: Any) -> None:  # noqa: ANN401
        running = None if admin_url and admin_token else read_running(state)
        known = (running.admin_url, running.admin_token) if running else None
        address = _address(("--admin-url", admin_url), ("--admin-token", admin_token), known, state)
        command(api=EngineAPI(*address), **options)

    return found


def _address(
    url: tuple[str, str | None],
    secret: tuple[str, str | None],
    known: tuple[str, str] | None,
    state: Path,
) -> tuple[str, str]:
    """Address and secret, which belong together: a secret is sent only where it came from."""
    if url[1] and secret[1]:
        return url[1], secret[1]
    if known is None:
        raise click.UsageError(
            f"No stack runs on {state}. Start one with `utd dev`, or name one "
            f"with {url[0]} and {secret[0]}."
        )
    if url[1] and url[1].rstrip("/") != known[0]:
        raise click.UsageError(f"{url[0]} is not the stack of {state}: give its {secret[0]} too.")
    return known[0], secret[1] or known[1]
