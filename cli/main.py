"""The `polder` command. Each of its commands is imported when it is used: start-up time counts."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from cli.example import examples
from cli.failure import Exit, Failure
from cli.options import server_options

COMMANDS = {
    "pool": ("cli.pool:command", "Ranges that addresses are assigned from."),
    "node": ("cli.node:command", "Hosts that run workloads."),
    "peer": ("cli.peer:command", "Routers that nodes open BGP sessions with."),
    "endpoint": ("cli.endpoint:command", "Workloads' interfaces, each with an address of its own."),
    "service": ("cli.service:command", "Addresses that several endpoints hold."),
    "policy": ("cli.policy:command", "What endpoints may receive and send, and from and to whom."),
    "block": ("cli.address:block", "Parts of pools that nodes have claimed."),
    "address": ("cli.address:command", "Addresses of pools, and who has them."),
    "restore": (
        "cli.restore:command",
        "Complete a restored backup of etcd with what nodes hold.",
    ),
    "apply": ("cli.apply:apply", "Make it so as documents say."),
    "delete": ("cli.apply:delete", "Delete what documents name."),
    "attach": (
        "cli.attachment:attach",
        "Put an endpoint of this node where it is: into a namespace, on a port, or behind a neighbour.",
    ),
    "detach": ("cli.attachment:detach", "Take an endpoint out of its place."),
    "trace": ("cli.trace:trace", "Say which way a packet takes, and where and why it stops."),
    "bgp": ("cli.bgp:command", "The BGP sessions and announced prefixes of all nodes."),
    "drain": ("cli.drain:command", "Nodes and peers that traffic is led away from."),
    "tor": ("cli.tor:command", "What routers need to peer with nodes, and whether they have it."),
    "event": ("cli.event:command", "What happened in the last hours."),
    "tenant": ("cli.tenant:command", "Whose endpoints are counted, with quotas."),
    "token": ("cli.token:command", "Who may use the API, and as what."),
    "context": ("cli.context:command", "Servers with a token, by name, in the config file."),
    "completion": (
        "cli.completion:command",
        "Print the script that completes commands and names in a shell.",
    ),
    "up": ("cli.up.command:command", "Run everything on this host."),
    "pki": ("cli.pki:command", "Certificates, for those who have no PKI."),
    "etcd": ("cli.program:etcd", "What Polder needs of etcd."),
    "controller": ("cli.program:controller", "Run a controller: the REST API and address assignment."),
    "agent": ("cli.program:agent", "Run this node's agent: routes, flows, attachments."),
    "speaker": ("cli.program:speaker", "Run this node's BGP speaker."),
}
"""Where each command is, and its line in the help: to read that in the command would take an import."""


NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Why standard output may take no more."""


class Lazy(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of a user's first day."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands and their lines, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

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
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises `Failure` on Ctrl-C: click would say that it was aborted."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Failure(
                "interrupted; what a controller was asked for goes on without this command"
            ) from None


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "polder up",
        "polder pool create default --cidr 10.64.0.0/16",
        "polder endpoint create web-1 --node node-1",
        "polder apply -f site.yaml --dry-run",
    )
    + "\n\nExit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 5 unavailable, 6 apply --dry-run "
    "--exit-code would change something. A token for the server goes into POLDER_TOKEN, or into a context.",
)
@click.version_option(package_name="polder", message="polder %(version)s")
@server_options
def root(server: str | None, ca: str | None, context: str | None, output: str | None) -> None:
    """One routable address for every container, VM and bare-metal host, over plain BGP."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code: always ends in `SystemExit`."""
    # Closed before this began: what is printed goes nowhere, and there is nothing to read.
    sys.stdin = sys.stdin or os.fdopen(os.open(os.devnull, os.O_RDONLY))
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    try:
        root(arguments, prog_name="polder")
    except Failure as fault:
        click.echo("\n".join(fault.lines()), err=True)
        sys.exit(fault.code)
    except OSError as fault:
        if fault.errno not in NO_ROOM:
            raise
        # What is left of the output would be tried again, and fail again, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"polder: the output cannot be written: {fault.strerror}", err=True)
        sys.exit(Exit.FAILED)
