"""A delta converges: from any actual to any desired, in one step, and then there is nothing left to do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agents.delta import delta
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


@given(steps=st.lists(st.tuples(mappings, st.booleans(), st.booleans(), st.none() | mappings), max_size=8))
def test_a_reconciler_converges_whatever_happened_before(
    steps: list[tuple[dict[int, int], bool, bool, dict[int, int] | None]],
) -> None:
    """Each step: what is desired, whether the device is away, whether to resync, what a stranger wrote."""
    device: DictDriver[int, int] = DictDriver()
    reconciler = Reconciler("device", device)
    for desired, device.away, resync, foreign in steps:
        if foreign is not None:
            device.held = dict(foreign)
        if resync:
            reconciler.forget()
        reconciler.put(desired)
        reconciler.delete(desired)
    device.away = False
    reconciler.forget()
    last = steps[-1][0] if steps else {}
    assert reconciler.put(last)
    assert reconciler.delete(last)
    assert device.held == last
