"""A process that stood still refuses what it was asked before, and then goes on."""

from __future__ import annotations

import threading

import pytest

from controller.pulse import CALM_S, STILL_S, Pulse
from store.errors import Unavailable


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pulse(clock: Clock) -> Pulse:
    made = Pulse(clock)
    made.beat()
    return made


def test_all_is_well_while_it_beats(pulse: Pulse, clock: Clock) -> None:
    for _ in range(10):
        clock.now_s += STILL_S
        pulse.beat()
        pulse.check()


@pytest.mark.parametrize("beats_first", [True, False])
def test_after_a_standstill_nothing_is_written_for_a_while(
    pulse: Pulse, clock: Clock, beats_first: bool
) -> None:
    """Whoever runs first: the heart, or a write that was on its way."""
    clock.now_s += STILL_S + 1
    if beats_first:
        pulse.beat()
    began_s = clock.now_s
    while clock.now_s < began_s + CALM_S:
        with pytest.raises(Unavailable) as refused:
            pulse.check()
        assert refused.value.outcome_unknown, "it may have stood still while etcd answered"
        clock.now_s += 1
    pulse.check()


def test_one_that_was_not_started_notices_nothing(clock: Clock) -> None:
    pulse = Pulse(clock)
    pulse.check()
    clock.now_s += 10 * STILL_S
    pulse.check()


def test_it_beats_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.pulse.BEAT_S", 0.01)
    beats = threading.Semaphore(0)

    def clock() -> float:
        beats.release()
        return 0.0

    pulse = Pulse(clock)
    pulse.start()
    assert all(beats.acquire(timeout=10) for _ in range(3))
    pulse.stop()
    pulse.stop()
