"""What a resync found otherwise than believed: counted, and logged with what was found instead."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TypeVar

from agents.delta import delta

K = TypeVar("K")
V = TypeVar("V")

log = logging.getLogger(__name__)

LOGGED = 20
"""Of each kind: a switch that was restarted lacks thousands of flows, and to tell each would delay them."""


def drift(driver: str, believed: Mapping[K, V], found: Mapping[K, V]) -> int:
    """How many entries somebody else has changed, added or removed; the first ones are logged."""
    change = delta(believed, found)
    for key in [*change.put][:LOGGED]:
        there = found.get(key, "nothing")
        log.warning("drift driver=%s entry=%s wanted=%s found=%s", driver, key, believed[key], there)
    for key in [*change.delete][:LOGGED]:
        log.warning("drift driver=%s entry=%s wanted=nothing found=%s", driver, key, found[key])
    count = len(change.put) + len(change.delete)
    if count > LOGGED:
        log.warning(
            "drift driver=%s missing_or_changed=%d unexpected=%d",
            driver,
            *map(len, (change.put, change.delete)),
        )
    return count
