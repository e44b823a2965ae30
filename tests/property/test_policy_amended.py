"""A level of which only peers have changed is what it would be if it were made from nothing."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from openflow import policy
from openflow.cookie import Purpose
from openflow.flow import Flow, FlowKey
from openflow.policy import ENFORCED_IN, Rule, Traffic, compiled

MANY = frozenset(ip_network(f"10.0.{number}.1/32") for number in range(100))
OTHERS = [
    *map(ip_network, ("10.0.0.1/32", "10.0.1.1/32", "10.9.0.0/16", "0.0.0.0/0", "::/0", "2001:db8::1/128"))
]
TCP = (Traffic(6, (80, 80)),)

changes = st.sets(st.sampled_from(OTHERS))


def level(first: frozenset, second: frozenset) -> Mapping[FlowKey, Flow]:
    """The flows of two rules that do the same, and of one that is for anyone."""
    rules = (
        Rule("one", Purpose.ALLOWED, first),
        Rule("two", Purpose.ALLOWED, second, TCP),
        Rule("three", Purpose.ALLOWED, None, TCP),
    )
    (made,) = compiled(ENFORCED_IN, rules).levels
    return made


@given(st.lists(st.tuples(changes, changes), min_size=1, max_size=4))
def test_a_level_with_other_peers_is_what_it_would_be_from_nothing(steps: list[tuple[set, set]]) -> None:
    wanted = []
    for first, second in steps:
        policy._last.cache_clear()
        wanted.append(level(MANY ^ first, MANY ^ second))
    made = [level(MANY ^ first, MANY ^ second) for first, second in steps]
    assert made == wanted
    kept = set(map(id, made[0].values()))
    assert all(len(kept & set(map(id, each.values()))) > len(MANY) // 2 for each in made), "most are kept"
