"""Addresses that can be written down and never work: hosts and routers drop what is sent to them.

Only what is written anew is looked at: what is stored stays as it is, and is not absent for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, ip_network

from controller.problem import Fault, Problem
from store.model import Node, Peer, Pool, Value
from store.model.value import IPAddress, IPNetwork

UNROUTABLE = {
    ip_network("0.0.0.0/8"): "means this network (RFC 1122)",
    ip_network("240.0.0.0/4"): "is reserved, with the broadcast address (RFC 1112)",
    ip_network("::/96"): "was for IPv4 in IPv6 and is used no more (RFC 4291)",
    ip_network("::ffff:0:0/96"): "is IPv4 to every host, not IPv6 (RFC 4291)",
}
ON_A_LINK = {
    ip_network("127.0.0.0/8"): "never leaves a host (RFC 1122)",
    ip_network("169.254.0.0/16"): "never leaves a link (RFC 3927)",
    ip_network("224.0.0.0/4"): "is for multicast (RFC 5771)",
    ip_network("fe80::/10"): "never leaves a link (RFC 4291)",
    ip_network("ff00::/8"): "is for multicast (RFC 4291)",
}
"""What a session may have, but for fe80::/10, or the model refuses, but no pool."""

OF_ONE_LINK = "is of one link, and which one cannot be said here (RFC 4007)"

RANGES = "such as one in 10.0.0.0/8 or fd00::/8"


def refuse_unusable(wanted: Value, stored: Value | None = None) -> None:
    """Refuse what can never work of a value that is to take the place of `stored`. Raises `Problem`."""
    before = set() if stored is None else set(_faults(stored))
    faults = [Fault(why, pointer) for pointer, why in _faults(wanted) if (pointer, why) not in before]
    if faults:
        place = (faults[0].pointer or "")[1:]
        raise Problem("invalid", f"{place}: {faults[0].detail}", errors=faults)


def _faults(value: Value) -> Iterator[tuple[str, str]]:
    """Pointers, and why what is there cannot work."""
    if isinstance(value, Pool):
        for network, why in {**UNROUTABLE, **ON_A_LINK}.items():
            if network.overlaps(value.cidr):
                yield "/cidr", f"{value.cidr} reaches into {network}, which {why}; use a range {RANGES}"
    elif isinstance(value, Peer):
        yield from _of_address("/address", value.address)
        yield from _of_address("/local_address", value.local_address)
    elif isinstance(value, Node):
        if value.router_id == IPv4Address(0):
            yield "/router_id", "0.0.0.0 is no BGP identifier (RFC 6286); leave it out, or give another"
        for number, each in enumerate(value.next_hops):
            yield from _of_address(f"/next_hops/{number}", each)
        if value.export is not None:
            yield from _of_address("/export/collector", value.export.collector)


def _of_address(pointer: str, address: IPAddress | None) -> Iterator[tuple[str, str]]:
    network: IPNetwork
    for network, why in {**UNROUTABLE, ip_network("fe80::/10"): OF_ONE_LINK}.items():
        if address is not None and address in network:
            yield (
                pointer,
                f"{address} is in {network}, which {why}; give an address that a host can have anywhere",
            )
