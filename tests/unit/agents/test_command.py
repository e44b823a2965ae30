"""The programs of a node as commands: a thread that dies takes the program with it, from the first on."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from agents import command
from agents.command import Refusal
from pki import files
from pki.certificate import cert_pem
from pki.directory import Directory, read_key

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


ENDS = """
import sys
from agents import command

class Program:
    def start(self): ...
    def run(self):
        sys.stdin.readline()
    def stop(self): ...

args = command.arguments("test", "", "").parse_args(sys.argv[1:])
sys.exit(command.run("test", args, lambda store: Program()))
"""


def test_the_log_says_that_the_certificate_of_a_node_ends_soon(tmp_path: Path) -> None:
    directory = Directory.create(tmp_path)
    own = directory.issue("node")
    brief = directory.authority.issue(read_key(own.key, "").public_key(), "node", lifetime=timedelta(days=3))
    files.write(own.cert, cert_pem(brief))
    options = {"etcd-ca": directory.ca, "etcd-cert": own.cert, "etcd-key": own.key}
    argv = [f"--{name}={value}" for name, value in options.items()]
    with subprocess.Popen(
        [sys.executable, "-c", ENDS, "--node=n1", "--etcd=https://127.0.0.1:1", *argv],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin
        assert program.stderr
        said = program.stderr.readline()
        program.stdin.write("\n")
    assert f"event=certificate-ends file={own.cert} " in said
    assert "days=2" in said
