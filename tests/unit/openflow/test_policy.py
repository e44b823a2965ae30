"""How rules become flows: how many, at which priorities, and the same after every restart."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openflow.cookie import Purpose, decode
from openflow.flow import Conjunction, Flow
from openflow.masks import masked
from openflow.policy import ENFORCED_IN, Compiled, Rule, Traffic, compiled

ALLOW, DENY = Purpose.ALLOWED, Purpose.POLICY_INGRESS


def peers(count: int, base: int = 0) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network((0x0A400000 + base + at, 32)) for at in range(count))


def services(count: int) -> tuple[Traffic, ...]:
    return tuple(Traffic(1, icmp_type=at) for at in range(count))


def flows(table: Compiled, ports: int) -> list[Flow]:
    own = (table.of(port, [True] * len(table.placed), "one") for port in range(1, ports + 1))
    return [*table.flows, *(flow for each in own for flow in each)]


@pytest.mark.parametrize(("addresses", "kinds", "ports"), [(1, 1, 1), (100, 10, 50), (1000, 3, 2)])
def test_flows_grow_with_the_sum_of_what_a_rule_names(addresses: int, kinds: int, ports: int) -> None:
    table = compiled(ENFORCED_IN, [Rule("one", ALLOW, peers(addresses), services(kinds))])
    assert len(flows(table, ports)) == addresses + kinds + ports + 1


def test_rules_that_do_the_same_share_what_they_name() -> None:
    rules = [Rule(f"rule {number}", ALLOW, peers(100), services(number + 1)) for number in range(10)]
    table = compiled(ENFORCED_IN, rules)
    assert len(flows(table, 1)) == 100 + 10 + 10 + 1  # addresses, kinds, what each does, the endpoint
    assert len({flow.priority for flow in table.flows}) == 1


def test_the_first_rule_has_the_highest_priority() -> None:
    rules = [Rule("a", ALLOW, peers(1)), Rule("b", DENY, peers(1)), Rule("c", ALLOW, peers(1))]
    levels = [each.priority for each in compiled(ENFORCED_IN, rules).placed]
    assert levels == sorted(levels, reverse=True)
    assert len(set(levels)) == 3


def test_one_more_rule_among_alike_moves_no_other() -> None:
    rules = [Rule(f"rule {number}", ALLOW, peers(2, number * 8)) for number in range(5)]
    more = [*rules[:2], Rule("new", ALLOW, peers(2, 800)), *rules[2:]]
    before, after = (set(compiled(ENFORCED_IN, each).flows) for each in (rules, more))
    assert before < after
    assert len(after) == len(before) + 3


def test_two_rules_of_one_name_are_two_conjunctions() -> None:
    table = compiled(ENFORCED_IN, [Rule("same", ALLOW, peers(1)), Rule("same", DENY, peers(1))])
    first, second = (each.conj_id for each in table.placed)
    assert first != second
    again = compiled(ENFORCED_IN, [Rule("same", ALLOW, peers(1)), Rule("same", DENY, peers(1))])
    assert again.flows == table.flows


def test_a_rule_for_all_takes_the_place_of_others_of_its_level() -> None:
    table = compiled(ENFORCED_IN, [Rule("some", ALLOW, peers(1)), Rule("all", ALLOW)])
    (own,) = table.of(7, [True, True], "web")
    assert [type(action) for action in own.actions] != [Conjunction]
    (own,) = table.of(7, [True, False], "web")
    assert [type(action) for action in own.actions] == [Conjunction]


def test_a_rule_that_logs_is_marked() -> None:
    table = compiled(ENFORCED_IN, [Rule("quiet", DENY, peers(1)), Rule("loud", DENY, peers(1), logged=True)])
    marks = {
        dict(flow.match)["conj_id"]: decode(flow.cookie)
        for flow in table.flows
        if "conj_id" in dict(flow.match)
    }
    quiet, loud = (marks[each.conj_id] for each in table.placed)
    assert quiet is not None
    assert loud is not None
    assert (quiet.logged, loud.logged) == (False, True)
    assert quiet.purpose == loud.purpose == DENY


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_a_range_of_ports_is_covered_exactly(one: int, other: int) -> None:
    first, last = min(one, other), max(one, other)
    parts = list(masked(first, last))
    assert len(parts) <= 30
    around = {first, last, (first + last) // 2, max(first - 1, 0), min(last + 1, 65535), 0, 65535}
    for number in around:
        assert any(_matches(part, number) for part in parts) == (first <= number <= last)


def _matches(part: object, number: int) -> bool:
    if part is None:
        return True
    value, _, mask = str(part).partition("/")
    return number & int(mask or "0xffff", 0) == int(value, 0)
