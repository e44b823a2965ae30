"""The nemesis breaks one thing at a time, for some seconds, mends it, and waits until all is well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from lab.partition import ANSWERS, HOST, MEMBER, REQUESTS
from lab.wait import wait_until
from tests.history.site import Site
from tests.support.breaking import (
    Break,
    controller_killed,
    controller_paused,
    cutting,
    member_killed,
    member_paused,
)

BROKEN_S = (3.0, 5.0)
"""Longer than a client waits for an answer, so that it goes on while its request is still somewhere."""
MENDED_S = 60.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What was broken, where, and when, on the clients' clock."""

    name: str
    where: str
    begun: float
    ended: float
    well: float
    """When every member and controller answered again."""


def anywhere(site: Site, dice: Random) -> str:
    """Any of the management hosts."""
    return dice.choice(site.management.hosts).name


def leader(site: Site, dice: Random) -> str:
    """The host whose member of etcd leads."""
    found = wait_until(site.management.etcd.leader, MENDED_S, "a leader of etcd", poll_s=0.1)
    assert found is not None
    return found.name


def follower(site: Site, dice: Random) -> str:
    """A host whose member does not lead."""
    leading = leader(site, dice)
    return dice.choice([host.name for host in site.management.hosts if host.name != leading])


FAULTS: dict[str, tuple[Callable[[Site, Random], str], Break]] = {
    "etcd's leader is killed": (leader, member_killed),
    "a controller is paused": (anywhere, controller_paused),
    "etcd's answers to a controller are lost": (anywhere, cutting(ANSWERS)),
    "a controller is killed": (anywhere, controller_killed),
    "etcd's leader is cut off from the other members": (leader, cutting(MEMBER)),
    "etcd's leader is paused": (leader, member_paused),
    "a controller's requests to etcd are lost": (anywhere, cutting(REQUESTS)),
    "a follower is paused": (follower, member_paused),
    "a follower is cut off from the other members": (follower, cutting(MEMBER)),
    "a host is cut off": (anywhere, cutting(HOST)),
}
"""The short version takes some of the first."""


class Nemesis:
    """Goes through the faults, first each of them in a random order, until stopped."""

    def __init__(
        self, site: Site, dice: Random, names: Sequence[str], stop: threading.Event, calm_s: float
    ) -> None:
        """`calm_s`: how long all is well between two faults."""
        self.faults: list[Fault] = []
        self._calm_s = calm_s
        self._site = site
        self._dice = dice
        self._names = list(names)
        self._stop = stop

    def run(self) -> None:
        """Blocking, until `stop` is set; what is broken then is mended."""
        while not self._stop.wait(self._calm_s):
            deck = [name for name in self._names if self._count(name) == min(map(self._count, self._names))]
            self._one(self._dice.choice(deck))

    def _one(self, name: str) -> None:
        choose, breaking = FAULTS[name]
        where = choose(self._site, self._dice)
        begun = time.monotonic()
        with breaking(self._site.lab, where):
            self._stop.wait(self._dice.uniform(*BROKEN_S))
            ended = time.monotonic()
        what = f"all to be well after: {name}, {where}"
        wait_until(self._site.unwell, MENDED_S, what, good=lambda unwell: not unwell, poll_s=0.1)
        self.faults.append(Fault(name, where, begun, ended, time.monotonic()))

    def _count(self, name: str) -> int:
        return sum(fault.name == name for fault in self.faults)
