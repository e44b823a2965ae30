"""Who reaches whom: the rules of docs/policies.md, as far as the soak uses them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lab.host import Host


@dataclass(slots=True)
class Attached:
    """An endpoint in a container, and what was asked for."""

    name: str
    container: Host
    node: str
    address: str
    tenant: str | None
    app: str


@dataclass(frozen=True, slots=True)
class Denial:
    """A policy that keeps everybody, or everybody outside, from the endpoints that it selects."""

    name: str
    tenant: str
    app: str
    outside_only: bool

    @property
    def document(self) -> dict[str, object]:
        """What is sent to the controller."""
        deny: list[dict[str, object]] = [{"action": "deny"}]
        others: list[dict[str, object]] = [{"action": "allow", "peers": [{"selector": {}}]}]
        rules = [*others, *deny] if self.outside_only else deny
        return {"name": self.name, "tenant": self.tenant, "selector": {"app": self.app}, "ingress": rules}

    def selects(self, one: Attached) -> bool:
        """Whether it is about this endpoint."""
        return (self.tenant, self.app) == (one.tenant, one.app)


def reaches(source: Attached | None, target: Attached, denials: Iterable[Denial]) -> bool:
    """Whether a ping is answered; `source` None is a machine outside all pools."""
    about = [each for each in denials if each.selects(target)]
    if any(not each.outside_only for each in about):
        return False
    if source is None:
        return not about
    return source.tenant == target.tenant
