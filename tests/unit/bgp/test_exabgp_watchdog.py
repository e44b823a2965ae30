"""When a process counts as hung, and when it is the peer that does not read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bgp.exabgp.watchdog import SLICE_S, Drain, Patience, Queue, Verdict

IDLE_S, BUSY_S = 10.0, 60.0
MOVING = Queue(established=True, waiting=True, updates_sent=4, unacknowledged=0, acknowledged=700)
BLOCKED = replace(MOVING, unacknowledged=90)
EMPTY = replace(MOVING, waiting=False)


class Process:
    """Uses so much processor time in each second."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.used_s = 5.0

    def cpu_s(self) -> float:
        self.used_s += self.share
        return self.used_s


def seconds_until_hung(share: float) -> int:
    patience = Patience(IDLE_S, BUSY_S, Process(share).cpu_s)
    patience.begin()
    return next(second for second in range(1, 1000) if patience.waited(1.0))


def test_a_process_that_does_nothing_is_hung_soon() -> None:
    assert seconds_until_hung(0.0) == IDLE_S


def test_a_process_that_computes_is_hung_late() -> None:
    assert seconds_until_hung(0.1) == BUSY_S


def test_a_word_begins_the_silence_anew() -> None:
    patience = Patience(IDLE_S, BUSY_S)
    for _ in range(5):
        patience.begin()
        assert not any(patience.waited(1.0) for _ in range(9))
    assert patience.waited(1.0)
    assert patience.silent_s == IDLE_S


def test_idle_time_is_counted_in_one_piece() -> None:
    process = Process(0.0)
    patience = Patience(IDLE_S, BUSY_S, process.cpu_s)
    patience.begin()
    for _ in range(9):
        assert not patience.waited(1.0)
    process.used_s += 1.0
    assert [patience.waited(1.0) for _ in range(11)] == [False] * 10 + [True]


def test_a_machine_that_was_suspended_is_no_hang() -> None:
    patience = Patience(IDLE_S, BUSY_S)
    patience.begin()
    assert not patience.waited(3600.0)
    assert patience.silent_s == SLICE_S


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        ([MOVING] * 2, Verdict.DRAINS),
        ([MOVING] * 3, Verdict.STUCK),
        ([MOVING, MOVING, replace(MOVING, updates_sent=5)], Verdict.DRAINS),
        ([MOVING, EMPTY, MOVING], Verdict.DRAINS),
        ([EMPTY] * 4, Verdict.DRAINS),
        ([replace(MOVING, established=False)] * 4, Verdict.DRAINS),
        ([BLOCKED] * 3, Verdict.PEER_READS_NOTHING),
        # The last of it is in TCP's hands: nothing waits here, and still the peer takes nothing.
        ([replace(BLOCKED, waiting=False)] * 3, Verdict.PEER_READS_NOTHING),
        # A KEEPALIVE was added to what waits; nothing went.
        ([BLOCKED, replace(BLOCKED, unacknowledged=109), BLOCKED], Verdict.PEER_READS_NOTHING),
        # It takes what it is sent, though slowly.
        ([BLOCKED, BLOCKED, replace(BLOCKED, acknowledged=701)], Verdict.DRAINS),
        ([MOVING, MOVING, BLOCKED], Verdict.DRAINS),
    ],
)
def test_a_queue_looked_at_every_five_seconds(seen: list[Queue], verdict: Verdict) -> None:
    drain = Drain(10.0)
    verdicts = [drain.judge(queue, 100.0 + 5 * number) for number, queue in enumerate(seen)]
    assert verdicts[-1] is verdict
    assert set(verdicts[:-1]) <= {Verdict.DRAINS, verdict}
