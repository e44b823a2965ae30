"""Turns a topology into namespaces, links, addresses and routes.

Links are made inside their namespaces from the start; the root namespace never sees one. Kernel
settings are written before the links exist, since a link takes its own from `default` when it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lab import netns
from lab.topology import MGMT_BRIDGE, MTU_BYTES, HostSpec, Topology

SYSCTL = Path("/proc/sys/net")

EVERYWHERE = {
    # The effective value is the larger of "all" and the link's own (ip-sysctl)
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv6/conf/all/accept_dad": "0",
    "ipv6/conf/default/accept_dad": "0",
    "ipv6/conf/default/accept_ra": "0",
}
ROUTERS = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv4/fib_multipath_hash_policy": "1",
    "ipv4/fib_multipath_use_neigh": "1",
    "ipv4/conf/all/ignore_routes_with_linkdown": "1",
    "ipv4/conf/default/ignore_routes_with_linkdown": "1",
}

Namer = Callable[[str], str]
"""From a host's name to its namespace's."""


def build(topology: Topology, namespace: Namer) -> None:
    """Wire the hosts, whose namespaces exist. Raises CommandFailed."""
    for host in topology.hosts:
        apply_settings(namespace(host.name), forwards=host.forwards)
    netns.batch(link_commands(topology, namespace))
    for host in topology.hosts:
        netns.batch(host_commands(topology, host), inside=namespace(host.name))


def apply_settings(name: str, *, forwards: bool) -> None:
    """Write the kernel settings of one namespace, and bring up its loopback."""

    def write(settings: Mapping[str, str]) -> None:
        for key, value in settings.items():
            (SYSCTL / key).write_text(value)

    netns.within(name, lambda: write({**EVERYWHERE, **(ROUTERS if forwards else {})}))
    netns.batch(["link set lo up"], inside=name)


def link_commands(topology: Topology, namespace: Namer) -> list[str]:
    """Lines of `ip` that lay the cables, each made where it belongs."""
    return [
        f"link add name {link.a.ifname} netns {namespace(link.a.host)} mtu {MTU_BYTES} type veth"
        f" peer name {link.b.ifname} netns {namespace(link.b.host)} mtu {MTU_BYTES}"
        for link in topology.links
    ]


def host_commands(topology: Topology, host: HostSpec) -> list[str]:
    """Lines of `ip` that configure one host from inside."""
    return [*_bridge(host), *_loopback(host), *_ports(topology, host), *_default(host.gateways)]


def _bridge(host: HostSpec) -> Iterable[str]:
    if host.bridge_address:
        yield f"link add name {MGMT_BRIDGE} type bridge"
        yield f"address add {host.bridge_address} dev {MGMT_BRIDGE}"
        yield f"link set {MGMT_BRIDGE} up"


def _loopback(host: HostSpec) -> Iterable[str]:
    if host.loopback:
        yield f"address add {host.loopback} dev lo"


def _ports(topology: Topology, host: HostSpec) -> Iterable[str]:
    for near, _ in topology.ends(host.name):
        if near.address is None:
            yield f"link set {near.ifname} master {MGMT_BRIDGE}"
        else:
            yield f"address add {near.address} dev {near.ifname}"
        yield f"link set {near.ifname} up"


def _default(gateways: tuple[str, ...]) -> Iterable[str]:
    if gateways:
        yield "route add default " + " ".join(f"nexthop via {gateway}" for gateway in gateways)
