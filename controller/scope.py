"""What exists for the bearer of a token: all, or what is of one tenant or of one node. Pure.

Everything that a caller names or lists passes here. What is outside is treated as if it were not there, in
the very words, so that nobody can find out what others have by asking.
"""

from __future__ import annotations

from dataclasses import dataclass

from store.model import Address, Endpoint, Event, Node, Policy, Pool, Service, Tenant, Usage, Value


@dataclass(frozen=True, slots=True)
class Scope:
    """A part of what is stored. At most one of the two is given."""

    tenant: str | None = None
    """Only what is of this tenant, and the pools that it may use."""
    node: str | None = None
    """Only this node and what is on it, and every pool."""

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return self.tenant is None and self.node is None

    def has(self, value: Value) -> bool:
        """Whether the value is inside. Of what this does not know nothing is inside a part."""
        if self.tenant is not None:
            return _of_tenant(self.tenant, value)
        return self.node is None or _of_node(self.node, value)

    def marks(self, model: type[Value]) -> tuple[bytes, ...]:
        """What the stored form of each value inside holds somewhere: a quick test that comes before `has`."""
        if self.whole or model not in {Endpoint, Address, Event}:
            return ()
        mark = f'"tenant":"{self.tenant}"' if self.node is None else f'"node":"{self.node}"'
        return (mark.encode(),)


EVERYTHING = Scope()


def _of_tenant(tenant: str, value: Value) -> bool:
    match value:
        case Endpoint() | Address() | Event() | Service() | Policy():
            return value.tenant == tenant
        case Pool():
            return value.tenant in {None, tenant}
        case Tenant():
            return value.name == tenant
        case Usage():
            return value.tenant == tenant
    return False


def _of_node(node: str, value: Value) -> bool:
    match value:
        case Endpoint() | Address() | Event():
            return value.node == node
        case Node():
            return value.name == node
        case Pool():
            return True
    return False
