"""The lab as data: hosts, links, addresses, AS numbers. Nothing is made here.

    metal --- tor-a ------- tor-b          AS 64501, 64502
                |  \\__   __/  |
                |     \\_/     |
              node-1  node-2  node-3       AS 64511, 64512, 64513; a default route over both ToRs
                |       |       |
                +------ mgmt ---+          out of band; on each of mgmt, mgmt-2 and mgmt-3
                       /    \\              a member of etcd and a controller
                  mgmt-2    mgmt-3

Links between routers are /31. All of it is in 10.0.0.0/8 and leaves 10.64.0.0/10 to Polder's pools.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, ip_interface

MTU_BYTES = 1500
MGMT_ADDRESS = "10.255.0.1"
MGMT_ADDRESSES = {"mgmt": MGMT_ADDRESS, "mgmt-2": "10.255.0.2", "mgmt-3": "10.255.0.3"}
"""Three, so that one may be lost: two members of etcd are a majority. The first has the segment's bridge."""
METAL_ADDRESS = "10.3.0.10"
MGMT_BRIDGE = "segment"


class Role(StrEnum):
    """What a host is."""

    TOR = "tor"
    NODE = "node"
    MGMT = "mgmt"
    METAL = "metal"
    CONTAINER = "container"


class Software(StrEnum):
    """What runs a router."""

    FRR = "frr"
    BIRD = "bird"


@dataclass(frozen=True, slots=True)
class HostSpec:
    """One host. `loopback` and `bridge_address` are `address/length`; `gateways` make one default route."""

    name: str
    role: Role
    asn: int | None = None
    loopback: str | None = None
    bridge_address: str | None = None
    gateways: tuple[str, ...] = ()
    software: Software = Software.FRR

    @property
    def forwards(self) -> bool:
        """Whether it passes packets on."""
        return self.role in {Role.TOR, Role.NODE}


@dataclass(frozen=True, slots=True)
class End:
    """One end of a link. `address` is `address/length`; None is a port of the host's bridge."""

    host: str
    ifname: str
    address: str | None

    @property
    def ip(self) -> str:
        """The address alone."""
        return (self.address or "").partition("/")[0]


@dataclass(frozen=True, slots=True)
class Link:
    """A cable."""

    a: End
    b: End


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A BGP neighbour of a ToR.

    Args:
        name, address, asn: the host at the other end.
        local_address: the ToR's own.
        active: whether the ToR opens the session; else it waits to be called.
        families: 4, 6 or both; that of the address when empty.
        password: of TCP MD5 (RFC 2385).
        gtsm: whether packets must have come over one hop (RFC 5082).
        multihop_ttl: the TTL of packets to a neighbour that is not on a link; not with `gtsm`.
        max_prefixes: more, and the ToR ends the session with NOTIFICATION.
        accepts: the prefix that accepted ones are inside of; everything when None.
    """

    name: str
    address: str
    local_address: str
    asn: int
    active: bool
    families: tuple[int, ...] = ()
    password: str | None = None
    gtsm: bool = False
    multihop_ttl: int | None = None
    max_prefixes: int | None = None
    accepts: str | None = None

    def __post_init__(self) -> None:
        if not self.families:
            object.__setattr__(self, "families", (ip_address(self.address).version,))


@dataclass(frozen=True, slots=True)
class Topology:
    """All hosts and links."""

    hosts: tuple[HostSpec, ...]
    links: tuple[Link, ...]

    def host(self, name: str) -> HostSpec:
        """The host of this name. Raises KeyError."""
        return {host.name: host for host in self.hosts}[name]

    def of(self, role: Role) -> tuple[HostSpec, ...]:
        """The hosts that have this role, in order."""
        return tuple(host for host in self.hosts if host.role is role)

    def ends(self, name: str) -> list[tuple[End, End]]:
        """The links of a host: its own end and the far one."""
        pairs = [(link.a, link.b) for link in self.links] + [(link.b, link.a) for link in self.links]
        return [(near, far) for near, far in pairs if near.host == name]

    def connected(self, name: str) -> set[str]:
        """The prefixes on a host's own links and loopback."""
        addresses = [near.address for near, _ in self.ends(name)] + [self.host(name).loopback]
        return {str(ip_interface(address).network) for address in addresses if address}

    def neighbours(self, name: str) -> list[Neighbour]:
        """The BGP neighbours of a router: the hosts with an AS number at the far ends of its links."""
        found = []
        for near, far in self.ends(name):
            asn = self.host(far.host).asn
            if asn is not None and far.address is not None:
                # Of two ToRs the first calls and the second waits: no connection collision (RFC 4271 §6.8)
                active = self.host(far.host).role is Role.TOR and name < far.host
                found.append(Neighbour(far.host, far.ip, near.ip, asn, active))
        return found


def dual_tor(node_count: int = 3) -> Topology:
    """Two ToRs, `node_count` nodes (1 to 9) with an uplink to each, a management segment, a metal host."""
    if not 1 <= node_count <= 9:
        raise ValueError("a lab has 1 to 9 nodes")
    numbers = range(1, node_count + 1)
    return Topology(
        hosts=(
            HostSpec("tor-a", Role.TOR, asn=64501, loopback="10.0.0.1/32"),
            HostSpec("tor-b", Role.TOR, asn=64502, loopback="10.0.0.2/32"),
            *_mgmt_hosts(),
            HostSpec("metal", Role.METAL, gateways=("10.3.0.1",)),
            *(_node(number) for number in numbers),
        ),
        links=(
            Link(End("tor-a", "tor-b", "10.0.1.0/31"), End("tor-b", "tor-a", "10.0.1.1/31")),
            Link(End("tor-a", "metal", "10.3.0.1/24"), End("metal", "eth0", f"{METAL_ADDRESS}/24")),
            *_mgmt_links(),
            *(link for number in numbers for link in _node_links(number)),
        ),
    )


def mgmt_only() -> Topology:
    """The management segment alone: for what needs etcd and the controllers, and no node."""
    return Topology(_mgmt_hosts(), _mgmt_links())


def _mgmt_hosts() -> tuple[HostSpec, ...]:
    return (
        HostSpec("mgmt", Role.MGMT, bridge_address=f"{MGMT_ADDRESS}/24"),
        *(HostSpec(name, Role.MGMT) for name in MGMT_ADDRESSES if name != "mgmt"),
    )


def _mgmt_links() -> tuple[Link, ...]:
    return tuple(
        Link(End("mgmt", name, None), End(name, "mgmt0", f"{address}/24"))
        for name, address in MGMT_ADDRESSES.items()
        if name != "mgmt"
    )


def _node(number: int) -> HostSpec:
    return HostSpec(
        f"node-{number}", Role.NODE, asn=64510 + number, gateways=(f"10.1.{number}.0", f"10.2.{number}.0")
    )


def _node_links(number: int) -> tuple[Link, ...]:
    node = f"node-{number}"
    return (
        Link(End("tor-a", node, f"10.1.{number}.0/31"), End(node, "up-a", f"10.1.{number}.1/31")),
        Link(End("tor-b", node, f"10.2.{number}.0/31"), End(node, "up-b", f"10.2.{number}.1/31")),
        Link(End("mgmt", node, None), End(node, "mgmt0", f"10.255.0.{10 + number}/24")),
    )
