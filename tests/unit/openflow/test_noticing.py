"""Which messages tell that somebody else has touched our flows."""

from __future__ import annotations

import struct

import pytest

from openflow.cookie import Purpose, encode
from openflow.errors import SwitchError
from openflow.noticing import somebody_changed
from openflow.tables import GENERATION

OURS, FOREIGN = encode(Purpose.SEND, GENERATION), 0x99
MATCH = struct.pack("!HH4x", 1, 4)
ABBREVIATED = struct.pack("!HHI", 8, 4, 7)
PAUSED, RESUMED = (struct.pack("!HH4x", 8, event) for event in (5, 6))


def full(event: int, cookie: int) -> bytes:
    """OpenFlow 1.4.1 §7.3.5.17.2, ofp_flow_update_full."""
    return struct.pack("!HHBBHHH4xQ", 32, event, 0, 0, 0, 0, 100, cookie) + MATCH


def told(*events: bytes, part: int = 16) -> bytes:
    body = struct.pack("!HH4x", part, 0) + b"".join(events)
    return struct.pack("!BBHI", 5, 19, 8 + len(body), 0) + body


@pytest.mark.parametrize(
    ("events", "touched"),
    [
        ((), False),
        ((full(2, OURS),), True),
        ((full(2, FOREIGN),), False),
        ((full(2, FOREIGN), ABBREVIATED, full(2, OURS)), True),
        ((full(3, FOREIGN),), True),
        ((ABBREVIATED, PAUSED), False),
        ((RESUMED,), True),
    ],
)
def test_what_is_told(events: tuple[bytes, ...], touched: bool) -> None:
    assert somebody_changed(19, told(*events)) is touched
    assert not somebody_changed(19, told(*events, part=1)), "of another kind"
    assert not somebody_changed(12, told(*events)), "no multipart reply"


@pytest.mark.parametrize("rest", [b"\0", struct.pack("!HH", 0, 2), full(2, OURS)[:12]])
def test_what_makes_no_sense_is_refused(rest: bytes) -> None:
    with pytest.raises(SwitchError):
        somebody_changed(19, told(rest))
