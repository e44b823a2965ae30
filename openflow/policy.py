"""Rules as flows: so many as there are rules, peers and endpoints, and not as many as their product. Pure.

Rules of one table are asked in turn; the first that matches decides. A rule is a conjunction of clauses: of
the endpoints that it is for, the peers and the traffic that it names. Each member of a clause is one
flow, and one more is what the rule does (ovs-fields(7), conjunctive match):

    in_port=7                 -> conjunction(0x5f3a, 1/3)
    ipv4_dst=10.64.0.9        -> conjunction(0x5f3a, 2/3)
    ip_proto=6, tcp_dst=80    -> conjunction(0x5f3a, 3/3)
    conj_id=0x5f3a            -> goto forward

Neighbours in the sequence that do the same share a priority, a level: which of them is found first makes no
difference, members that they have in common are one flow, and one more rule among them moves no other. A
level that comes or goes moves no other either (`openflow.levels`).
Of such rules that match the same packet, any one counts it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network
from itertools import compress, count, groupby
from types import MappingProxyType

from openflow.cookie import Purpose, encode
from openflow.flow import (
    Action,
    Conjunction,
    Flow,
    FlowKey,
    GotoTable,
    Match,
    MatchValue,
    SetField,
    Visit,
    match_of,
)
from openflow.levels import Had, priorities
from openflow.masks import masked
from openflow.tables import (
    CUT_OFF,
    DENIED,
    EGRESS,
    EGRESS_STAGED,
    FORWARD,
    GENERATION,
    INGRESS,
    INGRESS_STAGED,
    IPV4,
    IPV6,
    LOGGED,
    OUT,
    RULE_BIT,
    SEND,
    WHY,
    Fields,
    Table,
)

MAX_LEVELS = 50_000
KEPT_LEVELS = 1 << 14
MANY = 4
"""A level of whose flows one in so many changes is made anew."""
PEERS = 2
"""The number of the clause of peers, where a rule has one."""
MEMBER = "a member of a clause"

ICMP, ICMPV6 = 1, 58
WITH_PORTS = {6: "tcp_dst", 17: "udp_dst", 132: "sctp_dst"}


@dataclass(frozen=True, slots=True)
class Judge:
    """A table in which rules decide.

    Args:
        table: where they are.
        onward: the table in which a packet goes on that none of them drops.
        endpoint: the field that has the port of the endpoint that rules are for.
        peer: `src` or `dst`: which address is the peer's.
    """

    table: Table
    onward: Table
    endpoint: str
    peer: str


STAGED_OUT = Judge(EGRESS_STAGED, EGRESS, "in_port", "dst")
ENFORCED_OUT = Judge(EGRESS, FORWARD, "in_port", "dst")
STAGED_IN = Judge(INGRESS_STAGED, INGRESS, OUT, "src")
ENFORCED_IN = Judge(INGRESS, SEND, OUT, "src")


@dataclass(frozen=True, slots=True)
class Traffic:
    """A protocol, and of it a range of destination ports, or one type of ICMP message; all without.

    Args:
        protocol: IANA's number. ICMP is of IPv4 and ICMPv6 of IPv6, others of both.
        ports: first and last, of TCP, UDP and SCTP.
        icmp_type: of ICMP and ICMPv6, with or without `icmp_code`.
    """

    protocol: int
    ports: tuple[int, int] | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, for whatever endpoints.

    Args:
        name: its own among the rules of a table, and the same after every restart.
        purpose: what it does: drop, when it is one that drops, else let go on.
        peers: the ranges of addresses of the other end; None is anyone, and none is nobody. A frozenset knows
            its hash, and so is found quickly when rules are compiled again.
        traffic: any of these; None is all.
        logged: marks it by its cookie.
        reason: of the flows that decide for it.
    """

    name: str
    purpose: Purpose
    peers: Collection[IPv4Network | IPv6Network] | None = None
    traffic: tuple[Traffic, ...] | None = None
    logged: bool = False
    reason: object = ""

    @property
    def clauses(self) -> int:
        """The endpoints are one, and the peers and the traffic that it names."""
        return 1 + (self.peers is not None) + (self.traffic is not None)


@dataclass(frozen=True, slots=True)
class Placed:
    """A rule with the priority of its level and the id of its conjunction."""

    rule: Rule
    priority: int
    conj_id: int


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """The rules of a table, placed. Equal to itself only, so that what follows from it can be kept by it."""

    judge: Judge
    placed: tuple[Placed, ...] = ()
    levels: tuple[Mapping[FlowKey, Flow], ...] = field(default=(), repr=False)
    """Of each level the flows that are the same whichever endpoints its rules are for: the very mapping from
    before where the level is as it was last."""

    @property
    def had(self) -> Had:
        """The priority of each rule, by its number."""
        return {each.conj_id: each.priority for each in self.placed}

    @property
    def flows(self) -> tuple[Flow, ...]:
        """Those of all levels."""
        return tuple(flow for level in self.levels for flow in level.values())

    def of(self, ofport: int, applies: Sequence[bool], reason: str) -> tuple[Flow, ...]:
        """The flows by which rules are for the endpoint at a port, at most one for each level. Pure.

        Args:
            ofport: the endpoint's port.
            applies: of each rule, in the sequence of `placed`, whether it is for the endpoint.
            reason: names the endpoint.
        """
        match: Fields = {self.judge.endpoint: ofport}
        mine = compress(self.placed, applies)
        made = []
        for _, level in groupby(mine, key=lambda placed: placed.priority):
            rules = list(level)
            whole = next((placed for placed in rules if placed.rule.clauses == 1), None)
            if whole is not None:  # what the others of its level let match, it decides in the same way
                made.append(_decision(self.judge, whole, match))
                continue
            members = [Conjunction(each.conj_id, 1, each.rule.clauses) for each in rules]
            made.append(_member(self.judge, rules[0].priority, match_of(match), members, reason))
        return tuple(made)


def compiled(judge: Judge, rules: Iterable[Rule], had: Had = MappingProxyType({})) -> Compiled:
    """Rules, in the sequence in which they are asked, as flows. Pure.

    Args:
        judge: the table.
        rules: in the sequence in which they are asked.
        had: of what was there last: levels keep their priorities where they can.

    Raises:
        ValueError: more than `MAX_LEVELS` changes between letting go on and dropping.
    """
    placed = tuple(_place(judge, rules, had))
    levels = groupby(placed, key=lambda each: each.priority)
    return Compiled(judge, placed, tuple(_level(judge, tuple(level)) for _, level in levels))


def _level(judge: Judge, placed: tuple[Placed, ...]) -> Mapping[FlowKey, Flow]:
    """The flows of one level: where only peers are others than last time, few are made anew."""
    last = _last(judge, placed[0].priority, tuple([each.conj_id for each in placed]))
    made = last.made
    if made is None or made[0] != placed:
        flows = _amended(judge, placed, *made) if made is not None else None
        last.made = made = placed, _made(judge, placed) if flows is None else flows
    return made[1]


@dataclass(slots=True)
class _Last:
    """The level that was made last of some rules, and its flows."""

    made: tuple[tuple[Placed, ...], Mapping[FlowKey, Flow]] | None = None


@lru_cache(maxsize=KEPT_LEVELS)
def _last(judge: Judge, priority: int, conj_ids: tuple[int, ...]) -> _Last:
    """One for all that have other peers: each may have a hundred thousand of them."""
    return _Last()


def _skeleton(placed: Placed) -> Placed:
    """The same without its peers, if it has some."""
    return placed if placed.rule.peers is None else replace(placed, rule=replace(placed.rule, peers=()))


def _made(judge: Judge, placed: tuple[Placed, ...]) -> Mapping[FlowKey, Flow]:
    members: dict[tuple[int, Match], list[Conjunction]] = defaultdict(list)
    flows = []
    for each in placed:
        if each.rule.clauses == 1:
            continue
        for clause, fields in _members(judge, each.rule):
            member = Conjunction(each.conj_id, clause, each.rule.clauses)
            members[each.priority, match_of(fields)].append(member)
        flows.append(_decision(judge, each, {"conj_id": each.conj_id}))
    for (priority, match), conjunctions in members.items():
        flows.append(_member(judge, priority, match, conjunctions, MEMBER))
    return {flow.key: flow for flow in flows}


def _amended(
    judge: Judge, placed: tuple[Placed, ...], before: tuple[Placed, ...], flows: Mapping[FlowKey, Flow]
) -> Mapping[FlowKey, Flow] | None:
    """The flows of a level, from those of one with other peers; None where more has changed, or too much."""
    if [*map(_skeleton, placed)] != [*map(_skeleton, before)]:
        return None
    named = [frozenset(each.rule.peers or ()) for each in placed]
    touched = set().union(
        *(now ^ frozenset(each.rule.peers or ()) for now, each in zip(named, before, strict=True))
    )
    if len(touched) > len(flows) // MANY:
        return None
    made = dict(flows)
    for network in touched:
        members = [
            Conjunction(each.conj_id, PEERS, each.rule.clauses)
            for each, peers in zip(placed, named, strict=True)
            if network in peers
        ]
        flow = _member(judge, placed[0].priority, match_of(_peer(judge, network)), members, MEMBER)
        if members:
            made[flow.key] = flow
        else:
            del made[flow.key]
    return made


def _place(judge: Judge, rules: Iterable[Rule], had: Had) -> Iterator[Placed]:
    numbered = _numbered(judge, rules)
    alike = groupby(numbered.items(), key=lambda each: (each[1].purpose, each[1].logged))
    levels = [dict(level) for _, level in alike]
    if len(levels) > MAX_LEVELS:
        raise ValueError(f"rules change their mind more than {MAX_LEVELS} times")
    for level, priority in zip(levels, priorities([[*level] for level in levels], had), strict=True):
        yield from (Placed(rule, priority, number) for number, rule in level.items())


def _numbered(judge: Judge, rules: Iterable[Rule]) -> dict[int, Rule]:
    """The rules in their sequence, by the ids of their conjunctions."""
    made: dict[int, Rule] = {}
    for rule in rules:
        made[next(each for each in _ids(judge, rule) if each not in made)] = rule
    return made


def _ids(judge: Judge, rule: Rule) -> Iterator[int]:
    """Ids that the rule may have, the best first: the next ones are for two rules of one hash."""
    for attempt in count():
        text = f"{judge.table.name} {rule.name} {attempt}"
        yield RULE_BIT | int.from_bytes(blake2b(text.encode(), digest_size=4).digest())


def _decision(judge: Judge, placed: Placed, fields: Fields) -> Flow:
    rule = placed.rule
    cookie = encode(rule.purpose, GENERATION, logged=rule.logged)
    actions = _decided(judge, placed)
    return Flow(judge.table.table_id, placed.priority, match_of(fields), actions, cookie, rule.reason)


def _decided(judge: Judge, placed: Placed) -> tuple[Action, ...]:
    """What a rule does, which says who it is. What it drops is counted and sampled and its connection cut,
    what it logs sampled."""
    named = SetField(WHY, placed.conj_id)
    if placed.rule.purpose.drops:
        return named, Visit(DENIED.table_id), Visit(CUT_OFF.table_id)
    onward = GotoTable(judge.onward.table_id)
    return (named, Visit(LOGGED.table_id), onward) if placed.rule.logged else (named, onward)


def _member(judge: Judge, priority: int, match: Match, members: Iterable[Conjunction], reason: str) -> Flow:
    ordered = sorted(set(members), key=lambda each: (each.conj_id, each.clause))
    cookie = encode(Purpose.CLAUSE, GENERATION)
    return Flow(judge.table.table_id, priority, match, tuple(ordered), cookie, reason)


def _members(judge: Judge, rule: Rule) -> Iterator[tuple[int, Fields]]:
    """Each member of the clauses of peers and of traffic, with the number of its clause."""
    clause = 1
    if rule.peers is not None:
        clause = PEERS
        yield from ((clause, _peer(judge, network)) for network in rule.peers)
    if rule.traffic is not None:
        clause += 1
        yield from ((clause, fields) for each in rule.traffic for fields in _traffic(each))


def _peer(judge: Judge, network: IPv4Network | IPv6Network) -> Fields:
    family = IPV4 if network.version == 4 else IPV6
    if network.prefixlen == 0:
        return family
    return {**family, f"ipv{network.version}_{judge.peer}": network}


def _traffic(traffic: Traffic) -> Iterator[Fields]:
    families = {ICMP: (IPV4,), ICMPV6: (IPV6,)}.get(traffic.protocol, (IPV4, IPV6))
    for family in families:
        for header in _header(traffic):
            yield {**family, "ip_proto": traffic.protocol, **header}


def _header(traffic: Traffic) -> Iterator[Fields]:
    if traffic.ports is not None:
        name = WITH_PORTS[traffic.protocol]
        yield from ({name: part} if part is not None else {} for part in masked(*traffic.ports))
        return
    version = 4 if traffic.protocol == ICMP else 6
    header: dict[str, MatchValue] = {}
    if traffic.icmp_type is not None:
        header[f"icmpv{version}_type"] = traffic.icmp_type
    if traffic.icmp_code is not None:
        header[f"icmpv{version}_code"] = traffic.icmp_code
    yield header
