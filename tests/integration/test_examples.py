"""The examples do what they say, against a real controller on a real etcd."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.polder_up import Up, environment

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(script: str, server: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(EXAMPLES / script)],
        env=environment({"POLDER_SERVER": server}),
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
            assert len(re.findall(r'"addresses":\["10\.64\.0\.\d+"\]', done.stdout)) == 5
            assert len(set(re.findall(r'"addresses":\["(10\.64\.0\.\d+)"\]', done.stdout))) == 1
        left = [
            up.polder(noun, "list").stdout.splitlines()[1:] for noun in ("pool", "node", "peer", "endpoint")
        ]
    assert left == [[], [], [], []]


@pytest.mark.needs("curl")
def test_rest_session_ends_at_the_first_error() -> None:
    done = run("rest-session.sh", "http://127.0.0.1:1")
    assert done.returncode != 0
    assert done.stdout.count("/v1/") == 1
