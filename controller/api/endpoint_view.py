"""An endpoint as it is asked for and as it is shown, with what its node says of it."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_address

from pydantic import BaseModel, ConfigDict, Field, model_validator

from controller.ipam.request import Request
from controller.reading import read, scan
from store import keys
from store.client import Store
from store.model import Alive, Attachment, Endpoint, EndpointState, IPAddress, Program, Ready, host_prefix
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
    labels: Labels = Field(default={})

    @model_validator(mode="after")
    def _said_once(self) -> NewEndpoint:
        if self.pool is not None and self.pools:
            raise ValueError("pool is short for pools of one; give one of the two")
        if self.address is not None and self.addresses:
            raise ValueError("address is short for addresses of one; give one of the two")
        if len(set(self.families)) < len(self.families):
            raise ValueError("families names ipv4, ipv6 or both, each once")
        return self

    def request(self, *, by: str = "", request: str = "", confined: bool = False) -> Request:
        """What the allocator is asked for.

        Args:
            by: the name of the caller's token.
            request: the id of the caller's request.
            confined: the caller sees its own tenant only.
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
            confined=confined,
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


class EndpointViews:
    """Shows endpoints; what a node says is read once for all endpoints on it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._said: dict[str, _Said] = {}

    def view(self, endpoint: Endpoint) -> EndpointView:
        """One endpoint."""
        said = self._said.get(endpoint.node)
        if said is None:
            said = self._said[endpoint.node] = _Said(self._store, endpoint.node)
        attachment = said.attachments.get(endpoint.id)
        return _view(endpoint, attached=attachment is not None, ready=said.is_ready(endpoint))


class _Said:
    """What one node's agent says of the endpoints on it."""

    def __init__(self, store: Store, node: str) -> None:
        self.attachments: dict[str, Attachment] = {
            each.endpoint: each for each in scan(store, keys.ATTACHMENTS, node).values
        }
        self._ready: dict[object, Ready] = {
            each.prefix: each for each in scan(store, keys.READY, node).values
        }
        alive = read(store, keys.ALIVE, node, Program.AGENT.value)
        self._alive: Alive | None = alive.value if alive else None

    def is_ready(self, endpoint: Endpoint) -> bool:
        attachment = self.attachments.get(endpoint.id)
        if attachment is None:
            return False
        # Readiness outlives the agent, but not the boot it was said in.
        boot_id = self._alive.boot_id if self._alive else attachment.boot_id
        return all(self._holds(address, boot_id) for address in endpoint.addresses)

    def _holds(self, address: IPAddress, boot_id: str) -> bool:
        said = self._ready.get(host_prefix(address))
        return said is not None and said.boot_id == boot_id


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
