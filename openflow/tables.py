"""The tables of the pipeline as data, and the few matches that its flows are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from openflow.cookie import Purpose, encode
from openflow.flow import Action, Flow, GotoTable, MatchValue, SetField, Visit

GENERATION = 3
"""Of the pipeline's layout: raised when the meaning of flows changes, so that all are replaced."""

Fields = Mapping[str, MatchValue]

ARP: Fields = {"eth_type": 0x0806}
IPV4: Fields = {"eth_type": 0x0800}
IPV6: Fields = {"eth_type": 0x86DD}
ICMPV6: Fields = {**IPV6, "ip_proto": 58}
# RFC 4861 §4
SOLICITATION: Fields = {**ICMPV6, "icmpv6_type": 135}
ADVERTISEMENT: Fields = {**ICMPV6, "icmpv6_type": 136}
ROUTER_ADVERTISEMENT: Fields = {**ICMPV6, "icmpv6_type": 134}
REDIRECT: Fields = {**ICMPV6, "icmpv6_type": 137}
FROM_DHCP_SERVER: tuple[Fields, ...] = (
    {**IPV4, "ip_proto": 17, "udp_src": 67},  # RFC 2131 §4.1
    {**IPV6, "ip_proto": 17, "udp_src": 547},  # RFC 8415 §7.2
)

TAGGED: Fields = {"vlan_vid": "0x1000/0x1000"}
"""Any VLAN tag (OpenFlow 1.4.1 §7.2.2.7: the bit OFPVID_PRESENT)."""
GROUP_MAC: Fields = {"eth_dst": "01:00:00:00:00:00/01:00:00:00:00:00"}
"""Every multicast and broadcast destination (IEEE 802 §8.2.2: the group bit)."""
GROUPS: tuple[Fields, ...] = (
    {**IPV4, "ipv4_dst": IPv4Network("224.0.0.0/4")},
    {**IPV4, "ipv4_dst": IPv4Network("255.255.255.255/32")},
    {**IPV6, "ipv6_dst": IPv6Network("ff00::/8")},
)
"""Every multicast and broadcast destination of IP."""
OUT = "reg0"
"""The register that has the port by which the packet is to leave, from `forward`, `deliver` or `serve` on."""
CAME_BY = "in_port_nxm"
"""The port that a packet came in by, as what can be written (`NXM_OF_IN_PORT` of ovs-fields(7))."""
METER_ID = "reg7"
"""The register that has the meter through which a packet is to go, when `meter` is visited."""
SEGMENT = "reg3"
"""The register that has the VLAN of what is on a segment, from `classify` on; 0 of all else."""
WHY = "reg6"
"""The register that says by which flow a packet is dropped or logged, when `sample` is visited."""
RULE_BIT = 1 << 31
"""Of `WHY`: it is the number of a rule; without it see `why`."""
CLASSIFY_ID, DENIED_ID, SAMPLE_ID = 0, 21, 23
LINK_LOCAL = IPv6Network("fe80::/10")


_goto = lru_cache(maxsize=256)(GotoTable)
"""Thousands of flows share each."""


def drops(actions: tuple[Action, ...]) -> bool:
    """Whether a flow with these actions drops: it has none, or has the packet counted and sampled last."""
    return not actions or (_names(actions[0]) and isinstance(actions[-1], Visit))


def _names(action: Action) -> bool:
    return isinstance(action, SetField) and action.field == WHY


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the pipeline: what it decides, by which fields, and what a miss counts as."""

    name: str
    table_id: int
    decides: str
    fields: frozenset[str]
    miss: Purpose

    def flow(
        self, priority: int, purpose: Purpose, actions: tuple[Action, ...], reason: object, fields: Fields
    ) -> Flow:
        """A flow of this table, its cookie from purpose and generation. Pure."""
        match = tuple(fields.items())
        return Flow(self.table_id, priority, match, actions, encode(purpose, GENERATION), reason)

    def goto(self) -> GotoTable:
        """Go on here."""
        return _goto(self.table_id)

    def drop(self, priority: int, purpose: Purpose, reason: object, fields: Fields) -> Flow:
        """A flow that drops and counts; of what it drops some is sampled, but for the chatter of hosts.

        Where it is not of one endpoint alone it is counted by endpoint on the way.
        """
        counted = self.table_id == CLASSIFY_ID and "in_port" in fields
        told = (SetField(WHY, self.why(priority, purpose)), Visit(SAMPLE_ID if counted else DENIED_ID))
        return self.flow(priority, purpose, () if purpose is Purpose.MULTICAST else told, reason, fields)

    def why(self, priority: int, purpose: Purpose) -> int:
        """What `WHY` has of a drop here: purpose, table and priority. With the port it says which flow."""
        return (purpose & 0x7F) << 24 | self.table_id << 16 | priority


CLASSIFY = Table(
    "classify",
    CLASSIFY_ID,
    "Who sent it, and may it? The port says which endpoint, the endpoint which MAC and addresses.",
    frozenset(
        {"in_port", "vlan_vid", "eth_type", "eth_src", "eth_dst", "ipv4_src", "ipv6_src", "ip_proto"}
        | {"udp_src", "arp_op", "arp_sha", "arp_spa", "arp_tpa"}
        | {"icmpv6_type", "ipv6_nd_target", "ipv6_nd_sll", "ipv6_nd_tll"}
    ),
    Purpose.UNKNOWN_PORT,
)
_TRAFFIC = {"conj_id", "eth_type", "ip_proto", "tcp_dst", "udp_dst", "sctp_dst"} | {
    f"icmpv{version}_{part}" for version in (4, 6) for part in ("type", "code")
}
_TO_PEER = frozenset(_TRAFFIC | {"in_port", "ipv4_dst", "ipv6_dst"})
_FROM_PEER = frozenset(_TRAFFIC | {OUT, "ipv4_src", "ipv6_src"})
TRACK = Table(
    "track",
    1,
    "What is known of the connection that an endpoint with rules sends for?",
    frozenset({"in_port", "eth_type", "ip_proto", "ip_frag", "ct_state", "ct_mark", "tcp_flags", "reg4"}),
    Purpose.INVALID,
)
EGRESS_STAGED = Table(
    "egress_staged",
    2,
    "Which staged rule would decide whether its endpoint may send it? It is counted, and goes on.",
    _TO_PEER,
    Purpose.JUDGE,
)
EGRESS = Table(
    "egress",
    3,
    "May its endpoint send it?",
    _TO_PEER,
    Purpose.POLICY_EGRESS,
)
FORWARD = Table(
    "forward",
    4,
    "Where does an endpoint's packet go: to an endpoint of this node, or to the kernel?",
    frozenset(
        {"in_port", "eth_type", "eth_dst", "ipv4_dst", "ipv6_dst", "nw_ttl", "ip_proto", "icmpv6_type"}
        | {SEGMENT, "arp_tpa", "ipv6_nd_target", "reg4", "reg5"}
    ),
    Purpose.NO_ROUTE,
)
DELIVER = Table(
    "deliver",
    5,
    "Which endpoint is the kernel's packet for?",
    frozenset({"eth_type", "eth_dst", "ipv4_dst", "ipv6_dst", "ip_proto", "icmpv6_type"}),
    Purpose.NO_ENDPOINT,
)
SERVE = Table(
    "serve",
    6,
    "Which endpoint takes the service's packet? The register has the port that was chosen.",
    frozenset({OUT}),
    Purpose.NO_ENDPOINT,
)
ARRIVE = Table(
    "arrive",
    7,
    "What is known of the connection of a packet for an endpoint with rules?",
    frozenset({OUT, "eth_type", "ip_proto", "ip_frag", "ct_state", "ct_mark", "tcp_flags", "reg5"}),
    Purpose.INVALID,
)
INGRESS_STAGED = Table(
    "ingress_staged",
    8,
    "Which staged rule would decide whether its endpoint may get it? It is counted, and goes on.",
    _FROM_PEER,
    Purpose.JUDGE,
)
INGRESS = Table(
    "ingress",
    9,
    "May its endpoint get it?",
    _FROM_PEER,
    Purpose.POLICY_INGRESS,
)
SEND = Table(
    "send",
    10,
    "Out of the port in the register; the connection tracker remembers what it was asked about.",
    frozenset({OUT, SEGMENT, "eth_type", "ct_state", "reg4", "reg5"}),
    Purpose.NO_ENDPOINT,
)
TABLES = (
    CLASSIFY,
    TRACK,
    EGRESS_STAGED,
    EGRESS,
    FORWARD,
    DELIVER,
    SERVE,
    ARRIVE,
    INGRESS_STAGED,
    INGRESS,
    SEND,
)
"""In the order of the packet; each one's place is its id."""

METER = Table(
    "meter",
    20,
    "Visited on the way: through which meter does the packet go? Where there is none it goes on.",
    frozenset({METER_ID}),
    Purpose.METER,
)
DENIED = Table(
    "denied",
    DENIED_ID,
    "Visited by what is dropped: of which endpoint, and which way? It is counted, and goes to `sample`.",
    frozenset({"in_port", OUT, WHY, "reg4", "reg5"}),
    Purpose.SAMPLE,
)
LOGGED = Table(
    "logged",
    22,
    "Visited by what a rule logs and lets go on: does it open a connection? Then it goes to `sample`.",
    frozenset({"ct_state"}),
    Purpose.SAMPLE,
)
SAMPLE = Table(
    "sample",
    SAMPLE_ID,
    "Visited by what is dropped or logged: the headers of some packets in a second go to the agent.",
    frozenset({"reg4", "reg5"}),
    Purpose.SAMPLE,
)
CUT_OFF = Table(
    "cut",
    24,
    "Visited by what a rule drops: is it of a connection that was allowed? Its answers are cut too.",
    frozenset({"ct_state", "eth_type"}),
    Purpose.CONNECTION,
)
KEEP = Table(
    "keep",
    25,
    "Visited by what leaves: is it of a connection that was cut? Its answers are allowed again too.",
    frozenset({"ct_state", "ct_mark", "eth_type"}),
    Purpose.CONNECTION,
)
UNRULED: Fields = {WHY: f"0x0/{RULE_BIT | (0xFF ^ CLASSIFY_ID ^ FORWARD.table_id) << 16:#x}"}
"""What is dropped in `classify` or `forward`, whose ids differ by one bit: by no rule."""
ASIDE = (METER, DENIED, LOGGED, SAMPLE, CUT_OFF, KEEP)
"""Those that are visited on the way."""
NAMED_TABLES = (*TABLES, *ASIDE)
"""All of them."""
