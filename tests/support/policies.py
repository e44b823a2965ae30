"""An independent statement of what policies mean: who may send what to whom, for one node.

It reads the stored values and nothing of how they become flows; the two are compared on many packets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from openflow.cookie import Purpose
from store.model import Endpoint, Group, IPAddress, IPNetwork, NodePolicy, NodeRule, PortMatch

TRACKED = {1, 6, 17, 58}
NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132}
ECHOES = {1: 8, 58: 128}
ERRORS = {(1, 3), (1, 11), (58, 1), (58, 2), (58, 3)}


@dataclass(frozen=True)
class Message:
    """A packet as far as policies look at it."""

    source: IPAddress
    destination: IPAddress
    protocol: int
    sport: int = 0
    dport: int = 0
    """Of ICMP and ICMPv6: the type."""
    about: Message | None = None
    """Of an ICMP error: what it is about."""
    syn: bool = field(default=True, compare=False)
    """Of TCP: whether it opens a connection."""

    @property
    def back(self) -> Message:
        """The answer."""
        kinds = {8: 0, 0: 8, 128: 129, 129: 128}
        if self.protocol in (1, 58):
            kind = kinds.get(self.dport, self.dport)
            return Message(self.destination, self.source, self.protocol, 0, kind)
        return Message(self.destination, self.source, self.protocol, self.dport, self.sport, syn=False)


@dataclass
class World:
    """One node and what it was told; `opened` are the connections it has let through."""

    endpoints: Sequence[Endpoint]
    policies: Sequence[NodePolicy]
    groups: Mapping[str | None, Group]
    sets: Mapping[str, frozenset[IPAddress]]
    pools: Sequence[IPNetwork]
    closed: frozenset[str] = frozenset()
    """Endpoints that the node was not told of yet."""
    opened: set[Message] = field(default_factory=set)
    cut: set[Message] = field(default_factory=set)
    """Those of them that a rule has cut since, and not allowed again."""

    def send(self, message: Message) -> Purpose | None:
        """What becomes of a packet: None when it arrives, else what it is dropped as."""
        sender, receiver = self._at(message.source), self._at(message.destination)
        asked = [one for one in (sender, receiver) if one is not None and self._has_rules(one)]
        tracked = asked and message.protocol in TRACKED
        if tracked and message.about is not None:
            known = {message.about, message.about.back} & self.opened
            return None if known else Purpose.INVALID
        if tracked and message.back in self.opened and message not in self.opened:
            return Purpose.CUT if message.back in self.cut else None
        if tracked and message.protocol in ECHOES and message.dport != ECHOES[message.protocol]:
            return Purpose.INVALID
        answers = False
        for one in asked:
            why = self._refused(one, message, outward=one is sender)
            answers = why is not None and self._answers(one, message, outward=one is sender)
            if why is not None and not answers:
                self.cut |= {message} & self.opened
                return why
        if tracked and not answers:
            self.opened.add(message)
            self.cut.discard(message)
        return None

    def _answers(self, one: Endpoint, message: Message, *, outward: bool) -> bool:
        """Whether it may belong to a connection that was opened the other way, and is not known."""
        unknown = message.protocol == 6 and not message.syn and message not in self.opened
        return unknown and self._refused(one, message.back, outward=not outward) is None

    def _at(self, address: IPAddress) -> Endpoint | None:
        return next((one for one in self.endpoints if address in one.addresses), None)

    def _has_rules(self, one: Endpoint) -> bool:
        told = one.id not in self.closed
        return not told or one.tenant in self.groups or any(_selects(each, one) for each in self.policies)

    def _refused(self, one: Endpoint, message: Message, *, outward: bool) -> Purpose | None:
        peer = message.destination if outward else message.source
        if not outward and peer in (IPv4Address("169.254.1.1"), IPv6Address("fe80::1")):
            return None
        if one.id in self.closed:
            return Purpose.DEFAULT_DENY
        for policy in sorted(self.policies, key=lambda each: (each.order, each.policy)):
            if policy.mode == "staged" or not _selects(policy, one):
                continue
            for rule in policy.egress if outward else policy.ingress:
                if self._matches(rule, peer, message):
                    denied = Purpose.POLICY_EGRESS if outward else Purpose.POLICY_INGRESS
                    return None if rule.action == "allow" else denied
        return self._default(one, peer, outward=outward)

    def _default(self, one: Endpoint, peer: IPAddress, *, outward: bool) -> Purpose | None:
        group = self.groups.get(one.tenant)
        if group is None:
            return None
        if group.default == "deny":
            return Purpose.DEFAULT_DENY
        if outward or peer in self.sets.get(group.members, ()):
            return None
        return Purpose.ISOLATED if any(peer in pool for pool in self.pools) else None

    def _matches(self, rule: NodeRule, peer: IPAddress, message: Message) -> bool:
        from_set = any(peer in self.sets.get(name, ()) for name in rule.sets)
        from_range = any(peer in cidr for cidr in rule.cidrs)
        traffic = not rule.ports or any(_of(port, message) for port in rule.ports)
        return (rule.anyone or from_set or from_range) and traffic


def _selects(policy: NodePolicy, one: Endpoint) -> bool:
    right = policy.tenant is None or policy.tenant == one.tenant
    return right and all(one.labels.get(name) == value for name, value in policy.selector.items())


def _of(port: PortMatch, message: Message) -> bool:
    number: Any = NUMBERS.get(str(port.protocol), port.protocol)
    if number != message.protocol:
        return False
    if port.port is not None:
        return port.port <= message.dport <= (port.end_port or port.port)
    return port.icmp_type is None or port.icmp_type == message.dport
