"""docs/cli.md is true: its list of commands is that of the program."""

from __future__ import annotations

import re
from pathlib import Path

import click

from cli.main import COMMANDS
from tests.support.command_tree import commands

OF_PROGRAMS = {"--help", "--retire", "--tls-cert", "--tls-key", "--token-file"}
"""Options of the programs that `polder` becomes, which have parsers of their own."""

DOCS = Path(__file__).parents[3] / "docs" / "cli.md"


def command_list() -> str:
    """The section as it has to be: each command with its first sentence, and the programs it becomes."""
    rows = [(" ".join(words), command.get_short_help_str(200)) for words, command in commands()]
    named = {words.split()[0] for words, _ in rows}
    rows += [(name, line) for name, (_, line) in COMMANDS.items() if name not in named]
    return "| | |\n|---|---|\n" + "".join(f"| `polder {words}` | {text} |\n" for words, text in rows)


def test_all_commands_are_listed() -> None:
    written = DOCS.read_text().partition("## All commands\n")[2].partition("-->\n")[2].strip() + "\n"
    assert written == command_list(), f"the end of {DOCS.name} has to be:\n{command_list()}"


def test_every_option_that_is_named_exists() -> None:
    known = {
        option
        for words, command in commands()
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    text = DOCS.read_text()
    named = set(re.findall(r"(?<![-\w])--[a-z][a-z-]*", text))
    assert named - known - OF_PROGRAMS == set()
