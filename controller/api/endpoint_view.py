"""An endpoint as it is asked for and as it is shown, with what its node says of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)

from controller.ipam.request import Request
from controller.scope import Scope
from store import keys
from store.client import KeyValue, Store
from store.codec import field
from store.model import AddressFamily, Endpoint, EndpointKind, EndpointState, Membership, Program, Qos
from store.model.qos import OptionalQos
from store.model.value import Address_, Identifier, Labels, Mac, Name, Network, UnicastAddress, text_of
from store.series import Series

GATEWAYS = ("169.254.1.1", "fe80::1")
"""The next hop of an endpoint's default route, IPv4 and IPv6: its node's bridge, the same everywhere."""


NODES_MAC_PREFIX = "02:70:6f:6c:64:"
"""What the MAC addresses of a node's gateway and of services begin with."""
NOBODYS_MAC = "00:00:00:00:00:00"


def _of_a_workload(mac: str) -> str:
    if mac.startswith(NODES_MAC_PREFIX):
        raise ValueError(f"{mac} is of the nodes' own; give that of the workload, or leave mac out")
    if mac == NOBODYS_MAC:
        raise ValueError(f"{mac} is nobody's; give that of the workload, or leave mac out")
    return mac


OneOfEach = Field(default=(), max_length=2, fail_fast=True)


class NewEndpoint(BaseModel):
    """What is asked for. All but the node is for the controller to choose when not given.

    One address, or one of each family: those of `families`, or of the `pools` and `addresses` that are
    named. `pool` and `address` are short for one pool and one address.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Identifier | None = None
    node: Name
    tenant: Name | None = None
    families: tuple[AddressFamily, ...] = OneOfEach
    pool: Name | None = None
    pools: tuple[Name, ...] = OneOfEach
    address: UnicastAddress | None = None
    addresses: tuple[UnicastAddress, ...] = OneOfEach
    labels: Labels = Field(default_factory=dict)
    qos: OptionalQos = None
    kind: EndpointKind = EndpointKind.CONTAINER
    mac: Annotated[Mac, AfterValidator(_of_a_workload)] | None = None
    """The only one that may speak there: that of the machine, where it cannot be given one."""

    @model_validator(mode="after")
    def _said_once(self) -> NewEndpoint:
        if self.pool is not None and self.pools:
            raise ValueError("pool is short for pools of one; give one of the two")
        if self.address is not None and self.addresses:
            raise ValueError("address is short for addresses of one; give one of the two")
        if len(set(self.families)) < len(self.families):
            raise ValueError("families names ipv4, ipv6 or both, each once")
        return self

    def request(self, tenant: str | None, *, by: str, request: str, scope: Scope) -> Request:
        """What the allocator is asked for.

        Args:
            tenant: the caller's, or else the one that is named.
            by: the name of the caller's token.
            request: the id of the caller's request.
            scope: what exists for the caller.
        """
        return Request(
            node=self.node,
            id=self.id,
            families=tuple([family.version for family in self.families]),
            pools=(self.pool,) if self.pool is not None else self.pools,
            addresses=(self.address,) if self.address is not None else self.addresses,
            tenant=tenant,
            labels=self.labels,
            qos=self.qos,
            endpoint_kind=self.kind,
            mac=self.mac,
            by=by,
            request=request,
            scope=scope,
            pointers=(
                "/pools/{}" if self.pools else "/pool",
                "/addresses/{}" if self.addresses else "/address",
            ),
        )


AddressText = Annotated[str, WithJsonSchema(TypeAdapter(Address_).json_schema())]
PrefixText = Annotated[str, WithJsonSchema(TypeAdapter(Network).json_schema())]


class EndpointView(BaseModel):
    """An endpoint as it is shown. Addresses are texts here: a page shows hundreds."""

    id: Identifier
    uid: str
    """Of this assignment alone."""
    node: Name
    tenant: Name | None
    pools: tuple[Name, ...]
    """The pool of each address."""
    addresses: tuple[AddressText, ...]
    prefixes: tuple[PrefixText, ...]
    gateways: tuple[AddressText, ...]
    mac: str
    mtu_bytes: int | None
    """None is that of the uplink: the agent's answer to an attach has the number."""
    labels: Labels
    qos: Qos | None
    state: EndpointState
    kind: EndpointKind
    membership: Membership | None
    """Of a segment: its VLAN and uplink, what is on-link there, and its router."""
    attached: bool
    """Its node's agent holds it: link, port, routes or flows of it may exist."""
    ready: bool
    """Its node can deliver every address of it."""


_BLANKS: dict[str, Any] = {
    "id": "{id}",
    "uid": "{uid}",
    "node": "{node}",
    "addresses": ("{addresses}",),
    "prefixes": ("{prefixes}",),
    "mac": "{mac}",
    "attached": False,
    "ready": False,
}


_SHOWN = Series(EndpointView.model_fields, _BLANKS)


def new_texts(endpoints: Iterable[Endpoint]) -> list[str]:
    """The JSON of endpoints that were made this moment: nothing holds them yet."""
    texts = []
    for endpoint in endpoints:
        addresses = [text_of(each) for each in endpoint.addresses]
        prefixes = [
            f"{text}/{each.max_prefixlen}" for text, each in zip(addresses, endpoint.addresses, strict=True)
        ]
        form = _SHOWN.form({**vars(endpoint), "gateways": _gateways(endpoint, addresses)})
        texts.append(
            form.of(
                endpoint.id,
                endpoint.uid,
                endpoint.node,
                '","'.join(addresses),
                '","'.join(prefixes),
                endpoint.mac,
            )
        )
    return texts


def view(store: Store, endpoint: Endpoint) -> EndpointView:
    """One endpoint, with what its node says of it."""
    return views(store, [endpoint])[0]


def views(store: Store, endpoints: Sequence[Endpoint]) -> list[EndpointView]:
    """Likewise, many endpoints."""
    return [EndpointView.model_construct(**each) for each in rows(store, endpoints)]


def rows(store: Store, endpoints: Sequence[Endpoint]) -> list[dict[str, Any]]:
    """The fields of their views, in order: all that is said of the endpoints is read together."""
    attachments = [keys.ATTACHMENTS.key(each.node, each.id) for each in endpoints]
    prefixes = [_prefixes(each) for each in endpoints]
    attached = store.get_many(attachments)
    places = {
        key: _said_of(each.node, its)
        for each, key, its in zip(endpoints, attachments, prefixes, strict=True)
        if key in attached
    }
    said = store.get_many(list({key for each in places.values() for key in each})) if places else {}
    ready = {key for key, its in places.items() if _is_ready(attached[key], *map(said.get, its))}
    return [
        _row(each, its, attached=key in attached, ready=key in ready)
        for each, key, its in zip(endpoints, attachments, prefixes, strict=True)
    ]


def _said_of(node: str, prefixes: Iterable[str]) -> tuple[str, ...]:
    """Where is said that the agent lives, and that it delivers each prefix."""
    return keys.ALIVE.key(node, Program.AGENT.value), *(keys.READY.key(node, one) for one in prefixes)


def _is_ready(attachment: KeyValue, alive: KeyValue | None, *ready: KeyValue | None) -> bool:
    """Readiness outlives the agent, but not the boot it was said in."""
    boot_id = _boot_id(alive or attachment)
    return all(each is not None and _boot_id(each) == boot_id for each in ready)


def _boot_id(item: KeyValue) -> str | None:
    return field(item.value, "boot_id")


def _prefixes(endpoint: Endpoint) -> tuple[str, ...]:
    return tuple([f"{text_of(each)}/{each.max_prefixlen}" for each in endpoint.addresses])


def _gateways(endpoint: Endpoint, addresses: Iterable[str]) -> tuple[str, ...]:
    if endpoint.membership is not None:
        return tuple(str(each) for each in endpoint.membership.gateways)
    return tuple([GATEWAYS[":" in address] for address in addresses])


def _row(endpoint: Endpoint, prefixes: tuple[str, ...], *, attached: bool, ready: bool) -> dict[str, Any]:
    addresses = tuple(prefix.partition("/")[0] for prefix in prefixes)
    # Every part was checked when the endpoint was made.
    return {
        "id": endpoint.id,
        "uid": endpoint.uid,
        "node": endpoint.node,
        "tenant": endpoint.tenant,
        "pools": endpoint.pools,
        "addresses": addresses,
        "prefixes": prefixes,
        "gateways": _gateways(endpoint, addresses),
        "mac": endpoint.mac,
        "mtu_bytes": endpoint.mtu_bytes,
        "labels": endpoint.labels,
        "qos": endpoint.qos,
        "state": endpoint.state,
        "kind": endpoint.kind,
        "membership": endpoint.membership,
        "attached": attached,
        "ready": ready,
    }
