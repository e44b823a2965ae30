"""A workload moves under traffic, there and home again: the node that it leaves goes last, whoever dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from lab.host import Host
from lab.lab import Lab
from lab.migration import migrated
from lab.ping import PingReport
from lab.stream import Stream, StreamReport
from lab.wait import wait_until
from tests.support.containers import BACK_S, Fixed, delete, make
from tests.support.labs import TIMES

pytestmark = pytest.mark.needs("root", "etcd", "ovs-vswitchd", "bgpd", "zebra")

HOME, AWAY = "node-1", "node-2"
NAME = "mover"
MOST_S = 0.1
"""The longest time without echoes."""

SILENT_S = 1.0
"""Likewise of the connection, whose ends are threads of this process on a machine that others keep busy."""


@pytest.fixture
def mover(lab: Lab) -> Iterator[Fixed]:
    yield make(lab, NAME, node=HOME)
    delete(lab, NAME)
    lab.fabric.remove_container(NAME)


def next_hops(host: Host, prefix: str) -> list[str]:
    """Those of a router's kernel route to exactly this prefix."""
    route = host.route(prefix)
    return list(route.gateways) if route is not None else []


def everybody_dies(lab: Lab) -> None:
    """kill -9 of every program that has to do with the move, and all of them begin anew."""
    of_nodes = [kind[node] for node in (HOME, AWAY) for kind in (lab.polder.agents, lab.polder.speakers)]
    programs = [*of_nodes, *lab.polder.controllers]
    for program in programs:
        program.kill()
    for program in programs:
        program.launch()
    for program in programs:
        program.wait_ready()


def move(
    mover: Fixed, node: str, ifnames: tuple[str, str], middle: Callable[[Lab], None]
) -> tuple[PingReport, StreamReport]:
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
        middle(lab)
        wait_until(mover.attached, BACK_S, f"{before} to let go", good=lambda held: not held)
        mover.on = node
        ping.wait_answers(50, BACK_S)
        seen = stream.answered
        wait_until(lambda: stream.answered > seen, BACK_S, "the connection to go on")
        return ping.stop(), stream.stop()


def test_an_established_connection_survives_a_move_and_the_way_home(mover: Fixed) -> None:
    lab = mover.lab
    away, home = {"tor-a": ["10.1.2.1"], "tor-b": ["10.2.2.1"]}, {"tor-a": [], "tor-b": []}
    ways = (
        (AWAY, ("eth0", "eth1"), away, lambda _lab: None),
        (HOME, ("eth1", "eth0"), home, everybody_dies),
    )
    for node, ifnames, via, middle in ways:
        left = mover.on
        ping, stream = move(mover, node, ifnames, middle)
        assert not stream.broken
        TIMES.append(
            f"move to {node}: {len(ping.lost)} of {ping.sent} echoes lost, connection silent for "
            f"{stream.longest_gap_s * 1000:.0f} ms at most"
        )
        assert ping.longest_gap_s < MOST_S
        assert stream.longest_gap_s < SILENT_S
        assert lab.api.get(f"/v1/endpoints/{NAME}/move").status == 404
        for name, tor in lab.tors.items():
            way = partial(next_hops, tor.host, f"{mover.address}/32")
            wait_until(way, BACK_S, f"{mover.address} at {name}", good=via[name].__eq__)
        switch = lab.fabric.switches[left]
        wait_until(
            partial(switch.ofctl, "dump-flows", "polder0"),
            BACK_S,
            f"no flow of {mover.address} on {left}",
            good=lambda flows: f"={mover.address}," not in flows,
        )
