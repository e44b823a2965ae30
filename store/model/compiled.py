"""What one node needs of the policies and of the tenants: peers are sets of addresses here, not labels.

An elected controller makes these values from policies, tenants and endpoints, for each node only what
the endpoints on it need. A set is written once, whichever nodes need it, and in shards, so that a change of
one address writes little.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from store.model.policy import Action, Direction, Mode, PortMatch
from store.model.value import Address_, Identifier, Labels, Name, Network, Uid, Value

SetId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
"""What a set is of, as a hash: equal peers of different policies are one set."""


class NodeRule(Value):
    """A rule whose peers are resolved. It matches when the peer is in one of the sets or of the ranges.

    `anyone` is true when the rule names no peers; then there are neither sets nor ranges.
    """

    name: Name | None = None
    action: Action
    log: bool = False
    anyone: bool = False
    sets: tuple[SetId, ...] = ()
    cidrs: tuple[Network, ...] = ()
    ports: tuple[PortMatch, ...] = ()
    """Any of them; every protocol when there are none."""


class NodePolicy(Value):
    """A policy that selects an endpoint of this node: the node finds out which, as it has their labels."""

    policy: Name
    tenant: Name | None = None
    """Only endpoints of this tenant are selected; without it, those of all tenants and of none."""
    selector: Labels = {}
    order: int
    mode: Mode
    ingress: tuple[NodeRule, ...] = ()
    egress: tuple[NodeRule, ...] = ()

    def rules(self, direction: Direction) -> tuple[NodeRule, ...]:
        """Those of one direction, in their sequence."""
        return self.ingress if direction is Direction.INGRESS else self.egress

    def selects(self, tenant: str | None, labels: Labels) -> bool:
        """Whether an endpoint with this tenant and these labels is one of those that it is for."""
        return self.tenant in {None, tenant} and self.selector.items() <= labels.items()

    @property
    def sets(self) -> frozenset[str]:
        """Those that its rules name."""
        return frozenset(name for rule in (*self.ingress, *self.egress) for name in rule.sets)

    @property
    def rank(self) -> tuple[int, str]:
        """What policies are asked by, the lowest first."""
        return self.order, self.policy


class Group(Value):
    """A tenant that has an endpoint on this node, or those endpoints together that have none.

    What decides where no rule does. There is one for the endpoints without tenant only while there is a
    tenant at all: without a group they are as open as if there were no policies.
    """

    tenant: Name | None = None
    default: Action = Action.ALLOW
    """With `allow`: the members reach each other and whatever is outside all pools; members send anywhere.
    With `deny`: nothing."""
    members: SetId
    """The set of all its endpoints' addresses."""


class Telling(Value):
    """Nodes are told of policies and tenants: an endpoint is closed until its node was told of it.

    There since before the first tenant or policy. While it is not, nobody tells of endpoints.
    """

    endpoints: Literal[True] = True
    """Of each endpoint, by a `Told`."""


class Told(Value):
    """The node was told all that concerns this endpoint, and other nodes what they need of it."""

    endpoint: Identifier
    uid: Uid
    """Of the assignment that is meant."""


class AddressSet(Value):
    """A shard of a set: some of its addresses."""

    set: SetId
    shard: Annotated[int, Field(ge=0)]
    addresses: tuple[Address_, ...]
