"""Traffic control messages: queueing disciplines, classes and filters of a shared uplink, and back.

Written by hand: pyroute2 makes a table of transmission times for each class, which no kernel since 3.9 reads.
"""

from __future__ import annotations

import errno
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL

from agents.kernel.message import attribute, attributes, packed
from agents.kernel.requests import Request
from intent.shares import HANDLE, OTHERS, Class, ClassKey, Discipline, Filter
from store.model import IPAddress

# linux/rtnetlink.h
NEW_DISCIPLINE, DELETE_DISCIPLINE, GET_DISCIPLINE = 36, 37, 38
NEW_CLASS, DELETE_CLASS, GET_CLASS = 40, 41, 42
NEW_FILTER, DELETE_FILTER, GET_FILTER = 44, 45, 46
CHANGES = frozenset({NEW_DISCIPLINE, DELETE_DISCIPLINE, NEW_CLASS, DELETE_CLASS, NEW_FILTER, DELETE_FILTER})

TCMSG = struct.Struct("=BxxxiIII")
"""struct tcmsg: family, ifindex, handle, parent, info."""
_KIND, _OPTIONS = 1, 2

# linux/pkt_sched.h
ROOT_PARENT = 0xFFFFFFFF
_HTB = b"htb\0"
_HTB_PARMS, _HTB_INIT, _HTB_RATE64, _HTB_CEIL64 = 1, 2, 6, 7
_GLOB = struct.Struct("=IIIII")
"""struct tc_htb_glob: version, rate2quantum, defcls, debug, direct_pkts."""
_RATE = struct.Struct("=BBHhHI")
"""struct tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, rate."""
_OPT = struct.Struct("=12s12sIIIII")
"""struct tc_htb_opt: rate, ceil, buffer, cbuffer, quantum, level, prio."""
_U64 = struct.Struct("=Q")
_U32 = struct.Struct("=I")
_ETHERNET = 1
_TICKS_PER_S = 1_000_000_000 // 64
"""PSCHED_SHIFT: a tick is 64 ns."""
_QUANTUM_BYTES = 60_000
"""How much each class of one priority sends in its turn, of what is over."""
_BURST_S, _BURST_BYTES = 0.001, 9216

# linux/pkt_cls.h
_U32_KIND = b"u32\0"
_CLASSID, _SEL = 1, 5
_SEL_HEAD = struct.Struct(">BBBxHHhhI")
"""struct tc_u32_sel: flags, offshift, nkeys, offmask, off, offoff, hoff, hmask."""
_SEL_KEY = struct.Struct(">IIii")
"""struct tc_u32_key: mask, value, offset, mask of the offset; the first two in network order."""
_TERMINAL = 1
_IPV4, _IPV6 = 0x0800, 0x86DD
_SOURCE_AT = {4: 12, 6: 8}
"""Where the source address is in the header."""
_PROTOCOLS = {4: _IPV4, 6: _IPV6}
_OF_FILTERS = frozenset({NEW_FILTER, DELETE_FILTER})
_ABSENT = frozenset({errno.ENOENT, errno.ENODEV, errno.EINVAL})


class Traffic(NamedTuple):
    """One object of traffic control as the kernel tells it."""

    ifindex: int
    handle: int
    parent: int
    info: int
    kind: bytes
    options: dict[int, bytes]


def dump(kind: int, index: int = 0) -> bytes:
    """Ask for all disciplines of the host, or for the classes or filters of ours of an interface."""
    parent = HANDLE << 16 if kind == GET_FILTER else 0
    return packed(kind, NLM_F_DUMP, TCMSG.pack(0, index, 0, parent, 0))


def decode(body: bytes) -> Traffic:
    """Read one message of a dump."""
    _, index, handle, parent, info = TCMSG.unpack_from(body)
    found = attributes(body, TCMSG.size)
    return Traffic(
        index, handle, parent, info, found.get(_KIND, b""), attributes(found.get(_OPTIONS, b""), 0)
    )


def is_inside(kind: int, body: bytes) -> bool:
    """Whether a notification of this kind is of a root discipline of ours, or of what is in one."""
    _, _, handle, parent, _ = TCMSG.unpack_from(body)
    mark: int = parent if kind in _OF_FILTERS else handle
    return mark >> 16 == HANDLE


def root_of(body: bytes) -> int | None:
    """The interface whose root discipline a notification is of; None when it is of another one."""
    _, index, _, parent, _ = TCMSG.unpack_from(body)
    return int(index) if parent == ROOT_PARENT else None


def is_ours(discipline: Traffic) -> bool:
    """Whether it is a root discipline that this program made."""
    return (discipline.handle, discipline.parent, discipline.kind) == (HANDLE << 16, ROOT_PARENT, _HTB)


def put_discipline(wanted: Discipline, index: int) -> Request:
    """Make it, where there is none but the kernel's default: EEXIST says that there is another one."""
    options = attribute(_HTB_INIT, _GLOB.pack(3, 10, OTHERS, 0, 0))
    flags = NLM_F_CREATE | NLM_F_EXCL
    message = _change(NEW_DISCIPLINE, index, HANDLE << 16, ROOT_PARENT, 0, flags, _HTB, options)
    return Request(f"htb ifname={wanted.ifname}", message)


def delete_discipline(ifname: str, index: int) -> Request:
    """Give the uplink back to the kernel's default; the handle tells ours from another one."""
    message = _change(DELETE_DISCIPLINE, index, HANDLE << 16, ROOT_PARENT, 0, 0, _HTB)
    return Request(f"delete htb ifname={ifname}", message, _ABSENT)


def put_class(wanted: Class, index: int) -> Request:
    """Make a class, or change it in place."""
    rate, ceil = wanted.rate_kbps * 125, wanted.ceil_kbps * 125
    options = _OPT.pack(
        *(_RATE.pack(0, _ETHERNET, 0, 0, 0, min(each, 0xFFFFFFFF)) for each in (rate, ceil)),
        *(_ticks(each) for each in (rate, ceil)),
        _QUANTUM_BYTES,
        0,
        wanted.priority,
    )
    attrs = attribute(_HTB_PARMS, options)
    for kind, each in ((_HTB_RATE64, rate), (_HTB_CEIL64, ceil)):
        attrs += attribute(kind, _U64.pack(each)) if each > 0xFFFFFFFF else b""
    parent = HANDLE << 16 | wanted.parent
    handle = HANDLE << 16 | wanted.minor
    message = _change(NEW_CLASS, index, handle, parent, 0, NLM_F_CREATE, _HTB, attrs)
    return Request(f"class {wanted.minor:x} ifname={wanted.ifname} ({wanted.reason})", message)


def delete_class(key: ClassKey, index: int) -> Request:
    """Delete a class that no filter leads to any more."""
    message = _change(DELETE_CLASS, index, HANDLE << 16 | key.minor, 0, 0, 0, _HTB)
    return Request(f"delete class {key.minor:x} ifname={key.ifname}", message, _ABSENT)


def class_of(found: Traffic, ifname: str) -> Class:
    """A class as intended ones are written."""
    rate, ceil, _, _, _, _, priority = _OPT.unpack_from(found.options.get(_HTB_PARMS, bytes(_OPT.size)))
    rate_kbps, ceil_kbps = (
        _U64.unpack(found.options[wide])[0] // 125
        if wide in found.options
        else _RATE.unpack(narrow)[-1] // 125
        for wide, narrow in ((_HTB_RATE64, rate), (_HTB_CEIL64, ceil))
    )
    parent = 0 if found.parent == ROOT_PARENT else found.parent & 0xFFFF
    priority = 0 if parent == 0 else priority
    return Class(ifname, found.handle & 0xFFFF, parent, rate_kbps, ceil_kbps, priority)


def put_filter(wanted: Filter, index: int) -> Request:
    """Add a filter; the kernel gives it a handle."""
    address = wanted.source
    words = [address.packed[at : at + 4] for at in range(0, len(address.packed), 4)]
    keys = b"".join(
        _SEL_KEY.pack(0xFFFFFFFF, int.from_bytes(word, "big"), 0, 0)[:8]
        + struct.pack("=ii", _SOURCE_AT[address.version] + 4 * at, 0)
        for at, word in enumerate(words)
    )
    selector = _SEL_HEAD.pack(_TERMINAL, 0, len(words), 0, 0, 0, 0, 0) + keys
    attrs = attribute(_CLASSID, _U32.pack(HANDLE << 16 | wanted.minor)) + attribute(_SEL, selector)
    info = _filter_info(address.version)
    message = _change(NEW_FILTER, index, 0, HANDLE << 16, info, NLM_F_CREATE | NLM_F_EXCL, _U32_KIND, attrs)
    return Request(f"filter source={address} ifname={wanted.ifname}", message)


def delete_filter(found: Traffic) -> Request:
    """Delete a filter that was read."""
    message = _change(DELETE_FILTER, found.ifindex, found.handle, found.parent, found.info, 0, _U32_KIND)
    return Request(f"delete filter {found.handle:x}", message, _ABSENT)


def filter_of(found: Traffic, ifname: str) -> Filter | None:
    """A filter as intended ones are written; None for the tables that the kernel keeps filters in."""
    selector, target = found.options.get(_SEL), found.options.get(_CLASSID)
    if selector is None or target is None:
        return None
    keys = range(_SEL_HEAD.size, len(selector), _SEL_KEY.size)
    raw = b"".join(selector[at + 4 : at + 8] for at in keys)
    if len(raw) not in {4, 16}:
        return None
    source: IPAddress = IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)
    return Filter(ifname, source, _U32.unpack(target)[0] & 0xFFFF)


def _ticks(bytes_per_s: int) -> int:
    """How long the burst of a class takes, in ticks."""
    burst = max(_BURST_BYTES, int(bytes_per_s * _BURST_S))
    return min(0xFFFFFFFF, burst * _TICKS_PER_S // bytes_per_s)


def _filter_info(version: int) -> int:
    """Priority, one for each family as a priority has one protocol, and the protocol in network order."""
    protocol = _PROTOCOLS[version]
    return version << 16 | (protocol & 0xFF) << 8 | protocol >> 8


def _change(
    kind: int,
    index: int,
    handle: int,
    parent: int,
    info: int,
    flags: int,
    name: bytes,
    options: bytes = b"",
) -> bytes:
    fixed = TCMSG.pack(0, index, handle, parent, info)
    attrs = attribute(_KIND, name) + (attribute(_OPTIONS, options) if options else b"")
    return packed(kind, NLM_F_ACK | flags, fixed, attrs)
