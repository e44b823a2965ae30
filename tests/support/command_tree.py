"""The tree of `polder`'s commands, for tests that hold for each of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click

from cli.main import root
from cli.program import Program


def commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Each command that does something, with the words that lead to it; not the programs it becomes."""
    yield from _below(root, ())


def _below(group: click.Group, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _below(command, (*words, name))
        elif not isinstance(command, Program):
            yield (*words, name), command


def examples_of(command: click.Command) -> list[str]:
    """The lines below `Examples:` in its help."""
    _, _, text = (command.epilog or "").partition("Examples:\n")
    return [line.strip() for line in text.split("\n\n")[0].splitlines() if line.strip()]


def parts(line: str) -> list[list[str]]:
    """The argument vectors of a line, one for each `polder` in its pipe."""
    words = [shlex.split(part) for part in re.split(r" \| ", line)]
    return [vector[1:] for vector in words if vector[0] == "polder"]
