"""The entry point `utd`. A command's module is imported when the command is run, not before."""

from importlib import import_module
from typing import Final

import click

COMMANDS: Final = {
    "dev": ("utd_cli.dev", "Run the whole stack on this machine, for development."),
    "demo": ("utd_cli.demo", "Three people talk in a room; what is heard is measured."),
    "agent": ("utd_cli.agent", "Talk with an AI agent."),
    "rooms": ("utd_cli.rooms", "Look at open rooms."),
    "events": ("utd_cli.events", "Read the log of everything that happened."),
    "apps": ("utd_cli.apps", "Make apps and their keys."),
    "serve": ("utd_cli.serve", "Run the engine, for production."),
    "check-config": ("utd_cli.serve", "Say whether the engine's configuration is right."),
    "migrate": ("utd_cli.serve", "Bring the database to the schema of this release."),
    "secret": ("utd_cli.secret", "Print a new master secret."),
    "livekit": ("utd_cli.livekit", "Find, get and name the media server."),
}
"""Name of the command: its module, which has a click command of this name, and its summary."""


class LazyGroup(click.Group):
    """Knows its commands by name, so that `utd --help` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """In the order of the table, which is the order of first use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The summaries, from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="utd-cli", prog_name="utd")
def main() -> None:
    """Live voice and video sessions on LiveKit: run, try and look into the whole stack."""


if __name__ == "__main__":
    main()
