"""`polder up` with a real etcd and a real controller: start, stop, data, deaths, and what it says."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.etcd import EtcdServer
from lab.wait import wait_until
from tests.support.polder_up import Up, polder

pytestmark = pytest.mark.needs("etcd")


def runs(pid: int) -> bool:
    """Whether a process runs, and is no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def pools(up: Up) -> list[str]:
    return [pool["name"] for pool in json.loads(up.polder("pool", "list", "-o", "json").stdout)["items"]]


def test_stopped_it_leaves_no_process_and_all_data(tmp_path: Path) -> None:
    with Up(tmp_path / "data", "--no-agent") as first:
        assert "no pool yet" in first.output
        assert first.polder("pool", "create", "kept", "--cidr", "10.64.0.0/16").returncode == 0
        children = [first.pid("etcd"), first.pid("controller")]
        # Ctrl-C at a terminal goes to a whole process group: theirs are their own, so that the order is kept.
        assert [os.getpgid(pid) for pid in children] == children
        assert first.stop(signal.SIGINT) == 0
    assert not [pid for pid in children if runs(pid)]
    assert f"the data stays in {tmp_path / 'data'}" in first.output
    with Up(tmp_path / "data", "--no-agent") as second:
        assert "pools: kept" in second.output
        assert pools(second) == ["kept"]
        children = [second.pid("etcd"), second.pid("controller")]
        assert second.stop(signal.SIGTERM) == 0
    assert not [pid for pid in children if runs(pid)]


def test_the_commands_it_tells_to_type_work(tmp_path: Path) -> None:
    with Up(tmp_path / "data", "--no-agent") as up:
        steps = re.findall(r"^    polder (.*)$", up.output, re.MULTILINE)
        done = [up.polder(*step.split()) for step in steps]
    assert [step.split()[0] for step in steps] == ["pool", "node", "endpoint"]
    assert [each.returncode for each in done] == [0, 0, 0], [each.stderr for each in done]


def test_killed_it_takes_its_children_along(tmp_path: Path) -> None:
    with Up(tmp_path / "data", "--no-agent") as up:
        children = [up.pid("etcd"), up.pid("controller")]
        groups = {pid: os.getpgid(pid) for pid in children}
        up.process.kill()
        up.process.wait()
        wait_until(
            lambda: [pid for pid in children if runs(pid)],
            30,
            "the children to end",
            good=lambda left: not left,
        )
        for group in groups.values():
            wait_until(
                lambda group=group: _members(group), 30, "grandchildren to end", good=lambda left: not left
            )


def _members(group: int) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [pid for pid in pids if _group(pid) == group and runs(pid)]


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def test_stopped_while_it_starts(tmp_path: Path) -> None:
    up = Up(tmp_path / "data", "--no-agent").launch()
    up.wait_for("polder: etcd")
    etcd = up.pid("etcd")
    assert up.stop() == 0
    assert not runs(etcd)


@pytest.mark.parametrize("program", ["controller", "etcd"])
def test_a_child_that_dies_is_named_and_started_again(tmp_path: Path, program: str) -> None:
    with Up(tmp_path / "data", "--no-agent") as up:
        assert up.polder("pool", "create", "kept", "--cidr", "10.64.0.0/16").returncode == 0
        before = up.pid(program)
        os.kill(before, signal.SIGKILL)
        up.wait_for(f"{program} started again", 30)
        assert f"{program} was killed by SIGKILL; starting it again in 0.5 s" in up.output
        assert up.pid(program) != before
        wait_until(
            lambda: up.polder("pool", "get", "kept").returncode, 30, "the API", good=lambda code: code == 0
        )


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("option", ["--listen", "--etcd-port"])
def test_a_port_in_use(tmp_path: Path, taken: int, option: str) -> None:
    value = f"127.0.0.1:{taken}" if option == "--listen" else str(taken)
    other = [] if option == "--listen" else ["--listen", "127.0.0.1:0"]
    done = polder("up", "--no-agent", "--data-dir", str(tmp_path), option, value, *other)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"polder: 127.0.0.1:{taken} is in use by another program"
    assert option in done.stderr.splitlines()[1]


def test_no_etcd(tmp_path: Path) -> None:
    done = polder(
        "up",
        "--no-agent",
        "--data-dir",
        str(tmp_path),
        "--listen",
        "127.0.0.1:0",
        env={"PATH": str(tmp_path)},
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "polder: etcd is not installed: there is no such program on PATH",
        "  next: apt-get install etcd-server, or use one that runs elsewhere: polder up --etcd URL",
    ]


def test_a_data_directory_in_use(tmp_path: Path) -> None:
    with Up(tmp_path, "--no-agent") as up:
        second = polder("up", "--no-agent", "--data-dir", str(tmp_path), "--listen", "127.0.0.1:0")
        assert second.returncode == 1
        assert f"another `polder up` (pid {up.process.pid}) uses {tmp_path}" in second.stderr


def test_on_another_etcd_it_starts_none(tmp_path: Path) -> None:
    with EtcdServer(tmp_path / "etcd") as etcd:
        with Up(tmp_path / "data", "--no-agent", f"--etcd={etcd.url}") as up:
            assert up.polder("pool", "create", "elsewhere", "--cidr", "10.64.0.0/16").returncode == 0
            assert "polder: etcd" not in up.output
        with Up(tmp_path / "other", "--no-agent", f"--etcd={etcd.url}") as again:
            assert pools(again) == ["elsewhere"]
