"""Every command's help ends with examples that its own parser takes."""

from __future__ import annotations

import click
import pytest

from cli.main import COMMANDS, root
from tests.support.command_tree import commands, examples_of, parts
from tests.unit.cli.conftest import Polder

TREE = dict(commands())


@pytest.mark.parametrize("words", TREE, ids=" ".join)
def test_examples_are_of_the_command_and_are_taken(words: tuple[str, ...]) -> None:
    lines = examples_of(TREE[words])
    assert lines, "give it epilog=examples(...), of cli/example.py"
    for line in lines:
        vectors = parts(line)
        assert words in [tuple(vector[: len(words)]) for vector in vectors], line
        for vector in vectors:
            parse(vector)


def parse(vector: list[str]) -> None:
    """Parse it all down the tree, and run nothing."""
    command: click.Command | None = root
    name: str | None = "polder"
    context: click.Context | None = None
    while command is not None:
        context = command.make_context(name, vector, parent=context)
        if not isinstance(command, click.Group):
            return
        name, command, vector = command.resolve_command(context, [*context._protected_args, *context.args])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_in_the_list_is_the_commands_own(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    assert COMMANDS[name][1] == command.get_short_help_str(200)


def test_help_is_text_for_people(polder: Polder) -> None:
    ran = polder("pool", "set", "--help")
    assert ran.code == 0
    assert ran.out.rstrip().splitlines()[-1] == '    polder pool set default --cooldown-s "" --enabled'
