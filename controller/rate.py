"""How many writes one token may make: a bucket for each, that fills at the rate and holds some seconds of it.

One bearer that runs wild is told to come back (429) and when; the others do not notice. Each controller
counts for itself. Reads are not counted, and neither is a controller that demands no token. Who shows no
good token has a bucket for his address.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

BURST_S = 2
"""Seconds of the rate that a bucket holds."""

MAX_BUCKETS = 10_000

STRANGERS_PER_S = 10
"""Writes per second from one address without a good token: of hosts that join, and what is refused."""

CROWD = "..."
"""The bucket of all that come while there are too many to have one each. No token has this name."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a write is let through: `left` writes more at once, or the seconds until the next."""

    left: int
    wait_s: float = 0.0


class RateLimit:
    """Counts writes by name. Safe to call from many threads.

    Args:
        per_s: writes per second for each name, at least 1.
        clock: seconds that never go back.
    """

    def __init__(self, per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_s = per_s
        self.burst = per_s * BURST_S
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def take(self, name: str) -> Verdict:
        """Count one write."""
        now = self._clock()
        with self._lock:
            bucket = self._named(name, now)
            bucket.left = min(self.burst, bucket.left + (now - bucket.at) * self.per_s)
            bucket.at = now
            if bucket.left < 1:
                return Verdict(0, (1 - bucket.left) / self.per_s)
            bucket.left -= 1
            return Verdict(int(bucket.left))

    def headers(self, verdict: Verdict) -> dict[str, str]:
        """What the client is told (draft-ietf-httpapi-ratelimit-headers)."""
        full_s = math.ceil((self.burst - verdict.left) / self.per_s)
        return {
            "RateLimit-Policy": f'"writes";q={self.burst};w={BURST_S}',
            "RateLimit": f'"writes";r={verdict.left};t={full_s}',
        }

    def _named(self, name: str, now: float) -> _Bucket:
        bucket = self._buckets.get(name)
        if bucket is not None:
            return bucket
        if len(self._buckets) >= MAX_BUCKETS:
            # A bucket that is full again by now is as good as none.
            self._buckets = {each: have for each, have in self._buckets.items() if now - have.at < BURST_S}
            if len(self._buckets) >= MAX_BUCKETS:
                name = CROWD
        return self._buckets.setdefault(name, _Bucket(self.burst, now))


def address_name(address: str) -> str:
    """Whose bucket an address is for: IPv6 hosts choose among the addresses of a /64 as they like."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv4Address):
        return address
    return str(found.ipv4_mapped) if found.ipv4_mapped else f"{int(found) >> 64:x}::"
