"""Every command's help ends with examples that its own parser takes."""

from __future__ import annotations

import click
import pytest

from agents.node import __main__ as agent
from agents.speaker import __main__ as speaker
from cli.failure import Exit
from cli.main import COMMANDS, root
from controller import __main__ as controller
from controller import secure
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


GROUPS = [name for name in COMMANDS if isinstance(root.get_command(click.Context(root), name), click.Group)]


@pytest.mark.parametrize("name", ["", *GROUPS])
def test_the_help_of_every_group_ends_with_examples(polder: Polder, name: str) -> None:
    words = [name] if name else []
    shown = polder(*words, "--help").out.partition("Examples:\n")[2].partition("\n\n")[0]
    lines = [line.strip() for line in shown.splitlines()]
    assert 1 <= len(lines) <= 4
    assert all(line.startswith(("polder", "cat")) for line in lines)


def test_every_exit_code_is_in_the_help(polder: Polder) -> None:
    shown = " ".join(polder("--help").out.partition("Exit codes:")[2].split())
    assert [code for code in Exit if f"{code.value} " not in shown] == []


PROGRAMS = {
    "controller": controller.parser,
    "agent": agent.parser,
    "speaker": speaker.parser,
    "etcd secure": secure.parser,
}


@pytest.mark.parametrize("words", PROGRAMS)
def test_examples_of_programs_are_taken(words: str) -> None:
    parser = PROGRAMS[words]()
    text = parser.format_help()
    lines = [line.strip() for line in text.splitlines() if line.startswith("  polder ")]
    assert lines
    for line in lines:
        assert line.startswith(f"polder {words} ")
        given = [each for each in line.split()[len(words.split()) + 1 :] if "--config" not in each]
        node = ["--node", "n"] if "--config" in line else []
        parser.parse_args([*node, *given])
