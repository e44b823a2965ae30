"""What a restored backup is completed with: the cluster that a store is of, and what nodes really hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from store.model.endpoint import EndpointKind
from store.model.qos import OptionalQos
from store.model.value import Address_, Identifier, Labels, Mac, MtuBytes, Name, Uid, Value

ClusterId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,16}$")]


class Cluster(Value):
    """The id of the etcd cluster that the store is of.

    A restored backup has the id of the cluster that it was taken from, while etcd has given itself another:
    as long as the two differ nothing is assigned, and no node takes anything down.
    """

    id: ClusterId
    nonce: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    """New each time that a backup is completed: who saw a restore waits for another one."""
    heard: tuple[Name, ...] = ()
    """The nodes that it was completed with: the others have not been asked what they hold."""


class HeldEndpoint(Value):
    """An endpoint that is plugged into a node's switch."""

    endpoint: Identifier
    uid: Uid
    tenant: Name | None = None
    mac: Mac
    addresses: Annotated[tuple[Address_, ...], Field(min_length=1, max_length=2)]
    netns: str | None = None
    ifname: str | None = None
    mtu_bytes: MtuBytes = 1500
    kind: EndpointKind = EndpointKind.CONTAINER
    labels: Labels = {}
    qos: OptionalQos = None
    """Like the labels said only while a restored backup is completed: nobody else asks."""


class Holding(Value):
    """What a node's agent reads from its switch, and whether it believes what the store says."""

    node: Name
    waits_for: str = ""
    """The nonce of the restored store that the agent does not believe; empty when it believes."""
    believes: str = ""
    """The nonce of the store that the agent believes, once it has reported what it can deliver."""
    boot_id: str
    endpoints: tuple[HeldEndpoint, ...] = ()


class Restore(Value):
    """How a restored backup was completed."""

    cluster: ClusterId
    at: AwareDatetime
    heard: tuple[Name, ...] = ()
    """The nodes that said what they hold."""
    unheard: tuple[Name, ...] = ()
    """The nodes of the backup that did not: what they hold is known only as far as the backup does."""
    confirmed: int = 0
    """Endpoints that nodes hold as the backup says."""
    adopted: tuple[str, ...] = ()
    """What nodes hold and the backup did not say: now it does."""
    ended: tuple[str, ...] = ()
    """Endpoints and services of the backup that ended, because a node holds their address for another one."""
    refused: tuple[str, ...] = ()
    """What nodes hold and cannot be adopted: for people to mend."""
    idle: int = 0
    """Endpoints of the backup that no node holds: not attached yet, or deleted since the backup."""
