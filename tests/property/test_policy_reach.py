"""What a dry run says of who reaches whom is what a look at every packet says."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from intent.population import Member
from intent.reach import Comparison, Law
from store.model import Action, Direction, Endpoint, Mode, Policy, Pool, PortMatch, Rule, Tenant
from tests.property.test_policy_compiler import labels, tenants

POOL = Pool(name="default", cidr="10.0.0.0/16")
PORTS = (79, 80, 81, 8000, 8010, 8011, 65535)
PACKETS = [(6, port) for port in PORTS] + [(17, 80), (1, 8), (1, 0), (47, 0)]
STRANGERS = [ip_address(each) for each in ("192.0.2.1", "192.0.2.200")]

port_matches = st.sampled_from(
    [
        {"protocol": "tcp"},
        {"protocol": "tcp", "port": 80},
        {"protocol": "tcp", "port": 8000, "end_port": 8010},
        {"protocol": "tcp", "port": 65535},
        {"protocol": "udp", "port": 80},
        {"protocol": "icmp", "icmp_type": 8},
        {"protocol": 47},
    ]
)
peers = st.one_of(
    st.builds(dict, cidr=st.sampled_from(["192.0.2.0/24", "192.0.2.128/25", "0.0.0.0/0", "10.0.0.0/30"])),
    st.builds(dict, selector=labels, tenant=tenants),
)
rules = st.lists(
    st.builds(
        dict,
        action=st.sampled_from(Action),
        peers=st.lists(peers, max_size=2, unique_by=str),
        ports=st.lists(port_matches, max_size=2, unique_by=str),
    ),
    max_size=3,
)
policies = st.builds(
    dict,
    name=st.sampled_from("pqr"),
    tenant=tenants,
    selector=labels,
    mode=st.sampled_from(Mode),
    order=st.sampled_from([400, 500]),
    ingress=rules.filter(bool),
    egress=rules,
).map(Policy.model_validate)
laws = st.builds(
    Law,
    st.lists(policies, max_size=3, unique_by=lambda each: each.name).map(lambda of: {p.name: p for p in of}),
    st.builds(
        lambda red, blue: {"red": Tenant(name="red", default=red), "blue": Tenant(name="blue", default=blue)},
        st.sampled_from(Action),
        st.sampled_from(Action),
    ),
)


@st.composite
def endpoints(draw: st.DrawFn) -> list[Endpoint]:
    """Up to six of them."""
    return [
        Endpoint(
            id=f"e{number}",
            uid="0" * 32,
            node="n",
            tenant=draw(tenants),
            pools=("default",),
            addresses=(IPv4Address(0x0A000000 + number),),
            mac="02:00:00:00:00:01",
            labels=draw(labels),
        )
        for number in range(draw(st.integers(1, 3)))
    ]


def carries(match: PortMatch, protocol: int, port: int) -> bool:
    if match.number != protocol:
        return False
    if protocol == 1:
        return match.icmp_type in {None, port}
    return match.port is None or match.port <= port <= (match.end_port or match.port)


def selects(policy: Policy, one: Endpoint) -> bool:
    return policy.tenant in {None, one.tenant} and policy.selector.items() <= one.labels.items()


def allowed(
    law: Law,
    one: Endpoint,
    direction: Direction,
    other: Endpoint | IPv4Address,
    packet: tuple[int, int],
) -> bool:
    address = other if isinstance(other, IPv4Address) else other.addresses[0]
    for policy in sorted(law.policies.values(), key=lambda each: (each.order, each.name)):
        if policy.mode is Mode.STAGED or not selects(policy, one):
            continue
        for rule in policy.rules(direction):
            meant = not rule.peers
            for peer in rule.peers:
                if peer.cidr is not None:
                    meant = meant or address in ip_network(peer.cidr)
                elif isinstance(other, Endpoint):
                    whose = peer.tenant or policy.tenant
                    has = (peer.selector or {}).items() <= other.labels.items()
                    meant = meant or (has and whose in {None, other.tenant})
            if meant and (not rule.ports or any(carries(port, *packet) for port in rule.ports)):
                return rule.action is Action.ALLOW
    if not law.tenants:
        return True
    if one.tenant in law.tenants and law.tenants[one.tenant].default is Action.DENY:
        return False
    return direction is Direction.EGRESS or not isinstance(other, Endpoint) or other.tenant == one.tenant


def said(texts: tuple[str, ...], packet: tuple[int, int], named: set[tuple[int, int | None]]) -> bool:
    """Whether traffic in words holds a packet. What rules name is told by itself, not with the rest."""
    protocol, port = packet
    name = {6: "tcp", 17: "udp", 1: "icmp"}.get(protocol, str(protocol))
    for text in texts:
        kind, _, span = text.partition("/")
        first, _, last = span.partition("-")
        if text == "any" or (kind == name and span and int(first) <= port <= int(last or first)):
            return True
        if kind == name and not span and not (name == "icmp" and packet in named):
            return True
        if text == "other protocols" and protocol == 47 and (47, None) not in named:
            return True
    return False


def rules_for(one: Endpoint, direction: Direction, *laws: Law) -> list[Rule]:
    return [
        rule
        for law in laws
        for policy in law.policies.values()
        if policy.mode is Mode.ENFORCED and selects(policy, one)
        for rule in policy.rules(direction)
    ]


@settings(max_examples=40, deadline=None)
@given(endpoints(), laws, laws)
def test_every_packet_that_changes_is_told(there: list[Endpoint], before: Law, after: Law) -> None:
    reached = Comparison([Member.of(each) for each in there], [POOL], before, after).reached()
    assert not reached.more
    for one, direction in product(there, Direction):
        asked = rules_for(one, direction, before, after)
        named = {(port.number, port.icmp_type) for rule in asked for port in rule.ports}
        for other in (*there, *STRANGERS):
            for packet in PACKETS:
                was = allowed(before, one, direction, other, packet)
                becomes = allowed(after, one, direction, other, packet)
                told = [
                    shift
                    for shift in reached.shifts
                    if one.id in shift.endpoints
                    and shift.direction is direction
                    and (
                        other.id in shift.peers.endpoints
                        if isinstance(other, Endpoint)
                        else shift.peers.outside is not None
                        and set(shift.peers.ranges) == around(asked, other)
                    )
                ]
                gains = any(said(shift.gains, packet, named) for shift in told)
                loses = any(said(shift.loses, packet, named) for shift in told)
                expected = (becomes and not was, was and not becomes)
                assert (gains, loses) == expected, (one, other, packet, told)


def around(rules: list[Rule], address: IPv4Address) -> set[object]:
    """The ranges with an address that rules name."""
    return {
        peer.cidr for rule in rules for peer in rule.peers if peer.cidr is not None and address in peer.cidr
    }
