"""Levels fall in their sequence, whatever was before, and what is as it was keeps its priority."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from openflow.cookie import Purpose
from openflow.flow import Flow
from openflow.levels import STRIDE, TOP, had_in, priorities
from openflow.policy import ENFORCED_IN, Compiled, Rule, Traffic, compiled

levels = st.lists(st.integers(1, 10), unique=True).map(lambda rules: [[rule] for rule in rules])


@settings(max_examples=100, deadline=None)
@given(st.lists(levels, max_size=30))
def test_levels_fall_through_any_history(history: list[list[list[int]]]) -> None:
    before: dict[int, int] = {}
    for there in history:
        made = priorities(there, before)
        assert len(made) == len(there)
        assert all(high > low for high, low in pairwise(made))
        assert all(0 < each < TOP + STRIDE for each in made)
        before = {rule: priority for level, priority in zip(there, made, strict=True) for rule in level}


@settings(max_examples=100, deadline=None)
@given(levels, st.data())
def test_one_that_comes_or_goes_moves_no_other(there: list[list[int]], data: st.DataObject) -> None:
    first = priorities(there, {})
    before = {level[0]: priority for level, priority in zip(there, first, strict=True)}
    at = data.draw(st.integers(0, len(there)))
    more = [*there[:at], [99], *there[at:]]
    made = priorities(more, before)
    assert made[:at] + made[at + 1 :] == first
    less = there[:at] + there[at + 1 :]
    assert priorities(less, before) == first[:at] + first[at + 1 :]


RULES = [
    Rule(f"rule {number}", purpose, peers, traffic, logged=number % 5 == 0)
    for number in range(12)
    for purpose in [(Purpose.ALLOWED, Purpose.POLICY_INGRESS)[number % 2]]
    for peers in [(None, (), (IPv4Network((number << 8, 24)),))[number % 3]]
    for traffic in [None if number % 4 else (Traffic(6, (80, 90)),)]
]
"""Of all kinds: for anyone, for nobody, for some; of all traffic and of one kind."""


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(RULES), unique=True), min_size=1, max_size=10),
    st.frozensets(st.sampled_from(RULES)),
)
def test_who_compiles_again_by_the_flows_that_are_there_moves_none(
    history: list[list[Rule]], applying: frozenset[Rule]
) -> None:
    table = Compiled(ENFORCED_IN)
    for rules in history:
        table = compiled(ENFORCED_IN, rules, table.had)
    there = flows(table, applying)
    had = had_in(there).get(ENFORCED_IN.table.table_id, {})
    assert flows(compiled(ENFORCED_IN, history[-1], had), applying) == there


def flows(table: Compiled, applying: frozenset[Rule]) -> set[Flow]:
    applies = [each.rule in applying for each in table.placed]
    return {*table.flows, *table.of(7, applies, "web")}


def test_a_level_that_gains_a_rule_stays() -> None:
    assert priorities([[1, 99, 2], [3]], {1: 900, 2: 900, 3: 100}) == [900, 100]


def test_of_a_level_that_is_split_one_part_stays() -> None:
    first, between, last = priorities([[1], [9], [2]], {1: 900, 2: 900})
    assert first > between > last
    assert 900 in {first, last}
