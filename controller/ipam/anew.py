"""An endpoint made anew, with other addresses and all else as it was: as a request, and as commands. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from controller.ipam import blocks
from controller.ipam.request import Request
from store.model import Endpoint, EndpointKind, IPAddress, Qos

UNITS = {"_kbps": "k", "_kbit": "k", "_per_s": ""}
"""What a field of `Qos` ends with and its option does not, and what the option's value ends with instead."""


def request(endpoint: Endpoint, addresses: Sequence[IPAddress]) -> Request:
    """What is asked for: these addresses, one of each of its pools."""
    return Request(
        node=endpoint.node,
        id=endpoint.id,
        pools=endpoint.pools,
        addresses=tuple(addresses),
        tenant=endpoint.tenant,
        labels=endpoint.labels,
        qos=endpoint.qos,
        endpoint_kind=endpoint.kind,
        # One that was made from its address is made from the new one: the next holder of that gets it.
        mac=None if endpoint.mac == blocks.mac_of(endpoint.addresses[0]) else endpoint.mac,
    )


def commands(wanted: Request) -> tuple[str, str]:
    """The commands that end the endpoint and make what is asked for in its place."""
    name = str(wanted.id)
    return (
        shlex.join(["polder", "endpoint", "delete", name]),
        shlex.join(["polder", "endpoint", "create", name, *_options(wanted)]),
    )


def _options(wanted: Request) -> Iterator[str]:
    yield from ("--node", wanted.node)
    for pool in wanted.pools:
        yield from ("--pool", pool)
    for address in wanted.addresses:
        yield from ("--address", str(address))
    if wanted.tenant is not None:
        yield from ("--tenant", wanted.tenant)
    if wanted.endpoint_kind is not EndpointKind.CONTAINER:
        yield from ("--kind", wanted.endpoint_kind.value)
    if wanted.mac is not None:
        yield from ("--mac", wanted.mac)
    for label in wanted.labels.items():
        yield from ("--label", "=".join(label))
    if wanted.qos is not None:
        yield from _limits(wanted.qos)


def _limits(qos: Qos) -> Iterator[str]:
    for name, value in qos.model_dump().items():
        ending = next((each for each in UNITS if name.endswith(each)), "")
        option = name.removesuffix(ending).replace("_", "-")
        yield from (f"--{option}", f"{value}{UNITS.get(ending, '')}")
