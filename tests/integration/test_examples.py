"""The examples do what they say, against a real controller on a real etcd."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.ovs import open_vswitch
from tests.support.polder_up import POLDER, Up, environment

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(
    script: str, server: str, *, prefix: tuple[str, ...] = (), env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, "/bin/sh", str(EXAMPLES / script)],
        env=environment({"POLDER_SERVER": server, **(env or {})}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.needs("etcd", "curl")
def test_rest_session_can_be_run_twice(tmp_path: Path) -> None:
    with Up(tmp_path, "--no-agent") as up:
        for _ in range(2):
            done = run("rest-session.sh", up.url)
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stdout.endswith("rest-session: done\n")
            assert '"node":"example-2"' in done.stdout
            # The POST, its repetition, the read, the list and the move show one and the same address.
            assert len(re.findall(r'"addresses":\["10\.65\.0\.\d+"\]', done.stdout)) == 5
            assert len(set(re.findall(r'"addresses":\["(10\.65\.0\.\d+)"\]', done.stdout))) == 1
        left = [
            up.polder(noun, "list").stdout.splitlines()[1:] for noun in ("pool", "node", "peer", "endpoint")
        ]
    assert left == [[], [], [], []]


@pytest.mark.needs("curl")
def test_rest_session_ends_at_the_first_error() -> None:
    done = run("rest-session.sh", "http://127.0.0.1:1")
    assert done.returncode != 0
    assert done.stdout.count("/v1/") == 1


@pytest.mark.needs("root", "etcd", "ovs-vswitchd", "ovsdb-server", "ip", "nsenter", "ping")
def test_one_host_can_be_run_twice(tmp_path: Path) -> None:
    name = f"example{os.getpid()}"
    with open_vswitch(name, tmp_path):
        # Not `ip netns exec`: the namespace that the script adds has to be seen by the agent.
        prefix = ("nsenter", f"--net=/run/netns/{name}")
        arguments = ("--node=here", f"--run-dir={tmp_path / 'run'}")
        with Up(tmp_path / "data", *arguments, prefix=prefix, env={"OVS_RUNDIR": str(tmp_path)}) as up:
            env = {
                "POLDER_NODE": "here",
                "POLDER_AGENT_SOCKET": str(tmp_path / "run" / "agent.sock"),
                "PATH": os.pathsep.join([str(Path(POLDER[0]).parent), os.environ["PATH"]]),
            }
            # As README.md has it: what the pool's end withdraws from a router keeps the example from nothing.
            peer = [*prefix, *POLDER, "peer", "create", "tor-a", "--address=192.0.2.1", "--asn=64501"]
            subprocess.run(peer, env=environment({"POLDER_SERVER": up.url}), check=True, timeout=60)
            for _ in range(2):
                done = run("one-host.sh", up.url, prefix=prefix, env=env)
                assert done.returncode == 0, done.stdout + done.stderr
                assert "3 received, 0% packet loss" in done.stdout
                assert done.stdout.endswith("endpoint example-web-1 deleted\npool example-host deleted\n")
