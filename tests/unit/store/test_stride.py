"""Guesses of where a page ends: each behind the one before, never beyond the prefix, and mostly enough."""

from __future__ import annotations

import pytest

from store.client import KeyValue
from store.stride import ATTEMPTS, FEW, Strides

WHOLE = b"p0"


def items(names: list[str]) -> list[KeyValue]:
    return [KeyValue(f"p/{name}", b"", 1, 1) for name in names]


def test_what_is_not_known_is_asked_for_whole() -> None:
    strides = Strides()
    assert list(strides.ends("p/", "", 500, WHOLE)) == [WHOLE]
    strides.learn("p/", items(["a", "b"] * (FEW // 2 - 1)))
    assert list(strides.ends("p/", "", 500, WHOLE)) == [WHOLE], "few keys say nothing"


def test_guesses_widen_and_end_with_the_whole() -> None:
    strides = Strides()
    strides.learn("p/", items([f"{number:08x}" for number in range(0, 500 * 1000, 1000)]))
    ends = list(strides.ends("p/", "", 100, WHOLE))
    assert ends == sorted(set(ends))
    assert ends[-1] == WHOLE
    assert len(ends) == ATTEMPTS + 1
    assert b"p/" < ends[0] < b"p/00100000"
    assert list(strides.ends("p/", "", 0, WHOLE)) == [WHOLE], "without a limit all is wanted"
    assert list(strides.ends("p/", "a-key-before-the-prefix", 100, WHOLE)) == [WHOLE]


def test_the_next_guess_begins_behind_the_last_key() -> None:
    strides = Strides()
    strides.learn("p/", items([f"{number:08x}" for number in range(0, 500 * 1000, 1000)]))
    after = "p/00050000"
    first = next(strides.ends("p/", after, 100, WHOLE))
    assert after.encode() < first < b"p/00150000"


def test_between_the_digits_and_the_letters_of_an_id_is_no_gap() -> None:
    strides = Strides()
    known = [f"{number:08x}" for number in range(0, 1000 * 1000, 1000)]
    strides.learn("p/", items(known[:500]))
    page = [name for name in known if name > "0009ff00"][:100]
    first = next(strides.ends("p/", "p/0009ff00", 100, WHOLE)).decode()
    assert f"p/{page[-1]}" < first, "the first guess has the page"
    assert first < f"p/{known[known.index(page[-1]) + 100]}", "and not much more"


@pytest.mark.parametrize("after", ["p/zz", "p/ZZ", "p/0", "p/-", f"p/{'f' * 64}"])
def test_a_key_of_other_bytes_is_no_reason_to_go_back(after: str) -> None:
    strides = Strides()
    strides.learn("p/", items([f"{number:08x}" for number in range(0, 500 * 1000, 1000)]))
    ends = list(strides.ends("p/", after, 100, WHOLE))
    assert ends == sorted(set(ends))
    assert ends[0] > after.encode()
    assert ends[-1] == WHOLE
