"""Children of a supervisor that is a process of its own: order, deaths, readiness, signals."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.up.supervisor import PAUSES_S, STEADY_S, Backoff

ROOT = Path(__file__).parents[3]
Supervise = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    """Start a supervisor of `(name, script, vital)` children in the test's directory."""
    started: list[subprocess.Popen[str]] = []

    def start(*children: tuple[str, str, bool]) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "tests.unit.cli.supervision", str(tmp_path), json.dumps(children)]
        started.append(subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str], line: str) -> None:
    """Read until it has said this line."""
    assert process.stdout is not None
    assert any(each.rstrip("\n") == line for each in process.stdout), f"it ended without {line!r}"


def test_pauses_grow_and_a_steady_run_forgives() -> None:
    backoff = Backoff()
    assert [backoff.died(0.1) for _ in range(9)] == [*PAUSES_S, PAUSES_S[-1], PAUSES_S[-1]]
    assert backoff.died(STEADY_S) == PAUSES_S[0]
    assert backoff.deaths == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_children_stop_in_the_opposite_order(
    tmp_path: Path, supervise: Supervise, number: signal.Signals
) -> None:
    names = ("etcd", "controller", "agent")
    script = "trap 'kill $!; echo {0} >>order; exit' TERM; sleep 60 & : >{0}; wait"
    process = supervise(*((name, script.format(name), False) for name in names))
    said(process, "all are ready")
    process.send_signal(number)
    said(process, "stopping")
    assert process.wait() == 0
    assert (tmp_path / "order").read_text().split() == ["agent", "controller", "etcd"]


def test_who_is_waited_for_is_named_with_what_is_missing(tmp_path: Path, supervise: Supervise) -> None:
    process = supervise(("agent", "exec sleep 60", False))
    said(process, "waits for agent: it made no file")
    (tmp_path / "agent").touch()
    said(process, "all are ready")


def test_a_second_signal_does_not_wait_for_who_does_not_stop(tmp_path: Path, supervise: Supervise) -> None:
    process = supervise(("etcd", "trap '' TERM; : >etcd; exec sleep 60", False))
    said(process, "all are ready")
    process.send_signal(signal.SIGINT)
    said(process, "stopping")
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


def test_a_child_that_dies_is_named_and_started_again(tmp_path: Path, supervise: Supervise) -> None:
    process = supervise(
        ("agent", "echo born >>births; : >agent; kill -9 $$", False),
        ("etcd", ": >etcd; echo why; exit 1", True),
    )
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    # What etcd's deaths are worth saying may stand in between.
    assert re.search(
        r"agent was killed by SIGKILL; starting it again in 0 s\n(.*\n)*?agent started again, pid ", out
    )
    assert out.count("etcd started again") == 4
    assert "polder: etcd ended with status 1, its last words: why; it died 5 times in a row\n  next: " in out
    assert len((tmp_path / "births").read_text().split()) > 1


def test_a_child_that_ends_before_it_is_ready_says_why(tmp_path: Path, supervise: Supervise) -> None:
    (tmp_path / "etcd.log").write_text("of an earlier run\n")
    out, _ = supervise(("etcd", "printf 'no \\033[2Jspace\\n\\n'; exit 3", True)).communicate(timeout=30)
    assert out == (
        "polder: etcd ended with status 3, its last words: no \\x1b[2Jspace\n"
        f"  next: see its log: {tmp_path}/etcd.log\n"
    )


def test_the_words_of_an_earlier_run_are_not_the_last(tmp_path: Path, supervise: Supervise) -> None:
    (tmp_path / "etcd.log").write_text("of an earlier run\n")
    out, _ = supervise(("etcd", "exit 3", True)).communicate(timeout=30)
    assert "its last words: nothing\n" in out


def test_a_child_gets_the_signal_mask_back(supervise: Supervise) -> None:
    """A shell would clear it itself, so another program says what it got."""
    code = "import signal; print(len(signal.pthread_sigmask(0, [])), 'are blocked'); raise SystemExit(1)"
    script = f"exec {sys.executable} -c {shlex.quote(code)}"
    out, _ = supervise(("mask", script, False)).communicate(timeout=30)
    assert "its last words: 0 are blocked\n" in out
