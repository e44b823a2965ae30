"""Which rules decide about the packets of a node's endpoints, in which sequence, and their flows.

The policies that select an endpoint are asked first, by order and name. Where none of their rules matches,
the endpoint's group decides: with the default `deny` nothing passes; with `allow` the endpoint sends to all,
and is reached from its own group and from outside all pools: the router of a segment, and what else has a
reserved address of its pool, is outside. The gateway, which is the node itself, always reaches its endpoints.
An endpoint without policy and group is not judged. One that the node was not told of yet is closed: only the
gateway reaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import groupby
from types import MappingProxyType
from typing import NamedTuple

from intent.held import KEPT, Held
from intent.names import GATEWAYS
from intent.snapshot import Snapshot
from openflow.cookie import Purpose
from openflow.flow import Flow, FlowKey
from openflow.levels import Had
from openflow.policy import (
    ENFORCED_IN,
    ENFORCED_OUT,
    STAGED_IN,
    STAGED_OUT,
    Compiled,
    Judge,
    Rule,
    Traffic,
    compiled,
)
from store.model import (
    Action,
    Direction,
    Endpoint,
    Group,
    IPAddress,
    IPNetwork,
    Mode,
    NodePolicy,
    NodeRule,
    PortMatch,
    host_prefix,
)

JUDGES: Mapping[tuple[Direction, Mode], Judge] = {
    (Direction.EGRESS, Mode.STAGED): STAGED_OUT,
    (Direction.EGRESS, Mode.ENFORCED): ENFORCED_OUT,
    (Direction.INGRESS, Mode.STAGED): STAGED_IN,
    (Direction.INGRESS, Mode.ENFORCED): ENFORCED_IN,
}
DENIES = {Direction.EGRESS: Purpose.POLICY_EGRESS, Direction.INGRESS: Purpose.POLICY_INGRESS}
STAGED = {Action.ALLOW: Purpose.STAGED_ALLOW, Action.DENY: Purpose.STAGED_DENY}


class Ruled(NamedTuple):
    """Which rule of a policy a flow decides for: the reason of such a flow."""

    policy: str
    direction: Direction
    place: int
    """Among the rules of this direction, from 1."""
    name: str | None
    action: Action

    def __str__(self) -> str:
        named = f" ({self.name})" if self.name else ""
        return f"policy {self.policy}, {self.direction} rule {self.place}{named}: {self.action}"


Scope = Callable[[Endpoint, Group | None], bool]
"""Whether a rule is for an endpoint, which is of this group."""
Scoped = tuple[Rule, Scope]


@dataclass(frozen=True, slots=True, eq=False)
class Policies:
    """The rules of a node, compiled. Equal to itself only, as `Held` is."""

    rules: Mapping[str, NodePolicy]
    groups: Mapping[str | None, Group]
    tables: tuple[tuple[Compiled, tuple[tuple[Scope, int], ...]], ...]
    """Of each table the rules, and the endpoints that so many of them are for."""
    alike: Policies | None = None
    """Earlier ones of the same rules for the same endpoints: only addresses were others."""
    ranges: Ranges = field(default_factory=lambda: Ranges(), repr=False)
    """Those that rules name."""

    @property
    def outline(self) -> Policies:
        """The first of those that are alike: of it is kept what follows for an endpoint."""
        return self.alike or self


class Ranges:
    """The ranges that rules name: the same object for the same ones, also as that of `before`.

    What is named no more is forgotten with `before`: each may be of a hundred thousand addresses.
    """

    def __init__(self, before: Ranges | None = None) -> None:
        self._before = before
        self._hosts: dict[frozenset[IPAddress], frozenset[IPNetwork]] = {}
        self._named: dict[tuple[object, ...], frozenset[IPNetwork]] = {}

    def of(
        self, cidrs: tuple[IPNetwork, ...], sets: tuple[frozenset[IPAddress], ...]
    ) -> frozenset[IPNetwork]:
        """All of these."""
        hosts = [*map(self._hosts_of, sets)]
        found = self._named.get((cidrs, sets))
        if found is None and self._before is not None:
            found = self._before._named.get((cidrs, sets))
        if found is None:
            found = frozenset(cidrs).union(*hosts)
        self._named[cidrs, sets] = found
        return found

    def settle(self) -> None:
        """All that is named was asked for: `before` is not needed any more."""
        self._before = None

    def _hosts_of(self, addresses: frozenset[IPAddress]) -> frozenset[IPNetwork]:
        found = self._hosts.get(addresses)
        if found is None and self._before is not None:
            found = self._before._hosts.get(addresses)
        if found is None:
            found = frozenset(map(host_prefix, addresses))
        self._hosts[addresses] = found
        return found


NO_RULES = Policies({}, {}, ())


def group_of(groups: Mapping[str | None, Group], tenant: str | None) -> Group | None:
    """The group of a tenant's endpoints, or of those without tenant; None when they are open to all.

    A tenant that this node was not told of yet, although it knows others, is closed until it is.
    """
    if tenant is None or tenant in groups or not groups:
        return groups.get(tenant)
    return Group(tenant=tenant, default=Action.DENY, members=NOBODY)


NOBODY = "0" * 16
"""The id of a set that is empty."""


UNTOLD = Group(default=Action.DENY, members=NOBODY)
"""What stands for the group of an endpoint that is closed: no policy selects it."""


def is_told(snapshot: Snapshot, endpoint: Endpoint) -> bool:
    """Whether the node was told all of an endpoint that concerns it; true while it is told of none."""
    return not snapshot.telling or snapshot.told.get(endpoint.id) == endpoint.uid


def judged(snapshot: Snapshot, endpoint: Endpoint) -> bool:
    """Whether there are rules for an endpoint."""
    return group_of(snapshot.groups, endpoint.tenant) is not None or any(
        policy.selects(endpoint.tenant, endpoint.labels) for policy in snapshot.rules.values()
    )


def policies(
    snapshot: Snapshot, before: Policies = NO_RULES, there: Mapping[int, Had] = MappingProxyType({})
) -> Policies:
    """The rules of this node in their sequences, compiled for whichever endpoints it holds.

    Args:
        snapshot: of the node.
        before: what was compiled last: of the same rules and groups what is kept of endpoints is good.
        there: of each table without `before`, the priorities that rules have in the switch.
    """
    tables, ranges = [], Ranges(before.ranges)
    had = {**there, **{table.judge.table.table_id: table.had for table, _ in before.tables}}
    for (direction, mode), judge in JUDGES.items():
        scoped = tuple(_rules(snapshot, direction, mode, ranges))
        table = compiled(judge, [rule for rule, _ in scoped], had.get(judge.table.table_id, {}))
        alike = groupby(scope for _, scope in scoped)  # as the rules of a policy are
        tables.append((table, tuple((scope, len([*same])) for scope, same in alike)))
    ranges.settle()
    same = before.rules is snapshot.rules and before.groups is snapshot.groups
    outline = before.outline if same else None
    return Policies(snapshot.rules, snapshot.groups, tuple(tables), outline, ranges)


def policy_parts(rules: Policies, held: Iterable[Held]) -> list[Mapping[FlowKey, Flow]]:
    """The flows of the rules, for the endpoints of this node that are judged; none of them: no flows.

    In parts that are kept: one of each level of the rules, then one for each endpoint.
    """
    mine = [one for one in held if one.judged]
    if not mine:
        return []
    levels = [level for table, _ in rules.tables for level in table.levels]
    return [*levels, *(_flows_of(rules.outline, one) for one in mine)]


@lru_cache(maxsize=KEPT)
def _flows_of(rules: Policies, held: Held) -> Mapping[FlowKey, Flow]:
    """The flows by which the rules are for one endpoint."""
    endpoint = held.endpoint
    group = UNTOLD if held.closed else group_of(rules.groups, endpoint.tenant)
    made: dict[FlowKey, Flow] = {}
    for table, scopes in rules.tables:
        applies = list[bool]()
        for scope, count in scopes:
            applies += [scope(endpoint, group)] * count
        made.update((flow.key, flow) for flow in table.of(held.ofport, applies, endpoint.id))
    return made


def _rules(snapshot: Snapshot, direction: Direction, mode: Mode, ranges: Ranges) -> Iterator[Scoped]:
    """The rules of one table, in sequence."""
    enforced = mode is Mode.ENFORCED
    if enforced and direction is Direction.INGRESS:
        itself = tuple(map(host_prefix, GATEWAYS))
        yield Rule("gateway", Purpose.ALLOWED, itself, reason="the node itself"), _everybody
    asked = sorted(snapshot.rules.values(), key=lambda policy: policy.rank)
    for policy in (each for each in asked if each.mode is mode):
        scope = partial(_selected, policy)
        for place, rule in enumerate(policy.rules(direction), start=1):
            peers = None if rule.anyone else _peers(snapshot, rule, ranges)
            yield _rule(policy, rule, direction, place, peers), scope
    if enforced:
        yield from _defaults(snapshot, direction, ranges)


def _rule(
    policy: NodePolicy, rule: NodeRule, direction: Direction, place: int, peers: frozenset[IPNetwork] | None
) -> Rule:
    if policy.mode is Mode.STAGED:
        purpose = STAGED[rule.action]
    else:
        purpose = Purpose.ALLOWED if rule.action is Action.ALLOW else DENIES[direction]
    return Rule(
        f"{policy.policy} {rule.name or place}",
        purpose,
        peers,
        tuple(map(_traffic, rule.ports)) or None,
        rule.log,
        Ruled(policy.policy, direction, place, rule.name, rule.action),
    )


def _defaults(snapshot: Snapshot, direction: Direction, ranges: Ranges) -> Iterator[Scoped]:
    """What decides when no policy does."""
    deny = Rule("default deny", Purpose.DEFAULT_DENY, reason="the tenant's default is to deny")
    yield deny, _closed
    if direction is Direction.INGRESS:
        for group in sorted(snapshot.groups.values(), key=lambda group: group.tenant or ""):
            members = ranges.of((), (snapshot.sets.get(group.members, frozenset()),))
            whose = f"of tenant {group.tenant}" if group.tenant else "without tenant"
            alike = Rule(f"group {group.tenant or ''}", Purpose.ALLOWED, members, reason=f"both are {whose}")
            yield alike, partial(_member, group)
        stations = {each for pool in snapshot.pools.values() for each in pool.stations}
        outside = tuple(sorted(stations, key=str))
        yield Rule("stations", Purpose.ALLOWED, outside, reason="a station that is no endpoint"), _grouped
        pools = tuple(sorted({pool.cidr for pool in snapshot.pools.values()}, key=str))
        yield Rule("isolated", Purpose.ISOLATED, pools, reason="an address of another tenant"), _grouped
    yield Rule("default allow", Purpose.ALLOWED, reason="nothing denies it"), _everybody


def _selected(policy: NodePolicy, endpoint: Endpoint, group: Group | None) -> bool:
    return group is not UNTOLD and policy.selects(endpoint.tenant, endpoint.labels)


def _member(of: Group, endpoint: Endpoint, group: Group | None) -> bool:
    return group is not None and group.tenant == of.tenant


def _closed(endpoint: Endpoint, group: Group | None) -> bool:
    return group is not None and group.default is Action.DENY


def _grouped(endpoint: Endpoint, group: Group | None) -> bool:
    return group is not None


def _everybody(endpoint: Endpoint, group: Group | None) -> bool:
    return True


def _peers(snapshot: Snapshot, rule: NodeRule, ranges: Ranges) -> frozenset[IPNetwork]:
    return ranges.of(rule.cidrs, tuple(snapshot.sets.get(name, frozenset()) for name in rule.sets))


def _traffic(port: PortMatch) -> Traffic:
    ports = None if port.port is None or port.last_port is None else (port.port, port.last_port)
    return Traffic(port.number, ports, port.icmp_type, port.icmp_code)
