"""`polder controller`, `polder agent`, `polder speaker`: become that program, with the same arguments."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from cli.example import examples
from cli.group import Group

MODULES = {"controller": "controller", "agent": "agents.node", "speaker": "agents.speaker"}
"""What runs until it is stopped, by the name of its command."""

TOOLS = {"secure": "controller.secure"}
"""What does one thing and ends."""


def argv(program: str, arguments: Sequence[str]) -> list[str]:
    """The argument vector that runs a program.

    `-P`: a directory of the same name where the user happens to be is not imported.
    """
    return [sys.executable, "-P", "-m", {**MODULES, **TOOLS}[program], *arguments]


class Program(click.Command):
    """A command that leaves every argument to the program it becomes, `--help` and `--` included."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the arguments as they are."""
        ctx.args = list(args)
        return ctx.args

    def invoke(self, ctx: click.Context) -> None:
        """Replace this process. Does not return."""
        vector = argv(str(self.name), ctx.args)
        os.execv(vector[0], vector)  # noqa: S606 - no shell on purpose


class Agent(Program):
    """The agent, and what is done once on its host: `polder agent join`, `polder agent renew`."""

    def invoke(self, ctx: click.Context) -> None:
        """Run the tool of that name, or become the agent."""
        name, *rest = ctx.args or [""]
        if name not in ("join", "renew"):
            super().invoke(ctx)
        from cli import join

        tool: click.Command = getattr(join, name)
        with tool.make_context(f"agent {name}", rest, parent=ctx.parent) as inner:
            tool.invoke(inner)


controller = Program("controller", help="Run a controller: the REST API and address assignment.")
agent = Agent("agent", help="Run this node's agent: routes, flows, attachments.")
speaker = Program("speaker", help="Run this node's BGP speaker.")
etcd = Group(
    "etcd",
    help="What Polder needs of etcd.",
    commands=[
        Program(
            "secure",
            help="Have etcd ask each client for its rights.",
            epilog=examples(
                "polder etcd secure --pki /etc/polder/pki --etcd https://etcd-1.example.net:2379"
            ),
        )
    ],
)
