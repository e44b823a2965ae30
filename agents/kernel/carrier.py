"""The end of a pair that was set up first sends some time after the other one is up as well.

Both have their carrier at once, but the first one's queue is put in place by work that the kernel does later,
when nobody else changes links; until then it drops what it is given. Its operational status (RFC 2863) tells.
Linux 6.8 and later do that work when they are asked for the interface; older ones are asked again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from agents.kernel.interface import Interface

CARRIER_S, POLL_S = 1.0, 0.001


def await_carrier(
    read: Callable[[], Interface | None],
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait until an interface sends, `CARRIER_S` at the most. Whether it does, is gone, or is not to be up.

    Args:
        read: asks the kernel for it.
    """
    until = monotonic() + CARRIER_S
    while (found := read()) is not None and found.is_up and not found.carries:
        if monotonic() >= until:
            return False
        sleep(POLL_S)
    return True
