"""Matches and actions to OpenFlow 1.4 and back, by os-ken: each direction is the exact inverse of the other.

os-ken's parsers and encoders want a "datapath" that names the protocol version; `PROTOCOL` is all of it that
they need. What a switch holds and we would never write still reads as a flow (`Unknown` actions, values as
text), so that it can be told from the wanted ones and deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from os_ken.ofproto import nicira_ext
from os_ken.ofproto import ofproto_v1_4 as ofp
from os_ken.ofproto import ofproto_v1_4_parser as parser
from os_ken.ofproto.ofproto_protocol import ProtocolDesc

from openflow.flow import (
    CONTROLLER,
    SAMPLED_BYTES,
    Action,
    ChoosePort,
    Commit,
    Conjunction,
    DecTtl,
    GotoTable,
    Match,
    MatchValue,
    Measure,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    Track,
    Unknown,
    Unlook,
    Visit,
    match_of,
)

PROTOCOL = ProtocolDesc(version=ofp.OFP_VERSION)

_ADDRESS_FIELDS: dict[str, tuple[type[IPv4Address | IPv6Address], type[IPv4Network | IPv6Network]]] = {
    **dict.fromkeys(("ipv4_src", "ipv4_dst", "arp_spa", "arp_tpa"), (IPv4Address, IPv4Network)),
    **dict.fromkeys(("ipv6_src", "ipv6_dst", "ipv6_nd_target"), (IPv6Address, IPv6Network)),
}

_BUNDLE = {
    "algorithm": nicira_ext.NX_BD_ALG_HRW,
    "fields": 3,  # NX_HASH_FIELDS_SYMMETRIC_L3L4_UDP, which os-ken has no name for
    "basis": 0,
    "slave_type": 2,  # the header of NXM_OF_IN_PORT
    "ofs_nbits": nicira_ext.ofs_nbits(0, 15),
    "dst": "reg0",
}
"""What all actions that choose a port have alike (nicira-ext.h, nx_action_bundle)."""

ETH_TYPE_8021Q = 0x8100
_PLAIN: dict[type[Action], Callable[[], Any]] = {
    DecTtl: parser.OFPActionDecNwTtl,
    PushVlan: partial(parser.OFPActionPushVlan, ETH_TYPE_8021Q),
    PopVlan: parser.OFPActionPopVlan,
    Unlook: parser.NXActionCTClear,
}
"""The actions that say nothing more."""
_NO_TABLE = nicira_ext.NX_CT_RECIRC_NONE

_FIRST = {"eth_type": 0, "ip_proto": 1, "icmpv6_type": 2}
"""The fields that others depend on, in order."""


def flow_stats_request(cookie: int, cookie_mask: int) -> Any:
    """The request for every flow whose cookie agrees with `cookie` in the bits of `cookie_mask`."""
    return parser.OFPFlowStatsRequest(
        PROTOCOL,
        0,
        ofp.OFPTT_ALL,
        ofp.OFPP_ANY,
        ofp.OFPG_ANY,
        cookie,
        cookie_mask,
        parser.OFPMatch(),
    )


def wire_match(match: Match) -> Any:
    """The OFPMatch of a match, each field behind those that it depends on (OpenFlow 1.4.1 §7.2.2.6).

    os-ken's own order, by field number, puts the TTL (an extension) before the protocol it belongs to.
    """
    fields = [
        (name, _to_wire(value)) for name, value in sorted(match, key=lambda field: prerequisites(field[0]))
    ]
    return parser.OFPMatch(_ordered_fields=fields)


def prerequisites(name: str) -> int:
    """The place of a field among those that depend on one another; of equal ones the names decide."""
    return _FIRST.get(name, len(_FIRST))


def _match(match: Any) -> Match:
    return match_of({name: _from_wire(name, value) for name, value in match.items()})


def _to_wire(value: MatchValue) -> Any:
    if isinstance(value, int):
        return value
    if isinstance(value, IPv4Network | IPv6Network):
        return str(value.network_address), str(value.netmask)
    text, slash, mask = str(value).partition("/")
    if not slash:
        return text
    return (text, mask) if ":" in text or "." in text else (int(text, 0), int(mask, 0))


def _from_wire(name: str, value: Any) -> MatchValue:
    if isinstance(value, tuple):
        return _masked(name, *value)
    if name in _ADDRESS_FIELDS:
        return _ADDRESS_FIELDS[name][0](value)
    return value if isinstance(value, int) else str(value)


def _masked(name: str, value: Any, mask: Any) -> MatchValue:
    if name not in _ADDRESS_FIELDS:
        return f"{value}/{mask}"
    address, network = _ADDRESS_FIELDS[name]
    bits = int(address(mask))
    length = bits.bit_count()
    width = address(0).max_prefixlen
    if bits == ((1 << length) - 1) << (width - length):
        return network((int(address(value)), length))
    return f"{value}/{mask}"  # a mask with holes: not ours


def _instructions(actions: tuple[Action, ...]) -> list[Any]:
    apply = [_action(action) for action in actions if not isinstance(action, GotoTable | Measure)]
    meters = [
        parser.OFPInstructionMeter(action.meter_id) for action in actions if isinstance(action, Measure)
    ]
    goto = [
        parser.OFPInstructionGotoTable(action.table_id) for action in actions if isinstance(action, GotoTable)
    ]
    applied = [parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, apply)] if apply else []
    return meters + applied + goto


def _action(action: Action) -> Any:
    match action:
        case Output(port):
            return parser.OFPActionOutput(port, SAMPLED_BYTES if port == CONTROLLER else ofp.OFPCML_NO_BUFFER)
        case SetField(field, value):
            return parser.OFPActionSetField(**{field: _to_wire(value)})
        case DecTtl() | PushVlan() | PopVlan() | Unlook():
            return _PLAIN[type(action)]()
        case ChoosePort(ports):
            return parser.NXActionBundleLoad(**_BUNDLE, n_slaves=len(ports), slaves=list(ports))
        case Track(zone, table_id):
            return _conntrack(zone, flags=0, table_id=table_id)
        case Commit(zone, mark):
            return _conntrack(zone, flags=nicira_ext.NX_CT_F_COMMIT, table_id=_NO_TABLE, mark=mark)
        case Visit(table_id):
            return parser.NXActionResubmitTable(ofp.OFPP_IN_PORT & 0xFFFF, table_id)
        case Move(source, target, bits):
            return parser.NXActionRegMove(src_field=source, dst_field=target, n_bits=bits)
        case Conjunction(conj_id, clause, clauses):
            # the wire counts clauses from zero, and so does os-ken; people and ovs-ofctl from one
            return parser.NXActionConjunction(clause - 1, clauses, conj_id)
        case _:
            raise ValueError(f"{action} cannot be written")


def _conntrack(zone: int, *, flags: int, table_id: int, mark: int | None = None) -> Any:
    marking = [] if mark is None else [parser.OFPActionSetField(ct_mark=mark)]
    return parser.NXActionCT(
        flags=flags, zone_src="", zone_ofs_nbits=zone, recirc_table=table_id, alg=0, actions=marking
    )


def _actions(instructions: list[Any]) -> Iterator[Action]:
    for instruction in instructions:
        if isinstance(instruction, parser.OFPInstructionGotoTable):
            yield GotoTable(instruction.table_id)
        elif isinstance(instruction, parser.OFPInstructionMeter):
            yield Measure(instruction.meter_id)
        elif getattr(instruction, "type", None) == ofp.OFPIT_APPLY_ACTIONS:
            yield from map(_action_of, instruction.actions)
        else:
            yield Unknown(str(instruction))


def _action_of(action: Any) -> Action:
    return _standard(action) or _nicira(action) or Unknown(str(action))


def _standard(action: Any) -> Action | None:
    if isinstance(action, parser.OFPActionOutput):
        return Output(action.port)
    if isinstance(action, parser.OFPActionSetField):
        return SetField(action.key, _from_wire(action.key, action.value))
    if isinstance(action, parser.OFPActionDecNwTtl):
        return DecTtl()
    if isinstance(action, parser.OFPActionPushVlan) and action.ethertype == ETH_TYPE_8021Q:
        return PushVlan()
    if isinstance(action, parser.OFPActionPopVlan):
        return PopVlan()
    return None


def _nicira(action: Any) -> Action | None:
    if isinstance(action, parser.NXActionBundleLoad) and all(
        getattr(action, name) == value for name, value in _BUNDLE.items()
    ):
        return ChoosePort(tuple(action.slaves))
    if isinstance(action, parser.NXActionResubmitTable) and action.in_port == ofp.OFPP_IN_PORT & 0xFFFF:
        return Visit(action.table_id)
    if isinstance(action, parser.NXActionConjunction):
        return Conjunction(action.id, action.clause + 1, action.n_clauses)
    if isinstance(action, parser.NXActionCTClear):
        return Unlook()
    if isinstance(action, parser.NXActionRegMove) and not (action.src_ofs or action.dst_ofs):
        # what has an older name as well is read by that
        source, target = (name.removesuffix("_nxm") for name in (action.src_field, action.dst_field))
        return Move(source, target, action.n_bits)
    if isinstance(action, parser.NXActionCT):
        return _conntrack_of(action)
    return None


def _conntrack_of(action: Any) -> Action:
    zone, table_id = action.zone_ofs_nbits, action.recirc_table
    marks = [each.value for each in action.actions if getattr(each, "key", "") == "ct_mark"]
    if not (action.zone_src or action.alg or len(marks) != len(action.actions) or len(marks) > 1):
        if action.flags == 0 and table_id != _NO_TABLE and not marks:
            return Track(zone, table_id)
        if action.flags == nicira_ext.NX_CT_F_COMMIT and table_id == _NO_TABLE:
            return Commit(zone, *marks)
    return Unknown(str(action))


def field_bytes(name: str, value: MatchValue) -> bytes:
    """One field of a match as it is on the wire, its header included (OpenFlow 1.4.1 §7.2.2.2)."""
    buffer = bytearray()
    wire_match(match_of({name: value})).serialize(buffer, 0)
    length = int.from_bytes(buffer[2:4], "big")
    return bytes(buffer[4:length])


def field_of(data: bytes) -> tuple[str, MatchValue]:
    """The field that `field_bytes` would write so. A field that os-ken does not know is called by number."""
    head = (1).to_bytes(2, "big") + (4 + len(data)).to_bytes(2, "big")  # OFPMT_OXM and the length
    padding = bytes(-(4 + len(data)) % 8)
    ((name, value),) = _match(parser.OFPMatch.parser(head + data + padding, 0))
    return name, value


def instruction_bytes(actions: tuple[Action, ...]) -> bytes:
    """A flow's instructions as they are on the wire."""
    buffer = bytearray()
    for instruction in _instructions(actions):
        instruction.serialize(buffer, len(buffer))
    return bytes(buffer)


def actions_of(data: bytes) -> tuple[Action, ...]:
    """The actions that these instructions mean."""
    found, start = [], 0
    while start < len(data):
        found.append(parser.OFPInstruction.parser(data, start))
        start += int.from_bytes(data[start + 2 : start + 4], "big")
    return tuple(_actions(found))
