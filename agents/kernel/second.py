"""An interface of a namespace in which another one has the default route already.

What is sent from one of its addresses has to leave by it: from another port its node does not take it. So it
has a routing table of its own, which a rule for each of its addresses leads to. In the main table its default
route stands behind that of the first, and counts when that is gone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from errno import EEXIST, ENOENT, ESRCH
from ipaddress import ip_address
from socket import AF_INET, AF_INET6
from typing import Any

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_DELRULE, RTM_GETRULE, RTM_NEWROUTE, RTM_NEWRULE
from pyroute2.netlink.rtnl.fibmsg import FR_ACT_TO_TBL, fibmsg
from pyroute2.netlink.rtnl.rtmsg import RT_SCOPE_LINK, RT_SCOPE_UNIVERSE, rtmsg

from agents.kernel.interface import find_interface
from agents.kernel.message import attributes, encode, encode_dump
from agents.kernel.netlink import KernelError, Netlink
from intent.names import PROTOCOL
from store.model import IPAddress, IPNetwork

TABLES_FROM = 0x504C0000
"""The table of the interface with index 0; each has that of its own index."""
METRICS_FROM = 1 << 16
"""Likewise its metric in the main table: more than that of any first interface."""
PRIORITY = 100

_FAMILIES = {4: AF_INET, 6: AF_INET6}
_RTN_UNICAST, _ONLINK = 1, 4
_FIB_RULE = struct.Struct("=BBBBBBBBI")
"""struct fib_rule_hdr: family, dst_len, src_len, tos, table, res1, res2, action, flags."""
_U32 = struct.Struct("=I")
_FRA_SRC, _FRA_TABLE, _FRA_PROTOCOL = 2, 15, 21

Way = tuple[IPAddress, int]
"""A rule: what is sent from the address looks in the table."""


def metric(index: int) -> int:
    """The metric in the main table of the routes of an interface that is not the first."""
    return METRICS_FROM + index


def lead_out(
    netlink: Netlink,
    index: int,
    addresses: Iterable[IPAddress],
    gateway: IPAddress,
    networks: Iterable[IPNetwork] = (),
) -> bool:
    """Have what is sent from these addresses leave by this interface; whether it took a change. Idempotent.

    `networks` are on-link, the rest is behind the gateway.

    Rules whose interface is gone are removed: the kernel keeps them. Raises `KernelError`.
    """
    table = TABLES_FROM + index
    there = _ways(netlink, gateway.version)
    wanted = {(address, table) for address in addresses if address.version == gateway.version}
    stale = {way for way in there - wanted if not _has_interface(netlink, way[1])}
    near = [each for each in networks if each.version == gateway.version]
    routes = [_default(index, gateway), *(_on_link(index, each) for each in near)]
    new = [_rule(way, RTM_NEWRULE) for way in wanted - there]
    answers = netlink.batch([*routes, *new, *(_rule(way, RTM_DELRULE) for way in stale)])
    _raise_others(answers)
    return None in answers


def lead_more(
    netlink: Netlink, index: int, wanted: Iterable[IPAddress], unwanted: Iterable[IPAddress]
) -> bool:
    """Likewise for addresses that the namespace holds elsewhere, if the interface is not the first there."""
    ways = {version: _ways(netlink, version) for version in _FAMILIES}
    there, table = ways[4] | ways[6], TABLES_FROM + index
    if all(way[1] != table for way in there):
        return False
    new = {(address, table) for address in wanted} - there
    old = {(address, table) for address in unwanted} & there
    _raise_others(
        netlink.batch([_rule(way, RTM_NEWRULE) for way in new] + [_rule(way, RTM_DELRULE) for way in old])
    )
    return bool(new or old)


def _raise_others(answers: Sequence[KernelError | None]) -> None:
    """What is so already is no fault."""
    for fault in answers:
        if fault is not None and fault.errno not in {EEXIST, ENOENT, ESRCH}:
            raise fault


def _has_interface(netlink: Netlink, table: int) -> bool:
    return find_interface(netlink, table - TABLES_FROM) is not None


def _on_link(index: int, network: IPNetwork) -> bytes:
    message: Any = rtmsg()
    message["family"], message["proto"], message["type"] = _FAMILIES[network.version], PROTOCOL, _RTN_UNICAST
    message["scope"], message["dst_len"] = RT_SCOPE_LINK, network.prefixlen
    message["attrs"] = [
        ("RTA_DST", str(network.network_address)),
        ("RTA_TABLE", TABLES_FROM + index),
        ("RTA_OIF", index),
    ]
    return encode(message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL)


def _default(index: int, gateway: IPAddress) -> bytes:
    message: Any = rtmsg()
    message["family"], message["proto"], message["type"] = _FAMILIES[gateway.version], PROTOCOL, _RTN_UNICAST
    message["scope"], message["flags"] = RT_SCOPE_UNIVERSE, _ONLINK
    message["attrs"] = [
        ("RTA_TABLE", TABLES_FROM + index),
        ("RTA_OIF", index),
        ("RTA_GATEWAY", str(gateway)),
    ]
    return encode(message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL)


def _rule(way: Way, kind: int) -> bytes:
    address, table = way
    message: Any = fibmsg()
    message["family"], message["action"] = _FAMILIES[address.version], FR_ACT_TO_TBL
    message["src_len"] = address.max_prefixlen
    message["attrs"] = [
        ("FRA_SRC", str(address)),
        ("FRA_PRIORITY", PRIORITY),
        ("FRA_TABLE", table),
        ("FRA_PROTOCOL", PROTOCOL),
    ]
    return encode(message, kind, NLM_F_CREATE | NLM_F_EXCL if kind == RTM_NEWRULE else 0)


def _ways(netlink: Netlink, version: int) -> set[Way]:
    """The rules of ours for addresses of one family."""
    message: Any = fibmsg()
    message["family"] = _FAMILIES[version]
    found = set()
    for body in netlink.dump(encode_dump(message, RTM_GETRULE)):
        held = attributes(body, _FIB_RULE.size)
        if held.get(_FRA_PROTOCOL) == bytes([PROTOCOL]) and _FRA_SRC in held and _FRA_TABLE in held:
            found.add((ip_address(held[_FRA_SRC]), _U32.unpack(held[_FRA_TABLE])[0]))
    return found
