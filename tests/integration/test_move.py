"""A workload moves under traffic, there and home again: the node that it leaves goes last."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.lab import Lab
from lab.migration import migrated
from lab.ping import PingReport
from lab.stream import Stream, StreamReport
from lab.wait import wait_until
from tests.support.containers import BACK_S, Fixed, delete, make

pytestmark = pytest.mark.needs("root", "etcd", "ovs-vswitchd", "bgpd", "zebra")

HOME, AWAY = "node-1", "node-2"
NAME = "mover"
MOST_S = 0.2
"""The longest silence of an established connection, on a machine that other tests keep busy."""


@pytest.fixture
def mover(lab: Lab) -> Iterator[Fixed]:
    yield make(lab, NAME, node=HOME)
    delete(lab, NAME)
    lab.fabric.remove_container(NAME)


def move(mover: Fixed, node: str, ifnames: tuple[str, str]) -> tuple[PingReport, StreamReport]:
    """Move the workload to another node: there it gets the second interface, and then uses that.

    It is in one network namespace all the time, as a virtual machine is that migrates with its connections.
    """
    lab, before = mover.lab, mover.on
    ping = mover.metal.ping_background(mover.address, 0.001)
    with Stream(mover.metal, mover.host, mover.address) as stream:
        lab.cli("endpoint", "move", NAME, node)
        assert lab.api.do("GET", f"/v1/endpoints/{NAME}/move")["stage"] == "waiting"
        assert mover.attached() == [NAME], f"{before} goes on"
        with migrated(mover.host, ifnames[0]):
            lab.attach(NAME, mover.host, node, ifname=ifnames[1])
        wait_until(mover.attached, BACK_S, f"{before} to let go", good=lambda held: not held)
        mover.on = node
        ping.wait_answers(50, BACK_S)
        seen = stream.answered
        wait_until(lambda: stream.answered > seen, BACK_S, "the connection to go on")
        return ping.stop(), stream.stop()


def test_an_established_connection_survives_a_move_and_the_way_home(mover: Fixed) -> None:
    lab = mover.lab
    for node, ifnames, via in ((AWAY, ("eth0", "eth1"), ["10.1.2.1"]), (HOME, ("eth1", "eth0"), None)):
        left = mover.on
        ping, stream = move(mover, node, ifnames)
        assert not stream.broken
        assert stream.longest_gap_s < MOST_S
        assert ping.longest_gap_s < MOST_S
        assert lab.api.get(f"/v1/endpoints/{NAME}/move").status == 404
        route = lab.tors["tor-a"].host.route(f"{mover.address}/32")
        assert (list(route.gateways) if route else None) == via
        flows = lab.fabric.switches[left].ofctl("dump-flows", "polder0")
        assert mover.address not in flows
