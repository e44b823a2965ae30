"""Who may do what: tenants with their quotas, the tokens of the API, and what joins a node."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from store.model.policy import Action
from store.model.segment import Segment
from store.model.value import Labels, Name, Value

Count = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
LifeS = Annotated[int, Field(strict=True, ge=1, le=315_360_000)]
"""Seconds, ten years at most."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

MAX_SECRETS = 4
"""One in use, and those that a rotation has given an end: more than one when its answer was lost."""


class Tenant(Value):
    """Somebody whose endpoints are counted, and kept apart from those of others in the API."""

    name: Name
    max_ipv4: Count | None = None
    """IPv4 addresses that its endpoints may hold at a time; no limit when not given."""
    max_ipv6: Count | None = None
    default: Action = Action.ALLOW
    """What becomes of connections that no rule of a policy is for. With `allow` its endpoints reach each
    other and may send to all, and what is outside all pools reaches them; with `deny` nothing does."""
    labels: Labels = {}
    segment: Segment | None = None
    """The VLAN that its endpoints are on. Pools that are made for it, and name no other, are of this one."""


class Usage(Value):
    """What a tenant holds. Written in the very transaction that assigns or frees, so it is exact."""

    tenant: Name
    ipv4: Count = 0
    ipv6: Count = 0


class Role(StrEnum):
    """What the bearer of a token may do."""

    ADMIN = "admin"
    """Everything."""
    NETWORK = "network"
    """Pools, peers, services, policies and BGP; reads all, save tokens."""
    PLATFORM = "platform"
    """Nodes, tenants, join tokens, services, policies of tenants, all endpoints; reads all, save tokens."""
    TENANT = "tenant"
    """The endpoints, services, policies and addresses of one tenant, and nothing else."""
    NODE = "node"
    """One node, and the endpoints on it."""
    READ_ONLY = "read-only"
    """Reads all, save tokens."""


class Secret(Value):
    """One secret of a token: of 256 random bits, of which only this hash is stored."""

    sha256: Sha256
    expires: AwareDatetime | None = None


class Token(Value):
    """A name to whom secrets were given. While it is rotated it has several, so that nobody is locked out."""

    name: Name
    role: Role
    tenant: Name | None = None
    node: Name | None = None
    secrets: Annotated[tuple[Secret, ...], Field(min_length=1, max_length=MAX_SECRETS)]
    """In the order they were given, the newest last."""
    created: AwareDatetime
    ttl_s: LifeS | None = None
    """For how long each secret is good; for ever when not given."""

    @model_validator(mode="after")
    def _scoped(self) -> Token:
        if (self.tenant is not None) != (self.role is Role.TENANT):
            raise ValueError("tenant is given with role tenant, and with no other")
        if (self.node is not None) != (self.role is Role.NODE):
            raise ValueError("node is given with role node, and with no other")
        return self


class Join(Value):
    """The right to join as one node, once. Only the hash of its secret is stored."""

    name: Name
    """The node."""
    sha256: Sha256
    expires: AwareDatetime
    used_by: Sha256 | None = None
    """The hash of the public key that joined with it: that one may ask again, if its answer was lost."""
