"""A delta converges: from any actual to any desired, in one step, and then there is nothing left to do."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from agents.delta import delta
from agents.parts import Parts
from agents.reconciler import Reconciler
from tests.support.drivers import DictDriver

mappings = st.dictionaries(st.integers(0, 8), st.integers(0, 3))


@given(desired=mappings, actual=mappings)
def test_applying_the_delta_gives_the_desired(desired: dict[int, int], actual: dict[int, int]) -> None:
    change = delta(desired, actual)
    result = {key: value for key, value in actual.items() if key not in change.delete} | dict(change.put)
    assert result == desired
    assert not delta(desired, result)
    assert change.put.keys().isdisjoint(change.delete)


PARTS: list[dict[int, int]] = [
    {},
    {1: 1},
    {1: 2},
    {2: 1, 3: 1},
    {2: 1, 3: 2},
    {4: 0, 5: 0, 6: 0},
    {1: 1, 6: 1},
]
in_parts = st.lists(st.sampled_from(PARTS), max_size=5).map(Parts)


@given(before=in_parts, now=in_parts)
def test_parts_differ_in_nothing_but_the_touched_keys(before: Parts[int, int], now: Parts[int, int]) -> None:
    touched = now.touched(before)
    if touched is not None:
        assert all(now.get(key) == before.get(key) for key in {*now, *before} - touched)
        assert now.only(touched) == {key: value for key, value in now.items() if key in touched}


steps_of_a_life = st.lists(
    st.tuples(mappings | in_parts, st.booleans(), st.booleans(), st.booleans(), st.none() | mappings),
    max_size=8,
)


@given(steps=steps_of_a_life)
def test_a_reconciler_converges_whatever_happened_before(
    steps: list[tuple[Mapping[int, int], bool, bool, bool, dict[int, int] | None]],
) -> None:
    """Each step: what is desired, is the device away, resync, only put, what a stranger wrote."""
    device: DictDriver[int, int] = DictDriver()
    reconciler = Reconciler("device", device)
    unseen = False
    for desired, device.away, resync, only_put, foreign in steps:
        if foreign is not None:
            device.held, unseen = dict(foreign), True
        if resync:
            reconciler.forget()
            unseen = False
        put = reconciler.put(desired)
        if not only_put and put and reconciler.delete(desired) and not unseen:
            assert device.held == dict(desired)
    device.away = False
    reconciler.forget()
    last = dict(steps[-1][0]) if steps else {}
    assert reconciler.put(last)
    assert reconciler.delete(last)
    assert device.held == last


@given(
    steps=st.lists(
        st.tuples(mappings | in_parts, st.booleans(), st.booleans(), st.integers(0, 6), st.none() | mappings),
        max_size=8,
    )
)
def test_a_device_that_is_read_beside_its_changes_converges_and_only_strangers_are_told_of(
    steps: list[tuple[Mapping[int, int], bool, bool, int, dict[int, int] | None]],
) -> None:
    """Each step: what is desired, is the device away, resync, how often to look, what a stranger wrote."""
    device: DictDriver[int, int] = DictDriver()
    reconciler = Reconciler("device", device, device.begin)
    for desired, device.away, resync, looks, foreign in steps:
        if foreign is not None:
            device.held = dict(foreign)
        if resync:
            reconciler.forget()
        for _ in range(looks):
            reconciler.look()
        reconciler.put(desired)
        reconciler.delete(desired)
    device.away = False
    reconciler.forget()
    last = dict(steps[-1][0]) if steps else {}
    for _ in range(100):
        reconciler.look()
        reconciler.put(last)
        reconciler.delete(last)
    assert device.held == last
    assert reconciler.repairs == 0 or any(foreign is not None for *_, foreign in steps)
