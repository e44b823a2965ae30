"""Veth pairs of containers, and their ports: the kernel and Open vSwitch work at the same time.

A port is asked for when its link stands, and waited for when it is needed.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Protocol

from agents.kernel.links import LinkSpec
from agents.node.wants import Want
from intent.mtu import mtu_of
from intent.names import gateway
from openflow.rows import PortRow
from store.model import Endpoint

LINK_PREFIX = "pl"
OUR_NAME = re.compile(rf"{LINK_PREFIX}[0-9a-f]{{12}}")
"""What is swept has the very shape of a name that we give: another program's link may begin with `pl` too."""

FIRST_OFPORT, LAST_OFPORT = 0x4000, 0x8000
"""OpenFlow numbers that are asked for, so that flows need not wait for a port. Open vSwitch itself gives the
lowest that are free. Those above are `openflow.behind.NUMBERS`; meters and classes have no room for more."""


class PairPorts(Protocol):
    """The part of the bridge that is needed (`openflow.bridge.Bridge`)."""

    def ports(self) -> Mapping[str, PortRow]: ...
    def begin_port(self, name: str, external_ids: Mapping[str, str], ofport: int) -> Future[int]: ...


class PairLinks(Protocol):
    """The part of the kernel that is needed (`agents.kernel.links.Links`)."""

    def ensure_endpoint_link(self, spec: LinkSpec, standing: Callable[[], None]) -> None: ...
    def raise_link(self, host_ifname: str) -> None: ...


def host_ifname(endpoint: str) -> str:
    """The name of the host's end of an endpoint's link: 15 characters at most, the same on every start."""
    return LINK_PREFIX + hashlib.sha256(endpoint.encode()).hexdigest()[:12]


class Pairs:
    """Makes pairs and their ports. One thread at a time. Everything is idempotent."""

    def __init__(self, links: PairLinks, bridge: PairPorts) -> None:
        self._links = links
        self._bridge = bridge
        self._adding: dict[str, Future[int]] = {}
        """Ports that Open vSwitch was asked for, by name."""
        self._ofports = itertools.cycle(range(FIRST_OFPORT, LAST_OFPORT))
        self.incomplete: set[str] = set()
        """The names of links of ours that have to be completed: a crash, or somebody, left them so."""

    def insert(self, want: Want, endpoint: Endpoint, ids: Mapping[str, str]) -> tuple[str, int]:
        """Make link and port; returns the port's name and number, which `settle` waits for.

        Raises:
            KernelError, BridgeError: it cannot be done, or not now.
        """
        spec = link_spec(want, endpoint)
        name = spec.host_ifname
        ofport = self._number(name)

        def standing() -> None:
            self.incomplete.add(name)
            self._adding[name] = self._bridge.begin_port(name, ids, ofport)

        self._links.ensure_endpoint_link(spec, standing)
        return name, ofport

    def settle(self, name: str) -> int | None:
        """Wait for a port that was asked for, and set its link up; its number. Raises as `insert` does.

        Ordering: the link is complete then, and best its flows are there, or Open vSwitch remembers for some
        milliseconds that it drops what comes.
        """
        ofport = self.added(name)
        if name in self.incomplete:
            self._links.raise_link(name)
            self.incomplete.discard(name)
        return ofport

    def added(self, name: str) -> int | None:
        """Wait until a port is added that was asked for; its number. Raises `BridgeError`."""
        adding = self._adding.pop(name, None)
        return adding.result() if adding is not None else None

    def _number(self, name: str) -> int:
        rows = self._bridge.ports()
        there = rows[name].ofport if name in rows else None
        taken = {row.ofport for row in rows.values()}
        return there or next(number for number in self._ofports if number not in taken)


def link_spec(want: Want, endpoint: Endpoint) -> LinkSpec:
    """What a container's link should be."""
    on = endpoint.membership
    families = [address.version for address in endpoint.addresses]
    return LinkSpec(
        host_ifname=host_ifname(endpoint.id),
        netns=want.netns,
        ifname=want.ifname,
        mac=endpoint.mac,
        addresses=endpoint.addresses,
        gateways=on.gateways if on is not None else tuple(map(gateway, families)),
        mtu_bytes=mtu_of(endpoint),
        networks=on.networks if on is not None else (),
    )
