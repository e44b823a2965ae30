"""The test of the history test: planted bugs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.history.planted import BUGS
from tests.history.run import Plan, run
from tests.history.site import in_tests, site

pytestmark = pytest.mark.needs("root", "etcd", "etcdctl", "nft", "ovs-vswitchd", "bgpd")

PLANTED = Plan(ops=600, faults=0, seed=1, twice=0.5, patience_s=1.0)


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(tmp_path: Path, bug: str) -> None:
    """A compare is dropped: the address is there, or the record is. Or of all or none some are left."""

    def careless(options: Sequence[str]) -> list[str]:
        return in_tests("tests.history.planted", bug, *options)

    with site(controller=careless) as built:
        result = run(built, PLANTED, tmp_path / "history.jsonl")
    assert result.wrong
