"""What ping saw: how many echo requests were answered, and the longest time without an answer.

Counted from the sequence numbers of the answers, not from ping's own summary: an answer that comes
twice counts once, and a request still on its way when ping is stopped counts as not sent.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from dataclasses import dataclass

from lab.recording import Recording

MAX_REQUESTS = 65_535
"""A sequence number has 16 bits: a longer run would count again from 0 (22 minutes at 20 ms)."""

_ANSWER = re.compile(r"icmp_seq=(\d+) (?:ttl|hlim)=")
_SENT = re.compile(r"(\d+) packets transmitted")


@dataclass(frozen=True, slots=True)
class PingReport:
    """The outcome of a run of ping."""

    sent: int
    received: int
    longest_gap_s: float
    """The longest run of unanswered requests times their interval; 0.0 when all were answered."""
    lost: tuple[int, ...] = ()
    """The sequence numbers, from 1, that were not answered."""

    @property
    def ok(self) -> bool:
        """Something was sent and all of it was answered."""
        return self.sent > 0 and not self.lost


class Ping:
    """A ping that runs in the background."""

    def __init__(self, recording: Recording, interval_s: float) -> None:
        self._recording = recording
        self._interval_s = interval_s

    @property
    def received(self) -> int:
        """Answers so far."""
        return len(_answered(self._recording.lines()))

    def wait_answers(self, more: int = 1, deadline_s: float = 5.0) -> None:
        """Wait until so many more answers have come than now. Raises NotInTime."""
        enough = self.received + more
        self._recording.wait(lambda: self.received >= enough, deadline_s, f"{more} more answers to ping")

    def stop(self) -> PingReport:
        """End it and say what it saw. Idempotent. Blocking."""
        self._recording.stop(signal.SIGINT)
        return parse(self._recording.lines(), self._interval_s, interrupted=True)


def parse(lines: Iterable[str], interval_s: float, *, interrupted: bool = False) -> PingReport:
    """Read the output of iputils' ping.

    Args:
        lines: its standard output.
        interval_s: seconds between requests.
        interrupted: it was stopped, so that the last request may still have been on its way.
    """
    lines = list(lines)
    answered = _answered(lines)
    summary = next((found for line in reversed(lines) if (found := _SENT.search(line))), None)
    sent = int(summary[1]) if summary else max(answered, default=0)
    if interrupted and sent not in answered:
        sent = max(0, sent - 1)
    lost = tuple(number for number in range(1, sent + 1) if number not in answered)
    return PingReport(sent, sent - len(lost), round(_longest_run(lost) * interval_s, 6), lost)


def _answered(lines: Iterable[str]) -> set[int]:
    return {int(found[1]) for line in lines if (found := _ANSWER.search(line))}


def _longest_run(numbers: Iterable[int]) -> int:
    longest, run, before = 0, 0, None
    for number in numbers:
        run = run + 1 if before is not None and number == before + 1 else 1
        longest, before = max(longest, run), number
    return longest
