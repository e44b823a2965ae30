"""Names that nothing else has, in the order of time."""

from __future__ import annotations

import time
from uuid import UUID

import pytest

from controller import unique as module
from controller.unique import unique


def test_no_two_are_the_same() -> None:
    assert len({unique() for _ in range(100_000)}) == 100_000


def test_it_is_a_uuid_of_version_7_that_begins_with_the_time() -> None:
    before, name, after = time.time_ns(), unique(), time.time_ns()
    found = UUID(name)
    assert (len(name), found.hex, found.version) == (32, name, 7)
    assert before // 1_000_000 <= found.int >> 80 <= after // 1_000_000


def test_a_later_one_is_greater_within_a_millisecond_too(monkeypatch: pytest.MonkeyPatch) -> None:
    began = 1_800_000_000_123_000_000
    moments = [began, began + 250, began + 999_750, began + 1_000_000, began + 1_000_000_000]
    ticks = iter(moments)
    monkeypatch.setattr(module, "time_ns", lambda: next(ticks))
    names = [unique() for _ in moments]
    assert names == sorted(names)
