"""What a change of policies or tenants lets in and out, and what it keeps out, at the endpoints it is about.

Endpoints that the same policies select are alike, and so are peers that the same rules mean: one of each is
asked about samples of all traffic, before and after. What the other end allows is decided there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network

from intent.needs import peer_choice, subject_choice
from intent.population import NONE, Choice, Member, Population
from intent.traffic import Traffic, joined, samples
from store.model import (
    Action,
    Direction,
    IPAddress,
    IPNetwork,
    Mode,
    Policy,
    Pool,
    PortMatch,
    Rule,
    Tenant,
)

MAX_SHIFTS = 200
"""More of them tell nobody anything."""

Matcher = Choice | IPNetwork
Meant = frozenset[Matcher]
"""Which of the matchers mean a peer."""


@dataclass(frozen=True, slots=True)
class Law:
    """What decides: policies and tenants, by name."""

    policies: Mapping[str, Policy] = field(default_factory=dict)
    tenants: Mapping[str, Tenant] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Peers:
    """Who is at the other end: endpoints, or addresses outside all pools such as one of them."""

    endpoints: tuple[str, ...] = ()
    outside: IPAddress | None = None
    """None for endpoints."""
    ranges: tuple[IPNetwork, ...] = ()
    """Those of the rules that the addresses outside are in; anywhere else when none."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Endpoints that are alike, and what changes between them and peers that are alike.

    `gains` and `loses` is traffic in words; `any` is all of it.
    """

    endpoints: tuple[str, ...]
    direction: Direction
    peers: Peers
    gains: tuple[str, ...]
    loses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reached:
    """What a change does at the endpoints that it is about."""

    endpoints: tuple[str, ...]
    """Those that a changed policy selects, or selected, or whose tenant changes."""
    shifts: tuple[Shift, ...]
    more: bool
    """Whether there are more of them than are told."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A rule as it is asked: what it means, resolved."""

    action: Action
    matchers: Meant
    anyone: bool
    ports: tuple[PortMatch, ...]


class Comparison:
    """Compares two laws over the same endpoints.

    Args:
        endpoints: all of them.
        pools: their addresses are inside.
        before, after: the laws.
    """

    def __init__(self, endpoints: Sequence[Member], pools: Sequence[Pool], before: Law, after: Law) -> None:
        self._population = Population()
        for member in endpoints:
            self._population.put(member)
        self._pools = pools
        self._laws = (before, after)
        self._of_choice: dict[Matcher, frozenset[str]] = {}
        for law in self._laws:
            for policy in law.policies.values():
                self._population.ask(subject_choice(policy))

    def reached(self) -> Reached:
        """What the change does."""
        before, after = self._laws
        names = sorted(before.policies.keys() | after.policies.keys())
        changed = [name for name in names if before.policies.get(name) != after.policies.get(name)]
        about: dict[str, Member] = {}
        for law in self._laws:
            for policy in (law.policies[name] for name in changed if name in law.policies):
                about |= {each.id: each for each in self._population.members_of(subject_choice(policy))}
        for tenant in before.tenants.keys() | after.tenants.keys():
            if _default(before, tenant) is not _default(after, tenant):
                about |= {each.id: each for each in self._population.members_of(Choice(tenant))}
        shifts: list[Shift] = []
        for alike in self._alike(about).values():
            shifts += self._shifts(alike)
            if len(shifts) > MAX_SHIFTS:
                break
        return Reached(tuple(sorted(about)), tuple(shifts[:MAX_SHIFTS]), len(shifts) > MAX_SHIFTS)

    def _alike(self, about: Mapping[str, Member]) -> dict[object, list[Member]]:
        """Endpoints by what decides about them."""
        found: dict[object, list[Member]] = {}
        subjects = [
            {choice: tuple(names) for choice, names in _by_subject(law).items()} for law in self._laws
        ]
        for _, member in sorted(about.items()):
            choices = self._population.choices_of(member)
            of = [frozenset(name for each in choices for name in by.get(each, ())) for by in subjects]
            found.setdefault((member.group, *of), []).append(member)
        return found

    def _shifts(self, alike: Sequence[Member]) -> Iterator[Shift]:
        one = alike[0]
        ids = tuple(member.id for member in alike)
        choices = self._population.choices_of(one)
        for direction in Direction:
            was, becomes = (self._steps(law, choices, direction) for law in self._laws)
            if was == becomes and self._falls(0, one) is self._falls(1, one):
                continue
            asked = samples(port for step in (*was, *becomes) for port in step.ports)
            for (meant, same, inside), peers in self._peers(one, (*was, *becomes)).items():
                fall = [self._fall(number, one, direction, same, inside) for number in (0, 1)]
                gains: list[Traffic] = []
                loses: list[Traffic] = []
                for traffic in asked:
                    first = _verdict(was, meant, traffic, fall[0])
                    then = _verdict(becomes, meant, traffic, fall[1])
                    if first is not then:
                        (gains if then is Action.ALLOW else loses).append(traffic)
                if gains or loses:
                    every = len(asked)
                    yield Shift(ids, direction, peers, joined(gains, every), joined(loses, every))

    def _steps(self, law: Law, choices: set[Choice], direction: Direction) -> tuple[_Step, ...]:
        """The rules that are asked, in their order."""
        selecting = [policy for policy in law.policies.values() if subject_choice(policy) in choices]
        return tuple(
            _Step(rule.action, frozenset(_matchers(policy, rule)), not rule.peers, rule.ports)
            for policy in sorted(selecting, key=lambda policy: policy.rank)
            if policy.mode is Mode.ENFORCED
            for rule in policy.rules(direction)
        )

    def _peers(self, one: Member, steps: Sequence[_Step]) -> dict[tuple[Meant, bool, bool], Peers]:
        """Everybody at the other end, by which matchers mean them, whether of its group, whether inside."""
        matchers = {matcher for step in steps for matcher in step.matchers}
        means: dict[str, set[Matcher]] = {}
        for matcher in matchers:
            for endpoint in self._meant(matcher):
                means.setdefault(endpoint, set()).add(matcher)
        found: dict[tuple[Meant, bool, bool], list[str]] = {}
        for member in self._population:
            key = (frozenset(means.get(member.id, ())), member.group == one.group, True)
            found.setdefault(key, []).append(member.id)
        made = {key: Peers(tuple(sorted(ids))) for key, ids in found.items()}
        ranges = {matcher for matcher in matchers if not isinstance(matcher, Choice)}
        for address in self._outside(ranges, {each.version for each in one.addresses}):
            around = sorted((each for each in ranges if address in each), key=lambda each: each.prefixlen)
            made.setdefault((frozenset(around), False, False), Peers((), address, tuple(around)))
        return made

    def _outside(self, ranges: set[IPNetwork], versions: set[int]) -> Iterator[IPAddress]:
        """An address of each range, and one of none, that is in no pool."""
        for each in (*sorted(ranges, key=lambda each: -each.prefixlen), *_ANYWHERE):
            address = each.network_address
            if each.version in versions and not any(_holds(pool, address) for pool in self._pools):
                yield address

    def _meant(self, matcher: Matcher) -> frozenset[str]:
        known = self._of_choice.get(matcher)
        if known is None:
            if isinstance(matcher, Choice):
                found = self._population.members_of(matcher)
            else:
                found = [each for each in self._population if any(a in matcher for a in each.addresses)]
            known = self._of_choice[matcher] = frozenset(each.id for each in found)
        return known

    def _falls(self, number: int, one: Member) -> Action | None:
        """The default of its tenant; None where there is no isolation at all."""
        law = self._laws[number]
        return _default(law, one.group) if law.tenants else None

    def _fall(self, number: int, one: Member, direction: Direction, same: bool, inside: bool) -> Action:
        """What becomes of what no rule is for."""
        default = self._falls(number, one)
        if default is Action.DENY:
            return default
        isolated = default is not None and direction is Direction.INGRESS and inside and not same
        return Action.DENY if isolated else Action.ALLOW


_ANYWHERE = tuple(map(ip_network, ("198.51.100.0/24", "203.0.113.0/24", "2001:db8:ffff::/48")))
"""Addresses that are nobody's (RFC 5737, RFC 3849): for those that no rule names."""


def _holds(pool: Pool, address: IPAddress) -> bool:
    return address in pool.cidr and not any(address in each for each in pool.stations)


def _default(law: Law, group: str) -> Action:
    tenant = law.tenants.get(group) if group != NONE else None
    return tenant.default if tenant is not None else Action.ALLOW


def _by_subject(law: Law) -> dict[Choice, list[str]]:
    found: dict[Choice, list[str]] = {}
    for name, policy in sorted(law.policies.items()):
        found.setdefault(subject_choice(policy), []).append(name)
    return found


def _matchers(policy: Policy, rule: Rule) -> Iterator[Matcher]:
    for peer in rule.peers:
        yield peer.cidr if peer.cidr is not None else peer_choice(policy, peer)


def _verdict(steps: Sequence[_Step], meant: Meant, traffic: Traffic, fall: Action) -> Action:
    """What the first rule that matches decides."""
    for step in steps:
        if (step.anyone or step.matchers & meant) and (
            not step.ports or any(traffic.carried(port) for port in step.ports)
        ):
            return step.action
    return fall
