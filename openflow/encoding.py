"""Changes of flows as messages, written by hand: byte for byte what os-ken writes, ten times as fast.

Thousands of flows differ in a few bytes. Headers of fields and rare actions are asked of os-ken
(`openflow.render`) once and kept; values, and the actions that each endpoint has of its own, are packed here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from openflow.cookie import OWNER, OWNER_MASK
from openflow.flow import (
    CONTROLLER,
    SAMPLED_BYTES,
    Action,
    DecTtl,
    GotoTable,
    Match,
    MatchValue,
    Output,
    SetField,
    Visit,
)
from openflow.ordering import Change, Put
from openflow.render import field_bytes, instruction_bytes, prerequisites

VERSION = 5
"""OpenFlow 1.4."""
FLOW_MOD, BUNDLE_ADD = 14, 34
ADD, DELETE_STRICT = 0, 4
ANY = 0xFFFFFFFF
"""No buffer, any port, any group."""

# OpenFlow 1.4.1 §7.3.9.2: header, bundle id, padding, flags; the change itself follows
_BUNDLE_ADD = struct.Struct("!BBHIIHH")
# OpenFlow 1.4.1 §7.3.4.2: header, cookie and mask, table, command, timeouts, priority, buffer, out port and
# group, flags, importance; then the match
_FLOW_MOD = struct.Struct("!BBHIQQBBHHHIIIHH")
_TLV = struct.Struct("!HH")
_MATCH_TYPE = 1
_APPLY = struct.Struct("!HH4x")
_APPLY_TYPE = 4
_GOTO = struct.Struct("!HHB3x")
_GOTO_TYPE = 1
_OUTPUT = struct.Struct("!HHIH6x")
_OUTPUT_TYPE = 0
_NO_BUFFER = 0xFFFF
"""OFPCML_NO_BUFFER: a packet for the controller is sent whole."""
_SET_FIELD_TYPE = 25
_DEC_TTL = struct.pack("!HH4x", 24, 8)
_VISIT = struct.Struct("!HHIHHB3x")
_VISIT_HEAD = (0xFFFF, _VISIT.size, 0x2320, 14, 0xFFF8)
"""An action of Nicira's, NXAST_RESUBMIT_TABLE, and the packet's own port (nicira-ext.h)."""

EXPERIMENTER = b"\xff\xff"
"""The class of fields whose header is longer by an experimenter's number (OpenFlow 1.4.1 §7.2.2.3)."""

_FIELDS_KEPT = 1 << 14
_SAMPLES = {4: IPv4Address(0), 6: IPv6Address(0)}
_SAMPLE_MAC = "00:00:00:00:00:00"
_PADDING = tuple(bytes(-length % 8) for length in range(8))


def bundle_of(changes: Sequence[Change], bundle_id: int, flags: int, xid: int) -> Iterator[bytes]:
    """The messages that add the changes to an open bundle; `xid` is the first one's, the others follow."""
    for at, change in enumerate(changes):
        yield _bundled(encode(change, xid + at), bundle_id, flags, xid + at)


def encode(change: Change, xid: int) -> bytes:
    """The flow mod of a change. A deletion takes a flow of this key only if its cookie is ours."""
    flow = change.flow
    match = _match_bytes(flow.match)
    if isinstance(change, Put):
        cookie, mask, command, anywhere = flow.cookie, 0, ADD, 0
        instructions = _instructions(flow.actions)
    else:
        cookie, mask, command, anywhere = OWNER, OWNER_MASK, DELETE_STRICT, ANY
        instructions = b""
    length = _FLOW_MOD.size + len(match) + len(instructions)
    head = _FLOW_MOD.pack(
        VERSION,
        FLOW_MOD,
        length,
        xid,
        cookie,
        mask,
        flow.table_id,
        command,
        0,
        0,
        flow.priority,
        ANY,
        anywhere,
        anywhere,
        0,
        0,
    )
    return head + match + instructions


def _bundled(message: bytes, bundle_id: int, flags: int, xid: int) -> bytes:
    length = _BUNDLE_ADD.size + len(message)
    return _BUNDLE_ADD.pack(VERSION, BUNDLE_ADD, length, xid, bundle_id, 0, flags) + message


def _match_bytes(match: Match) -> bytes:
    order = _order(tuple([name for name, _ in match]))
    fields = b"".join([_field(*match[at]) for at in order])
    length = _TLV.size + len(fields)
    return _TLV.pack(_MATCH_TYPE, length) + fields + _PADDING[length & 7]


@lru_cache(maxsize=1024)
def _order(names: tuple[str, ...]) -> tuple[int, ...]:
    """In which order fields go, so that each comes behind those that it depends on."""
    return tuple(sorted(range(len(names)), key=lambda at: prerequisites(names[at])))


def _field(name: str, value: MatchValue) -> bytes:
    if isinstance(value, IPv4Address | IPv6Address):
        return _header(name, _SAMPLES[value.version]) + value.packed
    return _kept_field(name, value)


@lru_cache(maxsize=_FIELDS_KEPT)
def _kept_field(name: str, value: MatchValue) -> bytes:
    """Numbers, MAC addresses and masks come again and again; an address does not, and its hash is slow."""
    if isinstance(value, int):
        header = _header(name, 0)
        return header + value.to_bytes(len(field_bytes(name, 0)) - len(header), "big")
    if isinstance(value, str) and "/" not in value:
        return _header(name, _SAMPLE_MAC) + bytes.fromhex(value.replace(":", ""))
    return field_bytes(name, value)


@lru_cache(maxsize=256)
def _header(name: str, sample: MatchValue) -> bytes:
    """What stands before the value, learnt from a sample."""
    data = field_bytes(name, sample)
    return data[: 8 if data[:2] == EXPERIMENTER else 4]


def _instructions(actions: tuple[Action, ...]) -> bytes:
    """Those that consist of the few kinds of actions which nearly all flows have; the others by os-ken."""
    applied, goto = [], b""
    for action in actions:
        if isinstance(action, GotoTable):
            goto = _GOTO.pack(_GOTO_TYPE, _GOTO.size, action.table_id)
        elif isinstance(action, Output):
            most = SAMPLED_BYTES if action.port == CONTROLLER else _NO_BUFFER
            applied.append(_OUTPUT.pack(_OUTPUT_TYPE, _OUTPUT.size, action.port, most))
        elif isinstance(action, Visit):
            applied.append(_VISIT.pack(*_VISIT_HEAD, action.table_id))
        elif isinstance(action, SetField):
            applied.append(_set_field(action))
        elif isinstance(action, DecTtl):
            applied.append(_DEC_TTL)
        else:
            return _rare(actions)
    if not applied:
        return goto
    written = b"".join(applied)
    return _APPLY.pack(_APPLY_TYPE, _APPLY.size + len(written)) + written + goto


def _set_field(action: SetField) -> bytes:
    field = _field(action.field, action.value)
    padding = _PADDING[4 + len(field) & 7]
    return _TLV.pack(_SET_FIELD_TYPE, 4 + len(field) + len(padding)) + field + padding


@lru_cache(maxsize=_FIELDS_KEPT)
def _rare(actions: tuple[Action, ...]) -> bytes:
    return instruction_bytes(actions)
