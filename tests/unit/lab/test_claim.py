"""The claim on a lab: one holder at a time, and what a killed holder leaves is free as soon as it is."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lab import claim
from lab.claim import Claim
from lab.errors import InUse


def dead_pid() -> int:
    """A pid that was a process and is none any more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    return child.pid


def test_a_lab_has_one_holder(tmp_path: Path) -> None:
    first = Claim("one", within=tmp_path)
    with pytest.raises(InUse, match=str(os.getpid())):
        Claim("one", within=tmp_path)
    first.release()
    Claim("one", within=tmp_path).release()


def locked_by(tmp_path: Path, holder: int) -> int:
    """A lock of lab `one` that says it is held by `holder`; returns its file descriptor."""
    (tmp_path / "one").mkdir()
    fd = os.open(tmp_path / "one" / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.write(fd, f"{holder}\n".encode())
    return fd


def test_a_child_that_a_killed_holder_was_starting_is_waited_for(tmp_path: Path) -> None:
    fd = locked_by(tmp_path, dead_pid())
    letting_go = threading.Timer(0.1, os.close, (fd,))
    letting_go.start()
    Claim("one", within=tmp_path).release()
    letting_go.join()


def test_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "LAST_BREATH_S", 0.05)
    fd = locked_by(tmp_path, dead_pid())
    with pytest.raises(InUse):
        Claim("one", within=tmp_path)
    os.close(fd)


def test_a_living_holder_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "LAST_BREATH_S", 3600)
    fd = locked_by(tmp_path, os.getpid())
    with pytest.raises(InUse):
        Claim("one", within=tmp_path)
    os.close(fd)


def test_who_builds_a_lab_waits_for_who_looks_what_is_left_of_it(tmp_path: Path) -> None:
    looking = Claim("one", within=tmp_path)
    letting_go = threading.Timer(0.1, looking.release)
    letting_go.start()
    building = Claim("one", within=tmp_path, patient=True)
    letting_go.join()
    with pytest.raises(InUse):
        Claim("one", within=tmp_path)
    building.release()


def test_but_not_for_ever_for_who_works_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "LAST_BREATH_S", 0.05)
    working = Claim("one", within=tmp_path)
    with pytest.raises(InUse, match=str(os.getpid())):
        Claim("one", within=tmp_path, patient=True)
    working.release()
