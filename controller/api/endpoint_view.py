"""An endpoint as it is asked for and as it is shown, with what its node says of it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from ipaddress import ip_address

from pydantic import BaseModel, ConfigDict, Field, model_validator

from controller.ipam.request import Request
from controller.scope import EVERYTHING, Scope
from store import keys
from store.client import KeyValue, Store
from store.codec import field
from store.model import Endpoint, EndpointState, Program, host_prefix
from store.model.value import Address_, Identifier, Labels, Name, Network, UnicastAddress

GATEWAYS = {4: ip_address("169.254.1.1"), 6: ip_address("fe80::1")}
"""The next hop of every endpoint's default route: the address of its node's bridge, the same everywhere."""


class Family(StrEnum):
    """An address family."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


OneOfEach = Field(default=(), max_length=2)


class NewEndpoint(BaseModel):
    """What is asked for. All but the node is for the controller to choose when not given.

    One address, or one of each family: those of `families`, or of the `pools` and `addresses` that are
    named. `pool` and `address` are short for one pool and one address.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Identifier | None = None
    node: Name
    tenant: Name | None = None
    families: tuple[Family, ...] = OneOfEach
    pool: Name | None = None
    pools: tuple[Name, ...] = OneOfEach
    address: UnicastAddress | None = None
    addresses: tuple[UnicastAddress, ...] = OneOfEach
    labels: Labels = Field(default_factory=dict)

    @model_validator(mode="after")
    def _said_once(self) -> NewEndpoint:
        if self.pool is not None and self.pools:
            raise ValueError("pool is short for pools of one; give one of the two")
        if self.address is not None and self.addresses:
            raise ValueError("address is short for addresses of one; give one of the two")
        if len(set(self.families)) < len(self.families):
            raise ValueError("families names ipv4, ipv6 or both, each once")
        return self

    def request(self, *, by: str = "", request: str = "", scope: Scope = EVERYTHING) -> Request:
        """What the allocator is asked for.

        Args:
            by: the name of the caller's token.
            request: the id of the caller's request.
            scope: what exists for the caller.
        """
        return Request(
            node=self.node,
            id=self.id,
            families=tuple(4 if family is Family.IPV4 else 6 for family in self.families),
            pools=(self.pool,) if self.pool is not None else self.pools,
            addresses=(self.address,) if self.address is not None else self.addresses,
            tenant=self.tenant,
            labels=self.labels,
            by=by,
            request=request,
            scope=scope,
            pointers=(
                "/pools/{}" if self.pools else "/pool",
                "/addresses/{}" if self.addresses else "/address",
            ),
        )


class EndpointView(BaseModel):
    """An endpoint as it is shown."""

    id: Identifier
    uid: str
    """Of this assignment alone."""
    node: Name
    tenant: Name | None
    pools: tuple[Name, ...]
    """The pool of each address."""
    addresses: tuple[Address_, ...]
    prefixes: tuple[Network, ...]
    gateways: tuple[Address_, ...]
    mac: str
    mtu_bytes: int
    labels: Labels
    state: EndpointState
    attached: bool
    """Its node's agent holds it: link, port, routes or flows of it may exist."""
    ready: bool
    """Its node can deliver every address of it."""


def new_view(endpoint: Endpoint) -> EndpointView:
    """An endpoint that was made this moment: nothing holds it yet."""
    return _view(endpoint, attached=False, ready=False)


def view(store: Store, endpoint: Endpoint) -> EndpointView:
    """One endpoint, with what its node says of it."""
    return views(store, [endpoint])[0]


def views(store: Store, endpoints: Sequence[Endpoint]) -> list[EndpointView]:
    """Likewise, many endpoints: all that is said of them is read together."""
    places = [_said_of(endpoint) for endpoint in endpoints]
    said = store.get_many(list(dict.fromkeys(key for each in places for key in each)))
    return [
        _seen(endpoint, list(map(said.get, each))) for endpoint, each in zip(endpoints, places, strict=True)
    ]


def _said_of(endpoint: Endpoint) -> tuple[str, ...]:
    """Where is said: the agent lives, it holds the endpoint, it delivers each address."""
    node = endpoint.node
    ready = (keys.READY.key(node, host_prefix(address)) for address in endpoint.addresses)
    return keys.ALIVE.key(node, Program.AGENT.value), keys.ATTACHMENTS.key(node, endpoint.id), *ready


def _seen(endpoint: Endpoint, said: Sequence[KeyValue | None]) -> EndpointView:
    alive, attachment, *ready = said
    # Readiness outlives the agent, but not the boot it was said in.
    boot_id = _boot_id(alive or attachment)
    return _view(
        endpoint,
        attached=attachment is not None,
        ready=attachment is not None
        and all(each is not None and _boot_id(each) == boot_id for each in ready),
    )


def _boot_id(item: KeyValue | None) -> str | None:
    return None if item is None else field(item.value, "boot_id")


def _view(endpoint: Endpoint, *, attached: bool, ready: bool) -> EndpointView:
    versions = dict.fromkeys(address.version for address in endpoint.addresses)
    # Every part was checked when the endpoint was made.
    return EndpointView.model_construct(
        id=endpoint.id,
        node=endpoint.node,
        uid=endpoint.uid,
        tenant=endpoint.tenant,
        pools=endpoint.pools,
        addresses=endpoint.addresses,
        prefixes=tuple(host_prefix(address) for address in endpoint.addresses),
        gateways=tuple(GATEWAYS[version] for version in versions),
        mac=endpoint.mac,
        mtu_bytes=endpoint.mtu_bytes,
        labels=endpoint.labels,
        state=endpoint.state,
        attached=attached,
        ready=ready,
    )
