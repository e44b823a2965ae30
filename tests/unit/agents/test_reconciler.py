"""The reconciler reads once, trusts what is acknowledged, and reads again after anything else."""

from __future__ import annotations

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
