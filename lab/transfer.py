"""A TCP transfer by iperf3 that goes on until it is stopped, and its longest silence where it arrives.

Silence is told from the times at which the receiver's kernel got segments: that iperf3 or tcpdump gets its
turn late on a busy machine adds nothing to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise

from lab.capture import Capture
from lab.host import Host
from lab.wait import wait_until

RATE = "3M"
BLOCK = "4K"
"""With this rate a block leaves each 11 ms."""
LONGEST_S = 3600
START_S = 20.0
ON_ITS_WAY_S = 5.0


class Transfer:
    """A connection that its receiver has opened, and over which the other side sends."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    @property
    def segments(self) -> int:
        """How many have arrived so far."""
        return self._capture.count

    def wait_segments(self, more: int, deadline_s: float = ON_ITS_WAY_S) -> None:
        """Wait until so many more have arrived than now. Raises NotInTime."""
        enough = self.segments + more
        wait_until(lambda: self.segments, deadline_s, f"{more} more segments", good=enough.__le__, poll_s=0.1)

    def longest_silence_s(self, after: int = 0) -> float:
        """The longest time between two neighbouring segments, of all that followed the first `after`."""
        times = [packet.time_s for packet in self._capture.packets()[max(0, after - 1) :]]
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


@contextmanager
def transfer(receiver: Host, sender: Host, address: str, port: int) -> Iterator[Transfer]:
    """Data flow from `sender`, which has `address`, while the block runs. They flow when it begins.

    Raises:
        LabError: they do not.
    """
    words = ("-p", str(port))
    with ExitStack() as stack:
        server = sender.record("iperf3", "-s", "-1", *words)
        stack.callback(server.stop)
        wait_until(lambda: f":{port} " in sender.run("ss", "-ltn").stdout, START_S, "iperf3 to listen")
        full = f"tcp and src host {address} and src port {port} and greater 500"
        capture = stack.enter_context(receiver.capture("any", full))
        reverse = ("-R", "-t", str(LONGEST_S), "-b", RATE, "-l", BLOCK)
        client = receiver.record("iperf3", "-c", address, *words, *reverse)
        stack.callback(client.stop)
        made = Transfer(capture)
        made.wait_segments(10, START_S)
        yield made
