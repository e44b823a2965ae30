"""Wait for something to become true: by looking until a deadline, never by sleeping long enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from lab.errors import LabError

POLL_S = 0.02

T = TypeVar("T")


class NotInTime(LabError):
    """What was awaited did not come before the deadline; the message ends with what was seen last."""


def wait_until(
    look: Callable[[], T],
    deadline_s: float,
    what: str,
    *,
    good: Callable[[T], object] = bool,
    poll_s: float = POLL_S,
) -> T:
    """Look at the world until what is seen is good, and return it. Blocking.

    Args:
        look: returns what it sees; the last of it is named in the error.
        deadline_s: seconds from now; there is at least one look.
        what: what is awaited, for people: "a BGP session with tor-a".
        good: whether what was seen is what was awaited; when not given, anything true is.
        poll_s: seconds between two looks.

    Raises:
        NotInTime: the deadline passed.
    """
    until = time.monotonic() + deadline_s
    while not good(seen := look()):
        if time.monotonic() >= until:
            raise NotInTime(f"waited {deadline_s:g} s for {what}; last seen: {seen!r}")
        time.sleep(poll_s)
    return seen
