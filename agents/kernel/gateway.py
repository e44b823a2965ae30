"""The endpoints' gateway on this host: the bridge's internal port, with its addresses, and forwarding.

The kernel itself answers ARP and neighbour solicitations for the gateway's addresses there. Everything
is read before it is written; what was changed is told, so that a repair is seen.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from ipaddress import ip_interface

from pyroute2.netlink.rtnl.rtmsg import RT_SCOPE_LINK

from agents.kernel import sysctl
from agents.kernel.interface import IPInterface, find_interface, missing_addresses, set_up
from agents.kernel.message import FAMILIES
from agents.kernel.netlink import KernelError, Netlink
from agents.kernel.route_messages import decode, dump
from store.model import IPAddress

_LINK_LOCAL_PREFIXLEN = 64
_RTM_DST_LEN_AT = 1
"""rtm_dst_len in struct rtmsg. Of many thousand routes those to everywhere are decoded."""

_FORWARDING = (
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    # A next hop behind an interface without carrier is none: traffic takes the others at once.
    ("net/ipv4/conf/all/ignore_routes_with_linkdown", "1"),
    ("net/ipv6/conf/all/ignore_routes_with_linkdown", "1"),
)

_PORT_PARAMETERS = (
    # Endpoints' sources are checked by the flows; a reply may leave by another uplink than it came in by.
    ("net/ipv4/conf/{}/rp_filter", "0"),
    ("net/ipv4/conf/{}/proxy_arp", "0"),
    # Answer only for addresses of this port, and never ask in the name of an uplink's address.
    ("net/ipv4/conf/{}/arp_ignore", "1"),
    ("net/ipv4/conf/{}/arp_announce", "2"),
    ("net/ipv4/conf/{}/route_localnet", "0"),
    ("net/ipv6/conf/{}/disable_ipv6", "0"),
    ("net/ipv6/conf/{}/accept_ra", "0"),
)


def setup_gateway(netlink: Netlink, ifname: str, mac: str, addresses: Iterable[IPAddress]) -> tuple[str, ...]:
    """Give the port its MAC and addresses, bring it up, and let the host forward. Idempotent.

    An IPv4 address is made a /32 of link scope, so that it is no source address but towards endpoints; a
    link-local IPv6 address is a /64. Turning IPv6 forwarding on makes the kernel ignore router
    advertisements on interfaces whose `accept_ra` is 1: a host that lives on them needs 2 there.

    Returns:
        What had to be changed, in words; empty when all was right.

    Raises:
        KernelError: ENODEV while there is no such port: the bridge is not there yet.
    """
    port = find_interface(netlink, ifname)
    if port is None:
        raise KernelError(errno.ENODEV, f"no interface {ifname}: is the bridge there?")
    changed = [name for name, value in _parameters(ifname) if sysctl.ensure(name, value)]
    missing = [
        (f"{ifname} up with MAC {mac}", set_up(port, mac=mac)),
        (
            f"addresses of {ifname}",
            missing_addresses(netlink, port, _interfaces(addresses), scope=RT_SCOPE_LINK),
        ),
    ]
    for what, requests in missing:
        if requests:
            netlink.request(*requests)
            changed.append(what)
    return tuple(changed)


def uplinks(netlink: Netlink) -> dict[str, int]:
    """The interfaces that default routes leave by, and the MTU of each in bytes."""
    told = (body for family in FAMILIES.values() for body in netlink.dump(dump(family, protocol=0)))
    routes = [decode(body) for body in told if not body[_RTM_DST_LEN_AT]]
    indexes = {hop.oif for route in routes for hop in route.hops}
    found = (find_interface(netlink, index) for index in indexes)
    return {one.name: one.mtu_bytes for one in found if one is not None}


def _parameters(ifname: str) -> list[tuple[str, str]]:
    named = [(name.format(ifname), value) for name, value in (*_FORWARDING, *_PORT_PARAMETERS)]
    return [one for one in named if sysctl.has_ipv6() or not one[0].startswith("net/ipv6")]


def _interfaces(addresses: Iterable[IPAddress]) -> list[IPInterface]:
    return [
        ip_interface((address, _LINK_LOCAL_PREFIXLEN if _is_fe80(address) else address.max_prefixlen))
        for address in addresses
    ]


def _is_fe80(address: IPAddress) -> bool:
    return address.version == 6 and address.is_link_local
