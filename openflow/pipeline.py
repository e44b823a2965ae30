"""The pipeline: which flows a bridge has, and which each endpoint adds. Pure functions; nothing is sent here.

    port of an endpoint -> classify [-> track -> egress] -> forward [-> arrive -> ingress] -> send
    LOCAL (the kernel)  -> classify                      -> deliver [-> arrive -> ingress] -> send
    either, to a service's address: forward or deliver   -> serve   [-> arrive -> ingress] -> send

What is in brackets is for endpoints that have rules, see [enforcement.md](enforcement.md). What concerns
others alone is not tracked. `send` has a port in register 0: an endpoint's, or LOCAL (the kernel routes).

LOCAL is the bridge's own interface. It has the gateway's addresses, so the kernel answers ARP and neighbour
discovery itself and no packet waits for a program. The node is a router: between two endpoints the Ethernet
header is rewritten and the TTL decremented, on the same node too. A packet that has no TTL left goes to the
kernel, which answers "time exceeded".

Nothing ends in silence: each drop is a flow whose cookie says why, so the switch counts it, and some packets
are sampled. What an endpoint sends to an address of its own is dropped (`HAIRPIN`): a host keeps that on its
loopback, and a switch would discard it uncounted (OpenFlow 1.4.1 §5.12: never out of the port that it came
in by).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from openflow.connections import NEW, ZONE, connection_flows
from openflow.cookie import Purpose
from openflow.flow import LOCAL, Action, Commit, DecTtl, Flow, GotoTable, IPAddress, Output, SetField, Visit
from openflow.qos import NO_QOS, PortQos, opening_flows
from openflow.sampling import denied_flows, sampling_flows
from openflow.tables import (
    ADVERTISEMENT,
    ARP,
    ARRIVE,
    CLASSIFY,
    DELIVER,
    FORWARD,
    FROM_DHCP_SERVER,
    GROUP_MAC,
    GROUPS,
    IPV4,
    IPV6,
    KEEP,
    LINK_LOCAL,
    OUT,
    REDIRECT,
    ROUTER_ADVERTISEMENT,
    SEND,
    SOLICITATION,
    TABLES,
    TAGGED,
    TRACK,
    Fields,
    Table,
)

GATEWAY_IPV4 = IPv4Address("169.254.1.1")
GATEWAY_IPV6 = IPv6Address("fe80::1")

UNSPECIFIED_IPV4 = IPv4Address("0.0.0.0")
UNSPECIFIED_IPV6 = IPv6Address("::")
NO_OPTION = "00:00:00:00:00:00"
"""What a switch reads as link-layer address from a solicitation that carries none."""

TO_KERNEL = (SetField(OUT, LOCAL), SEND.goto())


@dataclass(frozen=True, slots=True)
class EndpointPort:
    """An endpoint's port on the bridge, and the only MAC and addresses that may speak there.

    Args:
        endpoint: its id, for the reasons.
        ofport: the port's OpenFlow number, 1 to 0xFEFF.
        mac: a unicast MAC address.
        addresses: IPv4 and IPv6; no other endpoint of the bridge has them.
        judged: rules decide what it may send and get.
        qos: what limits and marks its packets.
    """

    endpoint: str
    ofport: int
    mac: str
    addresses: tuple[IPAddress, ...]
    judged: bool = False
    qos: PortQos = NO_QOS

    @property
    def enter(self) -> tuple[Action, ...]:
        """What becomes of an IP packet that it sends once it is known to be its own."""
        return (*self.qos.on_sending, TRACK.goto() if self.tracked else FORWARD.goto())

    @property
    def reach(self) -> GotoTable:
        """Where what is for it goes on."""
        return ARRIVE.goto() if self.tracked else SEND.goto()

    @property
    def tracked(self) -> bool:
        """Whether its connections are looked up."""
        return self.judged or self.qos.tracked

    @property
    def ipv4(self) -> bool:
        """Whether it speaks IPv4, and so ARP."""
        return any(isinstance(address, IPv4Address) for address in self.addresses)

    @property
    def ipv6(self) -> bool:
        """Whether it speaks IPv6, and so neighbour discovery."""
        return any(isinstance(address, IPv6Address) for address in self.addresses)


def base_flows(gateway_mac: str) -> tuple[Flow, ...]:
    """The flows of a bridge without endpoints: the kernel's way in, and every general drop. Pure."""
    misses = (_miss(table) for table in TABLES)
    decided = (*_base_classify(), *connection_flows(), *_base_forward(gateway_mac), *_base_deliver())
    return (*decided, *send_flows(LOCAL, (IPV4, IPV6), "to the kernel"), *misses, *sampling_flows())


def endpoint_flows(port: EndpointPort, gateway_mac: str) -> tuple[Flow, ...]:
    """The flows of one endpoint: what it may send, and what reaches it. Pure.

    Flows of different endpoints have different keys as long as they share no port, MAC or address.
    """
    families = (IPV4,) * port.ipv4 + (IPV6,) * port.ipv6
    sent = send_flows(port.ofport, families, f"to {port.endpoint}", port.qos.on_receiving)
    limited = opening_flows(port.qos, port.ofport, families, port.endpoint, judged=port.judged)
    denied = denied_flows(port.ofport, port.endpoint, tracked=port.tracked)
    return (*_classify(port), *forward_flows(port, gateway_mac), *_deliver(port), *sent, *limited, *denied)


def _miss(table: Table) -> Flow:
    """What becomes of a packet that no flow of the table is for: counted as the table says."""
    if table.miss.drops:
        return table.drop(0, table.miss, "nothing else matched", {})
    onward = (TABLES[table.table_id + 1].goto(),)
    return table.flow(0, table.miss, onward, "nothing else matched", {})


def _base_classify() -> Iterator[Flow]:
    drop, spoofed = CLASSIFY.drop, Purpose.SPOOFED
    yield drop(500, Purpose.TAGGED, "endpoints have no VLAN", TAGGED)
    yield CLASSIFY.flow(400, Purpose.TRUST, (DELIVER.goto(),), "the node's own kernel", {"in_port": LOCAL})
    yield drop(310, spoofed, "the gateway's address", {**ADVERTISEMENT, "ipv6_nd_target": GATEWAY_IPV6})
    for fields in (ROUTER_ADVERTISEMENT, REDIRECT):
        yield drop(200, Purpose.ROGUE_ROUTER, "an endpoint is no router", fields)
    for fields in FROM_DHCP_SERVER:
        yield drop(320, Purpose.ROGUE_DHCP, "an endpoint is no DHCP server", fields)
    # RFC 4862 §5.4: duplicate address detection. Addresses are unique, so there is nobody to ask.
    unsure: Fields = {**SOLICITATION, "ipv6_src": UNSPECIFIED_IPV6}
    yield drop(210, Purpose.MULTICAST, "duplicate address detection", unsure)
    yield drop(200, spoofed, "not for the gateway, or not from its own address", SOLICITATION)
    yield drop(205, spoofed, "not of its own address", ADVERTISEMENT)


def _classify(port: EndpointPort) -> Iterator[Flow]:
    own: Fields = {"in_port": port.ofport, "eth_src": port.mac}
    for address in port.addresses:
        yield CLASSIFY.flow(
            100,
            Purpose.ACCEPT,
            port.enter,
            f"{port.endpoint} from {address}",
            {**own, **from_address(address)},
        )
    for fields in neighbour_messages(port):
        yield CLASSIFY.flow(
            300, Purpose.NEIGHBOUR, (FORWARD.goto(),), f"{port.endpoint} and the gateway", {**own, **fields}
        )
    yield from refused_flows(port, "and asks for the gateway only")


def refused_flows(port: EndpointPort, speaks: str) -> Iterator[Flow]:
    """What becomes of all else that comes in by an endpoint's port. `speaks` is what its ARP may be."""
    anything: Fields = {"in_port": port.ofport}
    has = f"{port.endpoint} has {port.mac} and {', '.join(map(str, port.addresses))} only"
    yield CLASSIFY.drop(90, Purpose.SPOOFED, f"{has}, {speaks}", {**anything, **ARP})
    yield CLASSIFY.drop(60, Purpose.MULTICAST, f"{port.endpoint} to a group", {**anything, **GROUP_MAC})
    yield CLASSIFY.drop(50, Purpose.SPOOFED, has, anything)


def neighbour_messages(port: EndpointPort) -> Iterator[Fields]:
    """The ARP and neighbour discovery that an endpoint may send: of its own addresses, to the gateway."""
    ask: Fields = {**ARP, "arp_sha": port.mac, "arp_tpa": GATEWAY_IPV4}
    solicit: Fields = {**SOLICITATION, "ipv6_nd_target": GATEWAY_IPV6}
    advertise: Fields = {**ADVERTISEMENT, "ipv6_nd_tll": port.mac}
    if port.ipv4:
        yield {**ask, "arp_op": 1, "arp_spa": UNSPECIFIED_IPV4}  # RFC 5227 §1.1: an ARP probe
    for address in port.addresses:
        if isinstance(address, IPv4Address):
            yield {**ask, "arp_spa": address}
    own = (address for address in port.addresses if isinstance(address, IPv6Address))
    for source in (*own, *_link_local(port)):
        # RFC 4861 §4.3: a unicast solicitation may leave out its link-layer address
        yield {**solicit, "ipv6_src": source, "ipv6_nd_sll": port.mac}
        yield {**solicit, "ipv6_src": source, "ipv6_nd_sll": NO_OPTION}
        yield {**advertise, "ipv6_src": source, "ipv6_nd_target": source}


def _base_forward(gateway_mac: str) -> Iterator[Flow]:
    for fields in (ARP, SOLICITATION, ADVERTISEMENT):
        yield FORWARD.flow(400, Purpose.NEIGHBOUR, TO_KERNEL, "the kernel answers", fields)
    yield FORWARD.drop(310, Purpose.MULTICAST, "no group has receivers here", GROUP_MAC)
    for fields in GROUPS:
        yield FORWARD.drop(300, Purpose.MULTICAST, "no group has receivers here", fields)
    to_gateway: Fields = {"eth_dst": gateway_mac}
    for family in (IPV4, IPV6):
        for ttl in (0, 1):
            ended: Fields = {**to_gateway, **family, "nw_ttl": ttl}
            yield FORWARD.flow(200, Purpose.GATEWAY, TO_KERNEL, "the kernel answers: time exceeded", ended)
    yield FORWARD.flow(100, Purpose.GATEWAY, TO_KERNEL, "the kernel routes the rest", to_gateway)


def forward_flows(port: EndpointPort, gateway_mac: str) -> Iterator[Flow]:
    """How others of this node reach an endpoint: routed, as by a router."""
    routed = (SetField("eth_src", gateway_mac), SetField("eth_dst", port.mac), DecTtl())
    onward = (*routed, SetField(OUT, port.ofport), port.reach)
    for address in port.addresses:
        match: Fields = {"eth_dst": gateway_mac, **to_address(address)}
        back: Fields = {**match, "in_port": port.ofport}
        yield FORWARD.drop(250, Purpose.HAIRPIN, f"{port.endpoint} to itself", back)
        yield FORWARD.flow(150, Purpose.LOCAL, onward, f"{address} is {port.endpoint}, on this node", match)


def _base_deliver() -> Iterator[Flow]:
    yield DELIVER.drop(200, Purpose.MULTICAST, "no group has receivers here", GROUP_MAC)


def _deliver(port: EndpointPort) -> Iterator[Flow]:
    out, to_mac = SetField(OUT, port.ofport), {"eth_dst": port.mac}
    for address in port.addresses:
        match: Fields = {**to_mac, **to_address(address)}
        yield DELIVER.flow(100, Purpose.LOCAL, (out, port.reach), f"{address} is {port.endpoint}", match)
    for fields in answers_to(port):
        yield DELIVER.flow(
            100,
            Purpose.NEIGHBOUR,
            (out, SEND.goto()),
            f"the gateway and {port.endpoint}",
            {**to_mac, **fields},
        )


def answers_to(port: EndpointPort) -> Iterator[Fields]:
    """The ARP and neighbour discovery that the gateway sends to an endpoint."""
    if port.ipv4:
        yield ARP
    for kind in (SOLICITATION, ADVERTISEMENT):
        yield from ({**kind, "ipv6_dst": source} for source in _link_local(port))


def send_flows(
    ofport: int,
    families: Iterable[Fields],
    reason: str,
    first: tuple[Action, ...] = (),
    *,
    leaving: Fields | None = None,
    last: tuple[Action, ...] = (),
) -> Iterator[Flow]:
    """What leaves by a port. A connection is remembered after `first`: nothing can drop its packet then.

    Args:
        families: of which there may be connections.
        leaving: by what it is known; by the port alone when not given.
        last: what is done to the packet at the very end.
    """
    leaving = leaving or {OUT: ofport}
    out: tuple[Action, ...] = (*last, Output(ofport))
    for family in families:
        new: Fields = {**leaving, **family, **NEW}
        yield SEND.flow(200, Purpose.SEND, (*first, Commit(ZONE), *out), f"{reason}, remembered", new)
    yield SEND.flow(100, Purpose.SEND, (*first, Visit(KEEP.table_id), *out), reason, leaving)


def _link_local(port: EndpointPort) -> tuple[IPv6Address | IPv6Network, ...]:
    """The link-local addresses that an endpoint may take: any, as hosts choose them themselves."""
    return (LINK_LOCAL,) if port.ipv6 else ()


def from_address(address: IPAddress) -> Fields:
    """IP packets from an address."""
    return (
        {**IPV4, "ipv4_src": address} if isinstance(address, IPv4Address) else {**IPV6, "ipv6_src": address}
    )


def to_address(address: IPAddress) -> Fields:
    """IP packets to an address."""
    return (
        {**IPV4, "ipv4_dst": address} if isinstance(address, IPv4Address) else {**IPV6, "ipv6_dst": address}
    )
