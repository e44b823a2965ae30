"""The cookie says what is ours."""

from __future__ import annotations

import pytest

from openflow.cookie import OWNER, OWNER_MASK, Cookie, Purpose, decode, encode


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("generation", [0, 1, 0x7FFF])
@pytest.mark.parametrize("logged", [False, True])
def test_encode_and_decode_are_inverse(purpose: Purpose, generation: int, logged: bool) -> None:
    cookie = encode(purpose, generation, logged=logged)
    assert decode(cookie) == Cookie(purpose, generation, logged)
    assert cookie & OWNER_MASK == OWNER
    assert cookie < 1 << 64


@pytest.mark.parametrize("foreign", [0, 1, OWNER >> 32, OWNER ^ 1 << 63, (1 << 64) - 1])
def test_what_is_not_ours_is_none(foreign: int) -> None:
    assert decode(foreign) is None


@pytest.mark.parametrize(("purpose", "generation"), [(-1, 0), (0x10000, 0), (1, -1), (1, 0x8000)])
def test_what_does_not_fit_is_refused(purpose: int, generation: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        encode(purpose, generation)


def test_a_purpose_of_a_newer_program_is_still_ours() -> None:
    assert decode(encode(0xBEEF, 7)) == Cookie(0xBEEF, 7)


def test_what_counts_has_not_the_bit_by_which_clauses_are_left_out() -> None:
    assert [each for each in Purpose if each & Purpose.CLAUSE] == [Purpose.CLAUSE]
