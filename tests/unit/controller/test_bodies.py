"""Who has places for large bodies, and how many."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from controller.app import NOUNS, create_app
from controller.auth import READS, Doors
from controller.bodies import MAX_LARGE, SMALL_BYTES, Large
from controller.problem import Problem
from store.memory import MemoryStore

LARGE = SMALL_BYTES + 1


def fill(large: Large, bodies: ExitStack, whose: str) -> int:
    """How many large bodies one sender has here at a time at the most."""
    for count in range(MAX_LARGE + 1):
        keep = bodies.enter_context(large.place(whose))
        try:
            keep(LARGE)
        except Problem:
            return count
    raise AssertionError("there is no end")


def test_nobody_holds_more_places_than_he_leaves() -> None:
    large = Large()
    with ExitStack() as bodies:
        assert fill(large, bodies, "one") == 8
        assert fill(large, bodies, "two") == 4, "two leave something too"
        with large.place("three") as keep:
            keep(LARGE)
            with large.place("one") as more, pytest.raises(Problem, match=r"13 bodies .* 8 of them yours"):
                more(LARGE)
    assert large.free == MAX_LARGE


def test_a_body_takes_one_place_when_it_becomes_large() -> None:
    large = Large()
    with large.place("one") as keep:
        for size, free in ((0, MAX_LARGE), (SMALL_BYTES, MAX_LARGE), (LARGE, MAX_LARGE - 1)):
            keep(size)
            assert large.free == free
        keep(LARGE + 1)
        assert large.free == MAX_LARGE - 1
    assert large.free == MAX_LARGE


def test_what_only_reads_takes_no_body() -> None:
    declared = [each for noun in NOUNS for each in noun.operations]
    assert all(each.body is None for each in declared if each.method in READS)


@pytest.mark.parametrize(
    ("demanded", "path", "header", "whose"),
    [
        (True, "/v1/pools", f"Bearer {'x' * 16}", "file:1"),
        (True, "/v1/pools", None, None),
        (True, "/v1/pools", f"Bearer {'y' * 16}", None),
        (True, "/v1/join", None, "from 20010db800000000::"),
        (False, "/v1/pools", None, "from 20010db800000000::"),
    ],
)
def test_a_sender_is_a_token_or_an_address(
    demanded: bool, path: str, header: str | None, whose: str | None
) -> None:
    app = create_app(MemoryStore(), doors=Doors(token_lines=(b"x" * 16,) if demanded else ()))
    environ = {"PATH_INFO": path, "REMOTE_ADDR": "2001:db8::7"}
    assert app.whose({**environ, "HTTP_AUTHORIZATION": header} if header else environ) == whose
