"""What a duty follows ends when another thread says so, whenever that is."""

from __future__ import annotations

from collections.abc import Iterator

from controller.following import Following
from store.client import Change


class Opened:
    """A watch that tells nothing."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[tuple[Change, ...]]:
        return iter(())

    def close(self) -> None:
        self.closed = True


def test_what_is_followed_is_closed_at_the_end_and_not_before() -> None:
    following = Following()
    watch = following.begin(Opened())
    assert not watch.closed
    following.end()
    assert watch.closed


def test_one_is_followed_at_a_time() -> None:
    following = Following()
    former, watch = following.begin(Opened()), following.begin(Opened())
    assert former.closed
    assert not watch.closed


def test_what_is_opened_after_the_end_is_closed_at_once() -> None:
    following = Following()
    following.end()
    assert following.begin(Opened()).closed
