"""What the rules of a policy have matched, on all nodes that were told of it: some are asked at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pydantic import BaseModel

from controller.asking import Asking
from controller.problem import Problem
from controller.reading import scan_all
from store import keys
from store.client import Store
from store.model import Action, Direction, Mode, Policy
from store.model.rule_counts import RulesAsked, RulesSaid
from store.model.value import Name

AT_ONCE = 8
"""Nodes that are asked at a time."""

Place = tuple[Direction, int]


class RuleStats(BaseModel):
    """A rule, and what it has matched: packets of the side that opens connections."""

    direction: Direction
    rule: int
    """Its place among those of its direction, from 1."""
    name: Name | None
    action: Action
    packets: int
    bytes: int


class Silent(BaseModel):
    """A node that did not say what it counted."""

    node: Name
    why: str


class PolicyStats(BaseModel):
    """What a policy has matched since the flows of its rules were made; of a staged one, would have."""

    policy: Name
    mode: Mode
    nodes: list[Name]
    """Those that have an endpoint of the policy, and said what they counted."""
    silent: list[Silent]
    """Those that have one, and did not."""
    rules: list[RuleStats]


def policy_stats(store: Store, asking: Asking, policy: Policy) -> PolicyStats:
    """Ask every node that was told of a policy, and add up. Blocking, some seconds where nodes are silent."""
    nodes = _told(store, policy.name)
    with ThreadPoolExecutor(AT_ONCE, "policy-stats") as pool:
        said = dict(zip(nodes, pool.map(partial(_ask, asking, policy.name), nodes), strict=True))
    counted = [each for each in said.values() if isinstance(each, RulesSaid)]
    return PolicyStats(
        policy=policy.name,
        mode=policy.mode,
        nodes=[node for node, each in said.items() if isinstance(each, RulesSaid)],
        silent=[Silent(node=node, why=each) for node, each in said.items() if isinstance(each, str)],
        rules=_rules(policy, counted),
    )


def _told(store: Store, policy: str) -> list[str]:
    prefix = keys.NODES.prefix()
    nodes = sorted(item.key.removeprefix(prefix) for item in scan_all(store, prefix))
    there = store.get_many([keys.RULES.key(node, policy) for node in nodes])
    return [node for node in nodes if keys.RULES.key(node, policy) in there]


def _ask(asking: Asking, policy: str, node: str) -> RulesSaid | str:
    try:
        said: RulesSaid = asking.ask(node, RulesAsked(policy=policy))
    except Problem as problem:
        return problem.detail
    return said


def _rules(policy: Policy, said: Iterable[RulesSaid]) -> list[RuleStats]:
    packets, octets = Counter[Place](), Counter[Place]()
    for each in (count for one in said for count in one.counts):
        packets[each.direction, each.rule] += each.packets
        octets[each.direction, each.rule] += each.bytes
    return [
        RuleStats(
            direction=direction,
            rule=place,
            name=rule.name,
            action=rule.action,
            packets=packets[direction, place],
            bytes=octets[direction, place],
        )
        for direction in Direction
        for place, rule in enumerate(policy.rules(direction), start=1)
    ]
