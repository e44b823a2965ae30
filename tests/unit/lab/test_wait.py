from __future__ import annotations

import operator

import pytest

from lab.wait import NotInTime, wait_until


def test_returns_what_was_seen_once_it_is_true() -> None:
    seen = iter([[], [], ["here"]])
    assert wait_until(lambda: next(seen), 5, "something", poll_s=0) == ["here"]


def test_good_says_what_was_awaited() -> None:
    left = iter([{"a", "b"}, {"b"}, set()])
    assert wait_until(lambda: next(left), 5, "nothing left", good=operator.not_, poll_s=0) == set()


def test_the_error_says_what_was_awaited_and_what_was_seen_last() -> None:
    with pytest.raises(NotInTime, match=r"waited 0 s for a session; last seen: 'Active'"):
        wait_until(lambda: "Active", 0, "a session", good=lambda state: state == "Established")
