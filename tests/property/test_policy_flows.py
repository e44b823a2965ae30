"""The flows of policies do exactly what an independent statement of the policies says, for any packets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from intent.flows import flow_parts
from intent.held import Held
from intent.names import GATEWAY_MAC
from intent.policy import judged, policies, policy_parts
from intent.snapshot import Snapshot
from openflow.flow import LOCAL, MatchValue
from store.model import Endpoint, Group, IPAddress, NodePolicy, NodeRule, Pool, PortMatch
from tests.support.policies import ERRORS, Message, World
from tests.support.switch import MemorySwitch

POOLS = ("10.64.0.0/24", "fd00:64::/64")
HERE = [(ip_address(f"10.64.0.{at}"), ip_address(f"fd00:64::{at}")) for at in range(1, 5)]
"""The addresses of the endpoints of this node."""
AWAY = [ip_address(text) for text in ("10.64.0.101", "10.64.0.102", "fd00:64::101", "fd00:64::102")]
OUTSIDE = [
    ip_address(text) for text in ("192.0.2.1", "198.51.100.7", "2001:db8::1", "169.254.1.1", "fe80::1")
]
ADDRESSES: list[IPAddress] = [*(each for pair in HERE for each in pair), *AWAY, *OUTSIDE]
SETS = ("a" * 16, "b" * 16, "c" * 16)
TENANTS = (None, "blue", "red")
MEMBERS = dict(zip(TENANTS, ("0" * 15 + "1", "0" * 15 + "2", "0" * 15 + "3"), strict=True))
PORTS = (22, 80, 81, 8079, 8080)

ports = st.one_of(
    st.builds(PortMatch, protocol=st.sampled_from(["tcp", "udp", "sctp", "icmp", "icmpv6", 47])),
    st.builds(PortMatch, protocol=st.sampled_from(["tcp", "udp", "sctp"]), port=st.sampled_from(PORTS)),
    st.builds(PortMatch, protocol=st.just("tcp"), port=st.just(22), end_port=st.sampled_from(PORTS)),
    st.builds(PortMatch, protocol=st.just("icmp"), icmp_type=st.sampled_from([8, 0, 3])),
    st.builds(PortMatch, protocol=st.just("icmpv6"), icmp_type=st.sampled_from([128, 129])),
)
CIDRS = [ip_network(text) for text in ("0.0.0.0/0", "::/0", "10.64.0.0/28", "192.0.2.0/24", "fd00:64::1/128")]


@st.composite
def rules(draw: st.DrawFn) -> NodeRule:
    anyone = draw(st.booleans())
    return NodeRule(
        action=draw(st.sampled_from(["allow", "deny"])),
        log=draw(st.booleans()),
        anyone=anyone,
        sets=() if anyone else tuple(draw(st.lists(st.sampled_from(SETS), max_size=2, unique=True))),
        cidrs=() if anyone else tuple(draw(st.lists(st.sampled_from(CIDRS), max_size=2, unique=True))),
        ports=tuple(draw(st.lists(ports, max_size=2, unique=True))),
    )


@st.composite
def a_policy(draw: st.DrawFn, number: int) -> NodePolicy:
    some = st.lists(rules(), max_size=3).map(tuple)
    return NodePolicy(
        policy=f"policy-{number}",
        tenant=draw(st.sampled_from(TENANTS)),
        selector=draw(st.sampled_from([{}, {"app": "web"}, {"app": "db"}])),
        order=draw(st.sampled_from([100, 500, 900])),
        mode=draw(st.sampled_from(["enforced", "enforced", "staged"])),
        ingress=draw(some),
        egress=draw(some),
    )


@st.composite
def some_policies(draw: st.DrawFn) -> list[NodePolicy]:
    return [draw(a_policy(number)) for number in range(draw(st.integers(0, 4)))]


def endpoint(number: int, tenant: str | None, app: str) -> Endpoint:
    return Endpoint(
        id=f"one-{number}",
        uid=f"{number:032x}",
        node="node-a",
        tenant=tenant,
        pools=("four", "six"),
        addresses=HERE[number - 1],
        mac=f"02:00:00:00:00:{number:02x}",
        labels={"app": app},
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    endpoints = [
        endpoint(number, draw(st.sampled_from(TENANTS)), draw(st.sampled_from(["web", "db"])))
        for number in range(1, len(HERE) + 1)
    ]
    away = {address: draw(st.sampled_from(TENANTS)) for address in AWAY}
    known = [*((one.tenant, one.addresses) for one in endpoints), *((who, (at,)) for at, who in away.items())]
    sets = {
        MEMBERS[tenant]: frozenset(at for who, held in known if who == tenant for at in held)
        for tenant in TENANTS
    }
    pooled = [address for address in ADDRESSES if address not in OUTSIDE]
    for name in SETS:
        sets[name] = frozenset(draw(st.lists(st.sampled_from(pooled), max_size=4)))
    default = st.sampled_from(["allow", "allow", "deny"])
    groups = {
        tenant: Group(tenant=tenant, default="allow" if tenant is None else draw(default), members=members)
        for tenant, members in MEMBERS.items()
    }
    some = draw(some_policies())
    told = groups if draw(st.booleans()) else {}
    closed = draw(st.frozensets(st.sampled_from([one.id for one in endpoints]), max_size=1))
    return World(endpoints, some, told, sets, [*map(ip_network, POOLS)], closed)


@st.composite
def openings(draw: st.DrawFn) -> Message:
    """A packet between any two addresses of one family, one of them of this node."""
    here = draw(st.sampled_from([address for pair in HERE for address in pair]))
    others = [each for each in ADDRESSES if each.version == here.version and each != here]
    there = draw(st.sampled_from(others))
    source, destination = draw(st.permutations([here, there]))
    icmp, echo = (1, 8) if here.version == 4 else (58, 128)
    protocol = draw(st.sampled_from([6, 6, 17, 132, icmp, 47]))
    if protocol == icmp:
        return Message(source, destination, protocol, 0, echo)
    if protocol == 47:
        return Message(source, destination, protocol)
    return Message(source, destination, protocol, 40000, draw(st.sampled_from(PORTS)))


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Packets that open connections, go on with them, answer them, and tell of errors."""
    said: list[Message] = []
    for _ in range(draw(st.integers(1, 12))):
        opening = draw(openings())
        error = (1, 3) if opening.source.version == 4 else (58, 1)
        assert error in ERRORS
        about = Message(opening.destination, opening.source, error[0], 0, error[1], about=opening)
        going_on = replace(opening, syn=False)
        kinds = st.sampled_from([opening, going_on, opening.back, about])
        said += draw(st.lists(kinds, min_size=1, max_size=4))
    return said


def frame(message: Message, world: World) -> dict[str, MatchValue]:
    """A message as the packet that comes in by the port of its sender."""
    sender = next((one for one in world.endpoints if message.source in one.addresses), None)
    if sender is not None:
        ends = {"in_port": world.endpoints.index(sender) + 1, "eth_src": sender.mac, "eth_dst": GATEWAY_MAC}
    else:
        receiver = next(one for one in world.endpoints if message.destination in one.addresses)
        ends = {"in_port": LOCAL, "eth_src": GATEWAY_MAC, "eth_dst": receiver.mac}
    return {**ends, "vlan_vid": 0, "nw_ttl": 64, **headers(message)}


def headers(message: Message) -> dict[str, MatchValue]:
    version = message.source.version
    made: dict[str, MatchValue] = {
        "eth_type": 0x0800 if version == 4 else 0x86DD,
        f"ipv{version}_src": message.source,
        f"ipv{version}_dst": message.destination,
        "ip_proto": message.protocol,
    }
    if (name := {6: "tcp", 17: "udp", 132: "sctp"}.get(message.protocol)) is not None:
        made |= {f"{name}_src": message.sport, f"{name}_dst": message.dport}
        if name == "tcp":
            made["tcp_flags"] = 0x02 if message.syn else 0x10
    elif message.protocol in (1, 58):
        made |= {f"icmpv{version}_type": message.dport, f"icmpv{version}_code": 0}
    if message.about is not None:
        made["about"] = headers(message.about)
    return made


def switch_of(world: World) -> MemorySwitch:
    snapshot = Snapshot(
        "node-a",
        pools={text: Pool(name="four" if "." in text else "six", cidr=text) for text in POOLS},
        rules={each.policy: each for each in world.policies},
        groups=world.groups,
        sets=world.sets,
    )
    closed = [(one, one.id in world.closed) for one in world.endpoints]
    held = [
        Held(one, ofport, judged=shut or judged(snapshot, one), closed=shut)
        for ofport, (one, shut) in enumerate(closed, start=1)
    ]
    switch = MemorySwitch()
    for part in (*flow_parts(held), *policy_parts(policies(snapshot), held)):
        switch.put(part.values())
    return switch


def check(world: World, switch: MemorySwitch, said: Sequence[Message]) -> None:
    for message in said:
        before = switch.counted.copy()
        out = switch.receive(frame(message, world))
        why = world.send(message)
        counted = switch.counted - before
        drops = [purpose for purpose in counted if purpose.drops]
        if message.protocol == 6 and not message.syn:  # what was asked for it counts as well
            assert why is None or why in drops, (message, counted)
        else:
            assert drops == ([] if why is None else [why]), (message, counted)
        receiver = next((one for one in world.endpoints if message.destination in one.addresses), None)
        port = LOCAL if receiver is None else world.endpoints.index(receiver) + 1
        assert [port for port, _ in out] == ([port] if why is None else []), message


@settings(deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(worlds(), conversations(), st.data())
def test_flows_do_what_policies_say(world: World, said: list[Message], data: st.DataObject) -> None:
    """Also to connections that are open when the policies change."""
    switch = switch_of(world)
    check(world, switch, said)
    world.policies, world.closed = data.draw(some_policies()), frozenset()
    changed = switch_of(world)
    changed.trackers = switch.trackers
    check(world, changed, said)
    check(world, changed, data.draw(conversations()))
