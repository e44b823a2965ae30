"""Two edge speakers that announce for nodes without a speaker, with real etcd, ExaBGP and FRR on one segment.

tor .1 --- edge-1 .11, edge-2 .12, node-3 .13          10.9.0.0/24
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest

from bgp.exabgp.retire import retire
from bgp.exabgp.rundir import RunDir
from lab.etcd import EtcdServer
from lab.lab import Lab
from lab.program import Program
from lab.topology import End, HostSpec, Link, Role, Topology
from lab.wait import wait_until
from store import keys
from store.codec import encode
from store.model import Block, Node, Peer, Pool, Ready, Value
from tests.support.cable import UP_S

pytestmark = pytest.mark.needs("root", "ip", "zebra", "bgpd", "vtysh", "etcd", "etcdctl")

TOR = "10.9.0.1"
EDGES = {"edge-1": "10.9.0.11", "edge-2": "10.9.0.12"}
NODE, NEXT_HOP = "node-3", "10.9.0.13"
BLOCK, LATER = "10.64.3.0/26", "10.64.3.64/26"

SEGMENT = Topology(
    hosts=(
        HostSpec("tor", Role.TOR, asn=64501, loopback="10.9.255.1/32", bridge_address=f"{TOR}/24"),
        *(HostSpec(name, Role.METAL, asn=64600) for name in EDGES),
        HostSpec(NODE, Role.METAL),
    ),
    links=tuple(
        Link(End("tor", name, None), End(name, "eth0", f"{address}/24"))
        for name, address in {**EDGES, NODE: NEXT_HOP}.items()
    ),
)


@dataclass
class Segment:
    """The lab, its etcd, and the speaker program of each edge."""

    lab: Lab
    etcd: EtcdServer
    speakers: dict[str, Program]

    def put(self, key: str, value: Value) -> None:
        """Write a value, as the controller or an agent does."""
        etcdctl = ("etcdctl", f"--endpoints={self.etcd.url}", "put", key)
        self.lab.hosts["tor"].run(*etcdctl, stdin=encode(value).decode())

    def ready(self, cidr: str) -> None:
        """A block of the node that has no speaker can be announced."""
        network = ip_network(cidr)
        self.put(keys.NODE_BLOCKS.key(NODE, network), Block(cidr=network, pool="default", node=NODE))
        self.put(keys.READY.key(NODE, network), Ready(prefix=network, node=NODE, boot_id="theirs"))

    def heard_from(self, *edges: str, cidr: str) -> None:
        """Wait until the ToR has the prefix from these edges and no others, by way of the node."""
        expected = {(EDGES[edge], NEXT_HOP) for edge in edges}
        wait_until(
            lambda: {(path.peer, path.next_hop) for path in self.lab.tors["tor"].bgp_route(cidr)},
            UP_S,
            f"{cidr} at the ToR from {edges}",
            good=expected.__eq__,
        )


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    with (
        Lab(f"edge{os.getpid()}", with_polder=False, topology=SEGMENT) as lab,
        EtcdServer(tmp_path / "etcd", address=TOR, netns=lab.hosts["tor"].netns) as etcd,
    ):
        argv = [sys.executable, "-P", "-m", "agents.speaker", "--etcd", etcd.url, "--etcd-insecure"]
        speakers = {
            name: Program(
                lab.hosts[name],
                "speaker",
                [*argv, "--node", name, "--run-dir", str(tmp_path / name)],
            )
            for name in EDGES
        }
        try:
            yield Segment(lab, etcd, speakers)
        finally:
            for name, speaker in speakers.items():
                speaker.stop()
                retire(RunDir(tmp_path / name / "bgp" / "spine"))


def test_two_edges_announce_for_a_node_and_either_may_die(segment: Segment) -> None:
    tor = segment.lab.tors["tor"]
    for name in EDGES:
        record = {"name": name, "asn": 64600, "edge": True, "labels": {"role": "edge"}}
        segment.put(keys.NODES.key(name), Node.model_validate(record))
    segment.put(
        keys.NODES.key(NODE), Node.model_validate({"name": NODE, "asn": 64513, "next_hops": [NEXT_HOP]})
    )
    segment.put(keys.POOLS.key("default"), Pool(name="default", cidr=ip_network("10.64.0.0/16")))
    spine = {"name": "spine", "address": TOR, "asn": 64501, "announces": "all"}
    chosen = {"node_selector": {"role": "edge"}}
    segment.put(keys.PEERS.key("spine"), Peer.model_validate({**spine, **chosen}))
    segment.ready(BLOCK)
    for speaker in segment.speakers.values():
        speaker.start()
    segment.heard_from(*EDGES, cidr=BLOCK)
    route = wait_until(lambda: tor.kernel_routes().get(BLOCK), UP_S, "the route in the ToR's kernel")
    assert route is not None
    assert route.gateways == {NEXT_HOP}

    # The one goes without a word; the other had announced the same, so nothing changes for packets.
    monitor = tor.host.monitor_routes()
    segment.speakers["edge-1"].kill()
    tor.host.run("ip", "link", "set", "edge-1", "down")
    tor.clear(EDGES["edge-1"])
    segment.heard_from("edge-2", cidr=BLOCK)
    segment.ready(LATER)
    segment.heard_from("edge-2", cidr=LATER)
    wait_until(lambda: tor.kernel_routes().get(LATER), UP_S, "the later route in the ToR's kernel")
    told = [(each.dst, each.deleted) for each in monitor.stop() if each.dst in {BLOCK, LATER}]
    assert told == [(LATER, False)]

    tor.host.run("ip", "link", "set", "edge-1", "up")
    segment.speakers["edge-1"].start()
    for cidr in (BLOCK, LATER):
        segment.heard_from(*EDGES, cidr=cidr)
