"""`utd livekit`: the media server of this machine."""

import time

import click

from utd_cli.media_server.binary import ServerNotFound, cached_path, find_server, get_server
from utd_cli.media_server.pin import VERSION, Report


@click.group()
def livekit() -> None:
    """Find, get and name the media server (livekit-server)."""


@livekit.command()
def install() -> None:
    """Get livekit-server into the cache, unless this machine has it; prints where it is."""
    try:
        click.echo(get_server(progress()))
    except ServerNotFound as failure:
        raise click.ClickException(str(failure)) from failure


@livekit.command()
def path() -> None:
    """Print where livekit-server is; fails when it is not here."""
    try:
        found = find_server()
    except ServerNotFound as failure:
        raise click.ClickException(str(failure)) from failure
    if found is None:
        raise click.ClickException(
            f"There is no livekit-server {VERSION} here, and none in the cache ({cached_path()}). "
            "Get it with: utd livekit install"
        )
    click.echo(found)


@livekit.command()
def version() -> None:
    """Print the version of livekit-server that belongs to this release."""
    click.echo(VERSION)


def progress() -> Report:
    """Lines on stderr, each with the seconds since the first."""
    started = time.monotonic()

    def report(line: str) -> None:
        click.echo(f"[{time.monotonic() - started:6.1f} s] {line}", err=True)

    return report
