"""A node that is shut down leads its traffic away by itself: the shipped units, run by a real systemd."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from lab.lab import Lab
from lab.netns import path as netns_path
from lab.processes import PROC, inside
from lab.wait import wait_until
from tests.support.boot import Booted, booted
from tests.support.cluster import NODE
from tests.support.containers import BACK_S, Fixed, delete, make

pytestmark = pytest.mark.needs("root", "etcd", "ovs-vswitchd", "bgpd", "zebra", "unshare", "systemctl")

UNITS = ("polder-agent", "polder-speaker", "polder-shutdown")
GRACEFUL_S = 3
UPLINK = "10.1.1.1"
"""Of the node, at tor-a."""


@pytest.fixture
def web(lab: Lab) -> Iterator[Fixed]:
    """What runs on the node until it goes down."""
    yield make(lab, "goes-down")
    delete(lab, "goes-down")
    lab.fabric.remove_container("goes-down")


@pytest.fixture
def machine(web: Fixed, tmp_path: Path) -> Iterator[Booted]:
    """The node, with systemd in the place of the lab: it starts what the lab has ended."""
    lab = web.lab
    agent, speaker = lab.polder.agents[NODE], lab.polder.speakers[NODE]
    config = lab.hosts[NODE].directory / "etc" / "node.conf"
    ovs = Path(lab.fabric.switches[NODE].db.removeprefix("unix:")).parent
    agent.stop()
    speaker.stop()
    try:
        lab.hosts[NODE].run(*speaker.argv, "--retire", timeout_s=60.0)
        with booted(lab.hosts[NODE], config, ovs, tmp_path, *UNITS, graceful_s=GRACEFUL_S) as made:
            yield made
    finally:
        agent.start()
        speaker.start()
        lab.polder.wait_sessions()


def programs(lab: Lab) -> set[str]:
    """Which of `agent`, `speaker` and `retire` run on the node."""
    lines = [PROC / str(each.pid) / "cmdline" for each in inside([netns_path(lab.hosts[NODE].netns)])]
    words = [line.read_bytes().split(b"\0") for line in lines if line.exists()]
    retiring = [each for each in words if b"--retire" in each]
    running = {word for each in words if each not in retiring for word in each}
    marks = {"agent": b"agents.node", "speaker": b"agents.speaker"}
    return {name for name, mark in marks.items() if mark in running} | ({"retire"} if retiring else set())


def told(lab: Lab, prefix: str) -> list[str]:
    """The communities that a ToR has of the node's prefix; empty when it has no such route."""
    shown = lab.tors["tor-a"].vtysh_json(f"show bgp ipv4 unicast {prefix} json").get("paths", [])
    own = (path for path in shown if path["peer"]["peerId"] == UPLINK)
    return [each for path in own for each in path.get("community", {}).get("list", ["none"])]


def blocks_of(web: Fixed) -> list[str]:
    """The block that it is in, as soon as a ToR knows it: those of other nodes may come first."""
    known = map(ip_network, web.lab.tors["tor-a"].bgp_prefixes())
    return [str(one) for one in known if one.prefixlen > 16 and ip_address(web.address) in one]


def test_routes_are_led_away_and_withdrawn_before_the_node_is_down(web: Fixed, machine: Booted) -> None:
    lab = web.lab
    lab.polder.wait_sessions()
    prefix = wait_until(lambda: blocks_of(web), BACK_S, "the block")[0]
    wait_until(lambda: told(lab, prefix), BACK_S, "the route", good=["none"].__eq__)
    assert programs(lab) == {"agent", "speaker"}
    ping = web.metal.ping_background(web.address, first_s=BACK_S)
    machine.poweroff()
    wait_until(lambda: told(lab, prefix), BACK_S, "GRACEFUL_SHUTDOWN", good=["gracefulShutdown"].__eq__)
    assert programs(lab) == {"agent", "retire"}, "the speaker has let go, the dataplane is still kept"
    ping.wait_answers(10, BACK_S)
    # All its sessions are drained at once: for a moment each ToR takes the way of the other for a better one.
    assert ping.stop().longest_gap_s <= 0.2
    wait_until(lambda: told(lab, prefix), BACK_S, "the withdrawal", good=[].__eq__)
    wait_until(lambda: machine.off, BACK_S, "the node to be down")
    assert programs(lab) == set()
    retired = [line.split()[0] for line in machine.log("polder-shutdown").splitlines() if " retired " in line]
    stopped = [
        line.split()[0] for line in machine.log("polder-agent").splitlines() if "agent stopped" in line
    ]
    assert len(retired) == len(lab.tors)
    assert max(retired) <= stopped[0]
