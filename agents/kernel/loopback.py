"""Addresses of services inside an endpoint's namespace: on its loopback, as hosts hold what is not a link's.

There the kernel takes packets to the address whatever interface they come in by, never asks or answers for
it by ARP, and chooses it as a source for nothing by itself.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from ipaddress import ip_interface

from agents.kernel import second, sysctl
from agents.kernel.interface import IPInterface, find_interface, missing_addresses, remove_address, set_up
from agents.kernel.netlink import KernelError, Netlink
from store.model import IPAddress

LOOPBACK = "lo"


def hold(ifname: str, wanted: Iterable[IPAddress], unwanted: Iterable[IPAddress]) -> bool:
    """Have the calling thread's namespace hold these addresses, and not those; whether it took a change.

    What is sent from them leaves by the endpoint's interface, `ifname`. Idempotent.
    Other addresses are left alone. Raises `KernelError`.
    """
    wanted, unwanted = list(wanted), list(unwanted)
    with Netlink() as netlink:
        loopback = find_interface(netlink, LOOPBACK)
        if loopback is None:
            raise KernelError(errno.ENODEV, "the namespace has no loopback interface")
        if any(address.version == 6 for address in wanted) and sysctl.has_ipv6():
            sysctl.ensure(f"net/ipv6/conf/{LOOPBACK}/disable_ipv6", "0")
        requests = set_up(loopback) + missing_addresses(netlink, loopback, map(_interface, wanted))
        if requests:
            netlink.request(*requests)
        removed = [remove_address(netlink, loopback, _interface(address)) for address in unwanted]
        interface = find_interface(netlink, ifname)
        led = interface is not None and second.lead_more(netlink, interface.index, wanted, unwanted)
        return bool(requests) or any(removed) or led


def _interface(address: IPAddress) -> IPInterface:
    return ip_interface((address, address.max_prefixlen))
