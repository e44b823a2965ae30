"""What `make lab` prints can be copied into a shell, line by line."""

from __future__ import annotations

import os
import subprocess

import pytest

from lab.lab import Lab
from lab.standing import how_to_enter

pytestmark = pytest.mark.needs("root", "etcd", "ip", "ping", "bgpd", "vtysh", "ovs-vswitchd", "bash")


def test_every_printed_command_does_what_it_says(lab: Lab) -> None:
    mine = f"hint{os.getpid()}"
    lines = [line.strip() for line in how_to_enter(lab, with_polder=True) if line.startswith("  ")]
    commands = [line for line in lines if not line.endswith(" bash")]
    assert len(commands) == len(lines) - 1
    # A name of this run's own, and whatever address it is given.
    text = "\n".join(commands).replace(" web", f" {mine}")
    address = f"$(polder endpoint get {mine} | awk '/^addresses/ {{ print $2 }}')"
    text = text.replace("ping -c 3 10.64.0.1", f"ping -c 3 -i 0.1 -W 2 {address}")
    done = subprocess.run(
        ["bash", "-euc", f"trap 'ip netns delete {mine} 2>/dev/null || true' EXIT\n{text}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 of 6 sessions established" in done.stdout
    assert "3 received, 0% packet loss" in done.stdout
    assert f"endpoint {mine} deleted" in done.stdout
    assert "Bridge polder0" in done.stdout
    assert "cookie=0x504c4452" in done.stdout
