"""A host in a network namespace of its own: the test's thread is inside while the test runs."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from agents.kernel.links import Links, LinkSpec
from agents.kernel.netns import Netns, entered
from intent.names import BRIDGE

DEADLINE_S = 5.0

_numbers = itertools.count()


@dataclass(frozen=True)
class Place:
    """A network namespace."""

    name: str

    @property
    def path(self) -> str:
        return f"/run/netns/{self.name}"

    def run(self, command: str) -> str:
        """Run one command inside; returns what it prints."""
        done = subprocess.run(
            ["nsenter", f"--net={self.path}", *command.split()], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout


def poll(true: Callable[[], bool], what: str) -> None:
    """Wait until something is true."""
    until = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < until, f"not within {DEADLINE_S} s: {what}"


@pytest.fixture
def make_place() -> Iterator[Callable[[], Place]]:
    made: list[Place] = []

    def make() -> Place:
        place = Place(f"kern-{os.getpid()}-{next(_numbers)}")
        subprocess.run(["ip", "netns", "add", place.name], check=True)
        made.append(place)
        return place

    yield make
    for place in made:
        subprocess.run(["ip", "netns", "del", place.name], check=False, capture_output=True)


@pytest.fixture
def host(make_place: Callable[[], Place]) -> Iterator[Place]:
    """A host with a bridge `polder0` and a working uplink `up0` in 192.0.2.0/24 and 2001:db8::/64."""
    place = make_place()
    place.run("sysctl -q -w net.ipv6.conf.default.dad_transmits=0")
    commands = (
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"link set {BRIDGE} up",
        "link add up0 type veth peer name far0",
        "link set far0 up",
        "link set up0 up",
        "addr add 192.0.2.1/24 dev up0",
        "addr add 2001:db8::1/64 dev up0 nodad",
    )
    subprocess.run(["ip", "-n", place.name, "-batch", "-"], input="\n".join(commands), text=True, check=True)
    with Netns(place.path) as netns, entered(netns):
        yield place


@pytest.fixture
def endpoint(make_place: Callable[[], Place]) -> Place:
    """An endpoint's namespace, as a container runtime makes it: empty."""
    place = make_place()
    place.run("sysctl -q -w net.ipv6.conf.default.dad_transmits=0")
    return place


class WholeLinks(Links):
    """Links that need not wait for a port: what is made is up."""

    def ensure_endpoint_link(self, spec: LinkSpec, standing: Callable[[], None] = lambda: None) -> None:
        super().ensure_endpoint_link(spec, standing)
        self.raise_link(spec.host_ifname)


@pytest.fixture
def links(host: Place) -> Iterator[Links]:
    made = WholeLinks()
    yield made
    made.close()
