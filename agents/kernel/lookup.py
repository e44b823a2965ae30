"""Which route the kernel takes for a packet, asked of itself, as `ip route get ... fibmatch` does."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import NamedTuple

from pyroute2.netlink.rtnl import RTM_GETROUTE
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from agents.kernel.interface import find_interface
from agents.kernel.message import FAMILIES, encode_get
from agents.kernel.netlink import KernelError, Netlink
from agents.kernel.requests import Names
from agents.kernel.route_messages import RTMSG, decode
from store.model import IPAddress, IPNetwork

RTM_F_LOOKUP_TABLE = 0x1000
"""The answer tells in which table the route is."""
RTM_F_FIB_MATCH = 0x2000
"""The answer is the route itself, in place of what becomes of it for this packet."""

# rtnetlink(7)
_KINDS = {
    1: "unicast",
    2: "local",
    3: "broadcast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
}
_NONE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ESRCH})
_REFUSING = {errno.EINVAL: "blackhole", errno.EACCES: "prohibit"}
"""The kernel answers with the error that such a route gives, and does not tell the route."""


class Way(NamedTuple):
    """A next hop: the interface, and the gateway on it; None is on-link."""

    oif: str
    gateway: IPAddress | None


@dataclass(frozen=True, slots=True)
class Taken:
    """The route that the kernel takes."""

    destination: IPNetwork | None
    """None where the kernel tells only what kind it is."""
    table: int
    kind: str
    """As ip-route(8) calls it."""
    protocol: int
    ways: tuple[Way, ...]


class Link(NamedTuple):
    """An interface, and whether it is administratively up."""

    name: str
    is_up: bool


class Lookup:
    """Asks the kernel of the namespace of the thread that makes it. Any thread may ask."""

    def __init__(self) -> None:
        self._netlink = Netlink()

    def route(
        self, destination: IPAddress, *, source: IPAddress | None = None, iif: str = ""
    ) -> Taken | None:
        """The route of a packet; None when there is none.

        Args:
            destination: where it goes.
            source: where it comes from.
            iif: the interface that it came in by; empty for a packet of the host itself.

        Raises:
            KernelError: the kernel says why such a packet is not taken at all.
        """
        names = Names(self._netlink)
        message = rtmsg()
        message["family"], message["dst_len"] = FAMILIES[destination.version], destination.max_prefixlen
        message["flags"] = RTM_F_FIB_MATCH | RTM_F_LOOKUP_TABLE
        message["attrs"] = [("RTA_DST", str(destination))]
        if source is not None:
            message["src_len"] = source.max_prefixlen
            message["attrs"].append(("RTA_SRC", str(source)))
        if iif:
            message["attrs"].append(("RTA_IIF", names.index(iif)))
        try:
            body = self._netlink.get(encode_get(message, RTM_GETROUTE))
        except KernelError as fault:
            if fault.errno in _NONE:
                return None
            if fault.errno in _REFUSING:
                return Taken(None, 0, _REFUSING[fault.errno], 0, ())
            raise
        found = decode(body)
        protocol = RTMSG.unpack_from(body)[5]
        ways = tuple(Way(names.name(hop.oif), hop.gateway) for hop in found.hops)
        kind = _KINDS.get(found.kind, f"type {found.kind}")
        return Taken(found.destination, found.table, kind, protocol, ways)

    def link(self, name: str) -> Link | None:
        """The interface of this name; None when there is none."""
        found = find_interface(self._netlink, name)
        return None if found is None else Link(found.name, found.is_up)
