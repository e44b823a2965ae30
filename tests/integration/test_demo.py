"""The demo is the test of the main job: every claim of it is checked on the wire or in a kernel."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lab.claim import known_labs

NAME = f"demo{os.getpid()}"


@pytest.mark.needs("root", "etcd", "ovs-vswitchd", "bgpd", "zebra", "tcpdump", "nft", "iperf3")
def test_the_demo_passes_and_leaves_nothing() -> None:
    argv = [sys.executable, "-m", "lab", "demo", "--name", NAME]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" passed, 0 failed")
    assert NAME not in known_labs()
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert NAME not in spaces
