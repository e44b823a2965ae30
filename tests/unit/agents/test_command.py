"""The programs of a node as commands: a thread that dies takes the program with it, from the first on."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from agents import command
from agents.command import Refusal

DIES_AT_START = """
import sys, threading
from agents import command

class Program:
    def start(self):
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
    def run(self):
        print("ran")
    def stop(self):
        pass

args = command.arguments("test", "", "").parse_args(["--node", "n1"])
sys.exit(command.run("test", args, lambda store: Program()))
"""


def test_a_thread_that_dies_while_the_program_starts_ends_it() -> None:
    done = subprocess.run([sys.executable, "-c", DIES_AT_START], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (1, "")
    assert "ZeroDivisionError" in done.stderr


def test_a_refusal_is_one_line_and_leaves_no_hook(capsys: pytest.CaptureFixture[str]) -> None:
    class Refusing:
        def start(self) -> None:
            raise Refusal("not like that")

        def run(self) -> None: ...

        def stop(self) -> None: ...

    before = threading.excepthook
    args = command.arguments("test", "", "").parse_args(["--node", "n1"])
    assert command.run("test", args, lambda _store: Refusing()) == command.USAGE_ERROR
    assert capsys.readouterr().err == "polder test: not like that\n"
    assert threading.excepthook is before
