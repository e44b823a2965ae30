"""What ping saw: how many echo requests were answered, and the longest time without an answer.

Counted from the sequence numbers of the answers, not from ping's own summary: an answer that comes
twice counts once. An answer that is late is not lost: it is waited for, which ping by itself does not do.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from lab.errors import LabError
from lab.recording import Recording

MAX_REQUESTS = 65_535
"""A sequence number has 16 bits: a longer run would count again from 0 (22 minutes at 20 ms)."""

ANSWER_S = 1.0
"""An answer that has not come by then is lost."""

_ANSWER = re.compile(r"icmp_seq=(\d+) (?:ttl|hlim)=")
_TOLD = re.compile(r"icmp_seq=(\d+)")
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
        self._report: PingReport | None = None

    @property
    def received(self) -> int:
        """Answers so far."""
        return len(_answered(self._recording.lines()))

    def wait_answers(self, more: int = 1, deadline_s: float = 5.0) -> None:
        """Wait until so many more answers have come than now. Raises NotInTime."""
        enough = self.received + more
        self._recording.wait(lambda: self.received >= enough, deadline_s, f"{more} more answers to ping")

    def stop(self) -> PingReport:
        """End it and say what it saw. Idempotent. Blocking.

        What it has told of until now counts. As it tells of each request that is not answered when the next
        one is sent, that is all of them but for the last, which may be on its way as well.
        """
        if self._report is None:
            due = _told(self._recording.lines())
            with suppress(LabError):
                self._recording.wait(
                    lambda: max(_answered(self._recording.lines()), default=0) >= due,
                    ANSWER_S,
                    "late answers",
                )
            self._recording.stop(signal.SIGINT)
            self._report = parse(self._recording.lines(), self._interval_s, due)
        return self._report


def parse(lines: Iterable[str], interval_s: float, most: int) -> PingReport:
    """Read the output of iputils' ping.

    Args:
        lines: its standard output.
        interval_s: seconds between requests.
        most: how many requests count. It sends more while it waits for the answers to these.
    """
    lines = list(lines)
    answered = _answered(lines)
    summary = next((found for line in reversed(lines) if (found := _SENT.search(line))), None)
    sent = min(most, int(summary[1]) if summary else _told(lines))
    lost = tuple(number for number in range(1, sent + 1) if number not in answered)
    return PingReport(sent, sent - len(lost), round(_longest_run(lost) * interval_s, 6), lost)


def _told(lines: Iterable[str]) -> int:
    """The last request that is told of, as answered or not."""
    return max((int(found[1]) for line in lines if (found := _TOLD.search(line))), default=0)


def _answered(lines: Iterable[str]) -> set[int]:
    return {int(found[1]) for line in lines if (found := _ANSWER.search(line))}


def _longest_run(numbers: Iterable[int]) -> int:
    longest, run, before = 0, 0, None
    for number in numbers:
        run = run + 1 if before is not None and number == before + 1 else 1
        longest, before = max(longest, run), number
    return longest
