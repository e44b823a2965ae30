"""Tells people of differences: an alarm for what is new, once, and a word when it is over."""

from __future__ import annotations

from collections.abc import Sequence

from controller.events import Events
from controller.monitoring.case import Case
from store.model import Difference, DifferenceKind, IPNetwork, Severity

NAMED = 3
"""Prefixes that one event names; of more it says how many."""

DIFFERENCE = "bgp-difference"
OVER = "bgp-difference-over"


def tell(events: Events, case: Case) -> None:
    """Record what is new of a case and what is over. Blocking."""
    peer, node = case.session.peer, case.session.node
    for kind in DifferenceKind:
        new = [each for each in case.news if each.kind is kind]
        if new:
            events.record(Severity.ALARM, DIFFERENCE, "peer", peer, _difference(case, new), node=node)
    if case.over:
        what = _named([prefix for _, prefix in case.over])
        events.record(Severity.INFO, OVER, "peer", peer, f"{peer} and {node} agree about {what}", node=node)
    settle(case)


def settle(case: Case) -> None:
    """People know what is new of a case and what is over."""
    known = {(each.kind, each.prefix) for each in case.news}
    case.told.difference_update(case.over)
    case.told.update(known)


def _difference(case: Case, new: Sequence[Difference]) -> str:
    peer, node, what = case.session.peer, case.session.node, _named([each.prefix for each in new])
    if new[0].kind is DifferenceKind.MISSING:
        return f"{peer} does not hold {what}, announced by {node}: {new[0].cause}"
    return f"{peer} holds {what}, which {node} does not announce: {new[0].cause}"


def _named(prefixes: Sequence[IPNetwork]) -> str:
    named = ", ".join(map(str, prefixes[:NAMED]))
    more = len(prefixes) - NAMED
    return f"{named} and {more} more" if more > 0 else named
