"""A node's switch, or the node itself, goes down and comes back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from bgp.exabgp import rundir
from lab import netns
from lab.host import Host
from lab.lab import Lab

BACK_S = 20.0
GAP_S = 1.0
"""Without forwarding, with the `netdev` datapath: 0.2 to 0.4 s on a machine that does nothing else."""

ANOTHER_BOOT = 'mount --bind "$1" /proc/sys/kernel/random/boot_id; shift; exec "$@"'
"""A command for which the kernel has been booted anew: $1 has the id, the rest is the command."""


def switch_is_restarted(lab: Lab, node: str, sender: Host, address: str) -> None:
    """ovs-vswitchd is killed and started under a ping, which is without answers for less than `GAP_S`."""
    vswitchd = lab.fabric.switches[node].vswitchd
    ping = sender.ping_background(address)
    vswitchd.kill()
    vswitchd.start()
    ping.wait_answers(10, BACK_S)
    report = ping.stop()
    assert report.longest_gap_s < GAP_S, report


@contextmanager
def rebooted(lab: Lab, node: str) -> Iterator[None]:
    """A node goes down, with all that its kernel holds, and comes up; while it is down the block runs."""
    host, switch = lab.hosts[node], lab.fabric.switches[node]
    programs = (lab.polder.agents[node], lab.polder.speakers[node])
    for program in programs:
        program.kill()
    for peer in (host.directory / "polder" / "bgp").glob("*/"):
        if (found := rundir.recorded(peer)) is not None and rundir.start_time(found.pid) == found.start_time:
            os.kill(found.pid, signal.SIGKILL)
    switch.stop()
    for family in ("-4", "-6"):
        host.run("ip", family, *["route", "flush", "proto", "80", "table", "all"], check=False)
    netns.batch([f"link delete {link}" for link in host.links() if link.startswith("pl")], inside=host.netns)
    yield
    switch.start()
    boot_id = host.directory / "boot_id"
    boot_id.write_text(f"{uuid4()}\n")
    for program in programs:
        if ANOTHER_BOOT not in program.argv:
            program.argv = ("sh", "-c", ANOTHER_BOOT, "sh", str(boot_id), *program.argv)
        program.start()
