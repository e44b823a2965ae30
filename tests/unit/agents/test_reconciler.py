"""The reconciler reads once, trusts what is acknowledged, and reads again after anything else."""

from __future__ import annotations

import pytest

from agents.reconciler import Reconciler
from tests.support.drivers import DictDriver


def test_reads_once_while_all_is_acknowledged() -> None:
    device = DictDriver({"a": 1})
    reconciler = Reconciler("device", device)
    assert reconciler.put({"a": 1, "b": 2})
    assert reconciler.put({"a": 1, "b": 2})
    assert reconciler.delete({"b": 2})
    assert (device.held, device.reads) == ({"b": 2}, 1)


def test_what_is_right_already_is_not_written() -> None:
    device = DictDriver({"a": 1})
    reconciler = Reconciler("device", device)
    assert reconciler.put({"a": 1})
    assert reconciler.delete({"a": 1})
    assert device.journal == []


def test_a_device_that_is_away_is_retried_and_nothing_is_believed() -> None:
    device = DictDriver({"a": 1})
    reconciler = Reconciler("device", device)
    device.away = True
    assert not reconciler.put({"b": 2})
    assert reconciler.wants_retry
    assert not reconciler.known
    device.away = False
    assert reconciler.put({"b": 2})
    assert device.held == {"a": 1, "b": 2}


def test_a_device_that_comes_back_between_putting_and_deleting_is_put_to_next_time() -> None:
    device = DictDriver({"a": 1})
    reconciler = Reconciler("device", device)
    wanted = {"a": 1, "b": 2}
    device.away = True
    assert not reconciler.put(wanted)
    device.away = False
    assert reconciler.delete(wanted)
    assert not reconciler.settled
    assert reconciler.put(wanted)
    assert device.held == wanted


def test_one_rejected_entry_does_not_hide_the_others() -> None:
    device: DictDriver[str, int] = DictDriver()
    device.refuse = {"bad"}
    reconciler = Reconciler("device", device)
    assert not reconciler.put({"bad": 1, "good": 2})
    assert dict(reconciler.actual) == {"good": 2}
    assert not reconciler.wants_retry


def test_a_repair_is_counted() -> None:
    device = DictDriver({"a": 1})
    reconciler = Reconciler("device", device)
    reconciler.put({"a": 1})
    device.held = {"stranger": 9}
    reconciler.forget()
    reconciler.put({"a": 1})
    reconciler.delete({"a": 1})
    assert device.held == {"a": 1}
    assert reconciler.repairs == 2


def test_a_change_does_not_wait_for_what_is_read_in_parts_and_is_not_taken_for_a_strangers() -> None:
    device = DictDriver({"a": 1, "b": 1, "c": 1})
    reconciler = Reconciler("device", device, device.begin)
    reconciler.put({"a": 1, "b": 1, "c": 1})
    reconciler.forget()
    for number in range(2, 6):
        assert not reconciler.look()
        assert not reconciler.can_look, "nothing of it has come yet"
        assert reconciler.put({"a": 1, "b": number, "d": number})
        assert reconciler.delete({"a": 1, "b": number, "d": number})
        assert device.held == {"a": 1, "b": number, "d": number}, "at once"
    assert not looked_to_the_end(reconciler)
    assert (device.reads, reconciler.repairs) == (1, 0)
    assert reconciler.actual == device.held


@pytest.mark.parametrize(
    ("held", "repairs"),
    [
        ({"a": 1, "b": 9, "stranger": 9}, 3),
        ({"a": 1, "b": 1, "c": 1, "stranger": 9}, 1),
        ({"a": 1, "b": 1}, 1),
        ({"a": 1, "b": 9, "c": 1}, 1),
    ],
)
def test_what_a_stranger_did_is_found_by_reading_in_parts_and_repaired(
    held: dict[str, int], repairs: int
) -> None:
    wanted = {"a": 1, "b": 1, "c": 1}
    device = DictDriver(wanted)
    reconciler = Reconciler("device", device, device.begin)
    reconciler.put(wanted)
    device.held = held
    reconciler.forget()
    assert looked_to_the_end(reconciler)
    assert (device.reads, device.begun, reconciler.repairs) == (1, 1, repairs)
    reconciler.put(wanted)
    reconciler.delete(wanted)
    assert device.held == wanted


def test_what_happens_after_the_moment_that_is_read_is_read_next() -> None:
    device = DictDriver({"a": 1, "b": 1})
    reconciler = Reconciler("device", device, device.begin)
    reconciler.put({"a": 1, "b": 1})
    reconciler.forget()
    device.held = {"a": 9, "b": 1}
    reconciler.forget()
    assert looked_to_the_end(reconciler)
    assert reconciler.actual == device.held


def test_a_device_that_goes_while_it_is_read_in_parts_is_read_whole() -> None:
    device = DictDriver({"a": 1, "b": 1})
    reconciler = Reconciler("device", device, device.begin)
    reconciler.put({"a": 1, "b": 1})
    reconciler.forget()
    device.away = True
    assert reconciler.look(), "what is believed may not be so"
    assert not reconciler.known
    device.away, device.held = False, {}
    reconciler.forget()
    assert reconciler.put({"a": 1, "b": 1})
    assert (device.held, device.reads) == ({"a": 1, "b": 1}, 2)


def looked_to_the_end(reconciler: Reconciler[str, int]) -> bool:
    """Whether a reading in parts, or the one after it, has found something."""
    return any(reconciler.look() for _ in range(40))
