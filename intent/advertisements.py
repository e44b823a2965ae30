"""What a node's speaker should announce to one peer.

A block of a pool that says `block` or `summary`, once its blackhole stands; with `summary` also the range
of the pool. A /32 (/128) for an address of a pool that says `host`, and for one held outside its block's
node, once it has route and flow. A /32 for the address of a service, once a healthy endpoint of the node
can be delivered to; its pool may say anything but `none`. Nothing for an endpoint that is being released,
for what was ready before the machine last booted, or of a pool that is not known: what the pool says
decides. The node delivers all of these nevertheless. What has moved away is announced as long
as it is delivered here, which is until the other node announces it. (Were this way made the worse one before,
two routers that know each other would send packets to and fro for some milliseconds.)

Each carries the communities of its pool and of the peer, a service's its own, and GRACEFUL_SHUTDOWN while
node or peer are being drained; once they are nothing is announced. A prefix that is not of the session's own
family has the node's own next hop of that family, and is absent when the node has none.
"""

from __future__ import annotations

from collections.abc import Iterator

from bgp.advertisement import Advertisement
from intent.attributes import Attributes, attributes
from intent.drains import GRACEFUL_SHUTDOWN, stage
from intent.snapshot import Snapshot
from intent.summaries import kept_from_others, summaries
from store.model import (
    Advertise,
    Endpoint,
    EndpointState,
    IPAddress,
    IPNetwork,
    Node,
    Peer,
    Pool,
    host_prefix,
)

Entry = tuple[IPNetwork, Pool, str, tuple[str, ...]]
"""A prefix, its pool, why it is announced, and its communities beside those of pool and peer."""


class Entries:
    """What a node may announce, to any peer. One thread at a time.

    Kept as long as nothing that it follows from is another object: what becomes ready is none of it.
    """

    def __init__(self) -> None:
        self._of: tuple[object, ...] = ()
        self._kept: tuple[Entry, ...] = ()

    def of(self, snapshot: Snapshot) -> tuple[Entry, ...]:
        """Those of a snapshot."""
        names = (snapshot.name, snapshot.node, snapshot.pools, snapshot.peers, snapshot.blocks)
        now = (*names, snapshot.endpoints, snapshot.moves, snapshot.services, snapshot.expected)
        if not self._of or not all(a is b for a, b in zip(self._of, now, strict=True)):
            self._of, self._kept = now, tuple(_entries(snapshot))
        return self._kept


def _entries(snapshot: Snapshot) -> Iterator[Entry]:
    yield from _summaries(snapshot)
    yield from _blocks(snapshot)
    yield from _hosts(snapshot)
    yield from _services(snapshot)


def advertisements(
    snapshot: Snapshot,
    peer: Peer,
    boot_id: str | None,
    speaker: Node | None = None,
    entries: Entries | None = None,
) -> dict[IPNetwork, Advertisement]:
    """The prefixes of one node for one peer, each with its reason.

    Args:
        snapshot: what is known of the node.
        peer: the peer; it is told prefixes of the families that its session carries.
        boot_id: the kernel's boot id; readiness reported under another one does not count. None is not known:
            what was reported last counts.
        speaker: the node that speaks, when it announces for this one.
        entries: of whoever asks again and again.
    """
    nodes = frozenset({snapshot.name, speaker.name if speaker is not None else snapshot.name})
    drained = stage(snapshot.drains, peer=peer.name, nodes=nodes)
    if drained is not None and drained.withdraws:
        return {}
    extra = (GRACEFUL_SHUTDOWN,) if drained is not None else ()
    made: dict[IPNetwork, Advertisement] = {}
    shared: dict[tuple[str, int, tuple[str, ...]], Attributes | None] = {}
    for prefix, pool, reason, own in (entries or Entries()).of(snapshot):
        if not _is_ready(snapshot, prefix, boot_id):
            continue
        of = pool.name, prefix.version, own
        if of not in shared:
            shared[of] = attributes(snapshot.node, peer, pool, prefix.version, (*extra, *own), speaker)
        if (common := shared[of]) is not None:
            made[prefix] = common.advertisement(prefix, reason)
    return made


ANNOUNCED = ("name", "cidr", "block_prefixlen", "advertise", "node_selector", "communities")
"""The fields of a pool that an advertisement, or what the outbound guard makes of it, can depend on."""


def announced_alike(one: Pool, other: Pool) -> bool:
    """Whether it makes no difference to any router which of both a pool is."""
    return all(getattr(one, field) == getattr(other, field) for field in ANNOUNCED)


def host_reason(snapshot: Snapshot, endpoint: Endpoint, address: IPAddress, pool_name: str) -> str | None:
    """Why the address is announced on its own; None when its block's prefix says enough."""
    pool = snapshot.pools.get(pool_name)
    if pool is None or pool.advertise is Advertise.NONE:
        return None
    if pool.advertise is Advertise.HOST:
        return f"endpoint {endpoint.id}: pool {pool_name} advertises hosts"
    if snapshot.own_block(address) is None:
        return f"endpoint {endpoint.id}: its address is in another node's block"
    return None


def _summaries(snapshot: Snapshot) -> Iterator[Entry]:
    for cidr, pool in summaries(snapshot).items():
        yield cidr, pool, f"summary of pool {pool.name}", ()


def _blocks(snapshot: Snapshot) -> Iterator[Entry]:
    for cidr, block in snapshot.blocks.items():
        pool = snapshot.pools.get(block.pool)
        if pool is not None and pool.advertise in {Advertise.BLOCK, Advertise.SUMMARY}:
            yield cidr, pool, f"block of pool {block.pool}", kept_from_others(pool, snapshot.node)


def _hosts(snapshot: Snapshot) -> Iterator[Entry]:
    for endpoint in (*snapshot.departing.values(), *snapshot.endpoints.values()):
        if endpoint.state is not EndpointState.ASSIGNED:
            continue
        for address, name in endpoint.placed:
            if (reason := host_reason(snapshot, endpoint, address, name)) is not None:
                pool = snapshot.pools[name]
                yield host_prefix(address), pool, reason, kept_from_others(pool, snapshot.node)


def _services(snapshot: Snapshot) -> Iterator[Entry]:
    for service in snapshot.services.values():
        pool = snapshot.pools.get(service.pool)
        if pool is not None and pool.advertise is not Advertise.NONE:
            prefix = host_prefix(service.address)
            when = "once an endpoint here is" if prefix in snapshot.expected else "an endpoint here is"
            yield prefix, pool, f"service {service.name}: {when} healthy", service.communities


def _is_ready(snapshot: Snapshot, prefix: IPNetwork, boot_id: str | None) -> bool:
    if prefix in snapshot.expected:
        return True
    ready = snapshot.ready.get(prefix)
    return ready is not None and boot_id in {None, ready.boot_id}
