"""Services: an address that several endpoints hold, announced by each node where one of them is healthy."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from store.model.endpoint import Endpoint
from store.model.pool import MAX_COMMUNITIES, Community
from store.model.value import Identifier, IPAddress, Name, SomeLabels, UnicastAddress, Value, of_version

HttpPath = Annotated[str, StringConstraints(pattern=r"^/[!-~]{0,254}$")]


class CheckKind(StrEnum):
    """How an endpoint is asked whether it is well."""

    TCP = "tcp"
    """It accepts a connection."""
    HTTP = "http"
    """It answers GET with a status of 200 to 399."""


class Check(Value):
    """A health check: the agent of an endpoint's node asks the endpoint at its own address."""

    kind: CheckKind
    port: Annotated[int, Field(strict=True, ge=1, le=65535)]
    path: HttpPath | None = None
    """Of http; / when not given."""
    interval_s: Annotated[int, Field(strict=True, ge=1, le=300)] = 2
    """Seconds from the beginning of a check to that of the next."""
    timeout_s: Annotated[int, Field(strict=True, ge=1, le=60)] = 1
    """Seconds after which a check that has no answer has failed."""
    healthy_after: Annotated[int, Field(strict=True, ge=1, le=10)] = 2
    """So many answers in a row make an endpoint healthy."""
    unhealthy_after: Annotated[int, Field(strict=True, ge=1, le=10)] = 1
    """So many failures in a row make it unhealthy."""

    @model_validator(mode="after")
    def _consistent(self) -> Check:
        if self.path is not None and self.kind is not CheckKind.HTTP:
            raise ValueError("path is for kind http; leave it out")
        if self.timeout_s > self.interval_s:
            raise ValueError(f"timeout_s is at most interval_s, which is {self.interval_s}")
        return self


class NewService(Value):
    """What is asked for."""

    name: Name
    pool: Name
    address: UnicastAddress | None = None
    """One of the pool; a free one when not given."""
    tenant: Name | None = None
    """Only endpoints of this tenant are selected; without it, only those of none."""
    selector: SomeLabels
    """The labels that an endpoint has to have, all of them."""
    check: Check | None = None
    """Without one an endpoint that is attached is healthy."""
    communities: Annotated[tuple[Community, ...], Field(max_length=MAX_COMMUNITIES, fail_fast=True)] = ()
    """What the speakers send with the service's prefix, beside what they send with the pool's."""

    def at(self, address: IPAddress) -> Service:
        """The service with this address."""
        return Service(**{**dict(self), "address": address})


class Service(NewService):
    """An address of a pool that the selected endpoints hold beside their own."""

    address: UnicastAddress

    def selects(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint is one of those that hold the address."""
        return endpoint.tenant == self.tenant and all(
            endpoint.labels.get(key) == value for key, value in self.selector.items()
        )

    def target(self, endpoint: Endpoint) -> IPAddress | None:
        """The endpoint's own address of the service's family; None when it has none."""
        return of_version(endpoint.addresses, self.address.version)


class Withdrawing(Value):
    """The address of a service that is deleted, while speakers may go on announcing it."""

    pool: Name
    address: UnicastAddress


class Backend(Value):
    """What a node's agent says of an endpoint of a service."""

    endpoint: Identifier
    healthy: bool
    why: str = ""
    """Why it is not healthy."""


class Health(Value):
    """What a node's agent says of the endpoints of a service on its node. It counts for the boot it names."""

    service: Name
    node: Name
    boot_id: str
    backends: tuple[Backend, ...]
