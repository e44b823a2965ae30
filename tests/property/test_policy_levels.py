"""Levels fall in their sequence, whatever was before, and what is as it was keeps its priority."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from openflow.levels import STRIDE, TOP, priorities

levels = st.lists(st.sampled_from("abcdefghij"), unique=True).map(lambda names: [[name] for name in names])


@settings(max_examples=100, deadline=None)
@given(st.lists(levels, max_size=30))
def test_levels_fall_through_any_history(history: list[list[list[str]]]) -> None:
    before: dict[str, int] = {}
    for there in history:
        made = priorities(there, before)
        assert len(made) == len(there)
        assert all(high > low for high, low in pairwise(made))
        assert all(0 < each < TOP + STRIDE for each in made)
        before = {name: priority for level, priority in zip(there, made, strict=True) for name in level}


@settings(max_examples=100, deadline=None)
@given(levels, st.data())
def test_one_that_comes_or_goes_moves_no_other(there: list[list[str]], data: st.DataObject) -> None:
    first = priorities(there, {})
    before = {level[0]: priority for level, priority in zip(there, first, strict=True)}
    at = data.draw(st.integers(0, len(there)))
    more = [*there[:at], ["new"], *there[at:]]
    made = priorities(more, before)
    assert made[:at] + made[at + 1 :] == first
    less = there[:at] + there[at + 1 :]
    assert priorities(less, before) == first[:at] + first[at + 1 :]


def test_a_level_that_gains_a_rule_stays() -> None:
    assert priorities([["a", "new", "b"], ["c"]], {"a": 900, "b": 900, "c": 100}) == [900, 100]


def test_of_a_level_that_is_split_one_part_stays() -> None:
    first, between, last = priorities([["a"], ["x"], ["b"]], {"a": 900, "b": 900})
    assert first > between > last
    assert 900 in {first, last}
