"""The endpoint's end of its link, seen from inside its namespace: addresses, and routes by the gateway.

Runs in the namespace worker's thread. What is there is read first and only what lacks is made, so the
same code makes a new link, completes one that a crash left half made, and finds a whole one in order.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_interface, ip_network
from typing import Any

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_NEWROUTE
from pyroute2.netlink.rtnl.rtmsg import RT_SCOPE_LINK, RT_SCOPE_UNIVERSE, rtmsg

from agents.delta import Delta, delta
from agents.driver import Outcome
from agents.kernel import second, sysctl
from agents.kernel.interface import (
    Interface,
    IPInterface,
    find_interface,
    missing_addresses,
    new_address,
    set_up,
    up,
)
from agents.kernel.message import FAMILIES, encode
from agents.kernel.neighbours import NeighbourDriver, put
from agents.kernel.netlink import KernelError, Netlink
from agents.kernel.route_messages import decode, dump
from intent.names import GATEWAY_MAC, MAIN_TABLE, PROTOCOL
from intent.neighbours import Neighbour
from store.model import IPAddress, IPNetwork, host_prefix

_RTN_UNICAST = 1
_LOOPBACK = 1
"""Its index, in every namespace: it is the first interface that one has."""


@dataclass(frozen=True, slots=True)
class Inside:
    """What an endpoint's interface should be.

    `gateways` are on-link, one for each family that `addresses` has, and the node's; with `networks`, one for
    each address, they are others'.
    """

    index: int
    ifname: str
    mac: str
    mtu_bytes: int
    addresses: tuple[IPAddress, ...]
    gateways: tuple[IPAddress, ...]
    networks: tuple[IPNetwork, ...] = ()


def configure(wanted: Inside, *, new: bool = False) -> bool:
    """Bring the interface to what it should be; returns whether anything had to be changed.

    Args:
        wanted: what it should be.
        new: it was just made, with its MAC and MTU, and has nothing else.

    Raises:
        KernelError: ENODEV when the interface is gone again.
    """
    with Netlink() as netlink:
        if new and _at_once(netlink, wanted):
            return True
        interface = find_interface(netlink, wanted.index)
        if interface is None:
            raise KernelError(errno.ENODEV, f"interface {wanted.ifname} vanished from its namespace")
        changed = _parameters(wanted)
        # Addresses and routes need the interface up; what an endpoint sends to itself needs loopback.
        if requests := _links(netlink, interface, wanted):
            netlink.request(*requests)
        if addresses := missing_addresses(netlink, interface, _interfaces(wanted)):
            netlink.request(*addresses)
        return any([changed, requests, addresses, _neighbours(netlink, wanted), _routes(netlink, wanted)])


def _at_once(netlink: Netlink, wanted: Inside) -> bool:
    """Send all that a new interface lacks, in order; whether the kernel took all of it.

    What it refuses, as the second default route of a namespace, is for the long way, that reads first.
    """
    _parameters(wanted)
    requests = [up(_LOOPBACK), up(wanted.index)]
    requests += [new_address(wanted.index, one) for one in _interfaces(wanted)]
    if not wanted.networks:
        requests += [put(each, wanted.index).message for each in _gateways(wanted)]
    requests += [
        _route(wanted.index, destination, via, 0)
        for gateway in wanted.gateways
        for destination, via in _wanted_routes(gateway, on_link=bool(wanted.networks))
    ]
    return not any(netlink.batch(requests))


def _interfaces(wanted: Inside) -> list[IPInterface]:
    """The addresses with the networks that are on-link: none but themselves, unless on a segment."""
    lengths = [each.prefixlen for each in wanted.networks] or [
        each.max_prefixlen for each in wanted.addresses
    ]
    return [ip_interface(each) for each in zip(wanted.addresses, lengths, strict=True)]


def _links(netlink: Netlink, interface: Interface, wanted: Inside) -> list[bytes]:
    loopback = find_interface(netlink, "lo")
    requests = set_up(loopback) if loopback is not None else []
    return requests + set_up(interface, mac=wanted.mac, mtu_bytes=wanted.mtu_bytes)


def _parameters(wanted: Inside) -> bool:
    """Before it is up: no router's advertisement may give this interface an address or a route."""
    if not sysctl.has_ipv6():
        return False
    changed = sysctl.ensure(f"net/ipv6/conf/{wanted.ifname}/accept_ra", "0")
    if any(address.version == 6 for address in wanted.addresses):
        changed |= sysctl.ensure(f"net/ipv6/conf/{wanted.ifname}/disable_ipv6", "0")
    return changed


def _neighbours(netlink: Netlink, wanted: Inside) -> bool:
    """The gateway's MAC is known from the start, so that the first packet waits for no answer to ARP or ND.

    An endpoint that asks before its flows are there would ask again after a second only (RFC 4861 §10,
    and the same timer for ARP in Linux).
    """
    if wanted.networks:
        return False
    driver = NeighbourDriver(netlink)
    change = delta({one.key: one for one in _gateways(wanted)}, driver.read())
    if not change.put:
        return False
    if driver.apply(Delta(change.put, {})) is not Outcome.DONE:
        raise KernelError(errno.EAGAIN, f"neighbours of {wanted.ifname} were not taken")
    return True


def _gateways(wanted: Inside) -> list[Neighbour]:
    return [Neighbour(wanted.ifname, gateway, GATEWAY_MAC) for gateway in wanted.gateways]


def _routes(netlink: Netlink, wanted: Inside) -> bool:
    changed = False
    for gateway in wanted.gateways:
        family = FAMILIES[gateway.version]
        bodies = netlink.dump(dump(family, protocol=0, oif=wanted.index))
        routes = [route for route in map(decode, bodies) if route.table == MAIN_TABLE]
        held = {(route.destination, hop.gateway): route.metric for route in routes for hop in route.hops}
        for destination, via in _wanted_routes(gateway, on_link=bool(wanted.networks)):
            if (destination, via) not in held:
                held[destination, via] = _add_route(netlink, wanted, destination, via)
                changed = True
        if second.metric(wanted.index) in held.values():
            changed |= second.lead_out(netlink, wanted.index, wanted.addresses, gateway, wanted.networks)
    return changed


def _wanted_routes(gateway: IPAddress, *, on_link: bool) -> Sequence[tuple[IPNetwork, IPAddress | None]]:
    """What is not on-link by an address's network has to be told: the gateway. The rest goes there."""
    everywhere = ip_network("0.0.0.0/0" if gateway.version == 4 else "::/0")
    if on_link:
        return ((everywhere, gateway),)
    return (host_prefix(gateway), None), (everywhere, gateway)


def _add_route(netlink: Netlink, wanted: Inside, destination: IPNetwork, via: IPAddress | None) -> int:
    """Add a route, behind that of another interface if there is one; returns its metric, 0 for the usual one.

    Routes of others are never replaced.
    """
    for metric in (0, second.metric(wanted.index)):
        try:
            netlink.request(_route(wanted.index, destination, via, metric))
        except KernelError as fault:
            if fault.errno != errno.EEXIST or metric:
                raise
        else:
            return metric
    raise AssertionError


@lru_cache(maxsize=64)
def _route(index: int, destination: IPNetwork, via: IPAddress | None, metric: int) -> bytes:
    message: Any = rtmsg()
    message["family"] = FAMILIES[destination.version]
    message["dst_len"], message["table"], message["proto"] = destination.prefixlen, MAIN_TABLE, PROTOCOL
    message["type"], message["scope"] = _RTN_UNICAST, RT_SCOPE_LINK if via is None else RT_SCOPE_UNIVERSE
    message["attrs"] = [("RTA_DST", str(destination.network_address)), ("RTA_OIF", index)]
    if via is not None:
        message["attrs"].append(("RTA_GATEWAY", str(via)))
    if metric:
        message["attrs"].append(("RTA_PRIORITY", metric))
    return encode(message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL)
