"""The history test, short: `python -m tests.history` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.history.nemesis import FAULTS
from tests.history.report import lines
from tests.history.run import Plan, run
from tests.history.site import site

pytestmark = pytest.mark.needs("root", "etcd", "etcdctl", "nft", "ovs-vswitchd", "bgpd")

SHORT = Plan(ops=2000, faults=4, seed=20, names=tuple(FAULTS)[:4])


def test_no_address_is_lost_doubled_or_leaked_whatever_breaks(tmp_path: Path) -> None:
    with site() as built:
        result = run(built, SHORT, tmp_path / "history.jsonl")
    told = "\n".join(lines(result))
    assert not result.wrong, told
    assert {fault.name for fault in result.faults} >= set(SHORT.names), told
    assert len(result.history.ops) >= SHORT.ops, told
