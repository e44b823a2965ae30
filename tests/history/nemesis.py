"""The nemesis breaks one thing at a time, for some seconds, mends it, and waits until all is well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from random import Random

from lab.etcd import EtcdServer
from lab.partition import ANSWERS, HOST, MEMBER, REQUESTS, Cut, cut
from lab.program import Program
from lab.wait import wait_until
from tests.history.site import Site

BROKEN_S = (3.0, 5.0)
"""Longer than a client waits for an answer, so that it goes on while its request is still somewhere."""
MENDED_S = 60.0
CALM_S = 1.0

Break = Callable[[Site, Random], AbstractContextManager[str]]


@dataclass(frozen=True, slots=True)
class Fault:
    """What was broken, where, and when, on the clients' clock."""

    name: str
    where: str
    begun: float
    ended: float
    well: float
    """When every member and controller answered again."""


@contextmanager
def kill_controller(site: Site, dice: Random) -> Iterator[str]:
    controller = dice.choice(site.management.controllers)
    controller.kill()
    yield controller.name
    controller.start(MENDED_S)


@contextmanager
def pause_controller(site: Site, dice: Random) -> Iterator[str]:
    """What clients sent it and gave up is done when it goes on."""
    controller: Program = dice.choice(site.management.controllers)
    controller.pause()
    yield controller.name
    controller.resume()


@contextmanager
def kill_leader(site: Site, dice: Random) -> Iterator[str]:
    member = _leader(site)
    member.kill()
    yield member.name
    member.start(deadline_s=MENDED_S)


@contextmanager
def pause_leader(site: Site, dice: Random) -> Iterator[str]:
    member = _leader(site)
    member.pause()
    yield member.name
    member.resume()


@contextmanager
def pause_follower(site: Site, dice: Random) -> Iterator[str]:
    leader = _leader(site)
    member = dice.choice([each for each in site.management.etcd if each is not leader])
    member.pause()
    yield member.name
    member.resume()


@contextmanager
def cut_leader(site: Site, dice: Random) -> Iterator[str]:
    """Its clients still reach it, and it still believes for a moment that it leads."""
    name = _leader(site).name
    with cut(site.lab.hosts[name], MEMBER):
        yield name


def _cutting(what: Cut) -> Break:
    @contextmanager
    def cut_somewhere(site: Site, dice: Random) -> Iterator[str]:
        host = dice.choice(site.management.hosts)
        with cut(host, what):
            yield host.name

    return cut_somewhere


FAULTS: dict[str, Break] = {
    "etcd's leader is killed": kill_leader,
    "a controller is paused": pause_controller,
    "etcd's answers to a controller are lost": _cutting(ANSWERS),
    "a controller is killed": kill_controller,
    "etcd's leader is cut off from the other members": cut_leader,
    "etcd's leader is paused": pause_leader,
    "a controller's requests to etcd are lost": _cutting(REQUESTS),
    "a follower is paused": pause_follower,
    "a member is cut off from the others": _cutting(MEMBER),
    "a host is cut off": _cutting(HOST),
}
"""The short version takes some of the first."""


class Nemesis:
    """Goes through the faults, first each of them in a random order, until stopped."""

    def __init__(self, site: Site, dice: Random, names: Sequence[str], stop: threading.Event) -> None:
        self.faults: list[Fault] = []
        self._site = site
        self._dice = dice
        self._names = list(names)
        self._stop = stop

    def run(self) -> None:
        """Blocking, until `stop` is set; what is broken then is mended."""
        while not self._stop.wait(CALM_S):
            deck = [name for name in self._names if self._count(name) == min(map(self._count, self._names))]
            self._one(self._dice.choice(deck))

    def _one(self, name: str) -> None:
        begun = time.monotonic()
        with FAULTS[name](self._site, self._dice) as where:
            self._stop.wait(self._dice.uniform(*BROKEN_S))
            ended = time.monotonic()
        wait_until(self._site.healthy, MENDED_S, f"all to be well after: {name}, {where}", poll_s=0.1)
        self.faults.append(Fault(name, where, begun, ended, time.monotonic()))

    def _count(self, name: str) -> int:
        return sum(fault.name == name for fault in self.faults)


def _leader(site: Site) -> EtcdServer:
    leader = wait_until(site.management.etcd.leader, MENDED_S, "a leader of etcd", poll_s=0.1)
    assert leader is not None
    return leader
