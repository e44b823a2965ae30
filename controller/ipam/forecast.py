"""When a pool is full, if it goes on filling as it did: from the ages of the addresses that are assigned.

Addresses that were assigned and given back do not count: they are no growth. So the rate is the growth of
what is held now. Of the last hour and the last day the slower one is taken, because endpoints that come
and go, each for some minutes, look like growth to whoever looks at one hour alone. The pure function of a
listing: nothing is recorded, and every controller says the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FEWEST = 3
"""Of fewer assignments no rate is told: chance would make it."""
FARTHEST = timedelta(days=3650)


class Forecast(BaseModel):
    """When the pool is exhausted at the present rate, or why that is not known."""

    rate_per_hour: float | None = None
    """Addresses that are assigned more in each hour; null when it is not known."""
    exhausted_at: AwareDatetime | None = None
    """Null when it is not known, or is ten years away or more."""
    why: str
    """How it was found, or why it was not."""


def forecast(since: Sequence[datetime], free: int, now: datetime) -> Forecast:
    """The forecast of one pool.

    Args:
        since: when each address that is assigned now was assigned.
        free: how many more the pool has.
    """
    if free == 0:
        return Forecast(exhausted_at=now, why="no address is free")
    if not since:
        return Forecast(why="nothing is assigned")
    day = sum(now - each < DAY for each in since)
    if day < FEWEST:
        return Forecast(why=f"{day} of the addresses were assigned in the last day: too few for a rate")
    known_s = min(DAY, max(now - min(since), HOUR)).total_seconds()
    hour = sum(now - each < HOUR for each in since)
    slow = day / (known_s / HOUR.total_seconds())
    rate = min(slow, float(hour)) if hour else slow
    return _at(rate, free, now, f"{hour} addresses of the last hour and {day} of the last day are held still")


def _at(rate: float, free: int, now: datetime, why: str) -> Forecast:
    rounded = round(rate, 2)
    if free / rate >= FARTHEST / HOUR:
        return Forecast(rate_per_hour=rounded, why=f"{why}; at this rate it lasts ten years or more")
    return Forecast(rate_per_hour=rounded, exhausted_at=now + free / rate * HOUR, why=why)
