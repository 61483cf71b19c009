"""`utd serve`, and what an operator does before it: check the configuration, migrate."""

import asyncio
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import click

from utd_engine import config as engine_config
from utd_engine import logs, main
from utd_engine.adapters.sqlite import migrate as migrations
from utd_engine.ports.store import StoreUnavailable

config_option = click.option(
    "--config",
    "path",
    required=True,
    envvar="UTD_CONFIG",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The engine's configuration, a TOML file; UTD_CONFIG names it too.",
)


@click.command()
@config_option
def serve(path: Path) -> None:
    """Run the engine until SIGTERM or Ctrl-C."""
    with _told():
        config = engine_config.load(path)
        logs.configure(config.log.level, config.log.format)
        with asyncio.Runner(loop_factory=fast_loop()) as runner:
            runner.run(main.serve(config))


@click.command(name="check-config")
@config_option
def check_config(path: Path) -> None:
    """Say whether the configuration is right; if not, which field is wrong and what to do."""
    with _told():
        engine_config.load(path)
    click.echo(f"{path} is right.")


@click.command()
@config_option
def migrate(path: Path) -> None:
    """Bring the database to the schema of this release, while no engine has it open."""
    with _told():
        database = Path(engine_config.load(path).store.path)
        pending = migrations.status(database).pending
        schema = max(migrations.migrate(database).applied, default=0)
    steps = f"{len(pending)} step{'' if len(pending) == 1 else 's'} applied now"
    click.echo(f"{database} is at schema {schema}, {steps}.")


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop of uvloop where there is one, else that of the standard library."""
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415  # not made for every system

    return uvloop.new_event_loop


@contextmanager
def _told() -> Generator[None]:
    """What an operator can put right is said without a traceback."""
    try:
        yield
    except (
        engine_config.ConfigError, StoreUnavailable, migrations.SchemaError
    ) as problem:  # fmt: skip
        raise click.ClickException(str(problem)) from problem
