"""/v1/tenants: whose endpoints are counted, how many addresses each may hold, and how many it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.answer import Answer
from controller.api import listing
from controller.api.noun import Noun, Operation, Patch, has_name
from controller.api.parameter import LABEL
from controller.ipam.tally import usage_of
from controller.parts import parts
from controller.precondition import demanded_match, match
from controller.principal import principal
from controller.reading import Found, find, read_many, scan
from controller.validation import merge, replaced
from controller.watching.topic import Topic
from store import keys
from store.client import Store
from store.model import Tenant, Usage

tenants = Noun()

FILTERS = (LABEL,)
MUTABLE = ("max_ipv4", "max_ipv6", "default", "labels", "segment")


class TenantView(Tenant):
    """A tenant as it is shown."""

    used_ipv4: int
    """IPv4 addresses that are assigned to its endpoints. Those that cool down do not count."""
    used_ipv6: int


@tenants.operation(
    Operation(
        "POST",
        "/v1/tenants",
        "Create a tenant",
        {201: TenantView, 200: TenantView},
        body=Tenant,
        refuses=(409,),
        foreseen=True,
    )
)
def create_tenant(tenant: Tenant) -> Answer:
    """201 when new; 200 when an equal one is there."""
    return _made(*parts().registry.create_tenant(tenant))


def _watched(store: Store, shown: Sequence[Tenant], settled: bool) -> list[str]:
    used = {} if settled else read_many(store, keys.USAGE, [(each.name,) for each in shown])
    return [_shown(each, used.get((each.name,))).model_dump_json() for each in shown]


@tenants.operation(
    Operation(
        "GET",
        "/v1/tenants",
        "List tenants",
        {200: TenantView},
        query=(*listing.PAGING, *FILTERS),
        topic=Topic(keys.TENANTS, _watched),
    )
)
def list_tenants() -> Answer:
    """Every tenant, by name."""
    found = listing.paged(keys.TENANTS, filters=FILTERS)
    used = {usage.tenant: usage for usage in scan(parts().store, keys.USAGE).values}
    views = [_shown(tenant, used.get(tenant.name)) for tenant in found.values]
    return listing.render(views, found)


@tenants.operation(Operation("GET", "/v1/tenants/{name}", "Read a tenant", {200: TenantView}, refuses=(404,)))
def get_tenant(name: str) -> Answer:
    """One tenant."""
    return _answer(find(parts().store, keys.TENANTS, name, principal().scope))


@tenants.operation(
    Operation(
        "PUT",
        "/v1/tenants/{name}",
        "Create or replace a tenant",
        {200: TenantView, 201: TenantView},
        body=Tenant,
        refuses=(409,),
        matches=True,
        foreseen=True,
    )
)
def put_tenant(name: str, tenant: Tenant) -> Answer:
    """What it becomes is all in the body; the precondition says of which state."""
    has_name(name, tenant.name)
    registry = parts().registry
    return _made(
        *registry.replace(
            keys.TENANTS,
            name,
            lambda: registry.create_tenant(tenant),
            lambda stored: replaced(stored, tenant, MUTABLE),
            demanded_match(),
        )
    )


@tenants.operation(
    Operation(
        "PATCH",
        "/v1/tenants/{name}",
        "Change a tenant",
        {200: TenantView},
        body=Patch(Tenant, MUTABLE),
        refuses=(404,),
        matches=True,
        foreseen=True,
    )
)
def change_tenant(name: str, patch: dict[str, Any]) -> Answer:
    """Its quotas, which are never less than what it holds, its default, its labels and its segment.

    Pools and endpoints that are there stay on the segment that they were made on.
    """
    return _answer(
        parts().registry.change(
            keys.TENANTS, name, lambda tenant: merge(Tenant, tenant, patch, MUTABLE), match()
        )
    )


@tenants.operation(
    Operation(
        "DELETE",
        "/v1/tenants/{name}",
        "Delete a tenant",
        {204: None},
        refuses=(404, 409),
        matches=True,
        foreseen=True,
    )
)
def delete_tenant(name: str) -> Answer:
    """Only while it holds no address and has no pool, no policy and no token."""
    parts().retirer.delete_tenant(name, match())
    return Answer(status=204)


def _made(found: Found[Tenant], new: bool) -> Answer:
    answer = _answer(found)
    return Answer(answer.body, 201 if new else 200, f"/v1/tenants/{found.value.name}", answer.revision)


def _answer(found: Found[Tenant]) -> Answer:
    # The entity tag is the tenant's own: what it holds changes with every assignment.
    used = usage_of(parts().store, found.value.name).usage
    return Answer(_shown(found.value, used), revision=found.mod_revision)


def _shown(tenant: Tenant, used: Usage | None) -> TenantView:
    return TenantView(
        **tenant.model_dump(), used_ipv4=used.ipv4 if used else 0, used_ipv6=used.ipv6 if used else 0
    )
