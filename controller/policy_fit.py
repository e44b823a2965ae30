"""What a policy has to agree with: its tenant, and the tenants that it lets in, have to exist."""

from __future__ import annotations

from controller.problem import unknown_reference
from controller.reading import scan
from controller.scope import Scope
from store import keys
from store.client import Compare, Exists, Store
from store.model import Direction, Policy


def policy_fits(store: Store, policy: Policy, scope: Scope) -> tuple[Compare, ...]:
    """What has to hold for a policy to be right.

    Whoever sees one tenant alone may name others that are not there: he is not told which there are.

    Raises:
        Problem: a tenant that it names does not exist; says where.
    """
    named = {"/tenant": policy.tenant} if policy.tenant is not None else {}
    if scope.whole:
        named |= _peers(policy)
    if not named:
        return ()
    there = {tenant.name for tenant in scan(store, keys.TENANTS).values}
    for pointer, tenant in named.items():
        if tenant not in there:
            raise unknown_reference(pointer, "tenant", tenant, sorted(there))
    return (Exists(keys.TENANTS.key(policy.tenant)),) if policy.tenant is not None else ()


def _peers(policy: Policy) -> dict[str, str]:
    """The tenants of peers, by where they stand."""
    return {
        f"/{direction}/{number}/peers/{place}/tenant": peer.tenant
        for direction in Direction
        for number, rule in enumerate(policy.rules(direction))
        for place, peer in enumerate(rule.peers)
        if peer.tenant is not None
    }
