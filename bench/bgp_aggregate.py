"""`bgp.aggregate`: 100,000 endpoints on 1,000 nodes, told by blocks, by two edge nodes.

Each node has 100 endpoints in two blocks of /26, and each edge announces all 2,000 blocks with their nodes
as the next hops. From the moment that the store's values are known to both until the router's kernel sends
every block to its node and bgpd has every block from both: snapshots, intent, outbound guard, ExaBGP, and
FRR. Both edges work in this one process, where each has a host to itself in truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from bench.bgp_bed import Bed, Speaking, Wanted, bed, own_cpu_s, timed
from bench.row import Row, alone, cpu_s, median, progress
from intent.cluster import ClusterView
from intent.edge import Edge
from intent.guard import guard
from lab.errors import LabError
from lab.wait import wait_until
from store import keys
from store.model import Block, Endpoint, Node, Peer, Pool, Ready, Value

NODES, ENDPOINTS_EACH, BLOCK_ADDRESSES = 1_000, 100, 64
BLOCKS_EACH = -(-ENDPOINTS_EACH // BLOCK_ADDRESSES)
SEGMENT = IPv4Network("10.20.0.0/16")
POOL = Pool(name="default", cidr=IPv4Network("10.64.0.0/10"))
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
    return alone(
        "bgp.aggregate",
        samples,
        "s",
        f"{NODES * ENDPOINTS_EACH} endpoints at the router in <= {GOAL_S:g} s",
        ok=p50 <= GOAL_S,
    )


def _announce(made: Bed, edges: list[Speaking]) -> float:
    """Announce all, see that all are right, withdraw again."""
    before, views = made.routes(), [_view() for _ in edges]
    spent, ours = sum(cpu_s(edge.pid) for edge in edges), own_cpu_s()
    wishes: list[Wanted] = []

    def announce() -> None:
        for edge, view in zip(edges, views, strict=True):
            wishes.append(_wish(made, edge, view))
            edge.speaker.replace(wishes[-1])

    def arrived() -> None:
        count = NODES * BLOCKS_EACH
        made.wait_routes(before + count, DEADLINE_S)
        from_both = [count] * len(edges)
        wait_until(lambda: _received(made, edges), DEADLINE_S, "all from both", good=from_both.__eq__)

    taken = timed(announce, arrived)
    progress(
        f"bgp.aggregate: {NODES * BLOCKS_EACH} blocks from each of two in {taken:.2f} s; CPU seconds: both "
        f"ExaBGP {sum(cpu_s(edge.pid) for edge in edges) - spent:.2f}, this process {own_cpu_s() - ours:.2f}"
    )
    _check(made, wishes[0])
    for edge in edges:
        edge.speaker.replace({})
    made.wait_routes(before, DEADLINE_S)
    return taken


def _view() -> ClusterView:
    """What an edge's feed has brought."""
    view = ClusterView()
    for key, value in _stored():
        view.put(key, value)
    return view


def _wish(made: Bed, edge: Speaking, view: ClusterView) -> Wanted:
    """What the edge's program makes of it."""
    peer = Peer.model_validate(
        {
            "name": "tor",
            "address": made.tor.router_id,
            "asn": made.tor.asn,
            "announces": "all",
            "max_prefixes": 2 * NODES * BLOCKS_EACH,
        }
    )
    speaker = Node.model_validate({"name": "edge", "asn": edge.asn, "edge": True})
    wanted = Edge().advertisements(view.members, speaker, peer)
    return dict(guard(wanted, [POOL], peer, edge.speaker.advertised()).through)


def _stored() -> Iterator[tuple[str, Value]]:
    """The keys and values of all nodes."""
    yield keys.POOLS.key(POOL.name), POOL
    for number in range(NODES):
        name = f"node-{number}"
        hop = SEGMENT[256 + number]
        yield keys.NODES.key(name), Node.model_validate({"name": name, "asn": 64512, "next_hops": [str(hop)]})
        first = int(POOL.cidr.network_address) + number * BLOCKS_EACH * BLOCK_ADDRESSES
        for at in range(first, first + BLOCKS_EACH * BLOCK_ADDRESSES, BLOCK_ADDRESSES):
            cidr = IPv4Network((at, 26))
            yield keys.NODE_BLOCKS.key(name, cidr), Block(cidr=cidr, pool=POOL.name, node=name)
            yield keys.READY.key(name, cidr), Ready(prefix=cidr, node=name, boot_id="now")
        for place in range(ENDPOINTS_EACH):
            yield _endpoint(name, IPv4Address(first + place))


def _endpoint(node: str, address: IPv4Address) -> tuple[str, Value]:
    made = Endpoint(
        id=f"e-{int(address)}",
        uid=f"{int(address):032x}",
        node=node,
        pools=(POOL.name,),
        addresses=(address,),
        mac="02:00:00:00:00:01",
    )
    return keys.NODE_ENDPOINTS.key(node, made.id), made


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
