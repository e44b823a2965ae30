"""An endpoint's link: a veth pair, one end on this host for the bridge, one in the endpoint's namespace.

The kernel makes both ends at once, the far one where it belongs, so a crash leaves a pair or nothing. Both
ends go together as well: when the namespace dies, the host's end disappears by itself. The ownership mark
is the name, `pl...`, together with the kind, veth.
"""

from __future__ import annotations

import errno
import logging
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pyroute2.netlink.rtnl import RTM_DELLINK, RTM_GETNSID
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.nsidmsg import nsidmsg

from agents.kernel import gateway, given, loopback, own
from agents.kernel.carrier import await_carrier
from agents.kernel.container import Inside, configure
from agents.kernel.interface import VETH, Interface, all_interfaces, find_interface, new_pair, set_mtu, set_up
from agents.kernel.message import attributes, encode, encode_get
from agents.kernel.netlink import KernelError, Netlink
from agents.kernel.netns import Netns, NetnsGone, NetnsWorker, own_netns
from store.model import IPAddress, IPNetwork

log = logging.getLogger(__name__)

PREFIX = "pl"

_RTGENMSG_BYTES = 4
_NETNSA_NSID = 1
_NSID = struct.Struct("=i")


class IfnameTaken(KernelError):
    """The name belongs to an interface that is not ours. Ask for another, or remove that interface."""

    def __init__(self, ifname: str, where: str) -> None:
        super().__init__(errno.EEXIST, f"interface name {ifname} is taken in {where}")


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """What an endpoint's link should be.

    `host_ifname` begins with `pl` and, like `ifname`, has at most 15 characters; `netns` is a path. There is
    one of `gateways` for each family that `addresses` has, and its MAC is the node's. On a segment each
    address has one of `networks`, which is on-link, and gateways are other machines, if there are any.
    """

    host_ifname: str
    netns: str
    ifname: str
    mac: str
    addresses: tuple[IPAddress, ...]
    gateways: tuple[IPAddress, ...]
    mtu_bytes: int
    networks: tuple[IPNetwork, ...] = ()


class Links:
    """The links of this host's endpoints, in the namespace of the thread that makes this object.

    One thread at a time.
    """

    def __init__(self) -> None:
        self._netlink = Netlink()
        self._worker = NetnsWorker()

    def close(self) -> None:
        """Let go of socket and thread; links stay. Idempotent."""
        self._worker.close()
        self._netlink.close()

    def ensure_endpoint_link(self, spec: LinkSpec, standing: Callable[[], None] = lambda: None) -> None:
        """Make the link, or complete it but for `raise_link`. Idempotent: what is right is only read.

        A link of this name whose other end is elsewhere belonged to the endpoint's former namespace: it is
        made anew.

        Args:
            spec: what it should be.
            standing: called when both ends are there, before anything is done with them.

        Raises:
            NetnsGone: the path is no network namespace, or is this host's own.
            IfnameTaken: the namespace has another interface of that name.
            KernelError: anything else; may be tried again.
        """
        with Netns(spec.netns) as netns:
            with own_netns() as home:
                if home.inode == netns.inode:
                    raise NetnsGone(spec.netns, "is this host's own")
            there = self._existing(spec, netns)
            host = there or self._make(spec, netns)
            standing()
            changed = self._configure(host, spec, netns, new=there is None)
        if changed:
            done = "completed" if there else "made"
            log.info("link %s ifname=%s netns=%s peer=%s", done, host.name, spec.netns, spec.ifname)

    def raise_link(self, host_ifname: str) -> None:
        """Set up the host's end of a link that is complete, and wait until the far end sends. Idempotent.

        Ordering: this comes last, so that one that is down tells of an incomplete link; and after it is a
        port. Open vSwitch, when it takes a link, writes flags that it has read before: one that is set up in
        between is down again.

        Raises:
            KernelError: there is no such link, or the kernel refuses.
        """
        found = find_interface(self._netlink, host_ifname)
        if found is None:
            raise KernelError(errno.ENODEV, f"link {host_ifname} vanished as it was plugged in")
        if requests := set_up(found):
            self._netlink.request(*requests)
        if not await_carrier(lambda: find_interface(self._netlink, found.peer_index, nsid=found.peer_nsid)):
            log.warning("link ifname=%s: its far end does not send yet", host_ifname)

    def take_link(self, ifname: str) -> int:
        """See `agents.kernel.given.take`."""
        return given.take(self._netlink, ifname)

    def give_back_link(self, ifname: str) -> None:
        """See `agents.kernel.given.give_back`."""
        given.give_back(self._netlink, ifname)

    def hold_addresses(
        self,
        path: str,
        netns_id: str,
        ifname: str,
        wanted: Iterable[IPAddress],
        unwanted: Iterable[IPAddress],
    ) -> None:
        """Have an endpoint's namespace hold these addresses on its loopback, and not those. Idempotent.

        Raises:
            NetnsGone: the path is no network namespace, or another one than `netns_id` says.
            KernelError: anything else; may be tried again.
        """
        with Netns(path) as netns:
            if netns.inode != netns_id:
                raise NetnsGone(path, "is another one now")
            if self._worker.run(netns, lambda: loopback.hold(ifname, wanted, unwanted)):
                log.info("service addresses of namespace netns=%s", path)

    def remove_link(self, host_ifname: str) -> None:
        """Remove a link, both ends. Idempotent. Raises `IfnameTaken` when it is no link of ours."""
        found = find_interface(self._netlink, host_ifname)
        if found is not None:
            self._remove(found)

    def owned_links(self) -> dict[str, bool]:
        """The host's ends of all links of ours, and whether each is up: complete. One whose namespace is gone
        is gone too."""
        found = all_interfaces(self._netlink, VETH)
        return {one.name: one.is_up for one in found if one.name.startswith(PREFIX)}

    def setup_gateway(self, ifname: str, mac: str, addresses: Iterable[IPAddress]) -> tuple[str, ...]:
        """See `agents.kernel.gateway.setup_gateway`."""
        return gateway.setup_gateway(self._netlink, ifname, mac, addresses)

    def uplinks(self) -> dict[str, int]:
        """See `agents.kernel.gateway.uplinks`."""
        return gateway.uplinks(self._netlink)

    def _configure(self, host: Interface, spec: LinkSpec, netns: Netns, *, new: bool) -> bool:
        """Bring both ends to what they should be; returns whether anything had to be changed or raised."""
        changed = given.keep_host_out(host)
        inside = Inside(
            host.peer_index,
            spec.ifname,
            spec.mac,
            spec.mtu_bytes,
            spec.addresses,
            spec.gateways,
            spec.networks,
        )
        completed = self._worker.run(netns, lambda: configure(inside, new=new))
        if requests := set_mtu(host, spec.mtu_bytes):
            self._netlink.request(*requests)
        return changed or bool(requests) or completed or not host.is_up

    def _existing(self, spec: LinkSpec, netns: Netns) -> Interface | None:
        host = find_interface(self._netlink, spec.host_ifname)
        if host is None:
            return None
        if (
            self._leads_to(host, netns)
            and self._worker.run(netns, lambda: _name_of(host.peer_index)) == spec.ifname
        ):
            return host
        self._remove(host)
        return None

    def _leads_to(self, host: Interface, netns: Netns) -> bool:
        """Indexes repeat from one namespace to another, so the kernel's number for the namespace decides."""
        asked: Any = nsidmsg()
        asked["attrs"] = [("NETNSA_FD", netns.fileno())]
        found = attributes(self._netlink.get(encode_get(asked, RTM_GETNSID)), _RTGENMSG_BYTES)
        return host.peer_nsid is not None and _NSID.unpack(found[_NETNSA_NSID])[0] == host.peer_nsid

    def _make(self, spec: LinkSpec, netns: Netns) -> Interface:
        try:
            self._netlink.request(
                new_pair(spec.host_ifname, spec.ifname, spec.mac, spec.mtu_bytes, netns.fileno())
            )
        except KernelError as fault:
            if fault.errno == errno.EEXIST:
                raise IfnameTaken(spec.ifname, spec.netns) from fault
            raise
        made = find_interface(self._netlink, spec.host_ifname)
        if made is None:
            raise KernelError(errno.ENODEV, f"link {spec.host_ifname} vanished as it was made")
        own.left(made.index)  # it may have been that of a link deleted before
        return made

    def _remove(self, host: Interface) -> None:
        if not host.name.startswith(PREFIX) or host.kind != VETH:
            raise IfnameTaken(host.name, "the host")
        message: Any = ifinfmsg()
        message["index"] = host.index
        own.leaving(host.index)
        try:
            self._netlink.request(encode(message, RTM_DELLINK), tolerate={errno.ENODEV})
        except KernelError:
            own.left(host.index)
            raise


def _name_of(index: int) -> str:
    with Netlink() as netlink:
        found = find_interface(netlink, index)
    return "" if found is None else found.name
