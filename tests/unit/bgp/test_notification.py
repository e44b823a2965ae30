"""Codes in the words of the RFCs."""

from __future__ import annotations

import pytest

from bgp.notification import CODES, SUBCODES, describe


@pytest.mark.parametrize(
    ("code", "subcode", "words"),
    [
        (2, 2, "OPEN Message Error, Bad Peer AS (2/2)"),
        (4, 0, "Hold Timer Expired (4/0)"),
        (6, 2, "Cease, Administrative Shutdown (6/2)"),
        (6, 99, "Cease (6/99)"),
        (99, 1, "unknown error (99/1)"),
    ],
)
def test_words(code: int, subcode: int, words: str) -> None:
    assert describe(code, subcode) == words


def test_every_subcode_belongs_to_a_code() -> None:
    assert {code for code, _ in SUBCODES} <= set(CODES)
