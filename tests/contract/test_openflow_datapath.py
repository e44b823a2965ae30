"""The kernel is asked for its datapath, and says what it says elsewhere too."""

from __future__ import annotations

from pathlib import Path

import pytest

from openflow import datapath

pytestmark = pytest.mark.needs("root")


def test_the_kernel_answers_whether_it_has_the_datapath() -> None:
    datapath.available.cache_clear()
    loaded = "openvswitch" in Path("/proc/modules").read_text() if Path("/proc/modules").exists() else False
    answer = datapath.available()
    assert answer in {datapath.SYSTEM, datapath.NETDEV}
    if loaded:
        assert answer == datapath.SYSTEM


def test_a_family_that_every_kernel_has_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    datapath.available.cache_clear()
    monkeypatch.setattr(datapath, "FAMILY", b"nlctrl\0")
    assert datapath.available() == datapath.SYSTEM
    datapath.available.cache_clear()
    monkeypatch.setattr(datapath, "FAMILY", b"no_such_family\0")
    assert datapath.available() == datapath.NETDEV
    datapath.available.cache_clear()
