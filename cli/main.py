"""The `polder` command. Each of its commands is imported when it is used: start-up time counts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from cli.failure import Failure
from cli.session import server_options

COMMANDS = {
    "pool": "cli.pool:command",
    "node": "cli.node:command",
    "peer": "cli.peer:command",
    "endpoint": "cli.endpoint:command",
    "attach": "cli.attachment:attach",
    "detach": "cli.attachment:detach",
    "bgp": "cli.bgp:command",
    "up": "cli.up.command:command",
    "pki": "cli.pki:command",
    "etcd": "cli.program:etcd",
    "controller": "cli.program:controller",
    "agent": "cli.program:agent",
    "speaker": "cli.program:speaker",
}


class Lazy(click.Group):
    """A group whose commands are `module:attribute`, imported when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of a user's first day."""
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first argument. click suggests those it has loaded only: name them all to it."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as fault:
            raise click.exceptions.NoSuchCommand(
                fault.command_name, possibilities=COMMANDS, ctx=ctx
            ) from None

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 5 unavailable. "
    "A token for the server goes into POLDER_TOKEN.",
)
@click.version_option(package_name="polder", message="polder %(version)s")
@server_options
def root(server: str | None, ca: str | None, context: str | None, output: str | None) -> None:
    """One routable address for every container, VM and bare-metal host, over plain BGP."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code: always ends in `SystemExit`."""
    try:
        root(arguments, prog_name="polder")
    except Failure as fault:
        click.echo("\n".join(fault.lines()), err=True)
        sys.exit(fault.code)
