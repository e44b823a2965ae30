"""Ways to break one thing on a management host of a lab, each mended when its block ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from lab.etcd import EtcdServer
from lab.lab import Lab
from lab.partition import Cut, cut
from lab.program import Program
from lab.topology import MGMT_ADDRESSES

START_S = 60.0

Break = Callable[[Lab, str], AbstractContextManager[None]]
"""Takes the lab and the name of the host."""


def controller_of(lab: Lab, host: str) -> Program:
    """The controller on a host."""
    return lab.polder.controllers[list(MGMT_ADDRESSES).index(host)]


def member_of(lab: Lab, host: str) -> EtcdServer:
    """The member of etcd on a host."""
    return lab.polder.etcd.members[list(MGMT_ADDRESSES).index(host)]


@contextmanager
def controller_killed(lab: Lab, host: str) -> Iterator[None]:
    controller = controller_of(lab, host)
    controller.kill()
    try:
        yield
    finally:
        controller.start(START_S)


@contextmanager
def controller_paused(lab: Lab, host: str) -> Iterator[None]:
    """What clients sent it and gave up may be done when it goes on."""
    controller = controller_of(lab, host)
    controller.pause()
    try:
        yield
    finally:
        controller.resume()


@contextmanager
def member_killed(lab: Lab, host: str) -> Iterator[None]:
    member = member_of(lab, host)
    member.kill()
    try:
        yield
    finally:
        member.start(deadline_s=START_S)


@contextmanager
def member_paused(lab: Lab, host: str) -> Iterator[None]:
    member = member_of(lab, host)
    member.pause()
    try:
        yield
    finally:
        member.resume()


@contextmanager
def both_killed(lab: Lab, host: str) -> Iterator[None]:
    """The member comes back first, then the controller."""
    with controller_killed(lab, host), member_killed(lab, host):
        yield


def cutting(what: Cut) -> Break:
    """Packets of one kind are dropped at the host."""
    return lambda lab, host: cut(lab.hosts[host], what)
