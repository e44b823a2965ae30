"""The commands that become a program, and what starting costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cli.main import COMMANDS, root
from cli.program import Program, argv
from tests.unit.cli.conftest import Polder


@pytest.mark.parametrize(
    ("name", "module"),
    [("controller", "controller"), ("agent", "agents.node"), ("speaker", "agents.speaker")],
)
def test_every_argument_is_left_to_the_program(name: str, module: str) -> None:
    context = root.make_context("polder", [name, "--help", "--", "-x", "--server", "y"])
    command = root.get_command(context, name)
    assert isinstance(command, Program)
    inner = command.make_context(name, ["--help", "--", "-x", "--server", "y"])
    assert argv(name, inner.args) == [
        sys.executable,
        "-P",
        "-m",
        module,
        "--help",
        "--",
        "-x",
        "--server",
        "y",
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_imported_and_says_what_it_does(name: str) -> None:
    context = root.make_context("polder", [name])
    command = root.get_command(context, name)
    assert command is not None
    assert command.get_short_help_str()


def test_help_names_every_command_and_imports_nothing_heavy(polder: Polder) -> None:
    ran = polder("--help")
    assert ran.code == 0
    assert all(f"  {name} " in ran.out for name in COMMANDS)
    code = (
        "import sys; from cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'rich', 'http.client', 'ssl', 'ctypes', 'falcon', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
