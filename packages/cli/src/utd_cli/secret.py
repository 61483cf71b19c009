"""`utd secret`."""

import click

from utd_cli._state import new_secret


@click.command()
def secret() -> None:
    """Print a new master secret, for `security.master_secrets` or UTD_MASTER_SECRET."""
    click.echo(new_secret())
