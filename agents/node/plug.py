"""An endpoint's plug: its veth pair into the namespace, and the port of the bridge at the host's end.

The port's `external_ids` are the node's own record of what is attached where, the whole endpoint with it;
they outlive this program, the store and the machine's reboot. A link without a port is what a crash left
in between: swept.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

from agents.kernel.links import IfnameTaken, LinkSpec
from agents.kernel.netlink import KernelError
from agents.kernel.netns import NetnsGone
from agents.node.wants import Refused, Want
from intent.names import gateway
from openflow.errors import BridgeError
from openflow.rows import PortRow
from store.codec import decode, encode
from store.errors import Corrupt
from store.model import Endpoint, IPAddress
from store.model.value import parse_address

log = logging.getLogger(__name__)

LINK_PREFIX = "pl"
RECORDS_KEPT = 1 << 13
_OUR_NAME = re.compile(rf"{LINK_PREFIX}[0-9a-f]{{12}}")
"""What is swept has the very shape of a name that we give: another program's link may begin with `pl` too."""


class Busy(Exception):
    """The switch or the kernel did not take it now. Try again after a pause."""


class Ports(Protocol):
    """The part of the bridge that a plug needs (`openflow.bridge.Bridge`)."""

    def ports(self) -> Mapping[str, PortRow]: ...
    def add_port(self, name: str, external_ids: Mapping[str, str]) -> int: ...
    def remove_port(self, name: str) -> None: ...


class Links(Protocol):
    """The part of the kernel that a plug needs (`agents.kernel.links.Links`)."""

    def ensure_endpoint_link(self, spec: LinkSpec) -> None: ...
    def hold_addresses(
        self, path: str, netns_id: str, wanted: Iterable[IPAddress], unwanted: Iterable[IPAddress]
    ) -> None: ...
    def remove_link(self, host_ifname: str) -> None: ...
    def owned_links(self) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True)
class Plugged:
    """A port of the bridge that is an endpoint's; `ofport` is None while the switch has not given one."""

    want: Want
    port: str
    ofport: int | None
    endpoint: Endpoint | None
    """As it was recorded last; None when it cannot be read: somebody may have written anything there."""
    services: frozenset[IPAddress] = frozenset()
    """The addresses of services that its namespace may hold beside the endpoint's own."""

    @property
    def identity(self) -> str:
        """Whose addresses the link carries: see the function `identity`."""
        return identity(self.endpoint) if self.endpoint is not None else ""

    def serves(self, want: Want, endpoint: Endpoint) -> bool:
        """Whether it is what this want needs: an endpoint may come back with the same id and be another."""
        there = self.endpoint
        if there is None or self.ofport is None or self.want != want:
            return False
        return there == endpoint or (self.identity, there.mtu_bytes) == (
            identity(endpoint),
            endpoint.mtu_bytes,
        )


def identity(endpoint: Endpoint) -> str:
    """What a link must be made anew for when it changes: MAC and addresses."""
    return " ".join([endpoint.mac, *map(str, endpoint.addresses)])


def host_ifname(endpoint: str) -> str:
    """The name of the host's end of an endpoint's link: 15 characters at most, the same on every start."""
    return LINK_PREFIX + hashlib.sha256(endpoint.encode()).hexdigest()[:12]


class Plug:
    """Plugs endpoints in and out. One thread at a time. Everything is idempotent."""

    def __init__(self, links: Links, bridge: Ports) -> None:
        self._links = links
        self._bridge = bridge

    def read(self) -> dict[str, Plugged]:
        """What is plugged in now, by endpoint, as the bridge tells. Raises `Busy`."""
        try:
            rows = self._bridge.ports()
        except BridgeError as fault:
            raise Busy(str(fault)) from fault
        found = (_plugged(row) for row in rows.values())
        return {one.want.endpoint: one for one in found if one is not None}

    def insert(self, want: Want, endpoint: Endpoint, services: frozenset[IPAddress] = frozenset()) -> Plugged:
        """Make link and port; returns the port, which has its OpenFlow number.

        Ordering: the port comes last, so that a port always has its link. `services` are what the port says
        that is there already.

        Raises:
            Refused: it cannot be done as asked for.
            Busy: not now.
        """
        name = host_ifname(endpoint.id)
        spec = LinkSpec(
            host_ifname=name,
            netns=want.netns,
            ifname=want.ifname,
            mac=endpoint.mac,
            addresses=endpoint.addresses,
            gateways=tuple(gateway(address.version) for address in endpoint.addresses),
            mtu_bytes=endpoint.mtu_bytes,
        )
        try:
            self._links.ensure_endpoint_link(spec)
            ofport = self._bridge.add_port(name, _external_ids(want, endpoint, services))
            return Plugged(want, name, ofport, endpoint, services)
        except NetnsGone as fault:
            raise Refused(422, f"netns {want.netns} is not a network namespace on this node") from fault
        except IfnameTaken as fault:
            detail = f"ifname {want.ifname} is taken in {want.netns}; choose another, or detach what holds it"
            raise Refused(409, detail) from fault
        except (KernelError, BridgeError) as fault:
            raise Busy(str(fault)) from fault

    def record(self, there: Plugged, want: Want, endpoint: Endpoint) -> Plugged:
        """Write down what has changed of an endpoint that is plugged in. Raises `Busy`."""
        return self._record(replace(there, want=want, endpoint=endpoint))

    def hold(self, there: Plugged, services: frozenset[IPAddress]) -> Plugged:
        """Have the endpoint's namespace hold these addresses of services, and no others of services.

        Ordering: an address is recorded before it is there, and forgotten after it is gone.

        Raises:
            Busy: not now.
        """
        unwanted = there.services - services
        if not services <= there.services:
            there = self._record(replace(there, services=there.services | services))
        try:
            self._links.hold_addresses(there.want.netns, there.want.netns_id, services, unwanted)
        except NetnsGone as fault:
            if services:
                raise Busy(str(fault)) from fault
        except KernelError as fault:
            raise Busy(str(fault)) from fault
        return self._record(replace(there, services=services)) if unwanted else there

    def _record(self, wanted: Plugged) -> Plugged:
        """Write down all of it. A port whose record of its endpoint cannot be read is left as it is."""
        if wanted.endpoint is None:
            return wanted
        ids = _external_ids(wanted.want, wanted.endpoint, wanted.services)
        try:
            return replace(wanted, ofport=self._bridge.add_port(wanted.port, ids))
        except BridgeError as fault:
            raise Busy(str(fault)) from fault

    def remove(self, endpoint: str) -> None:
        """Take out port and link. Raises `Busy`."""
        name = host_ifname(endpoint)
        try:
            self._bridge.remove_port(name)
            self._links.remove_link(name)
        except (KernelError, BridgeError) as fault:
            raise Busy(str(fault)) from fault

    def sweep(self, wanted: Mapping[str, Want]) -> None:
        """Remove links that nobody wants and that have no port. Raises `Busy`."""
        keep = {host_ifname(endpoint) for endpoint in wanted}
        keep |= {one.port for one in self.read().values()}
        try:
            for name in filter(_OUR_NAME.fullmatch, self._links.owned_links() - keep):
                log.warning("swept a link that nobody wants ifname=%s", name)
                self._links.remove_link(name)
        except KernelError as fault:
            raise Busy(str(fault)) from fault


def _external_ids(want: Want, endpoint: Endpoint, services: Iterable[IPAddress]) -> dict[str, str]:
    return {
        "polder": want.endpoint,
        "polder-netns": want.netns,
        "polder-netns-id": want.netns_id,
        "polder-ifname": want.ifname,
        "polder-endpoint": encode(endpoint).decode(),
        "polder-services": " ".join(sorted(map(str, services))),
    }


def _plugged(row: PortRow) -> Plugged | None:
    ids = row.external_ids
    try:
        want = Want(ids["polder"], ids["polder-netns"], ids["polder-netns-id"], ids["polder-ifname"])
    except KeyError as fault:
        log.warning("port is marked as Polder's but lacks external_ids port=%s key=%s", row.name, fault)
        return None
    endpoint, services = _recorded(ids.get("polder-endpoint", "")), _services(ids.get("polder-services", ""))
    return Plugged(want, row.name, row.ofport, endpoint, services)


@lru_cache(maxsize=RECORDS_KEPT)
def _services(text: str) -> frozenset[IPAddress]:
    try:
        return frozenset(map(parse_address, text.split()))
    except ValueError as fault:
        log.warning("a port's record of its services cannot be read why=%s", fault)
        return frozenset()


@lru_cache(maxsize=RECORDS_KEPT)
def _recorded(text: str) -> Endpoint | None:
    """The endpoint of a port's record. Read once: every pass asks for all of them."""
    try:
        return decode(Endpoint, text.encode())
    except Corrupt as fault:
        log.warning("a port's record of its endpoint cannot be read why=%s", fault)
        return None
