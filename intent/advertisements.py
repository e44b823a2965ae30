"""What a node's speaker should announce to one peer.

A block of a pool that says `block`, once its blackhole stands. A /32 (/128) for an address of a pool that
says `host`, and for one held outside its block's node, once it has route and flow. Nothing for an
endpoint that is being released, for what was ready before the machine last booted, or of a pool that is
not known: what the pool says decides. The node delivers all of these nevertheless.
"""

from __future__ import annotations

from bgp.advertisement import Advertisement
from intent.snapshot import Snapshot
from store.model import Advertise, Endpoint, EndpointState, IPAddress, IPNetwork, Peer, host_prefix


def advertisements(snapshot: Snapshot, peer: Peer, boot_id: str) -> dict[IPNetwork, Advertisement]:
    """The prefixes for one peer, each with its reason.

    Args:
        snapshot: what is known of the node.
        peer: the peer; it is told prefixes of its own address family.
        boot_id: the kernel's boot id; readiness reported under another one does not count.
    """
    made = _blocks(snapshot) | _hosts(snapshot)
    return {
        prefix: Advertisement(prefix, reason=reason)
        for prefix, reason in made.items()
        if prefix.version == peer.address.version and _is_ready(snapshot, prefix, boot_id)
    }


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


def _blocks(snapshot: Snapshot) -> dict[IPNetwork, str]:
    return {
        cidr: f"block of pool {block.pool}"
        for cidr, block in snapshot.blocks.items()
        if (pool := snapshot.pools.get(block.pool)) is not None and pool.advertise is Advertise.BLOCK
    }


def _hosts(snapshot: Snapshot) -> dict[IPNetwork, str]:
    return {
        host_prefix(address): reason
        for endpoint in snapshot.endpoints.values()
        if endpoint.state is EndpointState.ASSIGNED
        for address, pool in endpoint.placed
        if (reason := host_reason(snapshot, endpoint, address, pool)) is not None
    }


def _is_ready(snapshot: Snapshot, prefix: IPNetwork, boot_id: str) -> bool:
    ready = snapshot.ready.get(prefix)
    return ready is not None and ready.boot_id == boot_id
