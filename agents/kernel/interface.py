"""Interfaces and their addresses: read, and what is missing as requests yet to be sent.

A request is made only for what differs, so that doing a thing twice sends nothing the second time.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from socket import AF_INET, AF_INET6
from typing import Any

from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE
from pyroute2.netlink.rtnl import RTM_DELADDR, RTM_GETADDR, RTM_GETLINK, RTM_NEWADDR, RTM_NEWLINK, RTM_SETLINK
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_NODAD, ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import IFF_PROMISC, IFF_UP, ifinfmsg

from agents.kernel.message import FAMILIES, attribute, attributes, encode, encode_dump, packed
from agents.kernel.netlink import KernelError, Netlink

IPInterface = IPv4Interface | IPv6Interface

RTEXT_FILTER_SKIP_STATS = 8
VETH = "veth"

_IFINFO = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, index, flags, change."""
_IFADDR = struct.Struct("=BBBBI")
"""struct ifaddrmsg: family, prefix length, flags, scope, index."""
_U32 = struct.Struct("=I")

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_LINKINFO, _IFLA_LINK_NETNSID = 1, 3, 4, 5, 18, 37
_IFLA_MASTER, _IFLA_OPERSTATE, _IFLA_NET_NS_FD, _IFLA_EXT_MASK, _IFLA_TARGET_NETNSID = 10, 16, 28, 29, 46
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_VETH_INFO_PEER = 1
_IF_OPER_UP = b"\x06"
_IFA_ADDRESS, _IFA_LOCAL = 1, 2


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface as the kernel tells it."""

    index: int
    name: str
    kind: str
    """What created it: `veth`, `bridge`, `tun`; empty for hardware."""
    mac: str
    mtu_bytes: int
    flags: int
    """IFF_... of netdevice(7)."""
    peer_index: int
    """The other end of a veth pair, 0 when there is none."""
    peer_nsid: int | None
    """Which namespace the other end is in, in the numbers of this one; None when it is the same one."""
    master: int = 0
    """The index of the bridge or bond that it is part of, 0 when it is part of none."""
    carries: bool = False
    """Whether the kernel sends what it is given: some time after both ends are up (RFC 2863)."""

    @property
    def is_up(self) -> bool:
        """Whether it is administratively up."""
        return bool(self.flags & IFF_UP)


def parse_interface(body: bytes) -> Interface:
    """Read one RTM_NEWLINK or RTM_DELLINK message."""
    _family, _type, index, flags, _change = _IFINFO.unpack_from(body)
    found = attributes(body, _IFINFO.size)
    info = attributes(found.get(_IFLA_LINKINFO, b""), 0)
    nsid = found.get(_IFLA_LINK_NETNSID)
    return Interface(
        index=index,
        name=_text(found.get(_IFLA_IFNAME, b"")),
        kind=_text(info.get(_IFLA_INFO_KIND, b"")),
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        mtu_bytes=_number(found.get(_IFLA_MTU)),
        flags=flags,
        peer_index=_number(found.get(_IFLA_LINK)),
        peer_nsid=None if nsid is None else _number(nsid),
        master=_number(found.get(_IFLA_MASTER)),
        carries=found.get(_IFLA_OPERSTATE) == _IF_OPER_UP,
    )


def find_interface(netlink: Netlink, which: str | int, *, nsid: int | None = None) -> Interface | None:
    """The interface with this name or index, here or in the namespace that has this number here; None when
    there is none, or no such namespace."""
    gone = {errno.ENODEV} if nsid is None else {errno.ENODEV, errno.EINVAL}
    try:
        return parse_interface(netlink.get(_get_link(which, nsid)))
    except KernelError as fault:
        if fault.errno in gone:
            return None
        raise


def all_interfaces(netlink: Netlink, kind: str = "") -> list[Interface]:
    """Every interface, or those of one kind; the kernel does the choosing."""
    asked = _ifinfo()
    if kind:
        asked["attrs"].append(("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind)]}))
    return [parse_interface(body) for body in netlink.dump(encode_dump(asked, RTM_GETLINK))]


def set_up(interface: Interface, *, mac: str | None = None, mtu_bytes: int | None = None) -> list[bytes]:
    """What has to be sent for the interface to have this MAC and MTU and be up: nothing or one request."""
    return _set(interface, IFF_UP, mac=mac, mtu_bytes=mtu_bytes)


def up(index: int) -> bytes:
    """What has to be sent for an interface to be up, if it is not."""
    return packed(RTM_SETLINK, NLM_F_ACK, _IFINFO.pack(0, 0, index, IFF_UP, IFF_UP))


def new_pair(host_ifname: str, ifname: str, mac: str, mtu_bytes: int, netns: int) -> bytes:
    """What has to be sent for a veth pair to be made, with the far end in the namespace of a file descriptor.

    The near end listens to all MACs, as a port of a bridge does: were that left to Open vSwitch, it would
    look at all its ports once more when the kernel tells of it.
    """
    mtu = attribute(_IFLA_MTU, _U32.pack(mtu_bytes))
    far = (
        _IFINFO.pack(0, 0, 0, 0, 0)
        + attribute(_IFLA_IFNAME, ifname.encode() + b"\0")
        + attribute(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
        + mtu
        + attribute(_IFLA_NET_NS_FD, _U32.pack(netns))
    )
    info = attribute(_IFLA_INFO_KIND, VETH.encode() + b"\0")
    info += attribute(_IFLA_INFO_DATA, attribute(_VETH_INFO_PEER, far))
    return packed(
        RTM_NEWLINK,
        NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
        _IFINFO.pack(0, 0, 0, IFF_PROMISC, IFF_PROMISC),
        attribute(_IFLA_IFNAME, host_ifname.encode() + b"\0"),
        mtu,
        attribute(_IFLA_LINKINFO, info),
    )


def set_mtu(interface: Interface, mtu_bytes: int) -> list[bytes]:
    """Likewise for it to have this MTU, up or not."""
    return _set(interface, 0, mtu_bytes=mtu_bytes)


def _set(
    interface: Interface, flags: int, *, mac: str | None = None, mtu_bytes: int | None = None
) -> list[bytes]:
    attrs: list[tuple[str, Any]] = []
    if mac is not None and interface.mac != mac:
        attrs.append(("IFLA_ADDRESS", mac))
    if mtu_bytes is not None and interface.mtu_bytes != mtu_bytes:
        attrs.append(("IFLA_MTU", mtu_bytes))
    if interface.flags & flags == flags and not attrs:
        return []
    message = ifinfmsg()
    message["index"], message["flags"], message["change"] = interface.index, flags, flags
    message["attrs"] = attrs
    return [encode(message, RTM_SETLINK)]


def missing_addresses(
    netlink: Netlink, interface: Interface, wanted: Iterable[IPInterface], *, scope: int = 0
) -> list[bytes]:
    """What has to be sent for the interface to have these addresses. Others it has are left alone.

    An IPv6 address is used at once: Polder gives it to nobody else, so nothing is to be detected
    (RFC 4862 §5.4: the variable DupAddrDetectTransmits is 0).
    """
    wanted = list(wanted)
    held: set[IPInterface] = set()
    for family in sorted({FAMILIES[one.version] for one in wanted}):
        held |= _addresses(netlink, family, interface.index)
    return [new_address(interface.index, one, scope) for one in wanted if one not in held]


def addresses_of(netlink: Netlink, interface: Interface) -> set[IPInterface]:
    """The addresses of an interface, both families."""
    return _addresses(netlink, AF_INET, interface.index) | _addresses(netlink, AF_INET6, interface.index)


def remove_address(netlink: Netlink, interface: Interface, address: IPInterface) -> bool:
    """Take an address from the interface; whether it had it. Idempotent."""
    if address not in _addresses(netlink, FAMILIES[address.version], interface.index):
        return False
    netlink.request(_change(RTM_DELADDR, interface.index, address), tolerate={errno.EADDRNOTAVAIL})
    return True


def _addresses(netlink: Netlink, family: int, index: int) -> set[IPInterface]:
    asked = ifaddrmsg()
    asked["family"], asked["index"] = family, index
    found = set()
    for body in netlink.dump(encode_dump(asked, RTM_GETADDR)):
        _, prefixlen, _, _, _ = _IFADDR.unpack_from(body)
        held = attributes(body, _IFADDR.size)
        address = ip_address(held.get(_IFA_LOCAL) or held[_IFA_ADDRESS])
        found.add((IPv4Interface if address.version == 4 else IPv6Interface)((address, prefixlen)))
    return found


def new_address(index: int, address: IPInterface, scope: int = 0) -> bytes:
    """What has to be sent for an interface, of this index, to have an address, if it has not."""
    return _change(RTM_NEWADDR, index, address, NLM_F_CREATE | NLM_F_REPLACE, scope=scope)


def _change(kind: int, index: int, address: IPInterface, flags: int = 0, *, scope: int = 0) -> bytes:
    prefixlen, said = address.network.prefixlen, address.ip.packed
    if address.version == 6:
        fixed = _IFADDR.pack(AF_INET6, prefixlen, IFA_F_NODAD, 0, index)
        return packed(kind, NLM_F_ACK | flags, fixed, attribute(_IFA_ADDRESS, said))
    fixed, own = _IFADDR.pack(AF_INET, prefixlen, 0, scope, index), attribute(_IFA_LOCAL, said)
    return packed(kind, NLM_F_ACK | flags, fixed, attribute(_IFA_ADDRESS, said), own)


def _get_link(which: str | int, nsid: int | None) -> bytes:
    index, name = (which, b"") if isinstance(which, int) else (0, which.encode() + b"\0")
    asked = attribute(_IFLA_EXT_MASK, _U32.pack(RTEXT_FILTER_SKIP_STATS))
    asked += attribute(_IFLA_IFNAME, name) if name else b""
    asked += attribute(_IFLA_TARGET_NETNSID, _U32.pack(nsid)) if nsid is not None else b""
    return packed(RTM_GETLINK, 0, _IFINFO.pack(0, 0, index, 0, 0), asked)


def _ifinfo() -> Any:
    message = ifinfmsg()
    message["attrs"] = [("IFLA_EXT_MASK", RTEXT_FILTER_SKIP_STATS)]
    return message


def _text(given: bytes) -> str:
    return given.rstrip(b"\0").decode(errors="replace")


def _number(given: bytes | None) -> int:
    return _U32.unpack(given)[0] if given else 0
