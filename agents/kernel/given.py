"""Links that are somebody else's and are given to the bridge: a virtual machine's tap, a physical port.

They are neither made nor removed here. While one is a port of the bridge the host itself has nothing to do
with it: it answers and forwards nothing there.
"""

from __future__ import annotations

import errno

from pyroute2.netlink.rtnl import RTM_GETROUTE
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from agents.kernel import sysctl
from agents.kernel.interface import Interface, addresses_of, find_interface, set_up
from agents.kernel.message import FAMILIES, encode_get
from agents.kernel.netlink import KernelError, Netlink
from agents.kernel.route_messages import decode
from intent.names import BRIDGE
from store.model import IPAddress

OPENVSWITCH = "openvswitch"
"""The kind of the master that ports of a kernel datapath have."""
_RTN_UNICAST = 1


def take(netlink: Netlink, ifname: str) -> int:
    """Have the link up, and the host out of it; its index, 0 when there is no such link. Idempotent."""
    found = find_interface(netlink, ifname)
    if found is None:
        return 0
    keep_host_out(found)
    if requests := set_up(found):
        netlink.request(*requests)
    return found.index


def give_back(netlink: Netlink, ifname: str) -> None:
    """Let the host speak there again, as on an interface that is new. Idempotent."""
    if find_interface(netlink, ifname) is not None:
        for name, _ in host_parameters():
            sysctl.ensure(name.format(ifname), sysctl.read(name.format("default")))


def keep_host_out(host: Interface) -> bool:
    """Before it is up: the host itself answers and forwards nothing here, where no flow checks it yet."""
    changed = [sysctl.ensure(name.format(host.name), value) for name, value in host_parameters()]
    return any(changed)


def why_not(ifname: str) -> str | None:
    """Why the link cannot be given to the bridge; None when it can, or is not there.

    Blocking, briefly; from any thread. Raises `KernelError`.
    """
    with Netlink() as netlink:
        found = find_interface(netlink, ifname)
        if found is None:
            return None
        if ifname == BRIDGE:
            return f"{ifname} is the bridge itself"
        if held := [one for one in addresses_of(netlink, found) if not one.is_link_local]:
            return f"{ifname} has addresses of this host ({', '.join(map(str, held))}): take them off it"
        master = find_interface(netlink, found.master) if found.master else None
        if master is not None and master.kind != OPENVSWITCH:
            return f"{ifname} is part of {master.name}: take it out"
        return None


def exists(ifname: str) -> bool:
    """Whether there is such a link. Blocking, briefly; from any thread."""
    with Netlink() as netlink:
        return find_interface(netlink, ifname) is not None


def link_of(address: IPAddress) -> str | None:
    """The link that a neighbour with this address is on; None when it is on none, or is this host itself.

    Blocking, briefly; from any thread. Raises `KernelError`.
    """
    message = rtmsg()
    message["family"], message["dst_len"] = FAMILIES[address.version], address.max_prefixlen
    message["attrs"] = [("RTA_DST", str(address))]
    with Netlink() as netlink:
        try:
            found = decode(netlink.get(encode_get(message, RTM_GETROUTE)))
        except KernelError as fault:
            if fault.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.EACCES}:
                return None
            raise
        on_link = [hop.oif for hop in found.hops if hop.gateway is None and found.kind == _RTN_UNICAST]
        link = find_interface(netlink, on_link[0]) if on_link else None
    return link.name if link is not None else None


def host_parameters() -> list[tuple[str, str]]:
    """What keeps the kernel from taking packets itself at the host's end of a link, by parameter.

    With the userspace datapath it sees them as the bridge does. No route leads to this interface, so that
    checking for one refuses every source (RFC 3704 §2.2), also of what a container sends to all.
    """
    parameters = [
        ("net/ipv4/conf/{}/forwarding", "0"),
        ("net/ipv4/conf/{}/arp_ignore", "8"),
        ("net/ipv4/conf/{}/rp_filter", "1"),
    ]
    if sysctl.has_ipv6():
        parameters.append(("net/ipv6/conf/{}/disable_ipv6", "1"))
    return parameters
