"""Endpoints, the addresses they hold, and what a node says of them."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_network
from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from store.model.qos import OptionalQos
from store.model.segment import Membership
from store.model.value import (
    Address_,
    Identifier,
    Ifname,
    IPAddress,
    IPNetwork,
    Labels,
    Mac,
    MtuBytes,
    Name,
    Network,
    Uid,
    UnicastAddress,
    Value,
)

NetnsPath = Annotated[str, StringConstraints(pattern=r"^/[^\x00-\x1f]{1,255}$")]


class EndpointState(StrEnum):
    """Where an endpoint is in its life."""

    ASSIGNED = "assigned"
    RELEASING = "releasing"
    """Deletion was asked for; the node withdraws and cleans up, then the address cools down."""


class EndpointKind(StrEnum):
    """What an endpoint is, and so what its node makes for it."""

    CONTAINER = "container"
    """A network namespace of the node: the agent makes the link and configures it."""
    VM = "vm"
    """A port that is made by the caller, a tap or a vhost-user port: the guest configures itself."""
    HOST = "host"
    """A machine behind a physical port that is given to the bridge, or behind a routed neighbour."""


class Endpoint(Value):
    """A workload's interface on one node: one address of its own, or one of each family."""

    id: Identifier
    uid: Uid
    """Of this assignment alone: another endpoint with the same id later has another."""
    node: Name
    tenant: Name | None = None
    pools: Annotated[tuple[Name, ...], Field(min_length=1, max_length=2)]
    """The pool of each address, in the same order."""
    addresses: Annotated[tuple[UnicastAddress, ...], Field(min_length=1, max_length=2)]
    mac: Mac
    mtu_bytes: MtuBytes | None = None
    """Of its link; when not given its node takes that of the uplink, as it is at the time."""
    labels: Labels = {}
    state: EndpointState = EndpointState.ASSIGNED
    qos: OptionalQos = None
    kind: EndpointKind = EndpointKind.CONTAINER
    membership: Membership | None = None
    """Of a segment, when its pools are one's."""
    asked: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{32})?$")] = ""
    """A digest of the request that made it, by which that is known when it comes again; only with an id."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Endpoint:
        if len(self.pools) != len(self.addresses):
            raise ValueError("pools names the pool of each of the addresses")
        if len(self.addresses) > 1 and self.addresses[0].version == self.addresses[1].version:
            raise ValueError("addresses holds one address, or one of each family")
        return self

    @property
    def placed(self) -> tuple[tuple[IPAddress, str], ...]:
        """Each address with the name of its pool."""
        return tuple(zip(self.addresses, self.pools, strict=True))


class AddressState(StrEnum):
    """Why an address is not free."""

    ASSIGNED = "assigned"
    COOLDOWN = "cooldown"
    """Released; the key's lease ends the cooldown and with it the key."""


class Address(Value):
    """One address of a pool that is not free, and the endpoint or the service that holds it, or held it last.

    A free address has no key.
    """

    address: UnicastAddress
    pool: Name
    endpoint: Identifier | None = None
    node: Name | None = None
    """The endpoint's."""
    service: Name | None = None
    """It is no node's: each of the service's endpoints holds it."""
    state: AddressState = AddressState.ASSIGNED
    since: AwareDatetime
    tenant: Name | None = None
    by: str = ""
    """The token that asked for it."""
    request: str = ""
    """The id of that request, as in the audit log."""
    left: tuple[Name, ...] = ()
    """Nodes that the endpoint moved away from while they held it: some may hold it still."""
    free_at: Annotated[AwareDatetime | None, Field(exclude_if=lambda value: value is None)] = None
    """When its cooldown is over, at the latest: fixed when that begins, and None until then."""

    @model_validator(mode="after")
    def _one_holder(self) -> Address:
        if (self.endpoint is None) != (self.node is None) or (self.endpoint is None) != (
            self.service is not None
        ):
            raise ValueError("endpoint and node name who holds the address, or service does")
        return self

    @property
    def withdrawing(self) -> bool:
        """Whether it is nobody's any more, and routers may have it still: its cooldown has not begun."""
        return self.state is AddressState.COOLDOWN and self.free_at is None

    @property
    def holder(self) -> str:
        """Who holds it, or held it last, in words: `endpoint web-1`."""
        return f"service {self.service}" if self.service is not None else f"endpoint {self.endpoint}"


class Displaced(Value):
    """An address inside one of a node's blocks that an endpoint on another node holds."""

    address: UnicastAddress
    endpoint: Identifier
    node: Name
    """The node that holds it."""


class Attachment(Value):
    """An endpoint that a node's agent holds: its link, port, routes and flows may exist.

    Written before the first of them is made and removed after the last is gone, so that its absence
    proves that the address can be released. It is on an interface in a namespace, or on a port that its
    caller has made, or behind a neighbour on such a port.
    """

    endpoint: Identifier
    node: Name
    addresses: tuple[Address_, ...]
    netns: NetnsPath | None = None
    ifname: Ifname | None = None
    port: Ifname | None = None
    via: Annotated[tuple[UnicastAddress, ...], Field(max_length=2)] = ()
    boot_id: str


class Ready(Value):
    """A prefix its node can deliver: an address that has route and flow, or a block that has its blackhole.

    Not under a lease: a dead agent leaves the dataplane forwarding. It counts only for the boot it names.
    """

    prefix: Network
    node: Name
    boot_id: str
    endpoint: Identifier | None = None
    """Whose address it is; None for a block, and for a service's address."""


class Advertised(Value):
    """A prefix that the node's speaker announces now, and to which peers."""

    prefix: Network
    node: Name
    peers: tuple[Name, ...]


@lru_cache(maxsize=1 << 18)
def host_prefix(address: IPAddress) -> IPNetwork:
    """The /32 or /128 of one address."""
    return ip_network(address)
