"""What is plugged in, as the switch's database keeps it: a port's `external_ids`, and back.

They are the node's own record of what is attached where, the whole endpoint with it; they outlive this
program, the store and the machine's reboot. What has no port of its own is recorded with the bridge, in the
same form.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from agents.node.wants import Want
from openflow.rows import NEEDS_LINK
from store.codec import decode, encode
from store.errors import Corrupt
from store.model import Endpoint, EndpointKind, IPAddress
from store.model.value import parse_address

log = logging.getLogger(__name__)

RECORDS_KEPT = 1 << 13
UPLINK = "polder-uplink"
"""Marks a port that several endpoints are behind: a segment's uplink, or a `SHARED` one."""
SHARED = "shared"
"""Says of such a port that a machine is behind it."""
NUMBER = "polder-number"
"""What stands for the port of an endpoint that shares one (`openflow.behind.NUMBERS`)."""


@dataclass(frozen=True, slots=True)
class Plugged:
    """What is plugged in for an endpoint: mostly a port of the bridge that is the endpoint's.

    `ofport` is None while the switch has not given one. Of an endpoint that shares a port it is its `NUMBER`,
    and None while that port has none.
    """

    want: Want
    port: str
    ofport: int | None
    endpoint: Endpoint | None
    """As it was recorded last; None when it cannot be read: somebody may have written anything there."""
    services: frozenset[IPAddress] = frozenset()
    """The addresses of services that its namespace may hold beside the endpoint's own."""
    uplink: int | None = None
    """The OpenFlow number of the uplink of its segment; None while there is none."""
    shared: int | None = None
    """The OpenFlow number of the port that it shares; None while that has none, and where it has its own."""
    closed: bool = False
    """Whether it was to be closed when that was recorded last: its node was not told of it yet."""
    taken: bool = True
    """Whether its link is as it has to be, where others make it: one that comes back is a new one."""

    @property
    def identity(self) -> str:
        """Whose addresses the link carries: see the function `identity`."""
        return identity(self.endpoint) if self.endpoint is not None else ""

    def serves(self, want: Want, endpoint: Endpoint) -> bool:
        """Whether it is what this want needs: an endpoint may come back with the same id and be another."""
        there = self.endpoint
        if there is None or self.ofport is None or self.want != want or not self.taken:
            return False
        if there.membership != endpoint.membership or (endpoint.membership and self.uplink is None):
            return False
        return there == endpoint or (self.identity, there.mtu_bytes) == (
            identity(endpoint),
            endpoint.mtu_bytes,
        )


def identity(endpoint: Endpoint) -> str:
    """What a link must be made anew for when it changes: MAC and addresses."""
    return " ".join([endpoint.mac, *map(str, endpoint.addresses)])


def external_ids(
    want: Want,
    endpoint: Endpoint,
    services: Iterable[IPAddress],
    number: int | None = None,
    *,
    closed: bool = False,
) -> dict[str, str]:
    """The record of what is plugged in; `number` is that of one that shares a port."""
    ids = {
        "polder": want.endpoint,
        "polder-endpoint": encode(endpoint).decode(),
        "polder-services": " ".join(sorted(map(str, services))),
        "polder-closed": "yes" if closed else "no",
    }
    if want.via:
        via = " ".join(map(str, want.via))
        return {**ids, "polder-port": want.port, "polder-via": via, NUMBER: str(number)}
    if want.port:
        # The cable of a machine tells whether it can be reached; a tap is there before its guest runs.
        needs = "up" if endpoint.kind is EndpointKind.HOST else "there"
        return {**ids, NEEDS_LINK: needs, "polder-port": want.port}
    place = {"netns": want.netns, "netns-id": want.netns_id, "ifname": want.ifname}
    return {**ids, **{f"polder-{key}": value for key, value in place.items()}}


def plugged(name: str, ofport: int | None, ids: Mapping[str, str]) -> Plugged | None:
    """What a record says; None when it is no endpoint's.

    Args:
        name: the port's; empty without one.
        ofport: its OpenFlow number.
        ids: the record.
    """
    want = None if UPLINK in ids else _want(name, ids)
    if want is None:
        return None
    endpoint = _recorded(ids.get("polder-endpoint", ""))
    closed = ids.get("polder-closed") == "yes"
    return Plugged(want, name, ofport, endpoint, _addresses(ids.get("polder-services", "")), closed=closed)


def _want(name: str, ids: Mapping[str, str]) -> Want | None:
    try:
        if "polder-port" in ids:
            via = _addresses_in_order(ids.get("polder-via", ""))
            return Want(ids["polder"], port=ids["polder-port"], via=via)
        if "polder-via" in ids:  # of an agent that policed no neighbours: it fits no kind, and is taken down
            return Want(ids["polder"], via=_addresses_in_order(ids["polder-via"]))
        return Want(ids["polder"], ids["polder-netns"], ids["polder-netns-id"], ids["polder-ifname"])
    except KeyError as fault:
        log.warning("port is marked as Polder's but lacks external_ids port=%s key=%s", name, fault)
        return None


def _addresses(text: str) -> frozenset[IPAddress]:
    return frozenset(_addresses_in_order(text))


@lru_cache(maxsize=RECORDS_KEPT)
def _addresses_in_order(text: str) -> tuple[IPAddress, ...]:
    try:
        return tuple(map(parse_address, text.split()))
    except ValueError as fault:
        log.warning("a port's record of addresses cannot be read why=%s", fault)
        return ()


@lru_cache(maxsize=RECORDS_KEPT)
def _recorded(text: str) -> Endpoint | None:
    """The endpoint of a port's record. Read once: every pass asks for all of them."""
    try:
        return decode(Endpoint, text.encode())
    except Corrupt as fault:
        log.warning("a port's record of its endpoint cannot be read why=%s", fault)
        return None
