"""`bgp.aggregate`: 100,000 endpoints on 1,000 nodes, told by blocks, by two edge speakers.

Each node has 100 endpoints in two blocks of /26. Two speakers on two hosts announce all 2,000 blocks, each
with its node as the next hop, which is a third party on the routers' segment (RFC 4271 §5.1.3). From the two
wishes until the router's kernel sends every block to its node and has every block from both.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from bench.bgp_bed import Bed, Speaking, Wanted, bed, cpu_s, own_cpu_s, timed
from bench.row import Row, median, percentile, progress
from bgp.advertisement import Advertisement
from lab.errors import LabError
from lab.wait import wait_until

NODES, ENDPOINTS_EACH, BLOCK_ADDRESSES = 1_000, 100, 64
BLOCKS_EACH = -(-ENDPOINTS_EACH // BLOCK_ADDRESSES)
SEGMENT = IPv4Network("10.20.0.0/16")
POOL = IPv4Address("10.64.0.0")
ROUNDS = 3
GOAL_S = 3.0
DEADLINE_S = 60.0


def measure() -> Row:
    """Measure. There is no peer that does the same job."""
    with bed() as made:
        made.tor.host.run("ip", "address", "add", f"{SEGMENT[1]}/{SEGMENT.prefixlen}", "dev", "node")
        edges = [made.speaker(), made.speaker("rival", "rival")]
        samples = [_announce(made, edges) for _ in range(ROUNDS)]
    p50 = median(samples)
    return Row(
        name="bgp.aggregate",
        value=p50,
        unit="s",
        p50=p50,
        p99=percentile(samples, 99),
        peer=None,
        peer_value=None,
        ratio=None,
        goal=f"{NODES * ENDPOINTS_EACH} endpoints at the router in <= {GOAL_S:g} s",
        ok=p50 <= GOAL_S,
    )


def blocks() -> Wanted:
    """The blocks of every node."""
    made: Wanted = {}
    for number in range(NODES * BLOCKS_EACH):
        prefix = IPv4Network((int(POOL) + number * BLOCK_ADDRESSES, 26))
        made[prefix] = Advertisement(prefix, next_hop=SEGMENT[256 + number // BLOCKS_EACH])
    return made


def _announce(made: Bed, edges: list[Speaking]) -> float:
    """Announce all, see that all are right, withdraw again."""
    before, wish = made.routes(), blocks()
    spent, ours = sum(cpu_s(edge.pid) for edge in edges), own_cpu_s()

    def announce() -> None:
        for edge in edges:
            edge.speaker.replace(wish)

    def arrived() -> None:
        made.wait_routes(before + len(wish), DEADLINE_S)
        all_of_both = [len(wish)] * len(edges)
        wait_until(lambda: _received(made, edges), DEADLINE_S, "all from both", good=all_of_both.__eq__)

    taken = timed(announce, arrived)
    progress(
        f"bgp.aggregate: {len(wish)} blocks from each of two in {taken:.2f} s; CPU seconds: both ExaBGP "
        f"{sum(cpu_s(edge.pid) for edge in edges) - spent:.2f}, this process {own_cpu_s() - ours:.2f}"
    )
    _check(made, wish)
    for edge in edges:
        edge.speaker.replace({})
    made.wait_routes(before, DEADLINE_S)
    return taken


def _received(made: Bed, edges: list[Speaking]) -> list[int]:
    """How many prefixes the router has from each edge."""
    peers = made.tor.vtysh_json("show bgp ipv4 unicast summary json")["peers"]
    return [int(peers[str(edge.local_address)]["pfxRcd"]) for edge in edges]


def _check(made: Bed, wish: Wanted) -> None:
    """Raises LabError when a block is sent anywhere but to its node."""
    found = made.tor.kernel_routes()
    wrong = [prefix for prefix, block in wish.items() if found[str(prefix)].gateways != {str(block.next_hop)}]
    if wrong:
        raise LabError(f"{len(wrong)} blocks do not go to their nodes: {wrong[0]} to {found[str(wrong[0])]}")
