"""Driver of permanent neighbours. The ownership mark is NDA_PROTOCOL, which the kernel gives back in dumps.

Unlike routes, a device has one neighbour for an address: putting ours takes the place of what the kernel
learnt, or somebody wrote, for the same address on the same interface.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, AF_UNSPEC
from typing import Any

from pyroute2.netlink import NLM_F_CREATE, NLM_F_REPLACE
from pyroute2.netlink.rtnl import RTM_DELNEIGH, RTM_GETNEIGH, RTM_NEWNEIGH
from pyroute2.netlink.rtnl.ndmsg import NUD_PERMANENT, ndmsg

from agents.delta import Delta
from agents.driver import Outcome, Unreadable
from agents.kernel.message import FAMILIES, HEADER, attributes, encode, encode_dump
from agents.kernel.netlink import KernelError, Netlink
from agents.kernel.requests import Names, Request, lost, outcome, send
from intent.names import PROTOCOL
from intent.neighbours import Neighbour, NeighbourKey
from store.model import IPAddress

_ABSENT = frozenset({errno.ENOENT, errno.ENODEV})
"""A neighbour goes with its interface."""

_NDMSG = struct.Struct("=BxxxiHBB")
"""struct ndmsg: family, ifindex, state, flags, type."""
_NDA_DST, _NDA_LLADDR, _NDA_PROTOCOL = 1, 2, 12
_MARK = bytes([PROTOCOL])

_ADDRESS_AT = HEADER.size + _NDMSG.size + 4
"""Where the address is in a message: NDA_DST is its first attribute, NDA_LLADDR the next."""


class NeighbourDriver:
    """The permanent neighbours of protocol `PROTOCOL`, on every interface, both families."""

    def __init__(self, netlink: Netlink | None = None) -> None:
        self._netlink = netlink or Netlink()

    def read(self) -> Mapping[NeighbourKey, Neighbour]:
        """Our neighbours; one of ours that is not permanent any more is left out, and so put again."""
        names = Names(self._netlink)
        try:
            found = [_parse(body, names) for body in self._netlink.dump(_dump())]
        except KernelError as fault:
            raise Unreadable(str(fault)) from fault
        return {one.key: one for one in found if one is not None}

    def apply(self, change: Delta[NeighbourKey, Neighbour]) -> Outcome:
        """Replace and delete. One neighbour's refusal does not keep the others from being made."""
        try:
            names = Names(self._netlink)
            requests = [_delete(key, names.index(key.oif)) for key in change.delete]
            requests += [put(one, names.index(one.oif)) for one in change.put.values()]
            return outcome(requests, send(self._netlink, requests))
        except KernelError as fault:
            return lost(fault)


def put(one: Neighbour, index: int) -> Request:
    """What has to be sent for an interface, of this index, to have a neighbour."""
    template, packed = _put_template(one.address.version, index), one.address.packed
    mac_at = _ADDRESS_AT + len(packed) + 4
    mac = bytes.fromhex(one.mac.replace(":", ""))
    message = (
        template[:_ADDRESS_AT]
        + packed
        + template[_ADDRESS_AT + len(packed) : mac_at]
        + mac
        + template[mac_at + 6 :]
    )
    return Request(f"neighbour address={one.address} oif={one.oif} mac={one.mac}", message)


def _delete(key: NeighbourKey, index: int) -> Request:
    message = _ndmsg(key.address, index)
    what = f"delete neighbour address={key.address} oif={key.oif}"
    return Request(what, encode(message, RTM_DELNEIGH), _ABSENT)


@lru_cache(maxsize=64)
def _put_template(version: int, index: int) -> bytes:
    """A neighbour message but for its address and MAC: encoding takes longer than the kernel does."""
    message = _ndmsg(ip_address("0.0.0.0" if version == 4 else "::"), index)
    message["state"] = NUD_PERMANENT
    message["attrs"] += [("NDA_LLADDR", "00:00:00:00:00:00"), ("NDA_PROTOCOL", PROTOCOL)]
    return encode(message, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE)


def _ndmsg(address: IPAddress, index: int) -> Any:
    message = ndmsg()
    message["family"] = FAMILIES[address.version]
    message["ifindex"] = index
    message["attrs"] = [("NDA_DST", str(address))]
    return message


@lru_cache(maxsize=1)
def _dump() -> bytes:
    message = ndmsg()
    message["family"] = AF_UNSPEC
    return encode_dump(message, RTM_GETNEIGH)


def _parse(body: bytes, names: Names) -> Neighbour | None:
    family, index, state, _flags, _type = _NDMSG.unpack_from(body)
    if family not in {AF_INET, AF_INET6} or not state & NUD_PERMANENT:
        return None
    found = attributes(body, _NDMSG.size)
    if found.get(_NDA_PROTOCOL) != _MARK or _NDA_LLADDR not in found:
        return None
    return Neighbour(names.name(index), ip_address(found[_NDA_DST]), found[_NDA_LLADDR].hex(":"))
