"""A group of commands, whose help ends with examples of the first of them."""

from __future__ import annotations

import click

from cli.example import examples, first_example

SHOWN = 4


class Group(click.Group):
    """Shows the first example of each of its first commands."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, made when they are asked for."""
        found = (self.get_command(ctx, name) for name in self.list_commands(ctx))
        lines = [line for command in found if command and (line := first_example(command.epilog))]
        self.epilog = examples(*lines[:SHOWN]) if lines else self.epilog
        super().format_epilog(ctx, formatter)
