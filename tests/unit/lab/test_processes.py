from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lab import processes
from lab.processes import Process


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child
        child.kill()


def identified(child: subprocess.Popen[bytes]) -> Process:
    process = processes.identify(child.pid)
    assert process is not None
    return process


def test_end_ends_a_process(sleeper: subprocess.Popen[bytes]) -> None:
    process = identified(sleeper)
    assert processes.alive(process)
    assert processes.end([process]) == []
    assert sleeper.wait() == -signal.SIGTERM
    assert not processes.alive(process)


def test_a_pid_that_is_used_again_is_not_touched(sleeper: subprocess.Popen[bytes]) -> None:
    process = identified(sleeper)
    assert processes.end([Process(process.pid, process.started - 1)]) == []
    assert sleeper.poll() is None


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    stubborn = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert processes.end([identified(child)], patience_s=0.05) == []
        assert child.wait() == -signal.SIGKILL


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes.identify(child.pid) is None


def test_nobody_has_a_pid_beyond_the_limit() -> None:
    assert processes.identify(2**22 + 1) is None
    assert processes.end([Process(2**22 + 1, 1)]) == []
