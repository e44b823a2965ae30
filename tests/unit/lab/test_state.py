from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lab.claim import Claim
from lab.errors import LabError
from lab.processes import Process
from lab.state import Ledger


def test_a_ledger_says_what_was_made(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.begin()
    ledger.namespace("x-tor-a")
    ledger.process(os.getpid())
    made = Ledger(tmp_path).read()
    assert made.namespaces == ["x-tor-a"]
    assert [process.pid for process in made.processes] == [os.getpid()]
    assert not made.standing
    ledger.standing()
    assert Ledger(tmp_path).read().standing


def test_no_ledger_means_nothing_was_made(tmp_path: Path) -> None:
    assert Ledger(tmp_path).read().namespaces == []


def test_a_line_cut_short_by_a_crash_is_left_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.begin()
    ledger.namespace("x-one")
    with (tmp_path / "ledger").open("a") as file:
        file.write('{"netns": "x-tw')
    assert ledger.read().namespaces == ["x-one"]


def test_what_was_made_before_a_reboot_is_gone(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text(
        '{"boot": "another"}\n{"netns": "x-one"}\n{"pid": 1, "started": 1}\n{"standing": true}\n'
    )
    made = Ledger(tmp_path).read()
    assert (made.namespaces, made.processes, made.standing) == ([], [], False)


def test_a_pid_that_does_not_run_is_not_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.process(2**22 + 1)
    assert ledger.read().processes == []


def test_a_lab_has_one_holder_and_the_other_is_told_who(tmp_path: Path) -> None:
    held = Claim("one", within=tmp_path)
    with pytest.raises(LabError, match=f"lab one is in use by process {os.getpid()}: "):
        Claim("one", within=tmp_path)
    other = Claim("two", within=tmp_path)
    held.release()
    held.release()
    Claim("one", within=tmp_path).erase()
    other.erase()


def test_erase_leaves_nothing_and_the_name_can_be_claimed_again(tmp_path: Path) -> None:
    home = tmp_path / "labs"
    claim = Claim("one", within=home)
    claim.ledger.begin()
    (claim.directory / "tor-a").mkdir()
    (claim.directory / "tor-a" / "log").touch()
    claim.erase()
    assert not home.exists()
    Claim("one", within=home).erase()


@pytest.mark.parametrize("name", ["", "Lab", "a-b", "../etc", "a" * 17, "1a"])
def test_a_name_that_cannot_begin_a_namespace_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LabError, match="cannot name a lab"):
        Claim(name, within=tmp_path)


def test_processes_are_compared_by_pid_and_start() -> None:
    assert Process(1, 2) != Process(1, 3)


def test_nothing_is_started_once_a_lab_is_being_removed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    with ledger.starting() as started, subprocess.Popen(["true"]) as child:
        started(child)
    ledger.reap()
    ledger.close()
    with pytest.raises(LabError, match="being removed"), ledger.starting():
        pass
