"""The answer to `rules`: what the rules of a policy have matched, as the flows of this node count it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from agents.node.explain.devices import Passed
from agents.node.explain.diff import IN_PASS
from agents.node.explain.questions import NoAnswer
from intent.policy import Ruled
from openflow.decoding import Counted
from openflow.errors import SwitchError
from openflow.flow import FlowKey
from openflow.management import Management
from store.model import HeldKind
from store.model.rule_counts import MOST_RULES, RuleCount, RulesAsked, RulesSaid

FLOWS = IN_PASS.index(HeldKind.FLOWS)
"""Where they are in what a pass wants."""


class Sum(NamedTuple):
    """Packets, and their bytes."""

    packets: int
    bytes: int


class Rules:
    """Answers `rules`. Any thread."""

    def __init__(self, management: Management, wanted: Passed) -> None:
        self._management = management
        self._wanted = wanted

    def answer(self, asked: RulesAsked) -> RulesSaid:
        """What was counted of one policy. Blocking, briefly. Raises `NoAnswer`."""
        passed = self._wanted()
        try:
            flows = self._management.counters()
        except SwitchError as fault:
            raise NoAnswer(str(fault)) from fault
        found = by_rule(flows, passed[FLOWS] if passed is not None else {})
        counts = [
            RuleCount(direction=of.direction, rule=of.place, packets=total.packets, bytes=total.bytes)
            for of, total in sorted(found.items())
            if of.policy == asked.policy
        ]
        return RulesSaid(counts=tuple(counts[:MOST_RULES]))


def by_rule(flows: Iterable[Counted], wanted: Mapping[FlowKey, object]) -> dict[Ruled, Sum]:
    """What these flows have counted, by the rule that decides there. Pure."""
    found: dict[Ruled, Sum] = {}
    for of, one in _of_rules(flows, wanted):
        before = found.get(of, Sum(0, 0))
        found[of] = Sum(before.packets + one.packets, before.bytes + one.bytes)
    return found


def _of_rules(flows: Iterable[Counted], wanted: Mapping[FlowKey, object]) -> Iterator[tuple[Ruled, Counted]]:
    for one in flows:
        of = getattr(wanted.get(one.flow.key), "reason", None)
        if isinstance(of, Ruled):
            yield of, one
