"""Waiting for the far end of a pair, as kernels tell of it that do nothing about it when they are asked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

import pytest
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP

from agents.kernel.carrier import CARRIER_S, POLL_S, await_carrier
from agents.kernel.interface import Interface


def far_end(*, up: bool = True, carries: bool = False) -> Interface:
    return Interface(2, "eth0", "veth", "02:00:00:00:00:05", 1500, IFF_UP if up else 0, 3, 0, carries=carries)


class Clock:
    """Goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def waited(told: Iterator[Interface | None]) -> tuple[bool, float]:
    """What is answered, and after how long."""
    clock = Clock()
    return await_carrier(lambda: next(told), lambda: clock.now_s, clock.sleep), clock.now_s


def test_it_is_waited_for() -> None:
    assert waited(iter([far_end(), far_end(), far_end(carries=True)])) == (True, 2 * POLL_S)


@pytest.mark.parametrize("told", [far_end(carries=True), far_end(up=False), None])
def test_nothing_is_waited_for_that_will_not_come(told: Interface | None) -> None:
    assert waited(repeat(told)) == (True, 0)


def test_no_longer_than_a_second() -> None:
    sends, after_s = waited(repeat(far_end()))
    assert not sends
    assert CARRIER_S <= after_s < CARRIER_S + 2 * POLL_S
