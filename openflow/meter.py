"""A meter of a bridge as a value: so much passes in a second, the rest is dropped (OpenFlow 1.4.1 §5.7).

Meters carry no mark of who owns them: on a bridge of ours all are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

TO_CONTROLLERS = 0xFFFFFFFE
"""OFPM_CONTROLLER: every packet to a controller goes through it, where it is there."""


class Unit(Enum):
    """What a meter counts."""

    KBPS = "kbps"
    """Kilobits (1000) of whole frames."""
    PACKETS = "packets"
    """Packets; a segment of TCP that nobody has cut up yet is one."""


@dataclass(frozen=True, slots=True)
class Meter:
    """One meter.

    Args:
        meter_id: 1 to 0xFFFF0000; switches take fewer. Or `TO_CONTROLLERS`.
        unit: of rate and burst.
        rate: units in a second.
        burst: units that may come at once. A packet that is larger never passes.
        reason: why it is there, for people; not part of equality, and unknown of one read from a switch.
    """

    meter_id: int
    unit: Unit
    rate: int
    burst: int
    reason: str = field(default="", compare=False)


class MeterCount(NamedTuple):
    """What a meter has counted since it was made."""

    packets: int
    bytes: int
    dropped_packets: int
    dropped_bytes: int
