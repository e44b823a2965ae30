"""Who runs in a directory: lock, record, and how a foreign process is told apart."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bgp.exabgp import rundir
from bgp.exabgp.process import Process
from bgp.exabgp.rundir import RunDir
from lab.wait import wait_until


@pytest.fixture
def held(tmp_path: Path) -> Iterator[int]:
    """This process holds the directory's lock."""
    descriptor = rundir.lock(tmp_path)
    assert descriptor is not None
    yield descriptor
    os.close(descriptor)


def test_only_one_holds_the_lock(tmp_path: Path, held: int) -> None:
    assert rundir.lock(tmp_path) is None
    assert rundir.locked(tmp_path)


def test_the_lock_goes_with_its_holder(tmp_path: Path) -> None:
    assert not rundir.locked(tmp_path)
    descriptor = rundir.lock(tmp_path)
    assert descriptor is not None
    os.close(descriptor)
    assert not rundir.locked(tmp_path)


def test_a_process_finds_itself(tmp_path: Path, held: int) -> None:
    made = rundir.record(tmp_path, "text")
    assert rundir.recorded(tmp_path) == made
    found = Process.running(RunDir(tmp_path))
    assert found is not None
    process, digest = found
    assert (process.pid, digest, process.ended()) == (os.getpid(), rundir.digest("text"), False)
    process.close()
    process.close()


@pytest.mark.parametrize(
    "change",
    [
        {"start_time": 1},
        {"boot_id": "another"},
        {"pid": 2**22 + 1},
    ],
)
def test_a_record_of_another_process_is_nobody(tmp_path: Path, held: int, change: dict[str, Any]) -> None:
    rundir.record(tmp_path, "text")
    record = tmp_path / "pid.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | change))
    assert Process.running(RunDir(tmp_path)) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1}'])
def test_an_unreadable_record_is_nobody(tmp_path: Path, held: int, text: str) -> None:
    (tmp_path / "pid.json").write_text(text)
    assert Process.running(RunDir(tmp_path)) is None


def test_a_record_without_a_held_lock_is_nobody(tmp_path: Path) -> None:
    rundir.record(tmp_path, "text")
    assert Process.running(RunDir(tmp_path)) is None


def test_a_process_that_is_gone_has_no_start_time() -> None:
    assert rundir.start_time(2**22 + 1) is None
    assert rundir.start_time(os.getpid()) is not None


def test_a_directory_too_deep_for_a_socket_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        RunDir(Path("/" + "x" * 100))


def test_remove_takes_its_own_files_only(tmp_path: Path) -> None:
    where = RunDir(tmp_path / "tor-a")
    where.make()
    where.config.write_text("text")
    rundir.record(where.path, "text")
    (where.path / "notes").write_text("somebody's")
    where.remove()
    assert [path.name for path in where.path.iterdir()] == ["notes"]
    (where.path / "notes").unlink()
    where.remove()
    where.remove()
    assert not where.path.exists()


def test_processor_time_goes_on_while_something_is_computed() -> None:
    before = rundir.cpu_s(os.getpid())
    wait_until(lambda: rundir.cpu_s(os.getpid()) > before, 5.0, "some of it", poll_s=0.0)
    assert rundir.cpu_s(2**22 + 1) == 0.0
