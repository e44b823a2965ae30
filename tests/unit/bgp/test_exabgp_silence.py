"""What a router that does not answer may mind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bgp.exabgp.silence import suspects
from tests.support.cable import PEER


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ""),
        ({"password": "secret"}, ": the password must be the same at both ends"),
        ({"multihop_ttl": 2}, ": the number of hops must be the same at both ends"),
        ({"password": "secret", "gtsm": True}, ": the password and GTSM must be the same at both ends"),
    ],
)
def test_what_below_bgp_can_keep_a_session_down_is_named(changes: dict[str, object], expected: str) -> None:
    assert suspects(replace(PEER, **changes)) == expected
